"""Two arms on common seeds: intervals and tests against closed forms, SciPy and enumeration."""

import itertools
import math

import numpy as np
import pytest
from scipy import optimize, stats

import vgrad_jax as vg
from tests.made import made_results
from vgrad_jax.numerics import Z
from vgrad_jax.statistics.comparison import _compare, compare_arms
from vgrad_jax.statistics.contrasts import Contrasts
from vgrad_jax.statistics.paired import mcnemar_p, paired_difference
from vgrad_jax.statistics.run_outcomes import Outcomes


def test_the_interval_of_a_published_example():
    """Fagerland, Lydersen and Laake 2014: airway hyper-responsiveness before and after a transplantation."""
    assert paired_difference(1, 7, 21)[:3] == pytest.approx((-0.286, -0.517, -0.026), abs=5e-4)


def likelihood(only_a, only_b, n, difference):
    """Largest log likelihood of the two discordant shares where their difference is given, by a search."""

    def minus(other):
        cells = np.array([other + difference, other, 1 - 2 * other - difference])
        counts = np.array([only_a, only_b, n - only_a - only_b])
        return -float(np.sum(counts * np.log(np.maximum(cells, 1e-300))))

    ends = max(0.0, -difference) + 1e-12, (1 - difference) / 2 - 1e-12
    return optimize.minimize_scalar(minus, bounds=ends, method="bounded", options={"xatol": 1e-10}).x


@pytest.mark.parametrize(("only_a", "only_b", "n"), [(1, 7, 21), (5, 5, 30), (0, 3, 100), (20, 4, 64)])
def test_at_its_limits_the_score_is_that_of_the_level(only_a, only_b, n):
    found = paired_difference(only_a, only_b, n)
    for limit in found[1:3]:
        other = likelihood(only_a, only_b, n, limit)
        spread = math.sqrt((2 * other + limit * (1 - limit)) / n)
        assert abs(found.value - limit) / spread == pytest.approx(Z, rel=1e-3)


def test_an_arm_against_its_mirror_and_at_the_ends():
    one, other = paired_difference(3, 9, 40), paired_difference(9, 3, 40)
    assert one[:3] == pytest.approx((-other.value, -other.high, -other.low))
    assert paired_difference(10, 0, 10).high == 1
    assert paired_difference(0, 10, 10).low == -1
    with pytest.raises(vg.InputError, match="count again"):
        paired_difference(4, 7, 10)


def test_the_interval_covers_as_it_says():
    """Every outcome of 30 pairs, weighted with its chance."""
    n = 30
    limits = {
        (a, b): paired_difference(a, b, n)[1:3] for a, b in itertools.product(range(n + 1), repeat=2) if a + b <= n
    }
    for first, second in ((0.1, 0.1), (0.3, 0.1), (0.05, 0.4), (0.02, 0.02), (0.45, 0.45)):
        law = stats.multinomial(n, [first, second, 1 - first - second])
        inside = [key for key, (low, high) in limits.items() if low <= first - second <= high]
        covered = sum(law.pmf([a, b, n - a - b]) for a, b in inside)
        assert 0.935 < covered <= 1, (first, second)


def test_the_exact_test_is_the_binomial_one():
    for only_a, only_b in ((0, 6), (3, 11), (8, 8), (40, 20)):
        larger, total = max(only_a, only_b), only_a + only_b
        expected = min(1.0, 2 * stats.binom.sf(larger - 1, total, 0.5))
        assert mcnemar_p(only_a, only_b) == pytest.approx(expected)


