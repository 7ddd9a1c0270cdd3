"""Randomized asymmetric initialisation: its law in closed form, and the networks that are born dead."""

import itertools
from dataclasses import replace

import jax
import numpy as np
import pytest
from scipy import integrate, stats

import vgrad_jax as vg
from vgrad_jax.keys import run_keys
from vgrad_jax.nets import asymmetric as module
from vgrad_jax.nets.laws import kernel_law
from vgrad_jax.theory.comparison import mean_field_of
from vgrad_jax.theory.finite_width import probability_dead
from vgrad_jax.theory.jacobians import jacobian_layers
from vgrad_jax.theory.prediction import predict
from vgrad_jax.training.initial import initial_networks

FAN_IN, UNITS = 4, 20_000
PUBLISHED = 0.6007
"""Deviation of a symmetric number times the root of the fan-in."""
ERRORS = 4.5
"""Standard errors that a share or a mean may be off: one test in 150,000 fails by chance."""


def both(key, fan_in=FAN_IN, units=UNITS):
    """Kernel and bias of a wide layer, as rows of fan_in + 1 numbers."""
    kernel, bias = vg.init_mlp(jax.random.key(key), vg.MLP(hidden=(units,), kernel_init="rai"), fan_in)[0]
    return np.concatenate([kernel, bias[None]]).T.astype(np.float64)


def check_mean(values, mean):
    assert abs(values.mean() - mean) <= ERRORS * values.std() / np.sqrt(len(values))


@pytest.fixture
def replaced(monkeypatch):
    """The numbers that replace others; all others are zero."""
    monkeypatch.setattr(module, "DEVIATION", 0.0)
    return both(0)


def test_one_number_of_each_unit_is_replaced_by_a_draw_of_beta(replaced):
    assert (np.count_nonzero(replaced, axis=1) == 1).all()
    assert stats.kstest(replaced.sum(axis=1), stats.beta(2, 1).cdf).pvalue > 1e-4
    places, counts = np.unique(replaced.argmax(axis=1), return_counts=True)
    np.testing.assert_array_equal(places, np.arange(FAN_IN + 1))
    assert stats.chisquare(counts).pvalue > 1e-4


def test_the_others_are_independent_normals(replaced, monkeypatch):
    monkeypatch.undo()
    drawn = both(0)
    others = np.where(replaced == 0, drawn, np.nan)
    np.testing.assert_array_equal(drawn[replaced != 0], replaced[replaced != 0])
    scaled = others[np.isfinite(others)] * FAN_IN**0.5 / PUBLISHED
    assert stats.kstest(scaled, stats.norm.cdf).pvalue > 1e-4
    pairs = others[np.isfinite(others[:, :2]).all(axis=1), :2]
    check_mean(pairs[:, 0] * pairs[:, 1], 0.0)


def test_bias_and_weights_have_one_law():
    law = kernel_law("rai", FAN_IN, UNITS)
    drawn = both(1)
    for column in drawn.T:
        check_mean(column, law.mean)
        check_mean((column - law.mean) ** 2, law.variance)
    assert law.mean == pytest.approx(2 / 3 / (FAN_IN + 1))
    check_mean(drawn[:, 0] * drawn[:, -1], 0.0)  # One of two numbers is symmetric, so that their covariance is -mean^2.


def test_preactivations_have_the_second_moment_of_the_closed_form():
    """E z^2 = (deviation^2 + 1/2) (|h|^2 + 1) / (fan_in + 1): the products of two numbers of a unit have mean zero."""
    h = np.array([0.3, -1.2, 2.0, 0.7, 1.0])
    check_mean((both(2) @ h) ** 2, (PUBLISHED**2 + 0.5) * (h @ h) / (FAN_IN + 1))


def share_off(h):
    """Probability that a unit's preactivation is negative, by quadrature over place and size of the replaced number."""
    h = np.append(h, 1.0)
    rest = PUBLISHED / (len(h) - 1) ** 0.5 * np.sqrt(h @ h - h**2)
    off = [
        integrate.quad(lambda b, own, s: 2 * b * stats.norm.cdf(-own * b / s), 0, 1, args=(own, s))[0]
        for own, s in zip(h, rest, strict=True)
    ]
    return np.mean(off)


