"""Finite width, spectra, factors and predicted profiles, against tables and random networks."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import vgrad_jax as vg
from vgrad_jax.gradients.stats import layer_log10_rms
from vgrad_jax.losses import LOSSES
from vgrad_jax.nets.laws import Law
from vgrad_jax.theory import factors, finite_width, nonzero_mean, predict, spectra
from vgrad_jax.theory.gaussian import elementwise
from vgrad_jax.training.records import batch_loss

SEEDS = 2000


@pytest.mark.parametrize(
    ("width", "mean", "variance"),
    [
        (5, -0.62339286, 2.36226876),
        (16, -0.17639732, 0.41959339),
        (50, -0.05173878, 0.10816813),
        (256, -0.00982866, 0.01981871),
        (512, -0.00489848, 0.00983684),
    ],
)
def test_log_increments(width, mean, variance):
    assert finite_width.log_increment(width) == pytest.approx((mean, variance), abs=6e-9)


@pytest.mark.parametrize(("width", "published"), [(2, 0.944), (3, 0.737), (5, 0.272), (10, 0.0097)])
def test_born_dead(width, published):
    assert finite_width.probability_dead((width,) * 10) == pytest.approx(published, abs=6e-4)


@pytest.fixture(scope="module")
def kernel_gradients():
    """ln of every kernel's squared gradient norm for one input, `(seed, layer)`; widths unequal on purpose."""
    mlp = vg.MLP(hidden=(6, 12, 8), activation="relu", kernel_init="fan_in_normal(2)", output_init="normal(0.5)")
    x = jnp.array([0.3, -0.5, 0.1])

    def norms(key):
        gradient = jax.grad(lambda params: vg.apply_mlp(params, x, mlp)[0])(vg.init_mlp(key, mlp, 3))
        return jnp.stack([jnp.log(jnp.sum(layer.kernel**2)) for layer in gradient])

    return mlp, x, np.asarray(jax.vmap(norms)(jax.random.split(jax.random.key(4), SEEDS)), np.float64)


def test_the_exact_law_of_he_relu(kernel_gradients):
    mlp, x, logs = kernel_gradients
    alive = np.isfinite(logs[:, 0])
    dead = finite_width.probability_dead(mlp.hidden)
    assert abs((~alive).mean() - dead) < 4 * math.sqrt(dead * (1 - dead) / SEEDS)
    for layer in range(mlp.num_layers):
        law = finite_width.log_gradient_law(mlp.hidden, 3, 0.25, float(jnp.linalg.norm(x)), layer)
        values = logs[alive, layer]
        assert abs(values.mean() - law.mean) < 4 * values.std() / math.sqrt(len(values))
        squares = (values - values.mean()) ** 2
        assert abs(squares.mean() - law.variance) < 4 * squares.std() / math.sqrt(len(values))
        assert finite_width.goodness_of_fit(values, law) > 0.001
        # The test rejects a law that is off by 0.12 standard deviations.
        assert finite_width.goodness_of_fit(values + 0.12 * math.sqrt(law.variance), law) < 0.001


def test_the_distribution_function_is_the_density_summed():
    law = finite_width.log_gradient_law((5, 5), 5, 0.2, 1.0, layer=0)
    grid = np.linspace(law.mean - 14 * math.sqrt(law.variance), law.mean + 6 * math.sqrt(law.variance), 4001)
    density = law.density(grid)
    step = grid[1] - grid[0]
    assert density.sum() * step == pytest.approx(1, abs=1e-3)
    assert (density * grid).sum() * step == pytest.approx(law.mean, abs=5e-3)
    np.testing.assert_allclose(np.cumsum(density) * step, law.cumulative(grid + step / 2), atol=1e-3)


def test_second_moments(kernel_gradients):
    assert finite_width.second_moment_ratio((5, 100)) == pytest.approx(2 * 1.05)
    random = np.random.default_rng(1)
    length = np.ones(400_000)
    for before, width in ((8, 40), (40, 60)):
        length *= 2 / before * random.chisquare(np.maximum(random.binomial(width, 0.5, len(length)), 1))
    ratio = np.mean(length**2) / np.mean(length) ** 2
    error = np.std(length**2) / np.mean(length) ** 2 / math.sqrt(len(length))
    assert abs(ratio - finite_width.second_moment_ratio((40, 60))) < 5 * error


