"""Estimates with their intervals, and intervals of sums and differences of estimates."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from vgrad_jax.errors import InputError
from vgrad_jax.numerics import LEVEL, Z, wilson

__all__ = ["ABSENT", "Estimate", "bonferroni", "contrast", "difference", "mean", "share"]


class Estimate(NamedTuple):
    """A number with its 95 % interval, and the number of runs behind it."""

    value: float
    low: float
    high: float
    n: int

    @property
    def half_width(self) -> float:
        """Half the width of the interval."""
        return (self.high - self.low) / 2

    @property
    def excludes_zero(self) -> bool:
        """True where the interval lies on one side of zero: a difference is seen."""
        return self.low > 0 or self.high < 0


ABSENT = Estimate(float("nan"), float("nan"), float("nan"), 0)
"""Estimate of a quantity that an arm does not have."""


def mean(values: np.ndarray, *, z: float = Z) -> Estimate:
    """Return a mean with Student's interval.

    Args:
        values: a finite value for each run, `(runs,)`.
        z: standard errors of the normal distribution whose level the interval has.

    >>> [round(bound, 3) for bound in mean(np.array([1.0, 2.0, 3.0]))[:3]]
    [2.0, -0.484, 4.484]
    """
    from scipy import stats

    n, value = len(values), float(np.mean(values))
    if n < 2:
        return Estimate(value, -np.inf, np.inf, n)
    half = float(stats.t.ppf(stats.norm.cdf(z), n - 1)) * float(np.std(values, ddof=1)) / n**0.5
    return Estimate(value, value - half, value + half, n)


def bonferroni(comparisons: int) -> float:
    """Return the standard errors on either side with which that many intervals cover together with at least 95 %.

    >>> round(bonferroni(1), 3), round(bonferroni(10), 3)
    (1.96, 2.807)
    """
    from scipy import stats

    return float(stats.norm.ppf(1 - (1 - LEVEL) / 2 / max(comparisons, 1)))


def share(successes: int, n: int, *, z: float = Z) -> Estimate:
    """Return a share with its Wilson interval.

    Args:
        successes: runs that count.
        n: all runs.
        z: standard errors on either side; the default has a level of 95 %.

    Raises:
        InputError: no runs at all.

    >>> [round(bound, 4) for bound in share(0, 100)[:3]]
    [0.0, 0.0, 0.037]
    """
    if n < 1:
        raise InputError(f"a share needs a run at least; got {successes} of {n} runs: finish a run of the arm first")
    low, high = wilson(successes / n, n, z=z)
    return Estimate(successes / n, float(low), float(high), n)


def difference(a: Estimate, b: Estimate) -> Estimate:
    """Return `a` minus `b`, of independent runs.

    For shares this is Newcombe's hybrid score interval (1998, "Interval estimation for the difference between
    independent proportions", method 10).

    >>> [round(bound, 4) for bound in difference(share(56, 70), share(48, 80))[:3]]
    [0.2, 0.0524, 0.3339]
    """
    return contrast((1, -1), (a, b))


def contrast(
    coefficients: Sequence[float | int], estimates: Sequence[Estimate], correlation: np.ndarray | None = None
) -> Estimate:
    """Return a weighted sum of estimates, with an interval that is recovered from their intervals.

    The method is the recovery of variance estimates (MOVER; Zou and Donner 2008, "Construction of confidence limits
    about effect measures"). Near a limit of the sum, an estimate's standard error is the distance to its own limit on
    the same side. So the sum keeps the virtues of the estimates' intervals, such as coverage near 0 and 1.

    Args:
        coefficients: weight of each estimate.
        estimates: with their intervals.
        correlation: of the estimates, `(estimate, estimate)`; None for independent estimates.

    Returns:
        The sum; `n` is the number of runs in all of them.
    """
    weights = np.asarray(coefficients, np.float64)
    values, lows, highs = (np.asarray([estimate[i] for estimate in estimates]) for i in range(3))
    related = np.eye(len(weights)) if correlation is None else correlation
    centre = float(weights @ values)
    rising = weights > 0
    if not np.isfinite([lows, highs])[:, weights != 0].all():
        return Estimate(centre, -np.inf, np.inf, sum(estimate.n for estimate in estimates))
    down = weights * np.where(rising, values - lows, highs - values)
    up = weights * np.where(rising, highs - values, values - lows)
    low, high = (float(np.sqrt(max(side @ related @ side, 0.0))) for side in (down, up))
    return Estimate(centre, centre - low, centre + high, sum(estimate.n for estimate in estimates))
