"""Intervals for shares of runs."""

from typing import NamedTuple

__all__ = ["Estimate", "share", "share_difference"]


class Estimate(NamedTuple):
    """A number with its 95 % interval, and what it rests on."""

    value: float
    low: float
    high: float
    n: int


def share(successes: int, n: int) -> Estimate:
    """A share with its Wilson (1927) score interval, which holds near 0 and 1 too.

    >>> share(0, 100)
    Estimate(value=0.0, low=0.0, high=0.036993498, n=100)
    """
    from scipy.stats import binomtest

    interval = binomtest(successes, n).proportion_ci(method="wilson")
    return Estimate(successes / n, round(float(interval.low), 9), round(float(interval.high), 9), n)


def share_difference(a: Estimate, b: Estimate) -> Estimate:
    """Share `a` minus share `b` of independent runs, with Newcombe's hybrid score interval.

    Newcombe 1998, "Interval estimation for the difference between independent proportions", method 10. For runs paired
    by seed it is too wide rather than too narrow as long as the pairs are positively related.

    >>> share_difference(share(56, 70), share(48, 80))._replace(n=0)
    Estimate(value=0.2, low=0.0524, high=0.3339, n=0)
    """
    difference = a.value - b.value
    down = ((a.value - a.low) ** 2 + (b.high - b.value) ** 2) ** 0.5
    up = ((a.high - a.value) ** 2 + (b.value - b.low) ** 2) ** 0.5
    return Estimate(round(difference, 9), round(difference - down, 4), round(difference + up, 4), a.n + b.n)
