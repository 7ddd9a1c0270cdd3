"""The one-call check before training."""

import equinox
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib.figure import Figure

import vgrad_jax as vg
from vgrad_jax.diagnosis.figures import _draw_band

DEPTH, WIDTH = 6, 12
BATCH = (jax.random.normal(jax.random.key(3), (16, WIDTH)), jnp.ones(16))


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
        ((TANH, init(1.0)(jax.random.key(0)), BATCH), {"num_seeds": 3}, "needs an init function"),
        ((TANH, {"a": None}, BATCH), {}, "must be parameters"),
        ((lambda p, b: b[0] @ p[0]["kernel"], init(1.0), BATCH), {}, "must give a scalar"),
        ((TANH, init(1.0), BATCH), {"num_seeds": 0}, "num_seeds must be a whole number"),
    ],
)
def test_errors_teach(arguments, options, message):
    with pytest.raises(vg.InputError, match=message):
        vg.check_init(*arguments, **options)
