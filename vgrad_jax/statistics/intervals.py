"""Estimates with their intervals, and what follows for sums and differences of them."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from vgrad_jax.errors import InputError

__all__ = ["LEVEL", "Z", "Estimate", "contrast", "difference", "share"]

LEVEL = 0.95
Z = 1.959963984540054
"""The standard normal's quantile for `LEVEL`, two-sided."""


class Estimate(NamedTuple):
    """A number with its 95 % interval, and what it rests on."""

    value: float
    low: float
    high: float
    n: int

    @property
    def half_width(self) -> float:
        """Half of the interval's width."""
        return (self.high - self.low) / 2


def share(successes: int, n: int) -> Estimate:
    """A share with its Wilson (1927) score interval, which holds near 0 and 1 too.

    Raises:
        InputError: no runs at all.

    >>> [round(bound, 4) for bound in share(0, 100)[:3]]
    [0.0, 0.0, 0.037]
    """
    from scipy.stats import binomtest

    if n < 1:
        raise InputError("a share needs one run at least")
    interval = binomtest(successes, n).proportion_ci(LEVEL, method="wilson")
    return Estimate(successes / n, float(interval.low), float(interval.high), n)


def difference(a: Estimate, b: Estimate) -> Estimate:
    """`a` minus `b` of independent runs.

    For shares this is Newcombe's hybrid score interval (1998, "Interval estimation for the difference between
    independent proportions", method 10).

    >>> [round(bound, 4) for bound in difference(share(56, 70), share(48, 80))[:3]]
    [0.2, 0.0524, 0.3339]
    """
    return contrast((1, -1), (a, b))


def contrast(
    coefficients: Sequence[float | int], estimates: Sequence[Estimate], correlation: np.ndarray | None = None
) -> Estimate:
    """A weighted sum of estimates, with an interval that is recovered from theirs.

    The method of variance estimates recovery (MOVER; Zou and Donner 2008, "Construction of confidence limits about
    effect measures"): near the limit that is looked for, each estimate varies as much as its own limit on that side is
    away. It keeps what the estimates' intervals are good at, such as shares near 0 and 1.

    Args:
        coefficients: weight of each estimate.
        estimates: with their intervals.
        correlation: of the estimates, `(estimate, estimate)`; None for independent ones.

    Returns:
        The sum; `n` is the number of runs in all of them.
    """
    weights = np.asarray(coefficients, np.float64)
    values, lows, highs = (np.asarray([estimate[i] for estimate in estimates]) for i in range(3))
    related = np.eye(len(weights)) if correlation is None else correlation
    centre = float(weights @ values)
    rising = weights > 0
    down = weights * np.where(rising, values - lows, highs - values)
    up = weights * np.where(rising, highs - values, values - lows)
    low, high = (float(np.sqrt(max(side @ related @ side, 0.0))) for side in (down, up))
    return Estimate(centre, centre - low, centre + high, sum(estimate.n for estimate in estimates))
