"""Densities of Jacobian spectra, against closed forms, random matrices, and random networks."""

import math

import numpy as np
import pytest

import vgrad_jax as vg
from vgrad_jax.theory import spectra
from vgrad_jax.theory.densities import JacobianLayer, fuss_catalan, spectral_density
from vgrad_jax.theory.jacobians import jacobian_layers, jacobian_spectrum
from vgrad_jax.theory.mean_field import moments


def average(law, power):
    """Integrate s^power over the law."""
    held = law.point[1] * law.point[0] ** power if law.point[1] else 0.0
    return float(np.trapezoid(law.density * law.squares ** (power + 1), np.log(law.squares))) + held


@pytest.mark.parametrize("depth", [1, 2, 7])
def test_linear_networks_have_fuss_and_catalans_law(depth):
    solved = spectral_density([JacobianLayer("identity", 1.0, 1.0, "normal")] * depth)
    closed = fuss_catalan(depth)
    shown = (closed.squares > 1e-6) & (closed.squares < 0.9 * closed.largest)
    density = np.exp(np.interp(np.log(closed.squares), np.log(solved.squares), np.log(solved.density)))
    np.testing.assert_allclose(density[shown], closed.density[shown], rtol=0.02)
    np.testing.assert_allclose(solved.cumulative(closed.squares), closed.cumulative(closed.squares), atol=2e-3)
    for law in (solved, closed):
        assert law.largest == pytest.approx(spectra.spectrum("identity", "normal", depth).largest, rel=1e-7)
        for power in (1, 2, 3):
            number = math.comb((depth + 1) * power, power) / (depth * power + 1)
            assert average(law, power) == pytest.approx(number, rel=2e-3)


@pytest.mark.parametrize("weights", ["normal", "orthogonal"])
@pytest.mark.parametrize("depth", [3, 10])
def test_relu_has_the_closed_ends_and_variances(weights, depth):
    law = spectral_density([JacobianLayer("relu", 0.7, 2.0, weights)] * depth)
    closed = spectra.spectrum("relu", weights, depth)
    assert law.largest == pytest.approx(closed.largest, rel=1e-7)
    assert average(law, 1) == pytest.approx(1, rel=1e-3)
    assert average(law, 2) - 1 == pytest.approx(closed.variance, rel=2e-3)
    assert law.zero == 0.5


def test_two_orthogonal_relu_layers_have_the_arcsine_law():
    """Two projections of rank one half: P Q P has the density 1 / (2 pi sqrt(x (1 - x))) beside its zeros."""
    law = spectral_density([JacobianLayer("relu", 1.0, 2.0, "orthogonal")] * 2)
    x = np.linspace(0.1, 3.9, 20)
    np.testing.assert_allclose(
        np.interp(x, law.squares, law.density), 1 / (2 * np.pi * np.sqrt(x * (4 - x))), rtol=0.01
    )
    np.testing.assert_allclose(law.cumulative(x), 0.5 + np.arcsin(np.sqrt(x / 4)) / np.pi, atol=0.01)


@pytest.mark.parametrize(("weights", "extra"), [("normal", 1.0), ("orthogonal", 0.0)])
def test_the_variance_of_a_smooth_network(weights, extra):
    """Pennington et al. 2018: the relative variance is the sum over layers of mu_2 / mu_1^2 - 1, and 1 if Gaussian."""
    variances, gain = (0.3, 0.9, 2.0), 1.4
    law = spectral_density([JacobianLayer("tanh", q, gain, weights) for q in variances])
    mean, wanted = 1.0, 0.0
    for q in variances:
        z, weight = np.polynomial.hermite_e.hermegauss(120)
        squares = np.cosh(math.sqrt(q) * z) ** -4
        mu_1, mu_2 = (float(weight @ squares**power) / math.sqrt(2 * math.pi) for power in (1, 2))
        assert mu_1 == pytest.approx(float(moments("tanh", q)[1]), rel=1e-5)
        mean, wanted = mean * gain * mu_1, wanted + mu_2 / mu_1**2 - 1 + extra
    assert law.mean == pytest.approx(mean, rel=1e-5)
    assert average(law, 0) == pytest.approx(1, abs=0.03)  # A part of the law lies below the grid.
    assert average(law, 1) == pytest.approx(mean, rel=1e-3)
    assert average(law, 2) / mean**2 - 1 == pytest.approx(wanted, rel=3e-3)


def test_a_probability_in_one_place():
    linear = spectral_density([JacobianLayer("identity", 1.0, 0.5, "orthogonal")] * 4)
    assert linear.point == pytest.approx((0.0625, 1.0))
    np.testing.assert_array_equal(linear.cumulative([0.06, 0.07]), [0, 1])
    # A share p of each layer's units is not cut off, and a share 2 p - 1 in neither of two layers.
    hard = spectral_density([JacobianLayer("hard_tanh", 0.5, 1.0, "orthogonal")] * 2)
    share = math.erf(1 / math.sqrt(2 * 0.5))
    assert hard.point == pytest.approx((1.0, 2 * share - 1), abs=1e-6)
    assert hard.zero == pytest.approx(1 - share, abs=1e-6)
    assert hard.cumulative(2.0) == pytest.approx(1, abs=1e-3)
    assert spectral_density([JacobianLayer("relu", 1.0, 2.0, "orthogonal")]).point == (2.0, 0.5)


