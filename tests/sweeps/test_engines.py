"""Every engine gives the numbers of `plain`, or says that it cannot."""

import dataclasses
import json
import threading
import time
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import zarr

import vgrad_jax as vg
from tests.lanes import emulated
from tests.stores import sign
from tests.sweeps.executed import execute
from vgrad_jax.compiling import clear_programs
from vgrad_jax.keys import run_keys
from vgrad_jax.lanes import NotInLanesError, ffi, gpu, over_lanes
from vgrad_jax.lanes.machine import THREADS
from vgrad_jax.losses import LOSSES
from vgrad_jax.nets.activations import ACTIVATIONS
from vgrad_jax.nets.initializers import INITIALIZERS
from vgrad_jax.nets.mlp import NORMS
from vgrad_jax.optimizers import make_optimizer
from vgrad_jax.results.store import Store
from vgrad_jax.sweeps import engine as engines
from vgrad_jax.sweeps import policy
from vgrad_jax.sweeps.experiment_arm import ExperimentArm
from vgrad_jax.sweeps.policy import LANES, choose_engine, local_platform
from vgrad_jax.sweeps.size import ROWS_AT_ONCE
from vgrad_jax.training import step as training_step
from vgrad_jax.training.initial import initial_networks
from vgrad_jax.training.records import batch_loss
from vgrad_jax.training.run import initial_params

KEYS = run_keys(3, jnp.arange(3))
FULL = run_keys(3, jnp.arange(LANES))

OPTIMIZERS = (
    vg.Optimizer("sgd", learning_rate=0.05),
    vg.Optimizer("sgd", learning_rate=0.05, momentum=0.9),
    vg.Optimizer("sgd", learning_rate=0.05, momentum=0.9, nesterov=True, clip_norm=0.1),
    vg.Optimizer("rmsprop", learning_rate=0.01),
    vg.Optimizer("rmsprop", learning_rate=0.01, momentum=0.5),
    vg.Optimizer("adam", learning_rate=0.01),
    vg.Optimizer("adamw", learning_rate=0.01, weight_decay=0.1, clip_norm=1.0),
)
NUMBERS = {0: "", 1: "(0.3)", 2: "(-1, 1)"}
"""Smallest count of an initialiser's numbers to the numbers that the tests give it."""


def steps():
    """Yield cases with every activation, norm, loss and optimiser, in networks of a few layers."""
    networks = [(None, None), (None, 0.5), *((norm, None) for norm in NORMS)]
    for index, optimizer in enumerate(OPTIMIZERS):
        activations = tuple(ACTIVATIONS)[index :: len(OPTIMIZERS)]
        norm, residual = networks[index % len(networks)]
        loss = list(LOSSES)[index % len(LOSSES)]
        learned = residual is not None and index > 1
        mlp = vg.MLP(
            hidden=(3,) * len(activations),
            activation=activations,
            norm=norm,
            residual=residual,
            learned_residual=learned,
        )
        yield pytest.param(mlp, loss, optimizer, id=f"{norm or residual}-{loss}-{optimizer.name}-{index}")


TRAININGS = {
    "sgd": vg.Experiment(
        vg.MLP(
            hidden=(3, 3), activation=("relu", "prelu"), bias_init="uniform(-1, 1)", residual=0.5, learned_residual=True
        ),
        vg.Data("moons", samples=16),
        vg.Optimizer("sgd", learning_rate=0.05, momentum=0.9, clip_norm=1.0),
        vg.Training(epochs=5, batch_size=3),
        vg.Recording(every=2, parameters_at=(0, 4), gradients_at=(5,)),
    ),
    "adam": vg.Experiment(
        vg.MLP(hidden=(3,), activation="silu", norm="layer"),
        vg.Data("moons", samples=16),
        vg.Optimizer("adam", learning_rate=0.01),
        vg.Training(epochs=2, batch_size=4, loss="softmax_cross_entropy"),
    ),
}


TRAININGS["ten classes"] = vg.Experiment(
    vg.MLP(hidden=(4, 4)),
    vg.Data("digits", samples=160),
    vg.Optimizer("sgd", learning_rate=0.1),
    vg.Training(epochs=1, batch_size=32, loss="softmax_cross_entropy"),
)


def assert_equal(actual, expected, **tolerance):
    for a, b in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, **tolerance)


