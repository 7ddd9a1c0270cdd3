"""Mean-field theory against published numbers, closed forms, adaptive integration, and wide random networks."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate

import vgrad_jax as vg
from vgrad_jax.theory import mean_field as theory
from vgrad_jax.theory.critical import critical_point
from vgrad_jax.theory.gaussian import elementwise, hermite_coefficients, nodes

erf = jax.scipy.special.erf


@pytest.mark.parametrize(
    ("weight", "bias", "q_star", "chi_1", "c_star", "xi_q", "xi_c", "xi_grad"),
    [
        (1.0, 0.05, 0.193593, 0.759032, 1, 1.747626, 3.626976, 3.626976),
        (1.5, 0.05, 0.418037, 0.938636, 1, 1.682828, 15.790994, 15.790994),
        (2.5, 0.05, 1.063958, 1.133516, 0.446804, 1.179873, 11.795598, -7.979315),
        (4.0, 0.05, 2.195494, 1.342402, 0.165065, 0.873293, 6.980274, -3.396037),
        (1.3**2, 0.3**2, 0.607047, 0.939807, 1, 1.337668, 16.108173, 16.108173),
        (2.5**2, 0.3**2, 4.079124, 1.585225, 0.122104, 0.688341, 5.108919, -2.170486),
        (4.0**2, 0.3**2, 12.604149, 2.367261, 0.029696, 0.490295, 3.639351, -1.160451),
    ],
)
def test_tanh(weight, bias, q_star, chi_1, c_star, xi_q, xi_c, xi_grad):
    numbers = vg.mean_field("tanh", weight, bias)
    for name, value in zip(
        ("q_star", "chi_1", "c_star", "xi_q", "xi_c", "xi_grad"),
        (q_star, chi_1, c_star, xi_q, xi_c, xi_grad),
        strict=True,
    ):
        assert getattr(numbers, name) == pytest.approx(value, abs=6e-7), name
    assert numbers.chi_c == pytest.approx(math.exp(-1 / xi_c), abs=1e-6)
    assert numbers.phase == ("ordered" if chi_1 < 1 else "chaotic")
    assert numbers.note == ""


@pytest.mark.parametrize(
    ("bias", "weight", "q_star"),
    [
        (2.01e-5, 1.04999563, 0.02591860),
        (0.01, 1.42420529, 0.27330091),
        (0.05, 1.76095464, 0.57004788),
        (0.1, 1.98607264, 0.80579918),
        (0.2, 2.28515247, 1.16449629),
        (1.0, 3.44321091, 3.03639639),
    ],
)
def test_the_edge_of_chaos_of_tanh(bias, weight, q_star):
    assert vg.critical_weight_variance("tanh", bias) == pytest.approx(weight, abs=6e-9)
    assert critical_point("tanh", bias).q_star == pytest.approx(q_star, abs=6e-9)
    numbers = vg.mean_field("tanh", weight, bias)
    assert numbers.phase == "critical" or abs(numbers.chi_1 - 1) < 1e-8


def test_erf_is_closed():
    numbers = vg.mean_field(erf, 1.5, 0.0)
    assert numbers.q_star == pytest.approx(0.5, rel=1e-12)
    assert numbers.chi_1 == pytest.approx(6 / (math.pi * math.sqrt(3)), rel=1e-12)
    q = np.geomspace(1e-6, 1e4, 21)
    square, gradient, slope = theory.moments(erf, q)
    np.testing.assert_allclose(square, 2 / np.pi * np.arcsin(2 * q / (1 + 2 * q)), rtol=1e-8)
    np.testing.assert_allclose(gradient, 4 / np.pi / np.sqrt(1 + 4 * q), rtol=1e-8)
    np.testing.assert_allclose(slope, 4 / np.pi / ((1 + 2 * q) * np.sqrt(1 + 4 * q)), rtol=1e-8)


@pytest.mark.parametrize(
    ("name", "q"),
    [("tanh", 40.0), ("gelu", 1.7), ("selu", 0.05), ("hard_tanh", 1.7), ("hard_silu", 40.0), ("relu6", 1.7)],
)
def test_averages_agree_with_adaptive_integration(name, q):
    function = elementwise(name)
    ends = (-10.0, *(kink / math.sqrt(q) for kink in function.kinks if abs(kink) < 10 * math.sqrt(q)), 0.0, 10.0)

    def average(part, power):
        def integrand(z):
            point = function.at(np.asarray([math.sqrt(q) * z]))
            return getattr(point, part)[0] ** power * math.exp(-z * z / 2) / math.sqrt(2 * math.pi)

        pieces = zip(sorted(ends)[:-1], sorted(ends)[1:], strict=True)
        return sum(integrate.quad(integrand, a, b, epsabs=1e-13, epsrel=1e-11, limit=30)[0] for a, b in pieces if a < b)

    square, gradient, _ = (float(part) for part in theory.moments(name, q))
    assert square == pytest.approx(average("value", 2), rel=1e-8)
    assert gradient == pytest.approx(average("first", 2), rel=1e-8)


@pytest.mark.parametrize(
    ("name", "square", "gradient"),
    [
        ("relu", 0.5, 0.5),
        ("tanh", 0.39429449, 0.46440290),
        ("selu", 1.0, 1.07157499),
        ("sigmoid", 0.29337904, 0.04483624),
        ("leaky_relu(0.01)", 0.50005, 0.50005),
        ("elu", 0.64494542, 0.66810200),
    ],
)
def test_moments_at_variance_one(name, square, gradient):
    averages = theory.moments(name, 1.0)
    np.testing.assert_allclose(averages[:2], [square, gradient], atol=6e-9)


@pytest.mark.parametrize("name", ["tanh", "hard_tanh", "elu", "softplus"])
def test_the_slope_of_the_variance_map_is_its_derivative(name):
    step = 1e-4
    below, above = (float(theory.moments(name, 0.8 + change)[0]) for change in (-step, step))
    assert float(theory.moments(name, 0.8)[2]) == pytest.approx((above - below) / (2 * step), rel=1e-6)


def test_kinks_are_found():
    assert elementwise("relu6").kinks == (0.0, 6.0)
    assert elementwise("hard_silu").kinks == (-3.0, 3.0)
    assert elementwise("selu").kinks == (0.0,)
    assert elementwise(lambda x: jnp.maximum(x - 0.1234, 0.3 * x)).kinks == pytest.approx((0.1234 / 0.7,))
    assert elementwise("gelu").kinks == elementwise("tanh").kinks == ()


def test_relu_follows_the_arc_cosine_map():
    maps = theory.layer_maps("relu", 2.0, 0.0, depth=51, variance=3.0)
    table = {1: 0.31830989, 2: 0.49373109, 5: 0.73594635, 10: 0.87153552, 20: 0.94842848, 50: 0.98786194}
    for layer, c in table.items():
        assert maps.correlation[layer] == pytest.approx(c, abs=6e-9)
    np.testing.assert_allclose(maps.variance, 3.0, rtol=1e-12)
    for c in (-0.9, -0.2, 0.4, 0.999):
        covariance, slope = theory.correlation_step(elementwise("relu"), 2.0, 0.0, 0.7, c)
        assert covariance == pytest.approx((math.sqrt(1 - c * c) + c * (math.pi - math.acos(c))) / math.pi, abs=1e-9)
        # Close to c = 1 the kink matters in a narrow range only, which costs digits.
        assert slope == pytest.approx(1 - math.acos(c) / math.pi, abs=2e-6 if c > 0.99 else 1e-10)


def test_mehlers_series_agrees_with_the_correlation_map():
    function = elementwise("tanh")
    z, weights = nodes(function, np.asarray(0.0), np.asarray(1.3))
    coefficients = hermite_coefficients(function.at(1.3 * z).value, z, weights, 120)
    for c in (-0.8, 0.3, 0.9):
        series = float(np.sum(coefficients**2 * c ** np.arange(120)))
        assert theory.correlation_step(function, 1.0, 0.0, 1.69, c)[0] * 1.69 == pytest.approx(series, rel=1e-8)


@pytest.mark.parametrize(("depth", "ratio"), [(10, 0.0790516), (20, 0.0378649), (50, 0.0146293), (100, 0.0072068)])
def test_critical_tanh_is_a_power_law(depth, ratio):
    chi = theory.layer_maps("tanh", 1.0, 0.0, depth=depth, correlation=1.0).chi
    assert np.prod(chi[:-1]) == pytest.approx(ratio, abs=6e-8)


@pytest.mark.parametrize(
    ("activation", "weight", "bias", "expected", "words"),
    [
        ("relu", 2.0, 0.0, {"q_star": 1.0, "chi_1": 1.0, "xi_grad": math.inf, "phase": "critical"}, "no single fixed"),
        ("relu", 2.0, 0.1, {"q_star": math.inf, "chi_1": 1.0, "phase": "critical"}, "grows without bound"),
        ("relu", 3.0, 0.0, {"q_star": math.inf, "chi_1": 1.5, "phase": "chaotic"}, "grows without bound"),
        ("relu", 1.0, 0.0, {"q_star": 0.0, "chi_1": 0.5, "c_star": 1.0}, "dies out"),
        ("relu", 1.0, 0.1, {"q_star": 0.2, "chi_1": 0.5, "phase": "ordered"}, ""),
        ("tanh", 1.0, 0.0, {"q_star": 0.0, "chi_1": 1.0, "xi_c": math.inf}, "critical: gradients keep their size"),
        ("tanh", 0.0, 0.3, {"q_star": 0.3, "chi_1": 0.0, "xi_q": 0.0, "xi_grad": 0.0}, "no gradient passes"),
        ("identity", 1.0, 0.0, {"q_star": 1.0, "chi_1": 1.0}, "every variance stays"),
        (lambda x: 0 * x, 1.0, 0.0, {"q_star": 0.0, "chi_1": 0.0}, "no gradient passes"),
    ],
)
def test_degenerate_cases_are_answered_in_words_and_numbers(activation, weight, bias, expected, words):
    numbers = vg.mean_field(activation, weight, bias)
    for name, value in expected.items():
        assert getattr(numbers, name) == (value if isinstance(value, str) else pytest.approx(value, rel=1e-9)), name
    assert words in numbers.note
    assert bool(words) == bool(numbers.note)
    assert not any(math.isnan(value) for value in numbers[:7])


def test_where_no_weight_variance_is_critical_it_says_so():
    assert math.isnan(vg.critical_weight_variance("softplus", 0.0))
    assert "no weight variance is critical" in critical_point("softplus", 0.0).note
    repelled = critical_point("gelu", 0.0)
    assert (repelled.weight_variance, repelled.stable) == (4.0, False)
    slopes = 1.0507009873554805 * np.array([1.0, 1.6732632423543772])  # SELU's slopes on both sides of zero.
    assert vg.critical_weight_variance("selu", 0.0) == pytest.approx(1 / np.mean(slopes**2))


def test_bad_input_is_refused():
    with pytest.raises(vg.InputError, match="did you mean 'tanh'"):
        vg.mean_field("tahn", 1.0, 0.0)
    with pytest.raises(vg.InputError, match="weight_variance"):
        vg.mean_field("tanh", -1.0, 0.0)


def test_wide_random_networks_do_as_predicted():
    """q, c and chi over 200 draws of width 200; tolerance: four standard errors and a bias of 2 / width."""
    width, depth, seeds, weight, bias = 200, 6, 200, 2.5, 0.05
    predicted = theory.layer_maps("tanh", weight, bias, depth=depth, variance=1.0, correlation=0.3)
    random = np.random.default_rng(0)
    first, other = random.standard_normal((2, seeds, width))
    z = np.stack([first, 0.3 * first + math.sqrt(1 - 0.3**2) * other], axis=1)
    rows, kernels = [z], []
    for _ in range(depth - 1):
        kernels.append(random.standard_normal((seeds, width, width)) * math.sqrt(weight / width))
        z = np.tanh(z) @ kernels[-1] + random.standard_normal((seeds, 1, width)) * math.sqrt(bias)
        rows.append(z)
    delta, chi = np.ones((seeds, width)), []
    for kernel, before in zip(kernels[::-1], rows[-2::-1], strict=True):
        after = (1 - np.tanh(before[:, 0]) ** 2) * np.einsum("sio,so->si", kernel, delta)
        chi.insert(0, np.sum(after**2, axis=1) / np.sum(delta**2, axis=1))
        delta = after
    q = np.stack([np.mean(row[:, 0] ** 2, axis=1) for row in rows])
    covariance = np.stack([np.mean(row[:, 0] * row[:, 1], axis=1) for row in rows])
    for measured, wanted, precision in (
        (q, predicted.variance, 0.02),
        (covariance, predicted.variance * predicted.correlation, 0.04),
        (np.stack(chi), predicted.chi[:-1], 0.02),
    ):
        error = np.std(measured, axis=1) / math.sqrt(seeds)
        assert (np.abs(np.mean(measured, axis=1) - wanted) < 4 * error + 2 / width * wanted).all()
        assert (error < precision * wanted).all()