@pytest.mark.parametrize(
    ("activation", "weights", "variance", "largest"),
    [
        ("identity", "normal", 1, {2: 6.75, 10: 28.53116706, 32: 88.34067, 64: 175.32742}),
        ("identity", "orthogonal", 0, {2: 1, 64: 1}),
        ("relu", "normal", 2, {2: 11.09016994, 10: 54.41085853, 32: 173.98419, 64: 347.94715}),
        ("relu", "orthogonal", 1, {2: 4, 10: 25.81174792, 32: 85.62228, 64: 172.60911}),
    ],
)
def test_spectra(activation, weights, variance, largest):
    for depth, value in largest.items():
        spectrum = spectra.spectrum(activation, weights, depth)
        assert spectrum.largest == pytest.approx(value, rel=1e-7)
        assert spectrum.variance == variance * depth


@pytest.mark.parametrize(
    ("activation", "init", "weights"),
    [
        ("identity", "fan_in_normal(1)", "normal"),
        ("identity", "orthogonal", "orthogonal"),
        ("relu", "fan_in_normal(2)", "normal"),
        ("relu", "orthogonal(1.4142135623730951)", "orthogonal"),
    ],
)
def test_measured_singular_values_are_those_of_random_matrix_theory(activation, init, weights):
    width, depth, seeds = 64, 3, 16
    mlp = vg.MLP(hidden=(width,) * depth, activation=activation, kernel_init=init)
    jacobian = jax.jit(
        lambda key: spectra.input_jacobian(vg.init_mlp(key, mlp, width), jnp.ones(width), mlp, to="hidden")
    )
    squares = np.stack(
        [np.linalg.svd(np.asarray(jacobian(jax.random.key(k))), compute_uv=False) ** 2 for k in range(seeds)]
    )
    predicted = spectra.spectrum(activation, weights, depth)
    mean = squares.mean(axis=1)
    assert abs(mean.mean() - 1) < 4 * mean.std() / math.sqrt(seeds) + 1e-4
    spread = (squares**2).mean(axis=1) - mean**2
    assert (
        abs(spread.mean() - predicted.variance) < 4 * spread.std() / math.sqrt(seeds) + 0.03 * predicted.variance + 1e-4
    )
    # The edge is reached from below: the largest value of 64 units is up to a quarter smaller.
    assert 0.72 * predicted.largest < np.median(squares.max(axis=1)) < 1.02 * predicted.largest


def test_the_jacobian_of_the_logits_is_the_derivative():
    mlp = vg.MLP(hidden=(6, 5), activation="tanh")
    params, x = vg.init_mlp(jax.random.key(0), mlp, 3, 2), jnp.array([0.2, -0.4, 1.0])
    jacobian = jax.jit(lambda x: vg.input_jacobian(params, x, mlp))(x)
    apply = jax.jit(lambda x: vg.apply_mlp(params, x, mlp))
    for column in range(3):
        step = jnp.zeros(3).at[column].set(1e-2)
        slope = (apply(x + step) - apply(x - step)) / 2e-2
        np.testing.assert_allclose(jacobian[:, column], slope, atol=2e-3)


@pytest.mark.parametrize(
    ("activation", "layer_norm", "batch_norm"),
    [
        ("relu", 1, math.pi / (math.pi - 1)),
        ("tanh", 1.17780723, 1.17780723),
        ("selu", 1.07157499, 1.07157499),
        ("leaky_relu(0.01)", 1, 1.45337076),
        ("elu", 1.03590472, 1.07901346),
    ],
)
def test_factors_of_the_norms(activation, layer_norm, batch_norm):
    assert factors.layer_norm_factor(activation) == pytest.approx(layer_norm, abs=6e-9)
    assert factors.batch_norm_factor(activation) == pytest.approx(batch_norm, abs=6e-9)


def test_factor_of_a_residual_branch():
    assert factors.residual_factor("relu", 50**-0.5, 2.0) ** 50 == pytest.approx(2.691588, abs=1e-6)
    with pytest.raises(vg.InputError, match="identity"):
        factors.batch_norm_factor("relu", 32)