def test_the_steps_leave_nothing_out():
    drawn = [parameter.values for parameter in steps()]
    assert {name for mlp, _, _ in drawn for name in mlp.activation} == set(ACTIVATIONS)
    assert {mlp.norm for mlp, _, _ in drawn} == {None, *NORMS}
    assert {loss for _, loss, _ in drawn} == set(LOSSES)


@pytest.mark.parametrize(("mlp", "loss", "optimizer"), list(steps()))
def test_a_step_in_lanes_is_that_of_vmap(mlp, loss, optimizer):
    """Compare the updates of two steps: in the second step the optimiser has a state."""
    x, y = jax.random.normal(jax.random.key(1), (6, 2)), jnp.arange(6) % 2
    y = y - 0.5 if LOSSES[loss].of_numbers else y
    one_step = partial(
        training_step.step,
        loss_function=partial(batch_loss, mlp=mlp, loss=LOSSES[loss]),
        optimizer=make_optimizer(optimizer),
    )

    def two_steps(params, rows):
        state = training_step.init(params, make_optimizer(optimizer))
        return jax.lax.scan(lambda state, _: one_step(state, (rows, y)), state, None, length=2)

    params = jax.vmap(lambda key: vg.init_mlp(key, mlp, 2, LOSSES[loss].out_features(2)))(FULL)
    rows = x[None] + jnp.arange(len(FULL))[:, None, None] / 8
    last = jax.tree.map(lambda leaf: jnp.moveaxis(leaf, 0, -1), (params, rows))
    inside = jax.jit(over_lanes(two_steps))(*last)
    outside = jax.jit(jax.vmap(two_steps, out_axes=-1))(params, rows)
    # The exact gradient of a bias before a batch norm is zero; rmsprop divides its rounding error by itself.
    assert_equal(inside, outside, rtol=2e-4, atol=1e-4)


SOME = [pytest.param(name, marks=[pytest.mark.slow] if name == "ten classes" else []) for name in TRAININGS]


@pytest.mark.parametrize("name", SOME)
def test_a_training_in_lanes_is_that_of_vmap(name):
    experiment = TRAININGS[name]
    assert_equal(execute("lanes", experiment, KEYS), execute("plain", experiment, KEYS), rtol=2e-4, atol=2e-4)


def test_a_training_in_nests_is_that_of_vmap_whatever_the_call(tiny):
    """Seeds that fill a register and seeds that do not, with records of a few rows at a time."""
    keys = run_keys(0, np.arange(19))
    together, alone = execute("nests", tiny, keys), execute("nests", tiny, keys[:5])
    assert_equal(together, execute("plain", tiny, keys), rtol=2e-4, atol=2e-4)
    assert_equal(jax.tree.map(lambda leaf: leaf[:5], together), alone, rtol=0)


@pytest.mark.parametrize(
    "name", ["sgd", *(pytest.param(name, marks=pytest.mark.slow) for name in TRAININGS if name != "sgd")]
)
def test_no_lanes_numbers_depend_on_how_many_there_are(name):
    keys = run_keys(3, jnp.arange(2 * LANES))
    twice = execute("lanes", TRAININGS[name], keys, lanes=2 * LANES)
    assert_equal(execute("lanes", TRAININGS[name], keys, lanes=LANES), twice, rtol=0)


FEW = ("he_normal", "orthogonal", "rai", "uniform")
"""Initialisers that draw in different ways: a scaled normal, a factorisation, kernel and bias together, an interval."""


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in FEW else [pytest.mark.slow]) for name in INITIALIZERS]
)
def test_every_initialiser_draws_the_same_for_every_engine(name):
    """Compare the initial parameters with those of `train`: engines take them as inputs."""
    bias = "zeros" if name == "rai" else "normal(0.2)"
    experiment = vg.Experiment(vg.MLP(hidden=(3,), kernel_init=name + NUMBERS[INITIALIZERS[name][0]], bias_init=bias))
    dataset = vg.load_data(experiment.data)
    drawn = initial_networks(experiment, dataset, KEYS)
    more = initial_networks(experiment, dataset, run_keys(3, jnp.arange(2 * LANES)))
    assert_equal(initial_networks(experiment, dataset, FULL), jax.tree.map(lambda leaf: leaf[:LANES], more), rtol=0)
    assert_equal(drawn, jax.vmap(partial(initial_params, experiment, dataset=dataset))(KEYS), rtol=1e-6)


