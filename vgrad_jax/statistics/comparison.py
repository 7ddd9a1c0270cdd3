"""Two arms against each other: shares that converge, times to converge, and tests of equality."""

from collections.abc import Mapping
from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from vgrad_jax.boundary import checked
from vgrad_jax.statistics.contrasts import Contrasts
from vgrad_jax.statistics.intervals import ABSENT, Estimate, difference, share
from vgrad_jax.statistics.paired import mcnemar_p, paired_difference
from vgrad_jax.statistics.run_outcomes import Outcomes, alike, outcomes
from vgrad_jax.statistics.survival import SurvivalCurve, check_times, median_time, restricted_mean, survival_curve

if TYPE_CHECKING:
    import xarray

__all__ = ["Pair", "TimeComparison", "compare_arms", "compare_times"]


class TimeComparison(NamedTuple):
    """Times to converge of two groups of runs, `a` and `b`."""

    n_a: int
    n_b: int
    budget: float
    logrank_chi2: float
    """Statistic for equal curves, with a degree of freedom; NaN where the curves can differ at no time."""
    logrank_p: float
    restricted_mean_a: float
    """Mean time within the budget."""
    restricted_mean_b: float
    restricted_mean_difference: Estimate
    """`a` minus `b`."""
    median_a: float
    """Infinite where fewer than half converge."""
    median_b: float
    probability_a_faster: float
    """Chance that a run of `a` converges before a run of `b`; ties, and two that never converge, count one half."""
    mann_whitney_p: float
    """Two-sided test that this chance is one half; runs lost before the budget count as never converging."""
    share_a: Estimate
    """Share that converged within the budget."""
    share_b: Estimate
    share_difference: Estimate
    """`a` minus `b`."""


class Pair(NamedTuple):
    """Two arms of a sweep, compared on common seeds."""

    a: str
    b: str
    comparison: TimeComparison
    """Curves and tests of independent groups; the differences of shares and of mean times use the common seeds."""
    logrank_p_adjusted: float
    """p-value of the log-rank test, adjusted for the number of pairs: Benjamini and Hochberg's false discovery rate."""
    common: int
    """Number of seeds that both arms have finished."""
    only_a: int
    """Number of common seeds on which only the run of `a` converges."""
    only_b: int
    mcnemar_p: float
    """p-value of McNemar's exact test that both converge equally often; 1 without common seeds."""
    sooner: Estimate
    """Chance that on a common seed the run of `a` converges first; a tie, as of two that never do, counts one half."""
    sooner_p: float
    """p-value of the exact sign test that this chance is one half."""
    sooner_p_adjusted: float
    """The same, adjusted for the number of pairs: Benjamini and Hochberg's false discovery rate."""


@checked
def compare_times(
    a_times: ArrayLike,
    a_observed: ArrayLike,
    b_times: ArrayLike,
    b_observed: ArrayLike,
    budget: float | int,
) -> TimeComparison:
    """Compare the times to converge of two independent groups of runs.

    The curves may cross and level off above zero, so nothing here assumes proportional hazards.

    Args:
        a_times: epochs until each run of `a` converged, or was last seen; `(runs,)`.
        a_observed: False where the budget ran out first.
        b_times: the same of `b`.
        b_observed: the same of `b`.
        budget: epochs; restricted means and shares are within it.

    Raises:
        InputError: different lengths, no run, times that are negative or not finite, an impossible budget.

    >>> never, times = np.array([50.0, 50.0, 50.0]), np.array([10.0, 20.0, 50.0])
    >>> comparison = compare_times(times, np.array([True, True, False]), never, np.array([False] * 3), budget=50)
    >>> round(comparison.probability_a_faster, 3), round(comparison.restricted_mean_a, 3), comparison.median_b
    (0.833, 26.667, inf)
    """
    from scipy import stats

    a_times, a_observed = check_times(a_times, a_observed)
    b_times, b_observed = check_times(b_times, b_observed)
    mean_a = restricted_mean(a_times, a_observed, budget)
    mean_b = restricted_mean(b_times, b_observed, budget)
    curve_a, curve_b = survival_curve(a_times, a_observed), survival_curve(b_times, b_observed)
    share_a, share_b = _share_by(curve_a, budget), _share_by(curve_b, budget)
    with np.errstate(invalid="ignore", divide="ignore"):  # Where no run is left to compare at any time.
        logrank = stats.logrank(
            stats.CensoredData.right_censored(a_times, ~a_observed),
            stats.CensoredData.right_censored(b_times, ~b_observed),
        )
    return TimeComparison(
        n_a=len(a_times),
        n_b=len(b_times),
        budget=float(budget),
        logrank_chi2=float(logrank.statistic) ** 2,
        logrank_p=float(logrank.pvalue),
        restricted_mean_a=mean_a.value,
        restricted_mean_b=mean_b.value,
        restricted_mean_difference=difference(mean_a, mean_b),
        median_a=median_time(curve_a).value,
        median_b=median_time(curve_b).value,
        probability_a_faster=_probability_faster(curve_a, curve_b),
        mann_whitney_p=_mann_whitney_p(a_times, a_observed, b_times, b_observed),
        share_a=share_a,
        share_b=share_b,
        share_difference=difference(share_a, share_b),
    )