@pytest.mark.parametrize("h", [(0.0, 0.5, 0.0, 1.0), (1.0, 1.0, 2.0, 0.1), (-1.0, 0.3, -2.0, 1.0)])
def test_a_unit_is_off_as_often_as_the_closed_form_says(h):
    off = both(3) @ np.append(h, 1.0) < 0
    expected = share_off(np.array(h))
    assert abs(off.mean() - expected) <= ERRORS * np.sqrt(expected * (1 - expected) / UNITS)
    assert min(h) < 0 or expected < 0.42  # After a ReLU less than the half of symmetric weights.


RUNS, DEPTH = 3000, 9


def as_published(runs, widths):
    """Networks of the paper's program, in NumPy: rows of weights and a bias, of which one is overwritten."""
    rng = np.random.default_rng(0)
    for fan_in, units in itertools.pairwise(widths):
        rows = rng.standard_normal((runs, units, fan_in + 1)) * PUBLISHED / fan_in**0.5
        place = rng.integers(fan_in + 1, size=(runs, units, 1))
        np.put_along_axis(rows, place, rng.beta(2, 1, (runs, units, 1)), axis=2)
        yield rows[..., :-1].swapaxes(1, 2), rows[..., -1]


def last_hidden(layers, x):
    """Values of the last hidden layer, `(run, row, unit)`."""
    hidden = np.asarray(x, np.float64)
    for kernel, bias in layers:
        hidden = np.maximum(hidden @ np.asarray(kernel) + np.asarray(bias)[:, None], 0)
    return hidden


def born_dead(hidden):
    """Share of the networks that are constant on all rows."""
    return (hidden == hidden[:, :1]).all(axis=(1, 2)).mean()


@pytest.mark.parametrize("width", [2, 3])
def test_narrow_deep_networks_are_born_dead_less_often_than_with_he(width):
    """He's share is the exact law on one row, and that of RAI the share of the paper's program."""
    experiment = vg.Experiment(
        vg.MLP(hidden=(width,) * DEPTH, activation="relu", kernel_init="fan_in_normal(2)"),
        vg.Data("moons", samples=64),
    )
    asymmetric = replace(experiment, mlp=replace(experiment.mlp, kernel_init="rai"))
    data = vg.load_data(experiment.data)
    he, rai = (
        last_hidden(initial_networks(own, data, run_keys(0, np.arange(RUNS)))[:-1], data.train_x)
        for own in (experiment, asymmetric)
    )
    law = probability_dead(experiment.mlp.hidden)
    assert abs((he[:, 0] == 0).all(axis=1).mean() - law) <= ERRORS * np.sqrt(law * (1 - law) / RUNS)
    shares = [
        born_dead(hidden) for hidden in (he, rai, last_hidden(as_published(RUNS, (2, *[width] * DEPTH)), data.train_x))
    ]
    errors = [np.sqrt(share * (1 - share) / RUNS) for share in shares]
    assert abs(shares[1] - shares[2]) <= ERRORS * np.hypot(*errors[1:])
    assert shares[0] - shares[1] > 0.4


def test_layers_of_other_initialisers_keep_their_own():
    mlp = vg.MLP(hidden=(4, 4, 4), kernel_init="he_normal", output_init="rai", branch_init="rai", residual=1.0)
    drawn = [bool(np.any(layer.bias)) for layer in vg.init_mlp(jax.random.key(0), mlp, 2)]
    assert drawn == [False, True, True, True]
    assert vg.MLP.from_json(mlp.to_json()) == mlp
    all_rai = vg.init_mlp(jax.random.key(0), vg.MLP(hidden=(4, 4, 4), kernel_init="rai"), 2)
    np.testing.assert_array_equal(all_rai[-1].kernel, vg.init_mlp(jax.random.key(0), mlp, 2)[-1].kernel)


def test_theory_says_why_it_has_no_prediction():
    x, y = np.ones((4, 2)), np.array([0, 1, 0, 1])
    for fields in ({"kernel_init": "rai"}, {"output_init": "rai"}, {"branch_init": "rai", "residual": 1.0}):
        assert "draws the weights and the bias of a unit together" in predict(vg.MLP(**fields), x, y).why_not
    assert predict(vg.MLP(branch_init="rai"), x, y).why_not == ""  # There is no branch.
    mlp = vg.MLP(kernel_init="rai")
    assert "the weights have a mean" in mean_field_of(mlp).why_not
    assert "the weights have a mean" in jacobian_layers(mlp, x[0])
