"""Numbers of a profile: a gradient's log10 size by layer."""

import math

import numpy as np
from jaxtyping import Float

from vgrad_jax.diagnosis.thresholds import FEWEST_LAYERS
from vgrad_jax.numerics import LEVEL, lower_median, student_quantile

__all__ = ["drop_of", "largest", "straight_line"]

MOST_LAYERS_WITH_OUTPUT = 1
"""Number of layers up to which the output layer takes part in `drop`."""


def drop_of(profile: Float[np.ndarray, " layer"]) -> float:
    """Return the decades by which a gradient is smaller on the input side than on the output side.

    Medians of a third of the layers each. The output layer is left out, because its gradient follows another law.

    >>> drop_of(np.array([-5.0, -4.0, -3.0, -2.0, 4.0]))
    3.0
    """
    hidden = profile[:-1] if len(profile) > MOST_LAYERS_WITH_OUTPUT else profile
    third = max(1, len(hidden) // 3)
    low, high = float(lower_median(hidden[:third])), float(lower_median(hidden[-third:]))
    return high - low if math.isfinite(high) and not math.isnan(low) else 0.0


def largest(values: Float[np.ndarray, "..."]) -> float:
    """Return the largest of the numbers, without missing and infinite ones; NaN where there are none.

    >>> largest(np.array([-3.0, np.inf, -1.0, np.nan]))
    -1.0
    """
    known = values[~np.isnan(values) & ~np.isposinf(values)]
    return float(known.max()) if len(known) else math.nan


def straight_line(profile: Float[np.ndarray, " layer"]) -> tuple[float, float, float]:
    """Fit a line to the finite values over the layers' indices (least squares).

    Returns:
        The slope and its 95 % interval (Student's t); NaN for fewer than three finite values.

    >>> [round(number, 3) for number in straight_line(np.array([-4.0, -3.0, -2.0, -1.0]))]
    [1.0, 1.0, 1.0]
    """
    depth = np.flatnonzero(np.isfinite(profile)).astype(float)
    if len(depth) < FEWEST_LAYERS:
        return math.nan, math.nan, math.nan
    values = profile[np.isfinite(profile)]
    offset = depth - depth.mean()
    slope = float(offset @ values / (offset @ offset))
    residual = values - values.mean() - slope * offset
    error = math.sqrt(float(residual @ residual) / (len(depth) - 2) / float(offset @ offset))
    half = student_quantile(len(depth) - 2, (1 + LEVEL) / 2) * error
    return slope, slope - half, slope + half