def test_networks_whose_kernels_and_biases_are_drawn_together_train_alike(tiny):
    own = dataclasses.replace(tiny, mlp=dataclasses.replace(tiny.mlp, kernel_init="rai"))
    lanes, plain = (execute(engine, own, KEYS) for engine in ("lanes", "plain"))
    assert_equal(lanes, plain, rtol=2e-4, atol=2e-4)
    assert not np.allclose(jax.tree.leaves(plain)[0], jax.tree.leaves(execute("plain", tiny, KEYS))[0])


def test_more_seeds_than_lanes(tiny):
    keys = run_keys(0, jnp.arange(LANES + 3))
    assert_equal(execute("lanes", tiny, keys), execute("plain", tiny, keys), rtol=1e-4, atol=1e-4)


def sorting(x):
    return jnp.sort(x[None])[0] + jnp.tanh(x)


@pytest.fixture
def lanes_chosen(monkeypatch):
    """Let `auto` choose `lanes` for sweeps of few trainings."""
    monkeypatch.setattr(policy, "EPOCHS_A_PARAMETER", 0)


@pytest.mark.usefixtures("lanes_chosen")
def test_what_lanes_do_not_accept_falls_back_after_a_warning_for_each_arm(tiny):
    unusual = dataclasses.replace(tiny, mlp=vg.MLP(hidden=(2,), activation=sorting))
    with pytest.raises(NotInLanesError, match="sort has no native code"):
        execute("lanes", unusual, KEYS)
    assert_equal(execute("lanes_or_plain", unusual, KEYS), execute("plain", unusual, KEYS), rtol=0)
    arms = {"usual": dataclasses.replace(tiny, mlp=vg.MLP(hidden=(2,))), "sorts": unusual, "sorts too": unusual}
    for _ in range(2):  # In every sweep, also where the refusal is known.
        with pytest.warns(UserWarning, match="refuses the arm 'sorts.*sort has no native code.*'plain' trains") as w:
            vg.sweep(arms, 3 * LANES, chunk=LANES, progress=False)
        assert sorted(str(warning.message).split("'")[3] for warning in w) == ["sorts", "sorts too"]


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (lambda x: jnp.sort(x), "sort has no native code"),
        (jax.checkpoint(lambda x: jnp.sin(x)), "has no native code"),
        (lambda x: jax.lax.cond(x[0] > 0, jnp.sin, jnp.cos, x), "cond has no native code"),
        (lambda x: jnp.einsum("ij,ij->i", x[:, None], x[:, None]), "dot_general has no native code"),
        (
            lambda x: x.astype("float16").astype("float32"),
            "of float16 and float32 has no native code",
        ),
    ],
    ids=["sort", "checkpoint", "cond", "batched product", "dtype"],
)
def test_what_has_no_native_code_is_refused_in_a_loop(function, reason):
    x = jax.random.normal(jax.random.key(0), (4, LANES))

    def in_a_loop(x):
        return jax.lax.scan(lambda total, _: (function(total), None), x, length=2)[0]

    with pytest.raises(NotInLanesError, match=reason):
        jax.jit(over_lanes(in_a_loop))(x)
    # Outside of a loop XLA computes the function.
    assert_equal(jax.jit(over_lanes(function))(x), jax.vmap(function, -1, -1)(x), rtol=1e-6)


def test_lanes_fill_registers():
    with pytest.raises(NotInLanesError, match="3 lanes do not fill registers"):
        jax.jit(over_lanes(jnp.tanh))(jnp.ones((4, 3)))


def nested(x):
    def inner(total, step):
        return jnp.tanh(total + x.sum() * step), total

    def outer(total, number):
        total, rest = jax.lax.scan(inner, total, jnp.arange(3.0))
        total = jax.lax.cond(number > 1, lambda t: jax.lax.scan(inner, t, jnp.arange(2.0))[0], lambda t: t + 1, total)
        return total, rest.sum()

    last, rest = jax.lax.scan(outer, x[0], jnp.arange(4))
    return last + jnp.sin(x).sum(), rest


def test_each_innermost_loop_is_a_native_function():
    x = jax.random.normal(jax.random.key(0), (5, LANES))
    program = jax.jit(over_lanes(nested))
    assert_equal(program(x), jax.vmap(nested, in_axes=-1, out_axes=-1)(x), rtol=1e-5, atol=1e-6)
    # Native functions: two loops, the operations between and after them, and the other branch.
    assert 4 <= program.lower(x).as_text().count("@vgrad_jax_") <= 9


