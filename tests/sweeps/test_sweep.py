import dataclasses
import inspect
import json
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import zarr

import vgrad_jax as vg
from tests.stores import sign
from tests.sweeps.executed import execute
from vgrad_jax.keys import run_keys
from vgrad_jax.results import store as store_module
from vgrad_jax.results.schema import VARIABLES
from vgrad_jax.sweeps import blocks
from vgrad_jax.sweeps import running as sweep_module
from vgrad_jax.sweeps.engine import ENGINES, train_seeds
from vgrad_jax.sweeps.experiment_arm import ExperimentArm
from vgrad_jax.sweeps.plan import make_plan
from vgrad_jax.sweeps.policy import execution_of, local_platform

FLOATS = [name for name, variable in VARIABLES.items() if variable.dtype == "float32" and variable.dims[1] == "seed"]


def assert_same(a, b, seeds=slice(None)):
    """Assert that all values are equal, NaN and -inf included."""
    for name in a.data_vars:
        np.testing.assert_array_equal(a[name].values[:, seeds], b[name].values[:, seeds], err_msg=name)


def test_what_comes_back(arms):
    results = vg.sweep(arms, 3, progress=False)
    assert dict(results.sizes) == {"arm": 2, "seed": 3, "record": 7, "layer": 4}
    assert results["gradient_log10_rms"].dims == ("arm", "seed", "record", "layer")
    assert results["arm"].values.tolist() == ["shallow", "deep"]
    assert results["epoch"].values.tolist() == list(range(7))
    assert results["epoch"].dims == ("record",)
    assert bool(results["completed"].all())
    for variable in results.data_vars.values():
        assert variable.attrs["description"]
        assert "units" in variable.attrs
    assert results["train_loss"].attrs["units"] == "nats"
    study, versions = json.loads(results.attrs["study"]), json.loads(results.attrs["versions"])
    assert vg.Experiment.from_dict(study["arms"]["deep"]) == arms["deep"]
    assert versions["jax"] == jax.__version__


def test_an_arm_with_fewer_layers_is_filled_with_nan(arms):
    gradients = vg.sweep(arms, 2, progress=False)["gradient_log10_rms"]
    assert bool(np.isnan(gradients.sel(arm="shallow", layer=3)).all())
    assert not bool(np.isnan(gradients.sel(arm="shallow", layer=slice(0, 2))).any())
    assert not bool(np.isnan(gradients.sel(arm="deep")).any())


def test_a_run_is_that_of_train_with_its_key(arms):
    results = vg.sweep(arms, 20, seed=9, progress=False)
    for arm, experiment in arms.items():
        train = jax.jit(partial(vg.train, experiment))
        for seed in (0, 18):  # A run of the first chunk and a run of the second chunk.
            history = train(vg.run_key(9, seed))
            run = results.sel(arm=arm, seed=seed)
            np.testing.assert_allclose(run["train_loss"], history.records.train_loss, rtol=1e-4)
            # A share of rows is a quotient, for which XLA multiplies by the rounded reciprocal.
            np.testing.assert_allclose(run["train_accuracy"], history.records.train_accuracy, rtol=2e-7)
            layers = experiment.mlp.num_layers
            np.testing.assert_allclose(
                run["gradient_log10_rms"][:, :layers], history.records.gradient_log10_rms, atol=1e-4
            )
            assert str(run["outcome"].values) == vg.Outcome(int(history.outcome)).name.lower()


@pytest.mark.parametrize("engine", ["plain", "nests"])
def test_seed_k_does_not_depend_on_how_many_seeds_or_workers(arms, engine):
    swept = partial(vg.sweep, engine=engine, progress=False)
    many, few = swept(arms, 20), swept(arms, 3, workers=1)
    assert_same(many.isel(seed=slice(0, 3)), few)
    alone = swept({"deep": arms["deep"]}, 20)
    np.testing.assert_array_equal(many["train_loss"].sel(arm="deep"), alone["train_loss"].sel(arm="deep"))


def test_seeds_differ_and_the_studys_seed_matters(small):
    first, other = (vg.sweep({"a": small}, 4, seed=seed, progress=False)["train_loss"].values for seed in (0, 1))
    assert len({tuple(run) for run in (*first[0], *other[0])}) == 8


