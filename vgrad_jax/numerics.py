"""Summaries over seeds of numbers that may be infinite: sizes are carried as log10, and log10 of zero is -inf."""

import numpy as np
from jaxtyping import Float

__all__ = ["lower_median", "rms_over_seeds"]


def lower_median(values: Float[np.ndarray, "seed *rest"]) -> Float[np.ndarray, "*rest"]:
    """Return the lower median over the first axis: an element of the values, since -inf and a number have no mean.

    >>> lower_median(np.array([-np.inf, -3.0, -2.0, -1.0])).item()
    -3.0
    """
    return np.asarray(np.sort(values, axis=0)[(len(values) - 1) // 2])


def rms_over_seeds(log10_sizes: Float[np.ndarray, "seed layer"]) -> Float[np.ndarray, " layer"]:
    """Return log10 of the root mean square over seeds; squares that underflow do not become zero.

    Args:
        log10_sizes: log10 of sizes; -inf where a size is zero.

    >>> rms_over_seeds(np.array([[-200.0, 0.0, -np.inf], [-200.0, -np.inf, -np.inf]])).round(2).tolist()
    [-200.0, -0.15, -inf]
    """
    largest = log10_sizes.max(axis=0)
    shift = np.where(np.isfinite(largest), largest, 0.0)
    with np.errstate(divide="ignore"):
        return np.asarray(shift + 0.5 * np.log10(np.mean(10.0 ** (2 * (log10_sizes - shift)), axis=0)))
