"""Intervals for shares of runs."""

from typing import NamedTuple

from vgrad_jax.errors import InputError

__all__ = ["Estimate", "share", "share_difference"]


class Estimate(NamedTuple):
    """A number with its 95 % interval, and what it rests on."""

    value: float
    low: float
    high: float
    n: int


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
    interval = binomtest(successes, n).proportion_ci(method="wilson")
    return Estimate(successes / n, float(interval.low), float(interval.high), n)


def share_difference(a: Estimate, b: Estimate) -> Estimate:
    """Share `a` minus share `b` of independent runs, with Newcombe's hybrid score interval.

    Newcombe 1998, "Interval estimation for the difference between independent proportions", method 10. For runs paired
    by seed it is too wide rather than too narrow as long as the pairs are positively related.

    >>> [round(bound, 4) for bound in share_difference(share(56, 70), share(48, 80))[:3]]
    [0.2, 0.0524, 0.3339]
    """
    difference = a.value - b.value
    down = ((a.value - a.low) ** 2 + (b.high - b.value) ** 2) ** 0.5
    up = ((a.high - a.value) ** 2 + (b.value - b.low) ** 2) ** 0.5
    return Estimate(difference, difference - down, difference + up, a.n + b.n)