@pytest.mark.parametrize("chunk", [3, *(pytest.param(chunk, marks=pytest.mark.slow) for chunk in (1, 5, 64))])
def test_chunk_size_does_not_matter(arms, chunk):
    """Compare chunks: XLA rounds reductions differently in programs of different shapes, in the last digits only."""
    default, chunked = vg.sweep(arms, 5, progress=False), vg.sweep(arms, 5, chunk=chunk, progress=False)
    for name in ("outcome", "converged", "epochs_to_converge"):
        np.testing.assert_array_equal(default[name], chunked[name])
    for name in ("train_loss", "test_loss", "gradient_log10_rms", "update_ratio_log10"):
        np.testing.assert_allclose(chunked[name], default[name], rtol=1e-3, atol=1e-3, err_msg=name)


def test_kept_parameters_are_named(arms):
    recording = vg.Recording(parameters_at=(0, 6), gradients_at=(2,))
    kept = {name: dataclasses.replace(arm, recording=recording) for name, arm in arms.items()}
    results = vg.sweep(kept, 2, progress=False)
    for arm, experiment in kept.items():
        history = jax.jit(partial(vg.train, experiment))(vg.run_key(0, 1))
        for index, epoch in enumerate((0, 6)):
            value = results["parameters"].sel(arm=arm, seed=1, parameters_epoch=epoch, parameter="1/kernel/2/1")
            np.testing.assert_allclose(value, history.parameters[1].kernel[index, 2, 1], rtol=1e-4)
        value = results["gradients"].sel(arm=arm, seed=1, gradients_epoch=2, parameter="0/bias/3")
        np.testing.assert_allclose(value, history.gradients[0].bias[0, 3], rtol=1e-3, atol=1e-6)
    missing = results["parameters"].sel(arm="shallow", parameter="3/bias/0")
    assert bool(np.isnan(missing).all())


def test_a_diverged_run_is_named_and_counts_as_never(small):
    wild = dataclasses.replace(
        small,
        mlp=vg.MLP(hidden=(4, 3), activation="relu", kernel_init="uniform(0, 1)"),
        optimizer=vg.Optimizer("sgd", learning_rate=1e18),
    )
    results = vg.sweep({"wild": wild, "tame": small}, 6, progress=False)
    diverged = results["outcome"] == "diverged"
    assert int(diverged.sel(arm="wild").sum()) > 0
    assert int(diverged.sel(arm="tame").sum()) == 0
    assert not bool((results["converged"] & diverged).any())
    assert bool(np.isnan(results["epochs_to_converge"].where(diverged, drop=True)).all())


def test_store_and_memory_hold_the_same(arms, tmp_path):
    stored = vg.sweep(arms, 5, store=tmp_path / "r.zarr", progress=False)
    memory = vg.sweep(arms, 5, progress=False)
    assert_same(memory, stored)
    assert_same(memory, vg.open_results(tmp_path / "r.zarr"))
    assert memory.identical(stored.load())  # Coordinates and attributes are equal too.
    assert {name: values.dtype for name, values in memory.variables.items()} == {
        name: values.dtype for name, values in stored.variables.items()
    }


def test_interrupted_and_resumed_equals_uninterrupted(arms, tmp_path):
    uninterrupted = vg.sweep(arms, 10, chunk=2, progress=False)

    def interrupt(done, total):
        if done >= 8:
            raise KeyboardInterrupt

    path = tmp_path / "r.zarr"
    with pytest.raises(vg.SweepInterrupted, match=r"of 20 trainings are finished and kept") as interruption:
        vg.sweep(arms, 10, chunk=2, store=path, progress=interrupt)
    kept = interruption.value.results
    finished = kept["completed"].values
    assert 8 <= finished.sum() < 20
    np.testing.assert_array_equal(kept["train_loss"].values[finished], uninterrupted["train_loss"].values[finished])
    seen = []
    resumed = vg.sweep(arms, 10, store=path, resume=True, progress=lambda done, total: seen.append(done))
    assert seen[0] == finished.sum()
    assert_same(uninterrupted, resumed)


def test_more_seeds_later_runs_only_the_new_ones(arms, tmp_path):
    path = tmp_path / "r.zarr"
    vg.sweep(arms, 4, chunk=2, store=path, progress=False)
    seen = []
    more = vg.sweep(arms, 7, store=path, resume=True, progress=lambda done, total: seen.append((done, total)))
    assert seen[0] == (8, 14)
    assert more["seed"].values.tolist() == list(range(7))
    assert_same(vg.sweep(arms, 7, chunk=2, progress=False), more)


