"""Time-uniform bounds of a share, and the numbers of seeds at which a sweep looks at them.

A sweep that may stop early looks at an arm's share several times. An interval for a fixed number of runs would miss
the true share at some look far too often. A confidence sequence holds at all looks together:

    runs so far   64     128     192     256   ...
    bounds       [----[-----[------]------]---]       each look cuts the interval of the look before
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from vgrad_jax.errors import InputError
from vgrad_jax.numerics import LEVEL

__all__ = ["ShareBounds", "confidence_sequence", "look_points", "most_seeds_needed", "share_bounds", "stopping_point"]

MISSES = round(1 - LEVEL, 12)  # 1 - 0.95 is not 0.05 in binary.
"""Chance that the sequence ever leaves out the true share."""

BISECTIONS = 50


class ShareBounds(NamedTuple):
    """Time-uniform bounds of a share at a look."""

    successes: int
    n: int
    low: float
    high: float
    """Bounds of the running intersection over all looks so far."""

    @property
    def half_width(self) -> float:
        """Half the distance between the bounds."""
        return (self.high - self.low) / 2


def confidence_sequence(
    successes: int | Int[np.ndarray, "*look"], n: int | Int[np.ndarray, "*look"]
) -> tuple[Float[np.ndarray, "*look"], Float[np.ndarray, "*look"]]:
    """Compute time-uniform 95 % bounds of a share, valid under any stopping rule.

    The bounds are those of the beta-binomial mixture with a uniform prior. The idea is from Robbins 1970, "Statistical
    methods related to the law of the iterated logarithm". The mixture is from Howard, Ramdas, McAuliffe and Sekhon
    2021, "Time-uniform, nonparametric, nonasymptotic confidence sequences", section 3. For the true share p the
    reciprocal of `(n + 1) P(successes of n | p)` is a martingale that starts at 1. By Ville's inequality it ever
    reaches 20 with a chance of 5 % at most. The bounds hold every p for which it is below 20.

    Args:
        successes: `(...)` numbers of successes.
        n: `(...)` numbers of runs in which the successes are counted.

    Returns:
        Lower and upper bounds, `(...)` each. The intersection over the looks of a study holds as well.

    Raises:
        InputError: a number is too large for a float.

    >>> low, high = confidence_sequence(np.array([0, 50, 500]), np.array([100, 100, 1000]))
    >>> low.round(3).tolist(), high.round(3).tolist()
    ([0.0, 0.345, 0.444], [0.073, 0.655, 0.556])
    """
    from scipy.special import betaln, xlog1py, xlogy

    try:
        successes, n = np.broadcast_arrays(np.asarray(successes, float), np.asarray(n, float))
    except OverflowError:
        raise InputError("numbers of runs must fit into a float; at least one is too large") from None
    # The binomial coefficient times n + 1 is one over a beta function.
    least = np.log(MISSES) + betaln(successes + 1, n - successes + 1)

    outer = np.stack([np.zeros(n.shape), np.ones(n.shape)])
    inner = np.stack([np.divide(successes, n, out=np.full(n.shape, 0.5), where=n > 0)] * 2)
    middle = outer.copy()  # The ends first: 0 and 1 can be within.
    for _ in range(BISECTIONS):
        is_out = xlogy(successes, middle) + xlog1py(n - successes, -middle) < least
        outer, inner = np.where(is_out, middle, outer), np.where(is_out, inner, middle)
        middle = (outer + inner) / 2
    return outer[0], outer[1]


def look_points(block: int, num_seeds: int) -> Iterator[int]:
    """Yield the numbers of seeds after which a study looks: two blocks more each time, and later a quarter more.

    The numbers depend on nothing that differs between two runs of the same command, such as the number of workers.

    >>> list(look_points(32, 600))
    [64, 128, 192, 256, 320, 384, 480, 576, 600]
    """
    blocks = 0
    while blocks * block < num_seeds:
        blocks += max(2, blocks // 4)
        yield min(blocks * block, num_seeds)


def share_bounds(converged: Bool[np.ndarray, " seed"], block: int, num_seeds: int) -> Iterator[ShareBounds]:
    """Yield the bounds at each look that has its runs.

    Args:
        converged: whether each of the first seeds converged, without a gap.
        block: seeds that are written together.
        num_seeds: the most that the study may have.
    """
    looks = np.array([look for look in look_points(block, num_seeds) if look <= len(converged)], int)
    counts = np.concatenate([[0], np.cumsum(converged)])[looks]
    low, high = confidence_sequence(counts, looks)
    low, high = np.maximum.accumulate(low), np.minimum.accumulate(high)
    # Bounds can cross only where the true share was left out at some look.
    low, high = np.where(low > high, [(low + high) / 2] * 2, [low, high])
    for successes, n, *bounds in zip(counts, looks, low, high, strict=True):
        yield ShareBounds(int(successes), int(n), *map(float, bounds))


def stopping_point(
    converged: Bool[np.ndarray, " seed"], block: int, num_seeds: int, precision: float
) -> ShareBounds | None:
    """Return the first look at which the share is known to plus or minus `precision`; None before that look.

    Args:
        converged: whether each of the first seeds converged, without a gap.
        block: seeds that are written together.
        num_seeds: the most that the study may have.
        precision: half the width of the running intersection at the most.
    """
    return next((look for look in share_bounds(converged, block, num_seeds) if look.half_width <= precision), None)


@lru_cache
def most_seeds_needed(precision: float) -> int:
    """Return about the most seeds that an arm takes, which it takes where half converge; up to a tenth too many.

    >>> most_seeds_needed(0.05)
    1330
    """
    n = 2
    while True:
        low, high = confidence_sequence(np.array([n // 2]), np.array([n]))
        if high - low <= 2 * precision:
            return n
        n += max(2, n // 20 * 2)
