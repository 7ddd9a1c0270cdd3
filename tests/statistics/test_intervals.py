"""Every interval covers 95 % of the studies that it is meant for."""

import jax
import numpy as np
import pytest
from scipy import stats

import vgrad_jax as vg
from vgrad_jax.numerics import Z
from vgrad_jax.statistics import bootstrap
from vgrad_jax.statistics.bootstrap import distribution
from vgrad_jax.statistics.intervals import contrast, difference, share
from vgrad_jax.statistics.survival import median_time, restricted_mean, survival_curve

STUDIES, RUNS, BUDGET = 2000, 128, 500.0
COVERED = (0.93, 0.97)
PROBABILITIES = (0.05, 0.5, 0.95)


def covers(estimate, truth):
    return estimate.low <= truth <= estimate.high


def test_the_quantile_of_the_normal():
    assert stats.norm.ppf(0.975) == pytest.approx(Z, rel=1e-15)


def test_wilson_equals_the_formula():
    n, k = 40, 7
    p = k / n
    centre = (p + Z**2 / (2 * n)) / (1 + Z**2 / n)
    half = Z / (1 + Z**2 / n) * np.sqrt(p * (1 - p) / n + Z**2 / (4 * n**2))
    np.testing.assert_allclose(share(k, n)[1:3], [centre - half, centre + half], rtol=1e-9)


def test_a_share_of_a_single_run_and_of_none():
    assert share(1, 1)[:3] == pytest.approx((1, 1 / (1 + Z**2), 1))
    assert share(0, 1)[:3] == pytest.approx((0, 0, Z**2 / (1 + Z**2)))
    with pytest.raises(vg.InputError, match="a share needs a run at least"):
        share(0, 0)


@pytest.mark.parametrize("probability", [0.02, 0.3, 0.97, 0.995])
def test_a_share_covers(probability):
    """Near 0 and 1 with a thousand runs: with few, all or nothing is covered, since only few shares are possible."""
    n = RUNS if probability == 0.3 else 1024
    draws = np.random.default_rng(0).binomial(n, probability, STUDIES)
    bounds = {k: share(int(k), n) for k in np.unique(draws)}
    covered = np.mean([covers(bounds[k], probability) for k in draws])
    assert COVERED[0] <= covered <= COVERED[1]


@pytest.mark.parametrize(("a", "b"), [(0.05, 0.9), (0.5, 0.5), (0.97, 0.95)])
def test_a_difference_of_shares_covers(a, b):
    pairs = np.random.default_rng(1).binomial(RUNS, [a, b], (STUDIES, 2))
    shares = {k: share(int(k), RUNS) for k in np.unique(pairs)}
    covered = np.mean([covers(difference(shares[x], shares[y]), a - b) for x, y in pairs])
    assert COVERED[0] <= covered <= COVERED[1]


def test_a_difference_is_newcombes():
    """Newcombe 1998, table II, row 1 and 8."""
    np.testing.assert_allclose(difference(share(56, 70), share(48, 80))[1:3], [0.0524, 0.3339], atol=5e-5)
    np.testing.assert_allclose(difference(share(10, 10), share(0, 20))[1:3], [0.6791, 1.0], atol=5e-5)


@pytest.mark.parametrize("latent", [0.0, 0.7])
def test_a_contrast_of_related_shares_covers(latent):
    """Four arms whose runs of the same seed are alike, in the interaction of a crossed design."""
    rng, weights = np.random.default_rng(2), (1, -1, -1, 1)
    probabilities = np.array([0.1, 0.3, 0.8, 0.95])
    common = rng.normal(size=(STUDIES, RUNS, 1))
    own = rng.normal(size=(STUDIES, RUNS, 4))
    hits = np.sqrt(latent) * common + np.sqrt(1 - latent) * own < stats.norm.ppf(probabilities)
    shares = {k: share(int(k), RUNS) for k in range(RUNS + 1)}
    with np.errstate(invalid="ignore"):  # An arm in which all runs are alike is related to none.
        related = [np.where(np.eye(4), 1.0, np.nan_to_num(np.corrcoef(study.T))) for study in hits]
    found = [
        contrast(weights, [shares[k] for k in study.sum(axis=0)], correlation)
        for study, correlation in zip(hits, related, strict=True)
    ]
    covered = np.mean([covers(estimate, np.dot(weights, probabilities)) for estimate in found])
    assert COVERED[0] <= covered <= COVERED[1]


def draw_times(rng, probability, shape):
    times = np.ceil(rng.gamma(4, 40, shape))
    observed = (rng.random(shape) < probability) & (times <= BUDGET)
    return np.where(observed, times, BUDGET), observed


@pytest.fixture(scope="module", params=PROBABILITIES)
def studies(request):
    """Many studies of one arm, and one so large that it is the truth."""
    rng = np.random.default_rng(3)
    return draw_times(rng, request.param, (STUDIES, RUNS)), draw_times(rng, request.param, 10**6)


def test_a_restricted_mean_covers(studies):
    (times, observed), (all_times, _) = studies
    truth = all_times.mean()
    found = [restricted_mean(t, o, BUDGET) for t, o in zip(times, observed, strict=True)]
    assert COVERED[0] <= np.mean([covers(estimate, truth) for estimate in found]) <= 0.975