def test_arms_named_in_another_order_go_where_they_belong(arms, tmp_path):
    path = tmp_path / "r.zarr"
    vg.sweep(arms, 2, chunk=2, store=path, progress=False)
    reversed_arms = dict(reversed(arms.items()))
    more = vg.sweep(reversed_arms, 4, store=path, resume=True, progress=False)
    assert_same(vg.sweep(arms, 4, chunk=2, progress=False), more)


def test_being_killed_while_growing_is_set_right(arms, tmp_path):
    path = tmp_path / "r.zarr"
    vg.sweep(arms, 2, chunk=2, store=path, progress=False)
    array = zarr.open_group(str(path), mode="r+")["train_loss"]
    array.resize((2, 9, *array.shape[2:]))
    sign(path)
    again = vg.sweep(arms, 4, store=path, resume=True, progress=False)
    assert_same(vg.sweep(arms, 4, chunk=2, progress=False), again)


def test_being_killed_while_a_store_is_made_leaves_none(arms, tmp_path, monkeypatch):
    monkeypatch.setattr(store_module, "lay_out", lambda *arguments: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        vg.sweep(arms, 2, store=tmp_path / "r.zarr", progress=False)
    monkeypatch.undo()
    assert not (tmp_path / "r.zarr").exists()
    assert bool(vg.sweep(arms, 2, store=tmp_path / "r.zarr", resume=True, progress=False)["completed"].all())


def test_an_interrupted_sweep_in_memory_hands_over_what_it_has(arms):
    def interrupt(done, total):
        if done:
            raise KeyboardInterrupt

    with pytest.raises(vg.SweepInterrupted) as interruption:
        vg.sweep(arms, 6, chunk=2, progress=interrupt)
    assert int(interruption.value.results["completed"].sum()) >= 2


def test_a_failing_worker_is_reported_and_not_waited_for(arms, monkeypatch):
    def fail(*arguments):
        raise RuntimeError("out of memory")

    monkeypatch.setitem(ENGINES, "plain", fail)
    with pytest.raises(RuntimeError, match="out of memory"):
        vg.sweep(arms, 6, progress=False)


def test_a_store_of_another_study_is_refused_and_left_alone(arms, small, tmp_path):
    path = tmp_path / "r.zarr"
    before = vg.sweep(arms, 2, store=path, progress=False).load()
    other = {**arms, "deep": dataclasses.replace(arms["deep"], optimizer=vg.Optimizer("sgd", learning_rate=0.2))}
    for bad, message in (
        ({"arms": other}, r"optimizer\.learning_rate is 0\.1 there and 0\.2 here"),
        ({"arms": {"shallow": small}}, r"arms\.deep is only there"),
        ({"seed": 5}, "seed is 0 there and 5 here"),
        ({"num_seeds": 1}, "laid out for 2 seeds, more than 1"),
    ):
        arguments = {"arms": arms, "num_seeds": 2, **bad}
        with pytest.raises(vg.InputError, match=message):
            vg.sweep(**arguments, store=path, resume=True, progress=False)
    with pytest.raises(vg.InputError, match="already in use"):
        vg.sweep(arms, 2, store=path, progress=False)
    assert_same(before, vg.open_results(path))


def test_a_folder_that_is_no_store_is_refused(arms, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    for call in (
        lambda: vg.sweep(arms, 2, store=tmp_path, resume=True, progress=False),
        lambda: vg.open_results(tmp_path),
        lambda: vg.open_results(tmp_path / "nowhere"),
    ):
        with pytest.raises(vg.InputError, match="no results of a sweep"):
            call()
    with pytest.raises(vg.InputError, match="already in use"):
        vg.sweep(arms, 2, store=tmp_path, progress=False)
    assert (tmp_path / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_seeds": 0}, "num_seeds must be a whole number, 1 or larger; got 0"),
        ({"num_seeds": 2.0}, "got 2.0"),
        ({"seed": -1}, "seed must be"),
        ({"chunk": 0}, "chunk must be"),
        ({"engine": "plane"}, "did you mean 'plain'"),
        ({"arms": {}}, "with one at least"),
        ({"arms": {"a": "tanh"}}, "arm 'a' must be an Experiment, an Arm"),
        ({"arms": {"a": vg.Experiment(), "b": vg.Experiment(training=vg.Training(threshold=0.9))}}, "same threshold"),
    ],
)
def test_bad_input_is_refused(arms, change, message, monkeypatch):
    arguments = {"arms": arms, "num_seeds": 2, "progress": False, **change}
    # Without the run-time type checker of the tests, which users do not have.
    function = inspect.unwrap(vg.sweep)
    with pytest.raises(vg.InputError, match=message):
        function(**arguments)


def test_the_memory_estimate_is_that_of_the_compiler():
    """Compare the estimate with the memory that XLA allocates for the article's study: within 30 %."""
    experiment = vg.presets.article(epochs=50)["tanh_uniform"]
    size = ExperimentArm(experiment).size
    compiled = jax.jit(jax.vmap(partial(vg.train, experiment))).lower(run_keys(0, jnp.arange(16))).compile()
    memory = compiled.memory_analysis()
    measured = memory.temp_size_in_bytes + memory.output_size_in_bytes
    assert 16 * (size.results + size.plain) == pytest.approx(measured, rel=0.3)


def test_the_plan_says_what_it_costs_and_covers_every_run(arms):
    swept = {name: ExperimentArm(experiment) for name, experiment in arms.items()}
    plan = make_plan(swept, 37, engine="plain")
    text = str(plan)
    assert "2 arms x 37 seeds = 74 trainings" in text
    assert "estimated peak memory" in text
    covered = [(block.arm, seed) for block in plan.blocks() for seed in range(block.start, block.stop)]
    assert sorted(covered) == sorted((arm, seed) for arm in arms for seed in range(37))
    assert plan.chunk == make_plan(swept, 1, engine="plain").chunk


def test_wide_networks_get_smaller_chunks():
    experiment = vg.Experiment(mlp=vg.MLP(hidden=(4096,) * 4))
    plan = make_plan({"wide": ExperimentArm(experiment)}, 100)
    assert plan.chunk < 16
    assert plan.chunk_bytes <= 2**29 or plan.chunk == 1


def test_every_engine_gives_what_the_plain_one_gives(arms):
    keys = run_keys(0, jnp.arange(4))
    for experiment in arms.values():
        reference = execute("plain", experiment, keys)
        for engine in ENGINES:
            history = execute(engine, experiment, keys)
            for a, b in zip(jax.tree.leaves(history), jax.tree.leaves(reference), strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


def test_progress_counts_every_seed_once(arms):
    seen = []
    vg.sweep(arms, 5, chunk=2, progress=lambda done, total: seen.append((done, total)))
    assert seen[0] == (0, 10)
    assert seen[-1] == (10, 10)
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})


