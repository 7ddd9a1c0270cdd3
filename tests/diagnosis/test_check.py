"""The one-call check before training."""

import os
import subprocess
import sys

import equinox
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen
from matplotlib.figure import Figure

import vgrad_jax as vg
from tests.arrays import normal, ones
from vgrad_jax.diagnosis.figures import _draw_band

DEPTH, WIDTH = 6, 12
BATCH = (normal(16, WIDTH), ones(16))


def init(scale, shift=0.0):
    def make(key):
        kernels = scale * jax.random.normal(key, (DEPTH, WIDTH, WIDTH)) / np.sqrt(WIDTH)
        return [{"kernel": kernel, "bias": jnp.full((1, WIDTH), shift)} for kernel in kernels]

    return make


def loss_of(activation):
    def loss(params, batch):
        h, y = batch
        for layer in params[:-1]:
            h = activation(h @ layer["kernel"] + layer["bias"])
        return jnp.mean(((h @ params[-1]["kernel"])[:, 0] - y) ** 2)

    return loss


PARAMS = [{"kernel": normal(WIDTH, WIDTH, seed=layer, scale=WIDTH**-0.5)} for layer in range(DEPTH)]
TANH, RELU = loss_of(jnp.tanh), loss_of(jax.nn.relu)


@pytest.mark.parametrize(
    ("loss", "scale", "shift", "status"),
    [
        (TANH, 1.0, 0.0, "healthy"),
        (RELU, 1.4, 0.0, "healthy"),
        (TANH, 0.1, 0.0, "vanishing"),
        (TANH, 1.0, 5.0, "saturated"),
        (RELU, 1.4, -9.0, "dead"),
        (RELU, 8.0, 0.0, "exploding"),
    ],
)
def test_the_verdict_over_seeds(loss, scale, shift, status):
    check = vg.check_init(loss, init(scale, shift), BATCH, num_seeds=6)
    assert check.status == status, str(check)
    assert check.stats.log10_rms.shape == (6, DEPTH)
    assert sum(check.diagnosis.seeds.values()) == 6


def test_the_numbers_are_those_of_the_gradient():
    make = init(1.0)
    check = vg.check_init(TANH, make, BATCH, key=jax.random.key(5), num_seeds=3)
    keys = jax.random.split(jax.random.key(5), 3)
    for seed in range(3):
        gradient = jax.jit(jax.grad(TANH))(make(keys[seed]), BATCH)
        expected = [
            np.log10(np.sqrt(np.mean(np.concatenate([np.ravel(a).astype(np.float64) for a in layer.values()]) ** 2)))
            for layer in gradient[:-1]
        ]
        np.testing.assert_allclose(check.stats.log10_rms[seed, :-1], expected, atol=1e-4)
    alone = vg.check_init(TANH, make(keys[1]), BATCH)
    np.testing.assert_allclose(alone.stats.log10_rms[0], check.stats.log10_rms[1], atol=1e-4)


def test_a_module_is_parameters_although_it_can_be_called():
    model = equinox.nn.MLP(2, "scalar", 8, 3, key=jax.random.key(0))
    check = vg.check_init(lambda m, x: (jnp.mean(jax.vmap(m)(x) ** 2), "aux"), model, jnp.ones((4, 2)))
    assert check.stats.paths == tuple(f"layers/{n}" for n in range(4))
    assert "relu" in check.look.forward.kinds


def test_the_picture(tmp_path):
    check = vg.check_init(RELU, init(1.4, -9.0), BATCH, num_seeds=6)
    figure = check.plot()
    labels = {text for axes in figure.axes for text in axes.get_legend_handles_labels()[1]}
    assert {"preactivations", "zero (ReLU)", "units off for every example", "gradient exactly zero"} <= labels
    figure.savefig(tmp_path / "check.png")


def test_a_band_is_over_the_seeds_that_have_a_number():
    values = np.random.default_rng(0).normal(size=(41, 4))
    values[:5, 1], values[5:9, 1], values[9:12, 1], values[:, 3] = np.nan, np.inf, -np.inf, np.nan
    axes = Figure().subplots()
    _draw_band(axes, values, "blue", "o-", "made up")
    low, middle, high = (
        [np.quantile(values[np.isfinite(values[:, layer]), layer], share, method="lower") for layer in range(3)]
        for share in (0.05, 0.5, 0.95)
    )
    (line,) = axes.lines
    assert line.get_xdata().tolist() == [0, 1, 2]
    assert line.get_ydata().tolist() == middle
    corners = axes.collections[0].get_paths()[0].vertices
    assert {*low, *high} <= set(corners[:, 1])
    _draw_band(axes, values[:, 3:], "blue", "o-", "no numbers")
    assert len(axes.lines) == 1


def test_compiled_once_for_a_pair_of_functions():
    traces = []
    make = init(1.0)

    def loss(params, batch):
        traces.append(1)
        return TANH(params, batch)

    for number in range(2):
        vg.check_init(loss, make, BATCH, key=jax.random.key(number), num_seeds=2)
        if not number:
            first = len(traces)
    assert 0 < len(traces) == first


