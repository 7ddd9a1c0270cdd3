"""Symptoms: predicates on the evidence that several rules share."""

import math

import numpy as np
from jaxtyping import Float

from vgrad_jax.diagnosis.evidence import Evidence
from vgrad_jax.diagnosis.statuses import (
    DROP,
    DROP_WITHOUT_TIME,
    FADED_RANGE,
    FADED_SIZE,
    FEWEST_LAYERS,
    GROWTH,
    INSENSITIVE,
    LARGE_UPDATE,
    LEARNED,
    REPLACED,
    STALLED,
    WORSE,
)
from vgrad_jax.numerics import lower_median

__all__ = ["faded", "harmed", "largest", "learns", "lost", "overgrown", "stalled"]


def overgrown(e: Evidence) -> bool:
    """Return whether signals grow through the layers at first.

    Where preactivations are unknown, a first step that replaces the weights tells it.
    """
    if e.growth is not None:
        return e.growth > GROWTH
    return e.update_ratio_log10 is not None and largest(e.update_ratio_log10[0]) > REPLACED


def harmed(e: Evidence) -> bool:
    """Return whether training made the network worse: not finite, a larger loss, or layers killed by large steps."""
    if e.first_broken is not None and e.first_broken > 0:
        return True
    if e.loss_ratio is not None and e.loss_ratio > WORSE:
        return True
    killed = np.isneginf(e.late_profile).any() and not np.isneginf(e.first_profile).any()
    large = e.update_ratio_log10 is not None and largest(e.update_ratio_log10[0]) > LARGE_UPDATE
    return bool(killed and large and not learns(e))


def stalled(e: Evidence) -> bool:
    """Return whether the loss has stopped falling."""
    return e.late_fall is not None and e.late_fall <= STALLED


def learns(e: Evidence) -> bool:
    """Return whether the loss falls, or has fallen to nothing: whatever the gradient looks like, it works."""
    if e.loss_ratio is None or e.first_broken is not None:
        return False
    return e.loss_ratio < LEARNED or (e.late_fall is not None and e.late_fall > STALLED and e.loss_ratio < 1)


def lost(e: Evidence) -> bool:
    """Return whether the gradient does not reach the input side, and nothing is learned."""
    if e.first_broken is not None or learns(e):
        return False
    if e.drop >= (DROP if e.loss_ratio is not None else DROP_WITHOUT_TIME):
        return True
    if e.sensitivity is None:
        return False
    front = e.sensitivity[0][: max(1, len(e.paths) // 2)]
    return bool(lower_median(front) < INSENSITIVE and not np.isneginf(front).all())


def faded(e: Evidence) -> bool:
    """Return whether zeros are the end of a steady decay over the depth, and not of units that are off."""
    finite = e.first_profile[np.isfinite(e.first_profile)]
    return bool(len(finite) >= FEWEST_LAYERS and finite.min() < FADED_SIZE and np.ptp(finite) > FADED_RANGE)


def largest(values: Float[np.ndarray, "..."]) -> float:
    """Return the largest of the numbers, without missing and infinite ones; NaN where there are none.

    >>> largest(np.array([-3.0, np.inf, -1.0, np.nan]))
    -1.0
    """
    known = values[~np.isnan(values) & ~np.isposinf(values)]
    return float(known.max()) if len(known) else math.nan