@pytest.mark.parametrize("position", ["before", "inside"])
def test_side_effects_are_refused(position):
    def speaks(x):
        if position == "before":
            jax.debug.print("x")
            return jax.lax.scan(lambda c, _: (c * 2, None), x, length=3)[0]
        return jax.lax.scan(lambda c, _: (c * 2, jax.debug.print("x")), x, length=3)[0]

    with pytest.raises(NotInLanesError, match="side effects"):
        jax.jit(over_lanes(speaks))(jnp.ones((4, LANES)))


def test_a_grid_over_numbers_and_initialisers_compiles_once(tiny, monkeypatch):
    traced = []
    trainer = ExperimentArm.trainer
    monkeypatch.setattr(
        ExperimentArm, "trainer", lambda arm, rows_at_once: traced.append(rows_at_once) or trainer(arm, rows_at_once)
    )
    clear_programs()
    grid = {
        f"{rate} {momentum} {init}": dataclasses.replace(
            tiny,
            mlp=vg.MLP(hidden=(2,), kernel_init=init),
            optimizer=vg.Optimizer("sgd", learning_rate=rate, momentum=momentum),
        )
        for rate in (0.01, 0.3)
        for momentum in (0.5, 0.9)
        for init in ("normal(0.1)", "normal(2)", "he_uniform")
    }
    for engine in ("plain", "lanes"):
        results = vg.sweep(grid, 2, engine=engine, workers=1, progress=False)
        assert len(np.unique(results["train_loss"][:, 0, -1])) == len(grid)
    assert traced == [None, ROWS_AT_ONCE]