def _mann_whitney_p(a_times: np.ndarray, a_observed: np.ndarray, b_times: np.ndarray, b_observed: np.ndarray) -> float:
    """Test that either group is as likely to be the faster; 1 where all runs are tied."""
    from scipy.stats import mannwhitneyu

    # A run that never converges is slower than all that do, and ties with the others that never do.
    a, b = np.where(a_observed, a_times, np.inf), np.where(b_observed, b_times, np.inf)
    with np.errstate(invalid="ignore", divide="ignore"):
        p_value = float(mannwhitneyu(b, a, alternative="two-sided", method="asymptotic").pvalue)
    return p_value if np.isfinite(p_value) else 1.0


def _share_by(curve: SurvivalCurve, budget: float | int) -> Estimate:
    """Return the share that converged within the budget; its interval is Wilson's where only the budget censors."""
    index = np.searchsorted(curve.times, budget, side="right") - 1
    if index < 0:
        return share(0, curve.n)
    survival, low, high = (float(values[index]) for values in (curve.survival, curve.low, curve.high))
    return Estimate(1 - survival, 1 - high, 1 - low, curve.n)


def _probability_faster(a: SurvivalCurve, b: SurvivalCurve) -> float:
    """Compute Efron's (1967) probability from two curves; where only the budget censors, Mann and Whitney's."""
    times = np.union1d(a.times, b.times)
    left_a, left_b = (np.concatenate([[1.0], curve.at(times)]) for curve in (a, b))
    converge_a = -np.diff(left_a)
    # A run of b converges later than a; or at the same time, or never like a, each of which counts one half.
    return float(converge_a @ (left_b[1:] + left_b[:-1]) / 2 + left_a[-1] * left_b[-1] / 2)


def compare_arms(results: "xarray.Dataset") -> list[Pair]:
    """Compare all pairs of a sweep's arms, with control of the false discovery rate over the pairs.

    Run k of each arm has the same key. Differences and their tests use that. Survival curves, log-rank and
    Mann-Whitney tests are those of independent groups, as `compare_times` gives them. Where budgets differ, arms are
    compared within the smallest one. Arms that count time in different units are not compared.
    """
    return _compare(alike(outcomes(results)))


def _compare(arms: Mapping[str, Outcomes]) -> list[Pair]:
    from scipy.stats import false_discovery_control

    pairs = [_pair(a, b, arms[a], arms[b]) for a, b in combinations(arms, 2) if arms[a].unit == arms[b].unit]
    if not pairs:
        return []
    logrank = [pair.comparison.logrank_p for pair in pairs]
    adjusted = false_discovery_control([1.0 if np.isnan(p) else p for p in logrank])
    sooner = false_discovery_control([pair.sooner_p for pair in pairs])
    return [
        pair._replace(logrank_p_adjusted=float(curves), sooner_p_adjusted=float(first))
        for pair, curves, first in zip(pairs, adjusted, sooner, strict=True)
    ]


def _pair(a: str, b: str, of_a: Outcomes, of_b: Outcomes) -> Pair:
    """Compare two arms; p-values are not adjusted yet."""
    comparison = compare_times(of_a.times, of_a.converged, of_b.times, of_b.converged, of_a.budget)
    change = Contrasts({a: of_a, b: of_b}).effect({a: 1, b: -1})
    comparison = comparison._replace(share_difference=change.share)
    if of_a.unit:
        comparison = comparison._replace(restricted_mean_difference=change.restricted_mean)
    common, at_a, at_b = np.intersect1d(of_a.seeds, of_b.seeds, return_indices=True)
    if not len(common):
        return Pair(a, b, comparison, 1.0, 0, 0, 0, 1.0, ABSENT, 1.0, 1.0)
    ends_a, ends_b = (np.where(own.converged, own.times, np.inf)[at] for own, at in ((of_a, at_a), (of_b, at_b)))
    learned_a, learned_b = np.isfinite(ends_a), np.isfinite(ends_b)
    only_a, only_b = int((learned_a & ~learned_b).sum()), int((learned_b & ~learned_a).sum())
    first_a, first_b = int((ends_a < ends_b).sum()), int((ends_b < ends_a).sum())
    lead = paired_difference(first_a, first_b, len(common))
    sooner = Estimate((1 + lead.value) / 2, (1 + lead.low) / 2, (1 + lead.high) / 2, lead.n)
    mcnemar, sign = mcnemar_p(only_a, only_b), mcnemar_p(first_a, first_b)
    return Pair(a, b, comparison, 1.0, len(common), only_a, only_b, mcnemar, sooner, sign, 1.0)