@pytest.mark.parametrize(
    ("network", "factor"),
    [
        ({"norm": "layer", "activation": "tanh"}, factors.layer_norm_factor("tanh")),
        ({"residual": 0.6, "activation": "relu"}, 1.36),
    ],
)
def test_measured_factors(network, factor):
    """Measure E|delta|^2 of the first layer over the last, for one input, from the biases' gradients."""
    width, depth, seeds = 128, 5, 48
    mlp = vg.MLP(hidden=(width,) * depth, kernel_init="fan_in_normal(2)", **network)

    @jax.jit
    def deltas(key):
        params = vg.init_mlp(key, mlp, width)
        x = jax.random.normal(jax.random.fold_in(key, 1), (width,))

        def logit(biases):
            layers = tuple(layer._replace(bias=bias) for layer, bias in zip(params, biases, strict=True))
            return vg.apply_mlp(layers, x, mlp)[0]

        gradient = jax.grad(logit)([layer.bias for layer in params])
        return jnp.stack([jnp.sum(gradient[layer] ** 2) for layer in (0, -2)])

    first, last = np.stack([deltas(jax.random.key(k)) for k in range(seeds)]).astype(np.float64).T
    # A branch's bias is multiplied by the branch factor; the first layer is no branch.
    first = first * network.get("residual", 1.0) ** 2
    ratio = first.mean() / last.mean()
    error = np.std(first - ratio * last) / last.mean() / math.sqrt(seeds) / ratio
    wanted = (depth - 1) * math.log(factor)
    assert abs(math.log(ratio) - wanted) < 3 * error + 2 * depth / width
    assert error < 0.15


def test_measured_factor_of_batch_norm():
    """Three layers more, per example: E|dlogits / dx|^2 with random loads on the rows, which keep the rows apart."""
    width, rows, seeds, depths = 64, 64, 24, (2, 5)

    def squares(depth):
        mlp = vg.MLP(hidden=(width,) * depth, activation="relu", kernel_init="fan_in_normal(2)", norm="batch")

        @jax.jit
        def square(key):
            params = vg.init_mlp(key, mlp, width)
            x = jax.random.normal(jax.random.fold_in(key, 1), (rows, width))
            loads = jax.random.normal(jax.random.fold_in(key, 2), (rows,))
            logits = jax.vmap(lambda row: vg.apply_mlp(params, row, mlp), axis_name="batch")
            return jnp.sum(jax.grad(lambda x: jnp.sum(loads * logits(x)[:, 0]))(x) ** 2)

        return np.asarray([square(jax.random.key(k)) for k in range(seeds)], np.float64)

    few, many = (squares(depth) for depth in depths)
    wanted = (depths[1] - depths[0]) * math.log(factors.batch_norm_factor("relu"))
    error = math.hypot(*(part.std() / part.mean() for part in (few, many))) / math.sqrt(seeds)
    # The factor is exact for an infinite batch; the tolerance for a finite batch is of the order of 1 / rows.
    assert abs(math.log(many.mean() / few.mean()) - wanted) < 3 * error + 3 * 4 / rows
    assert error < 0.12


def test_moments_with_a_weight_mean_are_exact_for_the_second_layer():
    """A narrow network with weights of mean 0.5: mean, own and cross covariance of two inputs over 200 000 draws."""
    weight, bias, width, draws = Law(0.5, 1 / 12), Law(0.1, 0.04), 5, 200_000
    x = np.array([[0.8, -0.3], [0.2, 0.5]])
    first = nonzero_mean.first_layer(x, weight, bias)
    second = nonzero_mean.forward(nonzero_mean.activate(elementwise("tanh"), first), width, weight, bias)
    random = np.random.default_rng(3)

    def draw(law, *shape):
        return law.mean + math.sqrt(law.variance) * random.standard_normal((draws, *shape))

    z = x @ draw(weight, 2, width) + draw(bias, 1, width)
    z = np.tanh(z) @ draw(weight, width, 2) + draw(bias, 1, 2)
    assert np.abs(z.mean(axis=0)[:, 0] - second.mean).max() < 5 * z.std() / math.sqrt(draws)
    centred = z - z.mean(axis=0)
    for unit, wanted in ((0, second.same), (1, second.cross)):
        products = centred[:, :, None, 0] * centred[:, None, :, unit]
        assert (np.abs(products.mean(axis=0) - wanted) < 5 * products.std(axis=0) / math.sqrt(draws)).all()


def measured_profile(mlp, data, seeds):
    rows = (jnp.asarray(data.train_x), jnp.asarray(data.train_y))

    @jax.jit
    @jax.vmap
    def profile(key):
        params = vg.init_mlp(key, mlp, 2)
        loss = LOSSES["binary_cross_entropy"]
        return layer_log10_rms(jax.grad(batch_loss)(params, rows, mlp, loss))

    squares = 10 ** (2 * np.asarray(profile(jax.random.split(jax.random.key(1), seeds)), np.float64))
    mean = squares.mean(axis=0)
    return 0.5 * np.log10(mean), squares.std(axis=0) / mean / math.sqrt(seeds) / (2 * math.log(10))


