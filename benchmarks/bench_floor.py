"""How close is the sweep to a kernel for this network and this machine alone, and where does the remaining time go?

The kernel in `floor.c` only trains: it draws nothing, shuffles nothing and records nothing. The sweep's complete study
shuffles every epoch of every seed. It also records losses, accuracies and each layer's gradient after every epoch,
which adds 4/3 of the arithmetic of training. "kernel, complete" adds the arithmetic of these records. "by hand" is the
complete study as a user of JAX writes it without this library.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import vgrad_jax as vg
from benchmarks import floor, peers, work
from benchmarks.measure import side_by_side
from vgrad_jax.keys import run_keys
from vgrad_jax.lanes import over_lanes
from vgrad_jax.sweeps.policy import LANES
from vgrad_jax.training.records import measure
from vgrad_jax.training.run import epoch_order

ORDERS = 50
"""Epochs whose row orders the kernel is given; it repeats them in turn."""


def test_the_kernel_does_the_same_training(size):
    """Compare parameters, gradients and accuracies after two epochs, and tanh, with the library's."""
    del size
    experiment = vg.Experiment(
        vg.presets.article()["tanh_he"].mlp,
        training=vg.Training(epochs=2),
        recording=vg.Recording(every=2, parameters_at=(2,), gradients_at=(2,)),
    )
    keys = run_keys(0, jnp.arange(16))
    trained = floor.train(floor.prepare(experiment, keys, orders=2), epochs=2, threads=2, record_every_epoch=True)
    history = jax.jit(jax.vmap(lambda key: vg.train(experiment, key)))(keys)
    for expected, returned in ((history.parameters, trained.params), (history.gradients, trained.gradients)):
        for ours, theirs in zip(jax.tree.leaves(expected), jax.tree.leaves(returned), strict=True):
            np.testing.assert_allclose(theirs, ours[:, 0], rtol=2e-3, atol=2e-4)
    np.testing.assert_allclose(trained.test_accuracy, history.records.test_accuracy[:, -1], atol=0.0041)
    values = np.linspace(-12, 12, 1024, dtype=np.float32)
    np.testing.assert_allclose(floor.tanh(values), np.tanh(values), rtol=1e-5, atol=1e-6)


def test_what_is_recorded_by_hand_is_what_the_library_records(size):
    """Compare both records of the final parameters."""
    del size
    experiment = vg.Experiment(
        vg.presets.article()["tanh_he"].mlp, training=vg.Training(epochs=2), recording=vg.Recording(every=1)
    )
    params, records = peers.recorded_by_hand(peers.make_task(experiment, 3, 0), complete=True)
    dataset, training = vg.load_data(experiment.data), experiment.training
    record = partial(measure, dataset=dataset, mlp=experiment.mlp, loss_name=training.loss)
    expected = jax.jit(jax.vmap(lambda params: record(params, params)[0]))(params)
    accuracy, loss, test_loss, test_accuracy, gradient, ratio = (recorded[:, -1] for recorded in records)
    for recorded, name in (
        (accuracy, "train_accuracy"),
        (loss, "train_loss"),
        (test_loss, "test_loss"),
        (test_accuracy, "test_accuracy"),
        (gradient, "gradient_log10_rms"),
    ):
        np.testing.assert_allclose(recorded, getattr(expected, name), rtol=1e-4, atol=2e-3)
    assert np.isfinite(ratio).all()
    assert ratio.shape == gradient.shape == (3, 6)
    assert all(recorded.shape[:2] == (3, 2) for recorded in records)


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="the kernel is for a processor")
def test_floor(benchmark, case, size):
    if size == "smallest":
        pytest.skip("compiles for long; the tests above hold the kernel and what is recorded by hand")
    experiments = {"complete": case.experiment(every=1, parameters_at=(case.epochs,))}
    experiments["not recorded"] = case.experiment(parameters_at=(case.epochs,))
    fastest = case.engines[-1]
    kernel = floor.prepare(case.experiment(), run_keys(1, jnp.arange(case.seeds)), min(case.epochs, ORDERS))

    tasks = {number: peers.make_task(case.experiment(), case.seeds, number + 1) for number in range(-1, case.rounds)}

    def sweep(name, engine):
        arms = {"case": experiments[name]}
        return lambda number: vg.sweep(arms, case.seeds, seed=1, engine=engine, progress=False)

    calls = {
        "complete": sweep("complete", fastest),
        "not recorded": sweep("not recorded", fastest),
        "plain": sweep("complete", "plain"),
        "by hand": lambda number: peers.recorded_by_hand(tasks[number], complete=True),
        "shuffling": shuffling(case),
        "kernel": lambda number: floor.train(kernel, case.epochs, floor.cores()),
        "kernel, complete": lambda number: floor.train(kernel, case.epochs, floor.cores(), record_every_epoch=True),
    }
    measured = side_by_side(benchmark, calls, case.rounds)
    theirs = work.accuracies(measured.results["kernel"][-1].params, case.experiment())
    by_hand = work.accuracies(measured.results["by hand"][-1][0], case.experiment())
    ours = measured.results["complete"][-1].train_accuracy.values[0, :, -1]
    work.assert_same_work(ours, by_hand, threshold=0.8)
    benchmark.extra_info.update(
        case=case.name,
        seeds=case.seeds,
        epochs=case.epochs,
        engine=fastest,
        same_work=work.assert_same_work(ours, theirs, threshold=0.8),
        run_milliseconds={name: measured.median(name) / case.seeds * 1e3 for name in calls},
        compile_seconds={name: measured.compile_seconds(name) for name in ("complete", "plain", "by hand")},
        times_plain=measured.ratio("plain", "complete"),
        times_by_hand=measured.ratio("by hand", "complete"),
        times_the_floor=measured.ratio("complete", "kernel"),
        times_the_complete_floor=measured.ratio("complete", "kernel, complete"),
        complete_floor_times_plain=measured.ratio("plain", "kernel, complete"),
        not_recorded_times_the_floor=measured.ratio("not recorded", "kernel"),
        recording_share=1 - 1 / measured.ratio("complete", "not recorded"),
        shuffling_share=measured.ratio("shuffling", "complete"),
        peak_gflops=floor.peak_gflops(),
        kernel_gflops=2 * case.seeds * work.multiply_adds(case, every=case.epochs) / measured.median("kernel") / 1e9,
    )


def shuffling(case):
    """Draw all orders of all epochs, and do nothing else; all cores share the programs."""
    rows = len(vg.load_data(case.experiment().data).train_x)

    def orders(key):
        epochs = jnp.arange(1, case.epochs + 1)
        add = lambda total, epoch: (total + epoch_order(key, epoch, rows), None)  # noqa: E731
        return jax.lax.scan(add, jnp.zeros(rows, jnp.int32), epochs)[0]

    program = jax.jit(over_lanes(orders))
    groups = max(1, case.seeds // LANES // floor.cores())

    def call(number):
        keys = run_keys(number + 1, jnp.arange(LANES))
        return [program(keys) for _ in range(groups)]

    return call
