"""Two arms against each other: shares that converge, times to converge, and tests of equality."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import Bool, Float
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
    a, b = _group(a_times, a_observed, budget), _group(b_times, b_observed, budget)
    return _compare_groups(a, b, *_mann_whitney_p([(a, b)]))


class _Group(NamedTuple):
    """Runs, and what every comparison with them needs."""

    times: Float[np.ndarray, " runs"]
    observed: Bool[np.ndarray, " runs"]
    budget: float
    curve: SurvivalCurve
    mean: Estimate
    """Mean time within the budget."""
    share: Estimate
    """Share that converged within the budget."""

    @property
    def ends(self) -> Float[np.ndarray, " runs"]:
        """Times, infinite for a run that never converges: it is slower than all that do."""
        return np.where(self.observed, self.times, np.inf)


def _group(times: ArrayLike, observed: ArrayLike, budget: float | int) -> _Group:
    times, observed = check_times(times, observed)
    mean, curve = restricted_mean(times, observed, budget), survival_curve(times, observed)
    return _Group(times, observed, float(budget), curve, mean, _share_by(curve, budget))


def _compare_groups(a: _Group, b: _Group, mann_whitney_p: float) -> TimeComparison:
    from scipy import stats

    with np.errstate(invalid="ignore", divide="ignore"):  # Where no run is left to compare at any time.
        logrank = stats.logrank(
            stats.CensoredData.right_censored(a.times, ~a.observed),
            stats.CensoredData.right_censored(b.times, ~b.observed),
        )
    return TimeComparison(
        n_a=len(a.times),
        n_b=len(b.times),
        budget=a.budget,
        logrank_chi2=float(logrank.statistic) ** 2,
        logrank_p=float(logrank.pvalue),
        restricted_mean_a=a.mean.value,
        restricted_mean_b=b.mean.value,
        restricted_mean_difference=difference(a.mean, b.mean),
        median_a=median_time(a.curve).value,
        median_b=median_time(b.curve).value,
        probability_a_faster=_probability_faster(a.curve, b.curve),
        mann_whitney_p=mann_whitney_p,
        share_a=a.share,
        share_b=b.share,
        share_difference=difference(a.share, b.share),
    )


def _mann_whitney_p(pairs: Sequence[tuple[_Group, _Group]]) -> list[float]:
    """Compute p-values of each pair, that either group is as likely to be the faster; 1 where all runs are tied."""
    from scipy.stats import mannwhitneyu

    p_values = np.ones(len(pairs))
    sizes = np.array([[len(a.times), len(b.times)] for a, b in pairs])
    for size in np.unique(sizes, axis=0):  # SciPy takes pairs of equal sizes at once.
        chosen = np.flatnonzero((sizes == size).all(axis=1))
        a, b = (np.stack([pairs[index][side].ends for index in chosen.tolist()]) for side in (0, 1))
        with np.errstate(invalid="ignore", divide="ignore"):
            p_values[chosen] = mannwhitneyu(b, a, alternative="two-sided", method="asymptotic", axis=1).pvalue
    return [float(p_value) if np.isfinite(p_value) else 1.0 for p_value in p_values]


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

    contrasts, groups = Contrasts(arms), dict[tuple[str, float], _Group]()

    def group(arm: str, budget: float) -> _Group:
        if (arm, budget) not in groups:
            groups[arm, budget] = _group(arms[arm].times, arms[arm].converged, budget)
        return groups[arm, budget]

    names = [(a, b) for a, b in combinations(arms, 2) if arms[a].unit == arms[b].unit]
    if not names:
        return []
    of_pairs = [(group(a, arms[a].budget), group(b, arms[a].budget)) for a, b in names]
    pairs = [
        _pair(*name, _compare_groups(*of_pair, p_value), contrasts)
        for name, of_pair, p_value in zip(names, of_pairs, _mann_whitney_p(of_pairs), strict=True)
    ]
    logrank = [pair.comparison.logrank_p for pair in pairs]
    adjusted = false_discovery_control([1.0 if np.isnan(p) else p for p in logrank])
    sooner = false_discovery_control([pair.sooner_p for pair in pairs])
    return [
        pair._replace(logrank_p_adjusted=float(curves), sooner_p_adjusted=float(first))
        for pair, curves, first in zip(pairs, adjusted, sooner, strict=True)
    ]


def _pair(a: str, b: str, comparison: TimeComparison, contrasts: Contrasts) -> Pair:
    """Compare two arms on their common seeds; p-values are not adjusted yet."""
    of_a, of_b = contrasts.ends[a], contrasts.ends[b]
    change = contrasts.effect({a: 1, b: -1})
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
