"""Numbers that may be infinite or NaN: quantiles and root mean squares over runs, shares, values for JSON.

Sizes of gradients are log10 of a root mean square. A gradient of exactly zero has the size -inf, which no mean or
interpolation can take. Quantiles here are therefore elements of the sample by default: the element with the index
`floor(share * (n - 1))` in increasing order.

     share   0 ......... 0.5 ......... 1
    sample  -inf   -4.1   -3.0   -2.2         0.5 * (4 - 1) = 1.5, index 1: the lower median is -4.1
"""

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

__all__ = [
    "LEVEL",
    "Z",
    "finite_quantiles",
    "json_value",
    "lower_median",
    "lower_quantile",
    "rms_over_seeds",
    "sigmoid",
    "student_quantile",
    "wilson",
]

LEVEL = 0.95
"""Share of studies whose interval covers the truth, of every interval that the package gives."""


Z = 1.959963984540054
"""Quantile of the standard normal for `LEVEL`, two-sided."""


def lower_quantile(values: ArrayLike, share: float, *, axis: int = 0, skip_nan: bool = False) -> Any:
    """Return the lower quantile of a sample: an element of the sample, never a mean of two.

    Args:
        values: the sample, along `axis`; one element at least.
        share: of elements below the quantile, 0 to 1.
        axis: the sample's axis, which the result lacks.
        skip_nan: leave NaN out of the sample; otherwise NaN counts as larger than every number. A sample of nothing
            but NaN has the quantile NaN.

    >>> lower_quantile([3.0, -np.inf, 2.0, 1.0], 0.5).item()
    1.0
    >>> lower_quantile([3.0, np.nan, 2.0, 1.0], 1.0, skip_nan=True).item()
    3.0
    """
    sample = np.asarray(values)
    ordered = np.sort(sample, axis=axis)  # NaN is last.
    if not skip_nan:
        return np.take(ordered, int(share * (sample.shape[axis] - 1)), axis=axis)
    index = np.maximum((share * (np.sum(~np.isnan(sample), axis=axis) - 1)).astype(int), 0)
    return np.take_along_axis(ordered, np.expand_dims(index, axis), axis=axis).squeeze(axis)


def lower_median(values: ArrayLike, *, axis: int = 0, skip_nan: bool = False) -> Any:
    """Return the lower median of a sample: its middle element, or the smaller one of two.

    Args:
        values: the sample, along `axis`; one element at least.
        axis: the sample's axis, which the result lacks.
        skip_nan: as for `lower_quantile`.

    >>> lower_median([[1.0, -np.inf], [2.0, 0.0]]).tolist()
    [1.0, -inf]
    """
    return lower_quantile(values, 0.5, axis=axis, skip_nan=skip_nan)


def finite_quantiles(values: Float[np.ndarray, "seed ..."], shares: Sequence[float]) -> Float[np.ndarray, "share ..."]:
    """Return quantiles over seeds with linear interpolation, of the finite elements of each column.

    Args:
        values: the samples; elements that are not finite are left out.
        shares: of elements below each quantile.

    Returns:
        NaN for a column without a finite element.

    >>> finite_quantiles(np.array([[1.0, np.nan], [2.0, np.inf], [4.0, -np.inf]]), [0.25, 0.5]).tolist()
    [[1.5, nan], [2.0, nan]]
    """
    if np.isfinite(values).all():
        return np.asarray(np.quantile(values, shares, axis=0))
    flat = values.reshape(len(values), -1)
    columns = [column[np.isfinite(column)] for column in flat.T]
    quantiles = [np.quantile(column, shares) if len(column) else np.full(len(shares), np.nan) for column in columns]
    return np.stack(quantiles, axis=1).reshape(len(shares), *values.shape[1:])