def test_pairs_of_arms_use_their_common_seeds():
    first = np.array([5.0, 9, np.nan, 30, 8, np.nan, 12, 7, 6, 11])
    second = np.array([6.0, 9, np.nan, 25, 9, 40, 20, 8, 16, np.nan])
    (pair,) = compare_arms(made_results({"tanh_he": first, "relu_he": second}))
    assert (pair.common, pair.only_a, pair.only_b) == (10, 1, 1)
    ends = [np.where(np.isnan(times), np.inf, times) for times in (first, second)]
    signs = np.sign(ends[1][np.isfinite(ends[0]) | np.isfinite(ends[1])] - ends[0][[*range(2), *range(3, 10)]])
    assert pair.sooner.value == pytest.approx((np.sum(signs > 0) + (10 - np.sum(signs != 0)) / 2) / 10)
    assert pair.sooner_p == pytest.approx(stats.binomtest(int(np.sum(signs > 0)), int(np.sum(signs != 0))).pvalue)
    assert pair.sooner_p_adjusted == pair.sooner_p
    assert pair.mcnemar_p == 1


def test_pairs_of_unequal_groups_have_the_tests_of_two_arms_alone():
    rng, arms = np.random.default_rng(1), {}
    for arm, count in (("a", 12), ("b", 9), ("c", 12), ("never", 9)):
        times = np.minimum(rng.integers(1, 60, count), 50.0) if arm != "never" else np.full(count, 50.0)
        arms[arm] = Outcomes(np.arange(count), times, times < 50, np.zeros(count, bool), 50.0)
    for pair in _compare(arms):
        a, b = (np.where(arms[arm].converged, arms[arm].times, np.inf) for arm in (pair.a, pair.b))
        p_value = stats.mannwhitneyu(a, b, alternative="two-sided", method="asymptotic").pvalue
        assert pair.comparison.mann_whitney_p == pytest.approx(p_value)
        assert pair.comparison.n_a == len(a)
        assert pair.comparison.n_b == len(b)


def test_the_mean_difference_of_many_pairs_is_that_of_the_paired_t_test():
    rng = np.random.default_rng(0)
    seed = rng.normal(60, 12, 800)
    times = {"tanh_he": seed + rng.normal(0, 4, 800), "relu_he": seed + 5 + rng.normal(0, 4, 800)}
    results = made_results({arm: np.clip(own, 1, 199) for arm, own in times.items()})
    (pair,) = compare_arms(results)
    test = stats.ttest_rel(times["tanh_he"], times["relu_he"]).confidence_interval()
    change = pair.comparison.restricted_mean_difference
    assert change.value == pytest.approx(np.mean(times["tanh_he"] - times["relu_he"]), abs=1e-6)
    independent = vg.compare_times(times["tanh_he"], np.ones(800, bool), times["relu_he"], np.ones(800, bool), 200)
    paired_width, width = change.high - change.low, test.high - test.low
    assert (
        width < paired_width < independent.restricted_mean_difference.high - independent.restricted_mean_difference.low
    )


@pytest.mark.slow
def test_paired_differences_of_shares_and_times_cover():
    """Seeds that are alike in both arms, 400 studies of 64 seeds: within three standard errors of 95 %, or above."""
    rng, n, studies, truth = np.random.default_rng(1), 64, 400, {}
    for repetition in range(studies + 1):
        size = n if repetition else 200_000
        seed = rng.normal(size=size)
        ends = {}
        for arm, shift in (("a", 0.0), ("b", 0.4)):
            values = seed + 0.7 * rng.normal(size=size) + shift
            ends[arm] = Outcomes(
                np.arange(size), np.clip(50 + 20 * values, 1, 70), values < 1, np.zeros(size, bool), 70.0
            )
        change = Contrasts(ends).effect({"a": 1, "b": -1})
        if not repetition:
            truth = {"share": change.share.value, "restricted_mean": change.restricted_mean.value, "n": 0, "m": 0}
            continue
        truth["n"] += change.share.low <= truth["share"] <= change.share.high
        truth["m"] += change.restricted_mean.low <= truth["restricted_mean"] <= change.restricted_mean.high
    assert min(truth["n"], truth["m"]) / studies > 0.95 - 3 * math.sqrt(0.95 * 0.05 / studies)