def test_a_second_check_of_the_same_program_looks_at_its_own_numbers():
    """The program is kept from the first check; data and parameters are not."""
    x = np.random.default_rng(0).normal(size=(64, 4)).astype(np.float32)

    def loss(params, batch):
        return jnp.mean((jnp.tanh(batch[0] @ params["a"]) @ params["b"] - batch[1]) ** 2)

    def make(key):
        a, b = jax.random.split(key)
        return {"a": jax.random.normal(a, (4, 8)), "b": jax.random.normal(b, (8, 1))}

    def inspected(scale, key):
        return vg.check_init(loss, make, (x, scale * x[:, :1]), key=jax.random.key(key)).inspection

    first = inspected(np.float32(1), 0)
    assert inspected(np.float32(3), 0).chance == pytest.approx(9 * first.chance, rel=1e-3)
    assert inspected(np.float32(1), 1).hidden.singular_ratio != first.hidden.singular_ratio


def test_a_prediction_stands_beside_the_measurement():
    mlp = vg.MLP(hidden=(24, 24), kernel_init="lecun_normal")
    data = vg.load_data(vg.Data(samples=40))
    rows = (data.train_x, data.train_y)

    def loss(params, batch):
        logits = jax.vmap(vg.apply_mlp, in_axes=(None, 0, None))(params, batch[0], mlp)[:, 0]
        return jnp.mean(jax.nn.softplus(logits) - logits * batch[1])

    prediction = vg.theory.predict(mlp, *rows)
    check = vg.check_init(loss, lambda key: vg.init_mlp(key, mlp, 2), rows, num_seeds=48, prediction=prediction)
    squares = 10 ** (2 * check.stats.log10_rms.astype(float))
    np.testing.assert_allclose(check.log10_rms, 0.5 * np.log10(squares.mean(axis=0)))
    error = squares.std(axis=0) / squares.mean(axis=0) / np.sqrt(48) / (2 * np.log(10))
    assert (np.abs(check.log10_rms - prediction.log10_rms) < 4 * error + 0.05).all()
    assert f"0: {check.log10_rms[0]:.2f}, {prediction.log10_rms[0]:.2f}" in str(check)
    axes = check.plot().axes[0]
    drawn = dict(zip(axes.get_legend_handles_labels()[1], axes.get_legend_handles_labels()[0], strict=True))
    np.testing.assert_allclose(drawn["the same, predicted"].get_ydata(), prediction.log10_rms)
    np.testing.assert_allclose(drawn["gradient, RMS over seeds"].get_ydata(), check.log10_rms)
    other = vg.theory.predict(vg.MLP(hidden=(24,)), *rows)
    with pytest.raises(vg.InputError, match="the prediction has 2 layers and the model 3"):
        vg.check_init(loss, lambda key: vg.init_mlp(key, mlp, 2), rows, prediction=other)


def test_a_model_of_another_kind_has_no_prediction_and_a_reason():
    prediction = vg.theory.predict(init(1.0), *BATCH)
    check = vg.check_init(TANH, init(1.0), BATCH, prediction=prediction)
    assert "prediction: does not apply because theory reads a vg.MLP, and this is a function" in str(check)
    texts = [text.get_text() for text in check.plot().axes[0].texts]
    assert any("theory does not apply because" in text for text in texts)


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((TANH, PARAMS, BATCH), {"num_seeds": 3}, "needs an init function"),
        ((TANH, {"a": None}, BATCH), {}, "must be parameters"),
        ((lambda p, b: b[0] @ p[0]["kernel"], init(1.0), BATCH), {}, "must give a scalar"),
        ((TANH, init(1.0), BATCH), {"num_seeds": 0}, "num_seeds must be a whole number"),
    ],
)
def test_errors_teach(arguments, options, message):
    with pytest.raises(vg.InputError, match=message):
        vg.check_init(*arguments, **options)


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (("loss", init(1.0), BATCH), {}, "loss_fn must be a function"),
        ((PARAMS, TANH, BATCH), {}, "loss_fn must be a function"),
        ((TANH, init(1.0), "x"), {}, "batch must be what the loss takes"),
        ((TANH, linen.Dense(3), BATCH), {}, "module.init"),
        ((TANH, lambda: PARAMS, BATCH), {}, r"called as f\(key\)"),
        ((TANH, lambda key: None, BATCH), {}, "makes no floating-point array"),
        ((lambda params: 0.0, init(1.0), BATCH), {}, r"called as f\(params, batch\)"),
        ((TANH, init(1.0), BATCH), {"loss_key": jax.random.key(0)}, r"called as f\(params, batch, key\)"),
        ((lambda p, b: {"accuracy": 1.0}, init(1.0), BATCH), {}, 'a dictionary without "loss"'),
        ((lambda p, b: 3, init(1.0), BATCH), {}, "has no gradient"),
    ],
)
def test_wrong_hands_get_a_sentence(arguments, options, message):
    with pytest.raises(vg.InputError, match=message):
        vg.check_init(*arguments, **options)