def drawn(activation, slope, gain, weights, variance, depth, width, seeds):
    """Draw Jacobians in NumPy, with a separate forward pass; return their squared singular values, `(seed, unit)`."""
    random = np.random.default_rng(5)
    squares = []
    for _ in range(seeds):
        z, jacobian = math.sqrt(variance) * random.standard_normal(width), np.eye(width)
        for _ in range(depth):
            kernel = random.standard_normal((width, width))
            if weights == "orthogonal":
                rotation, triangle = np.linalg.qr(kernel)
                kernel = rotation * np.sign(np.diag(triangle)) * math.sqrt(width)
            kernel *= math.sqrt(gain / width)
            z = kernel @ activation(z)
            jacobian = slope(z)[:, None] * kernel @ jacobian
        squares.append(np.linalg.svd(jacobian, compute_uv=False) ** 2)
    return np.asarray(squares)


@pytest.mark.parametrize("weights", ["normal", "orthogonal"])
@pytest.mark.parametrize(
    ("name", "activation", "slope", "gain"),
    [
        ("tanh", np.tanh, lambda z: np.cosh(z) ** -2, 1.8),
        ("relu", lambda z: np.maximum(z, 0), lambda z: (z > 0) * 1.0, 2.0),
    ],
)
def test_drawn_jacobians_are_distributed_as_predicted(name, activation, slope, gain, weights):
    width, depth, seeds, variance = 64, 3, 24, 0.8
    squares = drawn(activation, slope, gain, weights, variance, depth, width, seeds)
    layers = []
    for _ in range(depth):
        variance = gain * float(moments(name, variance)[0])
        layers.append(JacobianLayer(name, variance, gain, weights))
    law = spectral_density(layers)
    means = squares.mean(axis=1)
    # A finite network's variance of preactivations, and so its slopes, deviates by about depth / width.
    assert abs(means.mean() / law.mean - 1) < 4 * means.std() / law.mean / math.sqrt(seeds) + depth / width
    at = np.geomspace(0.003, 0.9, 12) * law.largest
    shares = (squares[:, :, None] <= at).mean(axis=1)
    error = shares.std(axis=0) / math.sqrt(seeds)
    gap = np.abs(shares.mean(axis=0) - law.cumulative(at))
    assert (gap < 4 * error + depth / (2 * width)).all()
    # The test is sharp enough to tell the two ensembles apart.
    other = spectral_density(
        [layer._replace(weights={"normal": "orthogonal"}.get(weights, "normal")) for layer in layers]
    )
    assert (np.abs(shares.mean(axis=0) - other.cumulative(at)) > 4 * error + depth / (2 * width)).any()


def test_a_networks_own_jacobians():
    """The Jacobians come from `input_jacobian`: layers with different activations, biases, the first training row."""
    mlp = vg.MLP(
        hidden=(48,) * 4,
        activation=("tanh", "relu", "tanh", "relu"),
        kernel_init="fan_in_normal(1.9)",
        bias_init="normal(0.2)",
    )
    experiment = vg.Experiment(mlp=mlp)
    spectrum = jacobian_spectrum(experiment, vg.load_data(experiment.data), range(24))
    assert spectrum.squares.shape == (24, 48)
    assert spectrum.density.zero == 0.5
    means = spectrum.squares.mean(axis=1)
    assert (
        abs(means.mean() / spectrum.density.mean - 1) < 4 * means.std() / spectrum.density.mean / math.sqrt(24) + 3 / 48
    )
    at = np.geomspace(0.01, 0.8, 6) * spectrum.density.largest
    shares = (spectrum.squares[:, :, None] <= at).mean(axis=1)
    error = shares.std(axis=0) / math.sqrt(24)
    assert (np.abs(shares.mean(axis=0) - spectrum.density.cumulative(at)) < 4 * error + 3 / 96).all()


@pytest.mark.parametrize(
    ("network", "reason"),
    [
        ({"hidden": (5, 6)}, "all of one width"),
        ({"hidden": (5,)}, "two hidden layers or more"),
        ({"norm": "layer"}, "normalised or residual"),
        ({"kernel_init": "uniform(0, 1)"}, "the weights have a mean, 0.5"),
        ({"hidden": (5, 5), "kernel_init": "orthogonal"}, "a single orthogonal layer"),
        ({"kernel_init": "zeros"}, "all zero"),
    ],
)
def test_where_no_density_applies_it_says_why(network, reason):
    assert reason in jacobian_layers(vg.MLP(**network), np.ones(2))


def test_bad_input_is_refused():
    with pytest.raises(vg.InputError, match="at least one layer"):
        spectral_density([])
    with pytest.raises(vg.InputError, match="did you mean 'normal'"):
        spectral_density([JacobianLayer("tanh", 1.0, 1.0, "normel")])
    with pytest.raises(vg.InputError, match="without a density"):
        spectral_density([JacobianLayer("tanh", 1.0, 1.0, "orthogonal")])
