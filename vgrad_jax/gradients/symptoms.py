"""Thresholds, and what rules ask of the evidence.

Thresholds were chosen on one half of a labelled set of models and are measured on the other; docs/verdicts.md has both.
"""

import math

import numpy as np

from vgrad_jax.gradients.evidence import Evidence

__all__ = [
    "DROP",
    "INSENSITIVE",
    "GROWTH",
    "STALLED",
    "LEARNED",
    "HARDLY",
    "WORSE",
    "SMALL_UPDATE",
    "LARGE_UPDATE",
    "REPLACED",
    "SATURATED",
    "overgrown",
    "harmed",
    "stalled",
    "learns",
    "lost",
    "faded",
    "largest",
]

DROP = 2.5
"""Decades over the depth from which the gradient counts as attenuated; with one look only, one more half."""
INSENSITIVE = -3.0
"""log10 of the sensitivity below which the loss does not feel the layers on the input side."""
GROWTH = 1.5
"""Decades that preactivations may grow by; Gaussian ReLU layers with variance 2 / fan-in keep their size on average."""
STALLED = 0.03
"""A loss that falls by less than this share of itself over the late four fifths of the records does not learn."""
LEARNED = 0.02
"""Share of the first loss below which nothing is left to learn."""
HARDLY = 0.9
"""A loss above this share of the first one has hardly fallen."""
WORSE = 1.5
"""Multiple of the first loss above which training has done harm."""
SMALL_UPDATE = -3.3
"""log10 of update over weights; a usual aim is about -3 (Karpathy 2022, "makemore" part 3)."""
LARGE_UPDATE = -1.0
"""log10 of update over weights from which a single step changes a good part of the weights."""

REPLACED = 2.0
"""log10 of update over weights at which the first step leaves nothing of them."""
SATURATED = 0.5
"""Share of saturated outputs."""


def overgrown(e: Evidence) -> bool:
    """Whether signals grow through the layers at first; where that is unknown, whether a step replaces the weights."""
    if e.growth is not None:
        return e.growth > GROWTH
    first = e.update_ratio_log10
    return first is not None and largest(first[0]) > REPLACED


def harmed(e: Evidence) -> bool:
    """Whether training made it worse."""
    if e.first_broken is not None and e.first_broken > 0:
        return True
    if e.loss_ratio is not None and e.loss_ratio > WORSE:
        return True
    killed = np.isneginf(e.late_profile).any() and not np.isneginf(e.first_profile).any()
    large = e.update_ratio_log10 is not None and largest(e.update_ratio_log10[0]) > LARGE_UPDATE
    return bool(killed and large and not learns(e))


def stalled(e: Evidence) -> bool:
    """Whether the loss has stopped to fall."""
    return e.late_fall is not None and e.late_fall <= STALLED


def learns(e: Evidence) -> bool:
    """Whether the loss falls, or has fallen to nothing: whatever a gradient looks like, it works."""
    if e.loss_ratio is None or e.first_broken is not None:
        return False
    return e.loss_ratio < LEARNED or (e.late_fall is not None and e.late_fall > STALLED and e.loss_ratio < 1)


def lost(e: Evidence) -> bool:
    """Whether the gradient does not reach the input side, and nothing is learned."""
    if e.first_broken is not None or learns(e):
        return False
    with_time = e.loss_ratio is not None
    if e.drop >= (DROP if with_time else DROP + 0.5):
        return True
    if e.sensitivity is None:
        return False
    front = np.sort(e.sensitivity[0][: max(1, len(e.paths) // 2)])
    return bool(front[(len(front) - 1) // 2] < INSENSITIVE and not np.isneginf(front).all())


def faded(e: Evidence) -> bool:
    """Whether zeros are the end of a steady decay over the depth, and not of units that are off."""
    finite = e.first_profile[np.isfinite(e.first_profile)]
    return bool(len(finite) >= 3 and finite.min() < -25 and np.ptp(finite) > 10)


def largest(values: np.ndarray) -> float:
    """The largest of the numbers, without missing and infinite ones; NaN where there are none."""
    known = values[~np.isnan(values) & ~np.isposinf(values)]
    return float(known.max()) if len(known) else math.nan