@pytest.mark.parametrize(
    "pack", [lambda v: {"loss": v, "accuracy": 0.5}, lambda v: (v, {}), lambda v: ({"loss": v}, 1)]
)
def test_a_loss_beside_other_results(pack):
    check = vg.check_init(lambda p, b: pack(TANH(p, b)), init(1.0), BATCH, num_seeds=2)
    np.testing.assert_array_equal(
        check.stats.log10_rms, vg.check_init(TANH, init(1.0), BATCH, num_seeds=2).stats.log10_rms
    )


def test_a_loss_with_dropout_is_given_its_key():
    def loss(params, batch, key):
        keep = jax.random.bernoulli(key, 0.5, (1, WIDTH))
        return TANH(params, (batch[0] * keep, batch[1]))

    key = jax.random.key(7)
    with_key = vg.check_init(loss, init(1.0), BATCH, num_seeds=2, loss_key=key)
    without = vg.check_init(lambda p, b: loss(p, b, key), init(1.0), BATCH, num_seeds=2)
    np.testing.assert_allclose(with_key.stats.log10_rms, without.stats.log10_rms, atol=1e-5)


def test_a_batch_may_hold_names():
    check = vg.check_init(lambda p, b: TANH(p, b["rows"]), init(1.0), {"rows": BATCH, "name": "circles"}, num_seeds=2)
    assert check.status == "healthy"


def test_models_without_a_product_or_an_activation():
    def factorisation(params, batch):
        return jnp.mean((jnp.sum(params["u"][batch[0]] * params["v"][batch[1]], -1) - 1) ** 2)

    def make(key):
        return {"u": jax.random.normal(key, (100, 8)), "v": jax.random.normal(key, (50, 8))}

    check = vg.check_init(factorisation, make, (jnp.arange(20), jnp.arange(20)), num_seeds=3)
    assert check.look.forward.kinds == ()
    assert check.look.forward.log10_rms.shape == (3, 0)
    np.testing.assert_allclose(check.look.touched_fraction, [[0.2, 0.4]] * 3)


def test_complex_parameters_are_measured_by_their_magnitudes():
    def loss(params, x):
        return jnp.mean(jnp.abs(x.astype(complex) @ params["w"]) ** 2)

    w = jax.random.normal(jax.random.key(0), (WIDTH, 4)) + 2j
    check = vg.check_init(loss, {"w": w.astype(jnp.complex64)}, BATCH[0])
    outputs = np.asarray(BATCH[0], np.complex128) @ np.asarray(w)
    np.testing.assert_allclose(
        check.look.forward.log10_rms, [[0.5 * np.log10(np.mean(np.abs(outputs) ** 2))]], rtol=1e-4
    )


def test_the_reasons_of_a_zero_gradient_and_of_an_infinite_one():
    dead = vg.check_init(RELU, init(1.4, -9.0), BATCH, num_seeds=2)
    assert {why.reason for why in dead.zeros} == {"units_off"} | {
        why.reason for why in dead.zeros if "bias" in why.path
    }
    assert vg.check_init(TANH, init(1.0), BATCH, num_seeds=2).nonfinite is None
    check = vg.check_init(lambda p, b: jnp.log(0 * TANH(p, b)), init(1.0), BATCH, num_seeds=2)
    assert check.nonfinite.kind == "log_of_zero"


EXPLICIT = """
import jax, jax.numpy as jnp, numpy as np, vgrad_jax as vg
from jax.sharding import NamedSharding, PartitionSpec as P
mesh = jax.make_mesh((2,), ("d",))
x = jnp.asarray(np.random.default_rng(0).normal(size=(8, 4)), jnp.float32)
init = lambda k: {"w": jax.random.normal(k, (4, 4)), "v": jax.random.normal(k, (4, 1))}
loss = lambda p, x: jnp.mean((jnp.tanh(x @ p["w"]) @ p["v"]) ** 2)
inside = lambda w, v, x: jax.lax.pmean(jnp.mean((jnp.tanh(x @ w) @ v) ** 2), "d")
mapped = jax.shard_map(inside, mesh=mesh, in_specs=(P(), P(), P("d")), out_specs=P())
alone = vg.check_init(loss, init, x, num_seeds=3).stats.log10_rms
rows = jax.device_put(x, NamedSharding(mesh, P("d")))
np.testing.assert_allclose(vg.check_init(loss, init, rows, num_seeds=3).stats.log10_rms, alone, atol=1e-5)
in_map = vg.check_init(lambda p, x: mapped(p["w"], p["v"], x), init, rows, num_seeds=3)
np.testing.assert_allclose(in_map.stats.log10_rms, alone, atol=1e-5)
params = jax.device_put(init(jax.random.key(0)), NamedSharding(mesh, P()))
assert vg.check_init(loss, params, rows).status
stack = jax.device_put(jnp.ones((4, 2, 2)), NamedSharding(mesh, P("d")))
assert vg.gradient_stats({"l": {"w": stack}}, stacked="l").log10_rms.tolist() == [0.0] * 4
"""


def test_explicit_meshes_and_losses_inside_of_shard_map():
    flags = "--xla_force_host_platform_device_count=2"
    environment = {**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    done = subprocess.run([sys.executable, "-c", EXPLICIT], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