@pytest.mark.parametrize("kept_in", [sweep_module.Memory, sweep_module.Store])
def test_only_as_many_chunks_are_held_as_workers_need(arms, monkeypatch, tmp_path, kept_in):
    alive, most = [0], [0]
    train_seeds = blocks.train_seeds

    def counted(*arguments):
        alive[0] += 1
        most[0] = max(most[0], alive[0])
        return train_seeds(*arguments)

    monkeypatch.setattr(blocks, "train_seeds", counted)
    written = kept_in.write

    def write(self, *arguments):
        alive[0] -= 1
        return written(self, *arguments)

    monkeypatch.setattr(kept_in, "write", write)
    store = tmp_path / "r.zarr" if kept_in is sweep_module.Store else None
    vg.sweep(arms, 20, chunk=1, workers=2, store=store, progress=False)
    assert 0 < most[0] <= 4


def test_a_chunk_s_keys_compile_nothing_new():
    experiment = vg.presets.article(epochs=1)["tanh_he"]
    arm, execution = ExperimentArm(experiment), execution_of("plain", 4, local_platform())
    train_seeds(arm, 0, 0, execution)
    events = []
    jax.monitoring.register_event_duration_secs_listener(lambda name, seconds, **_: events.append(name))
    train_seeds(arm, 0, 40, execution)
    assert not [name for name in events if "backend_compile" in name]
    jax.jit(lambda x: x + 40)(1)
    assert [name for name in events if "backend_compile" in name]  # The listener counts compilations.