def rms_over_seeds(log10_sizes: Float[np.ndarray, "seed layer"]) -> Float[np.ndarray, " layer"]:
    """Return log10 of the root mean square over seeds, of sizes given as log10.

    Sizes are divided by the largest one before they are squared, so that no square underflows.

    >>> rms_over_seeds(np.array([[-200.0, 0.0, -np.inf], [-200.0, -np.inf, -np.inf]])).round(2).tolist()
    [-200.0, -0.15, -inf]
    """
    largest = log10_sizes.max(axis=0)
    shift = np.where(np.isfinite(largest), largest, 0.0)
    with np.errstate(divide="ignore"):
        return np.asarray(shift + 0.5 * np.log10(np.mean(10.0 ** (2 * (log10_sizes - shift)), axis=0)))


def wilson(
    shares: ArrayLike | float, n: ArrayLike | float | int, *, z: float = Z
) -> tuple[Float[np.ndarray, "*shares"], Float[np.ndarray, "*shares"]]:
    """Compute Wilson's (1927) score interval of shares, which covers near 0 and 1 too.

    Args:
        shares: observed, 0 to 1.
        n: number of runs behind each share; need not be whole.
        z: standard errors on either side; the default has a level of 95 %.

    Returns:
        Lower and upper bounds.
    """
    shares, n = np.asarray(shares, np.float64), np.asarray(n, np.float64)
    with np.errstate(invalid="ignore"):
        centre = (2 * n * shares + z**2) / (2 * (n + z**2))
        half = z / (2 * (n + z**2)) * np.sqrt(4 * n * shares * (1 - shares) + z**2)
    low = np.where(shares <= 0, 0.0, np.clip(centre - half, 0, 1))
    high = np.where(shares >= 1, 1.0, np.clip(centre + half, 0, 1))
    return low, high


def sigmoid(values: ArrayLike | float) -> Any:
    """Return `1 / (1 + exp(-x))` without overflow.

    >>> sigmoid(np.array([-1000.0, 0.0, 1000.0])).tolist()
    [0.0, 0.5, 1.0]
    """
    return 0.5 * (1 + np.tanh(0.5 * np.asarray(values, np.float64)))


@lru_cache(maxsize=256)
def student_quantile(freedom: int, probability: float) -> float:
    """Return a quantile of Student's t, by bisection of its distribution function.

    The function is a finite sum for whole degrees of freedom (Abramowitz and Stegun 1964, 26.7.3 and 26.7.4). Verdicts
    thus need no further package.

    Args:
        freedom: degrees of freedom, 1 or more.
        probability: 0.5 or more, below 1.

    >>> round(student_quantile(10, 0.975), 4)
    2.2281
    """
    odd = freedom % 2
    number = np.arange(1, (freedom - odd) // 2)
    ratios = 2 * number / (2 * number + 1) if odd else (2 * number - 1) / (2 * number)
    weights = np.cumprod(np.concatenate([[1.0], ratios]))
    low, high = 0.0, 0.5 * math.pi
    for _ in range(60):
        angle = 0.5 * (low + high)
        sine, cosine = math.sin(angle), math.cos(angle)
        series = sine * float(weights @ cosine ** (2 * np.arange(len(weights)) + odd))
        between = 2 / math.pi * (angle + series * (freedom > 1)) if odd else series
        low, high = (angle, high) if between < 2 * probability - 1 else (low, angle)
    return math.sqrt(freedom) * math.tan(0.5 * (low + high))


def json_value(value: Any) -> Any:
    """Return a value that JSON can hold: numbers that are not finite become the texts "inf", "-inf" and "nan".

    Named tuples and mappings become dictionaries, other sequences and arrays lists. Text, whole numbers, booleans and
    None stay.

    >>> json_value({"size": -math.inf, "sizes": np.array([1.5, np.nan])})
    {'size': '-inf', 'sizes': [1.5, 'nan']}
    """
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if hasattr(value, "_asdict"):
        value = value._asdict()
    if isinstance(value, Mapping):
        return {name: json_value(element) for name, element in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [json_value(element) for element in value]
    return value
