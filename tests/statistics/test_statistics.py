import numpy as np
import pytest
from scipy import stats

import vgrad_jax as vg
from vgrad_jax.statistics import published
from vgrad_jax.statistics.crossed import CAUSES, Crossed, crossed
from vgrad_jax.statistics.intervals import share, share_difference
from vgrad_jax.statistics.published import Placement, first_layer_change, learned_by, placements
from vgrad_jax.statistics.summary import summarise


@pytest.fixture(scope="module")
def article():
    arms = vg.presets.article(epochs=100)
    return vg.sweep({name: arms[name] for name in ("tanh_uniform", "relu_he")}, 8, progress=False)


@pytest.mark.parametrize("probability", [0.02, 0.3, 0.97])
def test_wilson_interval_covers(probability):
    rng = np.random.default_rng(0)
    draws = rng.binomial(128, probability, 4000)
    bounds = {k: share(int(k), 128) for k in np.unique(draws)}
    covered = np.mean([bounds[k].low <= probability <= bounds[k].high for k in draws])
    assert 0.92 <= covered <= 0.98


@pytest.mark.parametrize(("a", "b"), [(0.05, 0.9), (0.5, 0.5), (0.97, 0.99)])
def test_interval_of_a_difference_covers(a, b):
    rng = np.random.default_rng(1)
    pairs = rng.binomial(128, [a, b], (2000, 2))
    shares = {k: share(int(k), 128) for k in np.unique(pairs)}
    bounds = [share_difference(shares[x], shares[y]) for x, y in pairs]
    assert np.mean([estimate.low <= a - b <= estimate.high for estimate in bounds]) >= 0.93


def test_wilson_equals_the_formula():
    z, n, k = stats.norm.ppf(0.975), 40, 7
    p = k / n
    centre = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    np.testing.assert_allclose(share(k, n)[1:3], [centre - half, centre + half], rtol=1e-9)


def test_summary_against_the_plain_arithmetic(article):
    for summary in summarise(article):
        runs = article.sel(arm=summary.arm)
        times = np.where(runs["converged"], runs["epochs_to_converge"], np.inf)
        assert summary.n == 8
        assert summary.converged.value == np.isfinite(times).mean()
        assert summary.mean_epochs_within_budget == np.minimum(times, 100).mean()
        lower_median = np.sort(times)[3]
        assert summary.median_epochs == (lower_median if np.isfinite(lower_median) else None)
        final = runs["test_accuracy"].values[:, -1].astype(float)
        np.testing.assert_allclose(summary.test_accuracy, np.quantile(final, [0.1, 0.5, 0.9]))
        assert len(summary.initial_gradient_log10_rms) == 6


def test_unfinished_runs_are_left_out(article):
    partial = article.copy(deep=True)
    partial["completed"][:, 5:] = False
    assert [summary.n for summary in summarise(partial)] == [5, 5]
    partial["completed"][0] = False
    with pytest.raises(vg.InputError, match="no run of arm 'tanh_uniform' is finished"):
        summarise(partial)


def test_first_layer_change_against_the_parameters(article):
    key = vg.run_key(0, 5)
    kernels = vg.train(vg.presets.article(epochs=100)["relu_he"], key).parameters[0].kernel
    expected = np.abs(kernels[1] - kernels[0]).mean()
    np.testing.assert_allclose(first_layer_change(article, "relu_he")[5], expected, rtol=1e-2, atol=1e-6)


def test_published_numbers_are_held_against_the_same_training_only(article):
    placed = placements(article)
    assert {(p.arm, p.published) for p in placed} == {("tanh_uniform", 0.0141), ("relu_he", 0.3805)}
    assert all(p.n == 8 and 0 <= p.share_below <= 1 for p in placed)
    assert learned_by(article, "tanh_uniform") is None
    assert learned_by(article, "tanh_uniform", epoch=100).shape == (8,)
    arms = vg.presets.article(epochs=100)
    swapped = vg.sweep({"tanh_uniform": arms["relu_he"], "relu_he": arms["tanh_uniform"]}, 2, progress=False)
    assert placements(swapped) == []


def test_a_published_accuracy_ties_with_the_same_share_in_float32():
    tied = published._place("a", "accuracy", 0.56, np.full(10, 280 / 500, np.float32))
    assert tied.share_below == 0.5
    assert tied.inside
    spread = published._place("a", "accuracy", 0.56, np.float32([0.5, 0.56, 0.6, 0.7]))
    assert spread.share_below == (1 + 0.5) / 4


def test_placement_knows_the_central_share():
    inside = Placement("a", "q", 0.5, 9, (0.1, 0.5, 0.9), 0.5)
    assert inside.inside
    assert not inside._replace(published=0.95).inside


@pytest.mark.parametrize(
    ("counts", "n", "cause"),
    [
        # start, activation only, initialisation only, both
        ((0, 0, 200, 190), 200, "initialisation"),
        ((0, 200, 0, 190), 200, "activation"),
        ((0, 0, 100, 200), 200, "initialisation_first"),
        ((0, 100, 0, 200), 200, "activation_first"),
        ((0, 1, 8, 8), 8, "initialisation_at_least"),
        # Nothing alone, and perhaps as much as 10 points on top of the other: not ruled out.
        ((0, 0, 150, 160), 200, "initialisation_at_least"),
        ((0, 150, 0, 160), 200, "activation_at_least"),
        ((0, 8, 1, 8), 8, "activation_at_least"),
        ((0, 60, 120, 180), 200, "either"),
        ((0, 0, 0, 190), 200, "together"),
        ((100, 100, 100, 100), 200, "none_seen"),
    ],
)
def test_cause_follows_the_intervals(counts, n, cause):
    start, activation, initialisation, both = (share(count, n) for count in counts)
    design = Crossed(
        "s",
        "a",
        "i",
        "b",
        share_difference(activation, start),
        share_difference(initialisation, start),
        share_difference(both, start),
        share_difference(both, initialisation),
        share_difference(both, activation),
    )
    assert design.cause == cause
    assert cause in CAUSES


def test_the_cells_are_found_by_what_they_are_not_by_their_names(article):
    arms = vg.presets.article(epochs=1)
    renamed = {"p": arms["tanh_uniform"], "q": arms["relu_he"], "r": arms["relu_uniform"], "s": arms["tanh_he"]}
    summaries = summarise(vg.sweep(renamed, 2, progress=False))
    design = crossed(renamed, summaries, "p", "q")
    assert (design.activation_only, design.initialisation_only) == ("r", "s")
    del renamed["s"]
    assert crossed(renamed, summaries, "p", "q") is None
