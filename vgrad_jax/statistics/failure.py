"""Predictors of failure: each measurement at initialisation against the ending of the run.

A measurement predicts failure as well as its area under the ROC curve says. Many measurements are tried, so that
p-values are adjusted over all of them (false discovery rate).
"""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from vgrad_jax.errors import InputError
from vgrad_jax.results.reading import completed_seeds, experiments_of
from vgrad_jax.statistics.auc import area_under_roc
from vgrad_jax.statistics.initial import MEASUREMENTS, initial_measurements
from vgrad_jax.statistics.intervals import Estimate

if TYPE_CHECKING:
    import xarray

__all__ = ["ALL_ARMS", "FALSE_DISCOVERIES", "FEWEST", "Predictor", "label_of", "predictors", "rank"]

ALL_ARMS = "all arms together"
"""The scope of pooled runs: there an arm's identity is part of what a measurement knows."""

FEWEST = 5
"""Fewest converged and fewest failed runs of which a predictor is told."""

FALSE_DISCOVERIES = 0.05
"""Expected share of false ones among the predictors that are called real."""


class Predictor(NamedTuple):
    """A measurement at initialisation as a predictor that a run fails to converge."""

    scope: str
    """An arm, or `ALL_ARMS`."""
    measurement: str
    """A name from `MEASUREMENTS`, or `gradient_` and the layer."""
    area: Estimate | None
    """Chance that a failed run has a larger value than a converged run, ties counting one half.

    This is the area under the ROC curve, with DeLong's 95 % interval; None where it cannot be told.
    """
    p_value: float
    """Two-sided Mann-Whitney test that the measurement has nothing to do with the outcome; NaN without an area."""
    q_value: float
    """The same, adjusted for all measurements and scopes (Benjamini and Hochberg 1995)."""
    converged: int
    failed: int
    why_not: str
    """Reason why the area cannot be told; empty where it can."""

    @property
    def too_few(self) -> bool:
        """True where converged runs or failed runs are too few to tell."""
        return min(self.converged, self.failed) < FEWEST

    @property
    def strength(self) -> float:
        """The area in the better direction, 0.5 to 1; NaN where it cannot be told."""
        return math.nan if self.area is None else max(self.area.value, 1 - self.area.value)

    @property
    def direction(self) -> str:
        """The values that mean failure: "large", "small", or "" where the interval includes 0.5."""
        if self.area is None or self.area.low <= 0.5 <= self.area.high:
            return ""
        return "large" if self.area.value > 0.5 else "small"

    @property
    def real(self) -> bool:
        """True where the predictor stands out of all that were tried: q at most 5 %, and an interval without 0.5."""
        return self.q_value <= FALSE_DISCOVERIES and bool(self.direction)


def predictors(results: "xarray.Dataset") -> list[Predictor]:
    """Rank every measurement at initialisation, in every arm and in all arms together, the best of each scope first.

    A run fails when it does not converge within the budget or diverges. An interval is for its measurement alone: the
    best of many looks better than it is.

    Args:
        results: of a sweep, with one finished run of each arm at least.

    Returns:
        The arms in their order and then, with two or more, all arms together, with the measurements that all of them
        have. `q_value` is adjusted over the whole list.

    Raises:
        InputError: an arm without a finished run.
    """
    measured = {arm: initial_measurements(results, arm) for arm in experiments_of(results)}
    failed = {arm: ~completed_seeds(results, arm)["converged"].values for arm in measured}
    return rank(measured, failed)


def rank(
    measured: Mapping[str, Mapping[str, Float[np.ndarray, "_"]]], failed: Mapping[str, Bool[np.ndarray, "_"]]
) -> list[Predictor]:
    """Rank measurements that are given as values; `predictors` measures a sweep.

    Args:
        measured: arm to measurement to `(seed,)` values; arms may have different numbers of seeds.
        failed: arm to whether each run failed, `(seed,)`.

    Raises:
        InputError: values that are not one number for each run, or NaN among them.

    >>> values = np.arange(20.0)
    >>> (loss,) = rank({"a": {"loss": values}}, {"a": values > 9})
    >>> loss.area.value, loss.direction, loss.real, (loss.converged, loss.failed)
    (1.0, 'large', True, (10, 10))
    """
    from scipy.stats import false_discovery_control

    for arm, named in measured.items():
        for name, values in named.items():
            _check_values(arm, name, values, failed)
    ranked = [_predictor(arm, name, values, failed[arm]) for arm in measured for name, values in measured[arm].items()]
    if len(measured) > 1:
        shared = [name for name in next(iter(measured.values())) if all(name in values for values in measured.values())]
        together = np.concatenate([failed[arm] for arm in measured])
        for name in shared:
            ranked.append(
                _predictor(ALL_ARMS, name, np.concatenate([measured[arm][name] for arm in measured]), together)
            )
    tested = [index for index, each in enumerate(ranked) if each.area is not None]
    if tested:
        adjusted = false_discovery_control([ranked[index].p_value for index in tested])
        for index, q_value in zip(tested, adjusted, strict=True):
            ranked[index] = ranked[index]._replace(q_value=float(q_value))
    scopes = list(dict.fromkeys(each.scope for each in ranked))
    # Sorting is stable: what cannot be told keeps its order, last.
    return sorted(ranked, key=lambda each: (scopes.index(each.scope), -each.strength if each.area else 1.0))


def _check_values(arm: str, measurement: str, values: Float[np.ndarray, "_"], failed: Mapping[str, np.ndarray]) -> None:
    runs = len(failed.get(arm, ()))
    if arm not in failed or np.shape(values) != (runs,):
        raise InputError(
            f"measurement {measurement!r} of arm {arm!r} must have a value for each run of which `failed` tells the "
            f"ending; got shape {np.shape(values)} for {runs} runs: give both the same runs in the same order"
        )
    if missing := int(np.isnan(values).sum()):
        raise InputError(
            f"measurement {measurement!r} of arm {arm!r} must have a number for each run; got NaN for {missing} of "
            f"{runs} runs: leave these runs out, or give inf where a value is larger than any number"
        )


def label_of(measurement: str) -> str:
    """Return a measurement's name for figures and sentences.

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
