"""Two arms on common seeds: how often one of them alone succeeds, or comes first.

runs of a common seed ─► only a, only b, both or neither ─► difference of the shares with its interval, and a test
"""

import math
from functools import lru_cache

from vgrad_jax.errors import InputError
from vgrad_jax.numerics import Z
from vgrad_jax.statistics.intervals import Estimate

__all__ = ["mcnemar_p", "paired_difference"]

CLOSE = 1e-9
"""Distance to a whole share at which limits are looked for: the score has no value at the share itself."""


@lru_cache(maxsize=4096)
def mcnemar_p(only_a: int, only_b: int) -> float:
    """Test that as many pairs favour either arm: McNemar's (1947) exact two-sided test.

    Args:
        only_a: pairs in which only the run of `a` succeeds.
        only_b: pairs in which only the run of `b` succeeds.

    Returns:
        p-value; 1 where no pair favours an arm.

    >>> mcnemar_p(1, 7), mcnemar_p(0, 0)
    (0.0703125, 1.0)
    """
    from scipy.stats import binomtest

    return float(binomtest(only_a, only_a + only_b).pvalue) if only_a + only_b else 1.0


@lru_cache(maxsize=4096)
def paired_difference(only_a: int, only_b: int, n: int, *, z: float = Z) -> Estimate:
    """Return the difference of two shares of paired runs, `(only_a - only_b) / n`, with Tango's score interval.

    Source: Tango 1998, "Equivalence test and confidence interval for the difference in proportions for the
    paired-sample design".

    Args:
        only_a: pairs in which only the run of `a` succeeds.
        only_b: pairs in which only the run of `b` succeeds.
        n: all pairs.
        z: standard errors on either side; the default has a level of 95 %.

    Raises:
        InputError: counts that no pairs can have.

    >>> [round(bound, 3) for bound in paired_difference(1, 7, 21)[:3]]
    [-0.286, -0.517, -0.026]
    """
    from scipy.optimize import brentq

    if min(only_a, only_b) < 0 or n < 1 or only_a + only_b > n:
        raise InputError(f"of {n} pairs, {only_a} cannot favour the first arm and {only_b} the second; count again")
    value = (only_a - only_b) / n

    def beyond(sign: float, difference: float) -> float:
        return sign * _score(only_a, only_b, n, difference) - z

    # The score falls from the estimate to either side.
    ends = (-1 + CLOSE, 1 - CLOSE)
    low = brentq(lambda at: beyond(1, at), ends[0], value) if beyond(1, ends[0]) > 0 else -1.0
    high = brentq(lambda at: beyond(-1, at), value, ends[1]) if beyond(-1, ends[1]) > 0 else 1.0
    return Estimate(value, low, high, n)


def _score(only_a: int, only_b: int, n: int, difference: float) -> float:
    """Compute the score statistic of a difference; the share of the other cell is estimated given the difference."""
    square, linear = 2 * n, -only_a - only_b + (2 * n - only_a + only_b) * difference
    constant = -only_b * difference * (1 - difference)
    other = (math.sqrt(max(linear**2 - 4 * square * constant, 0.0)) - linear) / (2 * square)
    variance = n * (2 * other + difference * (1 - difference))
    distance = only_a - only_b - n * difference
    return 0.0 if distance == 0 else distance / math.sqrt(max(variance, 1e-300))
