"""What predicts failure: each measurement at initialisation against whether the run converges."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from vgrad_jax.results.reading import arms_of, completed_seeds
from vgrad_jax.statistics.auc import area_under_roc
from vgrad_jax.statistics.initial import MEASUREMENTS, initial_measurements
from vgrad_jax.statistics.intervals import Estimate

if TYPE_CHECKING:
    import xarray

__all__ = ["ALL_ARMS", "FALSE_DISCOVERIES", "FEWEST", "Predictor", "label_of", "predictors", "rank"]

ALL_ARMS = "all arms together"
"""The scope of pooled runs: there an arm's identity is part of what a measurement knows."""

FEWEST = 5
"""Of converged and of failed runs: with fewer of either kind nothing is said."""

FALSE_DISCOVERIES = 0.05
"""Expected share of false ones among the predictors that are called real."""


class Predictor(NamedTuple):
    """How well one measurement at initialisation predicts that a run fails to converge."""

    scope: str
    """An arm, or `ALL_ARMS`."""
    measurement: str
    """A name from `MEASUREMENTS`, or `gradient_` and the layer."""
    area: Estimate | None
    """Chance that of a failed and a converged run the failed one has the larger value, ties counting one half (the
    area under the ROC curve), with DeLong's 95 % interval; None where it cannot be told."""
    p_value: float
    """Of the two-sided Mann-Whitney test that the measurement has nothing to do with the outcome; NaN without one."""
    q_value: float
    """The same, adjusted for all measurements and scopes (Benjamini and Hochberg 1995)."""
    converged: int
    failed: int
    why_not: str
    """Why it cannot be told; empty where it can."""

    @property
    def too_few(self) -> bool:
        """Whether there are too few converged or too few failed runs to tell."""
        return min(self.converged, self.failed) < FEWEST

    @property
    def strength(self) -> float:
        """The area in the better direction, 0.5 to 1; NaN where it cannot be told."""
        return math.nan if self.area is None else max(self.area.value, 1 - self.area.value)

    @property
    def direction(self) -> str:
        """Which values mean failure: "large", "small", or "" where the interval includes 0.5."""
        if self.area is None or self.area.low <= 0.5 <= self.area.high:
            return ""
        return "large" if self.area.value > 0.5 else "small"

    @property
    def real(self) -> bool:
        """Whether it stands out of the many that were tried: q at most 5 %, and the interval excludes 0.5."""
        return self.q_value <= FALSE_DISCOVERIES and bool(self.direction)


def predictors(results: "xarray.Dataset") -> list[Predictor]:
    """Every measurement at initialisation, in every arm and in all arms together, the best of each scope first.

    A run fails when it does not converge within the budget or diverges. Intervals are for one measurement each: the
    best of many looks better than it is.

    Args:
        results: of a sweep, with one finished run of each arm at least.

    Returns:
        The arms in their order and then, with two or more, all arms together, with the measurements that all of them
        have. `q_value` is adjusted over the whole list.

    Raises:
        InputError: an arm without a finished run.
    """
    measured = {arm: initial_measurements(results, arm) for arm in arms_of(results)}
    failed = {arm: ~completed_seeds(results, arm)["converged"].values for arm in measured}
    return rank(measured, failed)


def rank(
    measured: Mapping[str, Mapping[str, Float[np.ndarray, " seed"]]], failed: Mapping[str, Bool[np.ndarray, " seed"]]
) -> list[Predictor]:
    """`predictors` of values that are there already.

    Args:
        measured: arm to measurement to `(seed,)` values.
        failed: arm to whether each run failed.

    >>> values = np.arange(20.0)
    >>> (found,) = rank({"a": {"loss": values}}, {"a": values > 9})
    >>> found.area.value, found.direction, found.real, (found.converged, found.failed)
    (1.0, 'large', True, (10, 10))
    """
    from scipy.stats import false_discovery_control

    found = [_predictor(arm, name, values, failed[arm]) for arm in measured for name, values in measured[arm].items()]
    if len(measured) > 1:
        shared = [name for name in next(iter(measured.values())) if all(name in values for values in measured.values())]
        together = np.concatenate([failed[arm] for arm in measured])
        for name in shared:
            found.append(
                _predictor(ALL_ARMS, name, np.concatenate([measured[arm][name] for arm in measured]), together)
            )
    tested = [index for index, one in enumerate(found) if one.area is not None]
    if tested:
        adjusted = false_discovery_control([found[index].p_value for index in tested])
        for index, q_value in zip(tested, adjusted, strict=True):
            found[index] = found[index]._replace(q_value=float(q_value))
    scopes = list(dict.fromkeys(one.scope for one in found))
    # Sorting is stable: what cannot be told keeps its order, last.
    return sorted(found, key=lambda one: (scopes.index(one.scope), -one.strength if one.area else 1.0))


def label_of(measurement: str) -> str:
    """A measurement's name for figures and sentences.

    >>> label_of("gradient_0"), label_of("dead_share")
    ('gradient of layer 0', 'dead units')
    """
    if measurement in MEASUREMENTS:
        return MEASUREMENTS[measurement].label
    return f"gradient of layer {measurement.removeprefix('gradient_')}"


def _predictor(
    scope: str, measurement: str, values: Float[np.ndarray, " seed"], failed: Bool[np.ndarray, " seed"]
) -> Predictor:
    from scipy.stats import mannwhitneyu

    fails, converges = values[failed], values[~failed]
    counts = {"converged": len(converges), "failed": len(fails)}
    area, p_value = None, math.nan
    if min(counts.values()) < FEWEST:
        why_not = f"cannot be told: {len(converges)} converged and {len(fails)} failed, {FEWEST} of each are needed"
    elif (values == values[0]).all():
        why_not = f"cannot be told: it is the same for all {len(values)} runs"
    else:
        why_not = ""
        area = area_under_roc(fails, converges)
        p_value = float(mannwhitneyu(fails, converges, method="asymptotic").pvalue)
    return Predictor(scope, measurement, area, p_value, math.nan, why_not=why_not, **counts)
