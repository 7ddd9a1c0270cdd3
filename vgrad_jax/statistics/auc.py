"""The area under the ROC curve: how well a number tells two kinds of runs apart.

The area is the chance that a positive run has a larger value than a negative run. Ties count one half:

    negative  -----o--o-----o----------      3 of the 3 * 2 pairs go the right way, and 1 is a tie:
    positive  -----x-----------x-------      the area is 3.5 / 6

Its variance comes from the share of the other kind that each run exceeds (DeLong). Its interval is symmetric on the
logit scale, so that it stays between 0 and 1.
"""

import numpy as np
from jaxtyping import Float

from vgrad_jax.errors import InputError
from vgrad_jax.numerics import LEVEL
from vgrad_jax.statistics.intervals import Estimate

__all__ = ["area_under_roc"]


def area_under_roc(positive: Float[np.ndarray, " m"], negative: Float[np.ndarray, " n"]) -> Estimate:
    """Compute the area under the ROC curve with its 95 % interval.

    DeLong, DeLong and Clarke-Pearson 1988, "Comparing the areas under two or more correlated receiver operating
    characteristic curves", by ranks as in Sun and Xu 2014. The interval uses a quantile of Student's t, since failures
    can be few. Brunner and Munzel 2000 give the degrees of freedom for the same variance. Where every pair goes the
    same way, DeLong's variance is zero. The interval there is Newcombe's (2006, part 2, method 5), a score interval
    with Hanley and McNeil's variance.

    Args:
        positive: values of the first kind of runs, 2 at least; infinite values are ordered like others.
        negative: values of the second kind, 2 at least.

    Returns:
        The area, its 95 % interval, and m + n.

    Raises:
        InputError: fewer than two of a kind, a value that is not a number, or nothing but ties.

    >>> [round(number, 3) for number in area_under_roc(np.array([3.0, 4, 6, 7]), np.array([1.0, 2, 3, 5]))[:3]]
    [0.844, 0.24, 0.989]
    """
    from scipy.special import expit, logit, stdtrit
    from scipy.stats import rankdata

    m, n = len(positive), len(negative)
    together = np.concatenate([positive, negative])
    if min(m, n) < 2 or np.isnan(together).any():
        raise InputError(f"an area under the ROC curve needs two numbers of each kind at least; got {m} and {n}")
    if (together == together[0]).all():
        raise InputError(f"all {m + n} values are {together[0]}: there is nothing to tell apart")
    ranks = rankdata(together)
    # For each run, the share of the other kind that it exceeds.
    of_positive = (ranks[:m] - rankdata(positive)) / n
    of_negative = (ranks[m:] - rankdata(negative)) / m
    area = float(of_positive.mean())
    parts = of_positive.var(ddof=1) / m, of_negative.var(ddof=1) / n
    variance = float(sum(parts))
    if area in (0.0, 1.0):
        low, high = _one_sided(area, m, n)
        return Estimate(area, low, high, m + n)
    freedom = variance**2 / (parts[0] ** 2 / (m - 1) + parts[1] ** 2 / (n - 1))
    half = stdtrit(freedom, 0.5 + LEVEL / 2) * np.sqrt(variance) / (area * (1 - area))
    return Estimate(area, float(expit(logit(area) - half)), float(expit(logit(area) + half)), m + n)


def _one_sided(area: float, m: int, n: int) -> tuple[float, float]:
    """Return the interval of an area of 0 or 1."""
    from scipy.optimize import brentq
    from scipy.stats import norm

    z = norm.ppf(0.5 + LEVEL / 2)
    size = (m + n) / 2 - 1

    def outside(true: float) -> float:
        variance = true * (1 - true) * (1 + size * ((1 - true) / (2 - true) + true / (1 + true))) / (m * n)
        return (1 - true) ** 2 - z**2 * variance

    # The formula is the same for an area of 0, seen from the other end.
    low = float(brentq(outside, 0.0, 1 - 1e-12))
    return (low, 1.0) if area == 1 else (0.0, 1 - low)