@pytest.mark.parametrize("means", [(5, 5), (5, 10), (40, 20)])
@pytest.mark.parametrize("shares", [(1.0, 1.0), (0.5, 0.9), (0.02, 0.05)])
def test_a_difference_of_restricted_means_covers(means, shares):
    """At least: where all runs fare alike, one that never converges cannot be ruled out, and costs the whole budget."""
    rng = np.random.default_rng(8)

    def draw(mean, share, shape):
        times = np.minimum(np.ceil(rng.gamma(4, mean, shape)), BUDGET)
        observed = (rng.random(shape) < share) & (times < BUDGET)
        return np.where(observed, times, BUDGET), observed

    arms = [draw(mean, share, (STUDIES // 4, RUNS)) for mean, share in zip(means, shares, strict=True)]
    truth = np.subtract(*(draw(mean, share, 10**6)[0].mean() for mean, share in zip(means, shares, strict=True)))
    found = [
        difference(*(restricted_mean(times[k], observed[k], BUDGET) for times, observed in arms))
        for k in range(STUDIES // 4)
    ]
    error = (0.95 * 0.05 / len(found)) ** 0.5
    assert np.mean([covers(estimate, truth) for estimate in found]) >= 0.95 - 3 * error


def test_a_survival_curve_covers(studies):
    (times, observed), (all_times, all_observed) = studies
    when = 200.0
    truth = 1 - np.mean(all_observed & (all_times <= when))
    hits = []
    for one_times, one_observed in zip(times, observed, strict=True):
        curve = survival_curve(one_times, one_observed)
        place = np.searchsorted(curve.times, when, side="right") - 1
        hits.append(curve.low[place] <= truth <= curve.high[place] if place >= 0 else share(0, RUNS).high >= 1 - truth)
    assert COVERED[0] <= np.mean(hits) <= COVERED[1]


def test_a_median_covers(studies):
    (times, observed), (all_times, all_observed) = studies
    truth = median_time(survival_curve(all_times, all_observed)).value
    found = [median_time(survival_curve(t, o)) for t, o in zip(times, observed, strict=True)]
    covered = np.mean([covers(estimate, truth) for estimate in found])
    if np.isinf(truth):
        assert covered >= COVERED[0]
    else:
        assert COVERED[0] <= covered <= COVERED[1] + 0.005  # Times are whole epochs.


def test_an_interquartile_mean_covers(monkeypatch):
    """Of accuracies on a few rows and with fewer resamples, which is what keeps two thousand bootstraps cheap."""
    monkeypatch.setattr(bootstrap, "RESAMPLES", 400)
    rng = np.random.default_rng(4)
    draws = rng.binomial(40, 0.7, (STUDIES, RUNS)) / 40
    lower, upper = stats.binom(40, 0.7).ppf([0.25, 0.75]) / 40
    assert lower < upper
    truth = stats.trim_mean(rng.binomial(40, 0.7, 10**6) / 40, 0.25)
    found = [bootstrap.interquartile_mean(runs, jax.random.key(index)) for index, runs in enumerate(draws)]
    assert COVERED[0] <= np.mean([covers(estimate, truth) for estimate in found]) <= COVERED[1]


@pytest.mark.parametrize(
    "quantile", [0.1, *(pytest.param(quantile, marks=pytest.mark.slow) for quantile in (0.5, 0.9))]
)
def test_a_quantile_covers(quantile):
    draws = np.sort(np.random.default_rng(5).gamma(3, 1, (STUDIES, RUNS)), axis=1)
    truth = stats.gamma(3).ppf(quantile)
    covered = np.mean([covers(bootstrap.quantile_of(runs, quantile), truth) for runs in draws])
    assert COVERED[0] <= covered <= COVERED[1] + 0.005  # Bounds are two of the runs.


def test_the_bootstrap_is_scipys():
    values = np.random.default_rng(5).integers(200, 430, 300) / 500
    found = distribution(values, jax.random.key(0)).interquartile_mean
    assert found.value == stats.trim_mean(values, 0.25)
    theirs = stats.bootstrap(
        (values,), lambda x, axis: stats.trim_mean(x, 0.25, axis=axis), method="percentile", rng=0
    ).confidence_interval
    np.testing.assert_allclose(found[1:3], theirs, atol=0.06 * (theirs.high - theirs.low))


def test_the_key_is_the_resampling():
    values = np.random.default_rng(6).normal(size=50)
    same, again, other = (distribution(values, jax.random.key(seed)).interquartile_mean for seed in (1, 1, 2))
    assert same == again
    assert same != other


@pytest.mark.parametrize("values", [[], [[1.0]], [1.0, np.nan]])
def test_what_has_no_distribution_is_refused(values):
    with pytest.raises(vg.InputError, match="a distribution needs"):
        distribution(np.array(values), jax.random.key(0))


def test_estimates_that_cancel_have_an_interval_of_no_width_and_never_nan():
    """Correlations are estimated pair by pair and need not belong together: a variance can come out below 0."""
    one = share(50, 100)
    for correlation in (np.ones((2, 2)), np.array([[1, 1.5], [1.5, 1]])):
        assert contrast((1, -1), (one, one), correlation)[:3] == pytest.approx((0, 0, 0), abs=1e-8)