@pytest.mark.parametrize(
    "network",
    [
        {"activation": "tanh", "kernel_init": "lecun_normal"},
        {"activation": "tanh", "kernel_init": "glorot_normal", "bias_init": "normal(0.3)"},
        {"activation": "relu", "kernel_init": "fan_in_normal(6)", "norm": "layer"},
        {"activation": "relu", "kernel_init": "he_normal", "residual": 0.3},
        {"activation": "tanh", "kernel_init": "lecun_normal", "residual": 0.3, "bias_init": "constant(0.8)"},
        {"activation": "tanh", "kernel_init": "glorot_normal", "residual": -0.5, "bias_init": "constant(0.8)"},
    ],
)
def test_predicted_profiles_are_those_of_wide_networks(network):
    data = vg.load_data(vg.Data(samples=100))
    mlp = vg.MLP(hidden=(48, 48, 48), **network)
    profile, error = measured_profile(mlp, data, 48)
    prediction = predict(mlp, data.train_x, data.train_y)
    assert prediction.why_not == ""
    # Corrections of depth / width in the logarithm of the square: 3 / 48 / (2 ln 10) = 0.014.
    assert (np.abs(prediction.relative - (profile - profile[-1])) < 4 * error + 0.03).all()
    assert (np.abs(prediction.log10_rms - profile) < 4 * error + 0.1).all()


def test_the_articles_own_profile_is_not_monotone_and_predicted_so():
    """Five units, weights uniform on (0, 1): within 0.3 in log10; without the weights' mean the error is above 0.6."""
    data = vg.load_data(vg.Data())
    mlp = vg.presets.article()["tanh_uniform"].mlp
    profile, error = measured_profile(mlp, data, 200)
    predicted = predict(mlp, data.train_x, data.train_y).log10_rms
    assert (np.abs(predicted - profile) < 0.3 + 3 * error).all()
    for values in (predicted, profile):
        assert values.argmin() in (2, 3)
        assert values[0] > values.min() + 0.5
    centred = predict(vg.MLP(kernel_init="uniform(-0.5, 0.5)"), data.train_x, data.train_y).log10_rms
    assert np.abs(centred - profile).max() > 0.6


@pytest.mark.parametrize(
    ("network", "reason"),
    [
        ({"norm": "batch"}, "does not apply because batch norm"),
        ({"kernel_init": jax.nn.initializers.he_normal()}, "does not apply because an initialiser is a function"),
        ({"residual": 0.5, "kernel_init": "uniform(0, 1)"}, "does not apply because residual branches"),
    ],
)
def test_where_no_theory_applies_it_says_why(network, reason):
    prediction = predict(vg.MLP(**network), np.ones((4, 2)), np.array([0, 1, 0, 1]))
    assert prediction.log10_rms is None
    assert prediction.relative is None
    assert prediction.why_not.startswith(reason)


@pytest.mark.parametrize("loss", ["squared_error", "softmax_cross_entropy"])
def test_predictions_of_other_losses_are_those_of_wide_networks(loss):
    """Numbers, and two classes by a softmax of two logits: measured over draws of a wide network."""
    data = vg.Data("diabetes" if loss == "squared_error" else "moons", samples=60)
    mlp = vg.MLP(hidden=(200, 200), activation="tanh", kernel_init="lecun_normal", output_init="normal(0.01)")
    experiment = vg.Experiment(mlp=mlp, data=data, training=vg.Training(loss=loss, batch_size=8))
    result = vg.theory.compare(experiment, num_seeds=48)
    squares = 10.0 ** (2 * result.measured)
    error = squares.std(axis=0) / squares.mean(axis=0) / np.sqrt(48) / np.log(10) / 2
    measured = 0.5 * np.log10(squares.mean(axis=0))
    np.testing.assert_array_less(np.abs(measured - result.prediction.log10_rms), 4 * error + 0.01)


def test_a_loss_that_theory_does_not_know_has_a_reason():
    data = vg.load_data(vg.Data(samples=20))
    prediction = vg.theory.predict(vg.MLP(), data.train_x, data.train_y, loss="hinge")
    assert prediction.log10_rms is None
    assert "hinge" in prediction.why_not