@pytest.mark.parametrize("engine", ["plain", "lanes"])
def test_threads_with_a_cold_cache_compile_once_and_get_the_same_numbers(engine, tiny, monkeypatch):
    expected = execute(engine, tiny, KEYS)
    clear_programs()
    compiled, histories, barrier = [], [], threading.Barrier(4)
    trainer = ExperimentArm.trainer

    def slow_trainer(arm, rows_at_once):
        compiled.append(engine)
        time.sleep(0.2)
        return trainer(arm, rows_at_once)

    def call():
        barrier.wait()
        histories.append(execute(engine, tiny, KEYS))

    monkeypatch.setattr(ExperimentArm, "trainer", slow_trainer)
    threads = [threading.Thread(target=call) for _ in range(barrier.parties)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert compiled == [engine]
    assert len(histories) == barrier.parties
    for history in histories:
        assert_equal(history, expected, rtol=0)


@pytest.mark.slow
def test_a_gpus_lanes_are_one_program(small, monkeypatch):
    """Run the code of a GPU's thread on the processor, lane after lane and without kernels."""
    expected = execute("plain", small, run_keys(0, np.arange(70)))
    clear_programs()
    threads, sizes = THREADS._replace(platform="cpu", team=1, has_exp2=False), []
    monkeypatch.setattr(
        engines, "over_lanes", lambda train: lambda p, k, s: sizes.append(len(k)) or over_lanes(train, threads)(p, k, s)
    )
    for seeds, lanes in ((70, 96), (64, 64)):
        history = execute("lanes", small, run_keys(0, np.arange(seeds)), lanes=lanes)
        for a, b in zip(jax.tree.leaves(history), jax.tree.leaves(expected), strict=True):
            np.testing.assert_allclose(a, b[:seeds], rtol=2e-3, atol=1e-3)
    assert sizes == [96, 64]
    clear_programs()


@pytest.mark.slow
def test_a_team_trains_as_plain_does(small, monkeypatch):
    """Run the kernels of a GPU, a thread of the operating system for each member of a team."""
    monkeypatch.setattr(gpu, "register", emulated.register)
    monkeypatch.setattr(engines, "over_lanes", lambda train: over_lanes(train, THREADS))
    clear_programs()
    keys = run_keys(0, np.arange(THREADS.group))
    kept = vg.Recording(parameters_at=(0, 2), gradients_at=(1,))
    experiment = dataclasses.replace(small, training=vg.Training(epochs=2, batch_size=8), recording=kept)
    for a, b in zip(
        jax.tree.leaves(execute("lanes", experiment, keys, lanes=THREADS.group)),
        jax.tree.leaves(execute("plain", experiment, keys)),
        strict=True,
    ):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    clear_programs()


def test_what_lanes_do_not_accept_is_trained_in_plains_chunks(tiny, monkeypatch):
    expected = [execute("plain", tiny, run_keys(0, start + np.arange(4))) for start in (0, 4, 8)]
    expected = jax.tree.map(lambda *leaves: np.concatenate(leaves), *expected)

    def refused(*arguments):
        raise NotInLanesError("for this test")

    sizes, plain = [], engines.plain
    monkeypatch.setattr(engines, "lanes", refused)
    monkeypatch.setattr(engines, "plain", lambda *arguments: sizes.append(len(arguments[1])) or plain(*arguments))
    history = execute("lanes_or_plain", tiny, run_keys(0, np.arange(12)), fall_back_chunk=8)
    assert sizes == [8, 4]
    for a, b in zip(jax.tree.leaves(history), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_a_machine_without_native_code_is_refused(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "tpu")
    with pytest.raises(NotInLanesError, match="no native code for tpu"):
        jax.jit(over_lanes(lambda x: x + 1))(jnp.zeros(LANES))


@pytest.mark.usefixtures("x64")
def test_lanes_are_for_single_precision(tiny):
    assert choose_engine(ExperimentArm(vg.Experiment()).size, 10_000, local_platform()) == "plain"
    with pytest.raises(NotInLanesError, match="and float64"):
        execute("lanes", tiny, KEYS)


@pytest.mark.usefixtures("lanes_chosen")
def test_a_sweep_goes_on_where_xla_refuses_native_code(small, monkeypatch):
    """Refuse native code, as XLA does with another version of its interface for native functions."""

    def refuse(*arguments, **options):
        raise jax.errors.JaxRuntimeError("FFI handler API version mismatch")

    arms = {"a": dataclasses.replace(small, mlp=vg.MLP(hidden=(2,)))}
    expected = vg.sweep(arms, LANES, engine="plain", progress=False)
    monkeypatch.setattr(jax.ffi, "register_ffi_target", refuse)
    monkeypatch.setattr(ffi, "_registered", {})
    clear_programs()
    with pytest.warns(UserWarning, match="FFI handler API version mismatch.*'plain' trains it") as warned:
        results = vg.sweep(arms, LANES, progress=False)
    assert len(warned) == 1
    assert json.loads(results.attrs["engines"]) == {"a": "lanes_or_plain"}
    for name in expected.data_vars:
        np.testing.assert_array_equal(results[name], expected[name])
    clear_programs()


def test_nests_go_on_where_xla_refuses_native_code_and_say_so(tiny, monkeypatch):
    def refuse(*arguments, **options):
        raise jax.errors.JaxRuntimeError("another version of the interface")

    expected = vg.sweep({"a": tiny}, LANES, engine="plain", progress=False)
    monkeypatch.setattr(jax.ffi, "register_ffi_target", refuse)
    monkeypatch.setattr(ffi, "_registered", {})
    clear_programs()
    with pytest.warns(UserWarning, match="leaves a loop to XLA: .*another version of the interface") as warned:
        results = vg.sweep({"a": tiny}, LANES, engine="nests", progress=False)
    assert len(warned) == 1
    np.testing.assert_allclose(results["train_loss"], expected["train_loss"], rtol=1e-4)
    clear_programs()


def test_a_store_keeps_the_engine_it_began_with(tiny, tmp_path, monkeypatch):
    path = tmp_path / "r.zarr"
    arms = {"a": dataclasses.replace(tiny, mlp=vg.MLP(hidden=(2,)))}
    vg.sweep(arms, 2, store=path, progress=False)

    def fail(*arguments):
        raise AssertionError("another engine than the store's")

    for name in ("lanes_or_plain", "lanes"):
        monkeypatch.setitem(engines.ENGINES, name, fail)
    vg.sweep(arms, 4, store=path, resume=True, engine="lanes", progress=False)


def test_a_store_of_before_names_its_engine_in_other_words(tiny, tmp_path):
    path = tmp_path / "r.zarr"
    arms = {"a": dataclasses.replace(tiny, mlp=vg.MLP(hidden=(2,)))}
    vg.sweep(arms, 2, store=path, progress=False)
    group = zarr.open_group(str(path), mode="r+")
    group.attrs["engines"] = json.dumps({"a": "auto"})
    sign(path)
    assert Store.open(path).engines == {"a": "lanes_or_plain"}
