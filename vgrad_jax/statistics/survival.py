"""Times to converge, where some runs never do within the budget: survival curves, medians and restricted means.

share that has not converged
1 ──┐
    └──┐                 Kaplan and Meier's curve falls where a run converges.
       └─────┐           Its area up to the budget is the restricted mean.
0 ───────────┴────── budget
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import ArrayLike

from vgrad_jax.boundary import array_of
from vgrad_jax.errors import InputError
from vgrad_jax.numerics import Z, wilson
from vgrad_jax.statistics.intervals import Estimate

__all__ = ["SurvivalCurve", "check_times", "median_time", "restricted_mean", "survival_curve"]

PSEUDO_RUNS = 2
"""Runs added at time zero, and as many at the budget, for the interval of a restricted mean."""


class SurvivalCurve(NamedTuple):
    """The share of runs that have not converged yet, after each time at which one did or was last seen.

    Between two times the curve stays at the earlier one's value; before the first it is 1.
    """

    times: Float[np.ndarray, " times"]
    """Increasing; in the unit that was given, epochs in a sweep."""
    survival: Float[np.ndarray, " times"]
    """Kaplan and Meier's estimate."""
    low: Float[np.ndarray, " times"]
    high: Float[np.ndarray, " times"]
    """95 %, at each time for itself."""
    at_risk: Float[np.ndarray, " times"]
    """Runs that had neither converged nor been lost before each time."""
    n: int

    def at(self, when: Float[np.ndarray, " points"]) -> Float[np.ndarray, " points"]:
        """Return the curve at any times."""
        return np.concatenate([[1.0], self.survival])[np.searchsorted(self.times, when, side="right")]


def check_times(times: ArrayLike, observed: ArrayLike) -> tuple[Float[np.ndarray, " runs"], Bool[np.ndarray, " runs"]]:
    """Return times, and whether each is a convergence, as arrays.

    Raises:
        InputError: different lengths, no run, a time that is negative or not finite.
    """
    times, observed = array_of("times", times, np.float64), array_of("observed", observed)
    if times.ndim != 1 or times.shape != observed.shape or not len(times):
        raise InputError(f"one time and one observed for each run; got shapes {times.shape} and {observed.shape}")
    if observed.dtype != bool:
        raise InputError(f"observed is True or False for each run; got {observed.dtype}")
    if not np.isfinite(times).all() or (times < 0).any():
        raise InputError("times are finite and not negative; a run that never converges has the budget and False")
    return times, observed


def survival_curve(times: ArrayLike, observed: ArrayLike, *, weights: np.ndarray | None = None) -> SurvivalCurve:
    """Compute Kaplan and Meier's (1958) curve with pointwise 95 % intervals.

    The intervals are Wilson's, for the number of runs whose share would have Greenwood's variance. They are from
    Rothman 1978, "Estimation of confidence limits for the cumulative probability of survival". Where only the budget
    censors, this number is the number of runs.

    Args:
        times: when each run converged, or was last seen; `(runs,)`.
        observed: False where it had not converged by then.
        weights: of the runs; None is 1 for each.

    Raises:
        InputError: as `check_times`.

    >>> curve = survival_curve(np.array([10.0, 20.0, 50.0, 50.0]), np.array([True, True, False, False]))
    >>> curve.survival.tolist(), curve.at_risk.tolist()
    ([0.75, 0.5, 0.5], [4.0, 3.0, 2.0])
    """
    times, observed = check_times(times, observed)
    weights = np.ones(len(times)) if weights is None else weights
    when, index = np.unique(times, return_inverse=True)
    leaving = np.bincount(index, weights)
    events = np.bincount(index, weights * observed)
    at_risk = leaving[::-1].cumsum()[::-1]
    survival = np.cumprod(1 - events / at_risk)
    n = leaving.sum()
    # Greenwood's variance is survival (1 - survival) / effective. Before the first event all runs count.
    with np.errstate(divide="ignore", invalid="ignore"):
        greenwood = survival / (1 - survival) * np.cumsum(events / (at_risk * (at_risk - events)))
        effective = np.where((survival < 1) & (survival > 0), 1 / greenwood, np.where(survival > 0, at_risk, n))
    low, high = wilson(survival, effective)
    return SurvivalCurve(when, survival, low, high, at_risk, round(n))


def median_time(curve: SurvivalCurve) -> Estimate:
    """Return the time by which half of the runs have converged; infinite where fewer do.

    Its interval holds every time at which the curve's interval holds one half (Brookmeyer and Crowley 1982).
    """
    value, low, high = (_first_below(values, curve.times) for values in (curve.survival, curve.low, curve.high))
    return Estimate(value, low, high, curve.n)


def restricted_mean(
    times: Float[np.ndarray, " runs"], observed: Bool[np.ndarray, " runs"], budget: float | int, *, z: float = Z
) -> Estimate:
    """Compute the mean time within a budget: a run that never converges counts with the whole budget.

    It is the area under the survival curve (Royston and Parmar 2011). Its interval has Greenwood's variance after
    adding two runs that take no time and two that take the whole budget. This is Agresti and Coull's (1998) remedy for
    shares. Without it the interval is empty when all runs are alike, and too narrow when a handful of many converge.

    Args:
        times: when each run converged, or was last seen; `(runs,)`.
        observed: False where it had not converged by then.
        budget: in the unit of the times.
        z: standard errors on either side; the default has a level of 95 %.

    Raises:
        InputError: as `check_times`; a budget that is not above zero, or later than every run was seen.

    >>> estimate = restricted_mean(np.array([10.0, 20.0, 50.0, 50.0]), np.array([True, True, False, False]), 50)
    >>> estimate.value
    32.5
    """
    times, observed = check_times(times, observed)
    budget = float(budget)
    if not budget > 0:
        raise InputError(f"a budget is above zero; got {budget}")
    if budget > times.max() and not observed[times == times.max()].all():
        raise InputError(f"no run was followed up to the budget {budget:g}, and the last one had not converged")
    value, _ = _area(survival_curve(times, observed), budget)
    ends = np.asarray([0.0, budget])
    centre, variance = _area(
        survival_curve(
            np.concatenate([times, ends]),
            np.concatenate([observed, [True, False]]),
            weights=np.concatenate([np.ones(len(times)), [PSEUDO_RUNS * (z / Z) ** 2] * 2]),
        ),
        budget,
    )
    half = z * variance**0.5
    return Estimate(value, max(min(centre - half, value), 0.0), min(max(centre + half, value), budget), len(times))


def _area(curve: SurvivalCurve, budget: float) -> tuple[float, float]:
    """Compute the area under a curve up to the budget, and its variance by Greenwood's formula."""
    inside = curve.times < budget
    times = curve.times[inside]
    steps = np.concatenate([[1.0], curve.survival[inside]])
    pieces = steps * np.diff(np.concatenate([[0.0], times, [budget]]))
    # The area to the right of each time.
    rest = pieces[::-1].cumsum()[::-1][1:]
    before, at_risk = steps[:-1], curve.at_risk[inside]
    events = at_risk * (1 - curve.survival[inside] / np.where(before > 0, before, 1.0))
    left = at_risk - events
    counted = (events > 0) & (left > 0.5)
    terms = np.where(counted, rest**2 * events / np.where(counted, at_risk * left, 1.0), 0.0)
    return float(pieces.sum()), float(terms.sum())


def _first_below(values: np.ndarray, times: np.ndarray) -> float:
    below = np.flatnonzero(values <= 0.5 + 1e-12)
    return float(times[below[0]]) if len(below) else np.inf
