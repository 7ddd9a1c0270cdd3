"""Typical values of a quantity over runs, with intervals."""

from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float, Int

from vgrad_jax.errors import InputError
from vgrad_jax.numerics import LEVEL
from vgrad_jax.statistics.intervals import Estimate

__all__ = ["Distribution", "distribution", "interquartile_mean", "quantile_of"]

RESAMPLES = 2000
COUNTS_AT_ONCE = 2**20
TRIMMED = 0.25


class Distribution(NamedTuple):
    """Typical values of a quantity over runs."""

    interquartile_mean: Estimate
    """Mean of the middle half, with its bootstrap 95 % interval."""
    low: Estimate
    """10 % quantile. Quantiles have distribution-free 95 % intervals, with an infinite bound where runs are too few."""
    median: Estimate
    high: Estimate
    """90 % quantile."""


def distribution(values: np.ndarray, key: jax.Array) -> Distribution:
    """Compute interquartile mean, median, 10 % and 90 % quantiles, with intervals.

    Agarwal and others (2021, "Deep reinforcement learning at the edge of the statistical precipice") recommend the
    interquartile mean over mean and median. Its interval is the percentile bootstrap's. Quantiles have the interval
    that inverts the sign test. The bootstrap's interval of a quantile covers too little: 93 % for the 10 % quantile of
    128 runs.

    Args:
        values: `(runs,)`, a finite value for each run.
        key: of the resampling; the same key gives the same interval.

    Raises:
        InputError: no value, or a value that is not finite.

    >>> accuracy = distribution(np.arange(100.0), jax.random.key(0))
    >>> accuracy.interquartile_mean.value, accuracy.median
    (49.5, Estimate(value=49.5, low=39.0, high=60.0, n=100))
    """
    values = np.asarray(values, np.float64)
    if values.ndim != 1 or not len(values) or not np.isfinite(values).all():
        raise InputError(
            f"a distribution needs a finite value for each run, and a run at least; got values of shape {values.shape}"
        )
    ordered = np.sort(values)
    return Distribution(interquartile_mean(ordered, key), *(quantile_of(ordered, share) for share in (0.1, 0.5, 0.9)))


def interquartile_mean(values: Float[np.ndarray, " runs"], key: jax.Array) -> Estimate:
    """Compute the mean of the middle half of runs, with its percentile bootstrap interval.

    A resample is held as a count for each distinct value. Accuracies on 500 rows have 501 values at the most, however
    many runs there are.
    """
    n = len(values)
    distinct, counts = np.unique(values, return_counts=True)
    rng = np.random.default_rng(np.asarray(jax.random.key_data(key)).ravel())
    together = max(COUNTS_AT_ONCE // len(distinct), 1)
    resampled = np.concatenate(
        [
            _trimmed_means(distinct, rng.multinomial(n, counts / n, min(together, RESAMPLES - start)))
            for start in range(0, RESAMPLES, together)
        ]
    )
    low, high = np.quantile(resampled, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(float(_trimmed_means(distinct, counts[None])[0]), float(low), float(high), n)


def _trimmed_means(
    distinct: Float[np.ndarray, " values"], counts: Int[np.ndarray, "resamples values"]
) -> Float[np.ndarray, " resamples"]:
    """Compute means without the lowest and the highest quarter of runs, of runs given as a count for each value."""
    n = int(counts[0].sum())
    cut = int(TRIMMED * n)
    kept = np.diff(np.clip(counts.cumsum(axis=1), cut, n - cut), axis=1, prepend=cut)
    return kept @ distinct / (n - 2 * cut)


def quantile_of(values: Float[np.ndarray, " runs"], share: float) -> Estimate:
    """Compute a quantile of ordered values, with the interval that inverts the sign test."""
    from scipy.stats import quantile_test

    value = float(np.quantile(values, share))
    interval = quantile_test(values, q=value, p=share).confidence_interval(LEVEL)
    low, high = float(interval.low), float(interval.high)
    return Estimate(value, -np.inf if np.isnan(low) else low, np.inf if np.isnan(high) else high, len(values))
