"""Symptoms: predicates on the evidence that several rules share."""

import math

import numpy as np

from vgrad_jax.diagnosis.bad_starts import (
    fell_from_a_bad_start,
    fell_to_a_plateau,
    grew_into_a_fit,
    targets_are_far,
)
from vgrad_jax.diagnosis.evidence import Evidence
from vgrad_jax.diagnosis.profiles import largest
from vgrad_jax.diagnosis.thresholds import (
    DROP,
    DROP_WITHOUT_TIME,
    FADED_RANGE,
    FADED_SIZE,
    FEWEST_LAYERS,
    FEWEST_RECORDS,
    GROWTH,
    HALF_WAY,
    HARDLY,
    INSENSITIVE,
    LARGE_UPDATE,
    LEARNED,
    MANY_ROWS,
    MOST_SENSITIVE,
    NEAR_CHANCE,
    NEVER_MOVED,
    NEVER_REACHED,
    ONE_SIDED,
    REMEMBERED,
    REPLACED,
    SIGNIFICANT,
    SMALL_UPDATE,
    STALLED,
    WITHOUT_EFFECT,
    WORSE,
)
from vgrad_jax.numerics import lower_median

__all__ = [
    "broke_by_steps",
    "died_but_one",
    "faded",
    "fell",
    "has_learned",
    "has_surely_learned",
    "in_reverse",
    "is_solved",
    "killed_by_steps",
    "learned_by_one_layer",
    "lost",
    "never_reached",
    "overgrown",
    "rose",
    "stalled",
    "steps_are_small",
    "steps_were_large",
    "updates_stopped_at",
    "weak_layers",
]


def overgrown(e: Evidence) -> bool:
    """Return whether signals grow through the layers at first.

    Where preactivations are unknown, a first step that replaces the weights tells it.
    """
    if e.growth is not None:
        return e.growth > GROWTH
    return e.from_start and e.update_ratio_log10 is not None and largest(e.update_ratio_log10[0]) > REPLACED


def has_learned(e: Evidence) -> bool:
    """Return whether the loss is well below what a network that has learned nothing has: it works."""
    if e.course is None or e.remaining is None or e.stays_broken:
        return False
    if e.remaining >= e.hardly and not (e.chance is None and e.course.fell_at_all and grew_into_a_fit(e)):
        return False
    # The chance of a few rows may be off by as much: the loss must have fallen from its own start too.
    if e.course.ends_at_chance or (e.remaining >= HARDLY and not e.course.fell_at_all):
        return False
    if fell_to_a_plateau(e) or fell_from_a_bad_start(e) or _is_chance_of_another_batch(e):
        return False
    if e.course.relapses or e.course.came_back:
        return False
    return not learned_by_one_layer(e)


def _is_chance_of_another_batch(e: Evidence) -> bool:
    """Return whether a loss that has not come far is below chance by no more than batches differ.

    Chance is that of one batch, unless its rows are many. Nine in ten batches have one that is less than `ONE_SIDED`
    deviations larger.
    """
    course = e.course
    if course is None or e.chance is None or e.chance_rows is None or not math.isfinite(course.spread):
        return False
    near = e.remaining is not None and e.remaining > NEAR_CHANCE
    return bool(near and e.chance_rows < MANY_ROWS and e.chance - course.late < ONE_SIDED * course.spread)


def is_of_the_end_alone(e: Evidence) -> bool:
    """Return whether only the last few steps of a training were recorded, as by a recorder without a history."""
    return not e.from_start and e.records < FEWEST_RECORDS


def has_surely_learned(e: Evidence) -> bool:
    """Return whether the loss is below what chance could have; far below its start, where chance is not known."""
    return has_learned(e) and (e.chance is not None or e.remaining is None or e.remaining < HALF_WAY)


def learned_by_one_layer(e: Evidence) -> bool:
    """Return whether all but one layer ended without a gradient, or never had one that could move them.

    Whatever the loss lost then, it lost from a bad start: a single layer finds no more than a constant or a few
    directions. Layers that had exactly none at first, such as frozen ones, do not count.
    """
    return died_but_one(e) or never_reached(e)


def died_but_one(e: Evidence) -> bool:
    """Return whether all layers but one had a gradient at first and have exactly none over the late window."""
    gone = np.isneginf(e.log10_rms[e.late]).all(axis=0)
    began = np.isfinite(e.first_profile)
    return bool(e.records > 1 and len(e.paths) > 1 and gone.sum() == len(e.paths) - 1 and began.all())


def never_reached(e: Evidence) -> bool:
    """Return whether all layers but one have a gradient many decades smaller, at first and late, and never moved."""
    if len(e.paths) < 2 or e.records < 2 or not e.from_start or e.update_ratio_log10 is None:
        return False

    def apart(profile: np.ndarray) -> float:
        ordered = np.sort(profile)
        return float(ordered[-1] - ordered[-2]) if np.isfinite(ordered).all() else 0.0

    if min(apart(e.first_profile), apart(e.late_profile)) < NEVER_REACHED:
        return False
    others = np.delete(e.update_ratio_log10, int(np.argmax(e.first_profile)), axis=1)
    return largest(others) < NEVER_MOVED


def updates_stopped_at(e: Evidence) -> int | None:
    """Return the step from which on no update moves a weight, for half of the records or more."""
    if e.update_ratio_log10 is None or e.params_log10_rms is None or e.step is None or e.records < FEWEST_RECORDS:
        return None
    if e.from_start and largest(e.first_profile) - largest(e.late_profile) > REMEMBERED:
        return None  # Adam's mean of squares remembers the first gradients: no schedule stopped these updates.
    tiny = (np.isneginf(e.update_ratio_log10) | (e.update_ratio_log10 < NEVER_MOVED)).all(axis=1)
    still = tiny & np.isfinite(e.log10_rms).any(axis=1)
    first = e.records - int(np.argmin(still[::-1])) if not still.all() else 0
    if not 0 < first <= e.records // 2:
        return None
    # Between records that saw no update others may have moved the weights, as with accumulated gradients.
    weights = e.params_log10_rms[first:]
    fixed = np.isclose(weights, weights[-1], rtol=0, atol=10**NEVER_MOVED * (e.step[-1] - e.step[first])).all()
    return int(e.step[first]) if fixed else None


def is_solved(e: Evidence) -> bool:
    """Return whether nothing is left of the loss."""
    if e.course is None or e.remaining is None or e.stays_broken or e.remaining >= LEARNED:
        return False
    if e.course.ends_at_chance or e.course.relapses or fell_from_a_bad_start(e):
        return False
    return not learned_by_one_layer(e)


def fell(e: Evidence) -> bool:
    """Return whether the late loss is below its start, by more than its scatter and a tenth of it."""
    course = e.course
    if course is None or not course.from_start or not math.isfinite(course.late):
        return False
    return course.fall > max(SIGNIFICANT * course.error, (1 - HARDLY) * abs(course.start))


def stalled(e: Evidence) -> bool:
    """Return whether the loss has stopped falling."""
    return e.late_fall is not None and e.late_fall <= STALLED


def rose(e: Evidence) -> bool:
    """Return whether the late loss is above its start, by more than its scatter and by half of the start."""
    return e.course is not None and e.course.from_start and e.course.rise > WORSE


def steps_were_large(e: Evidence) -> bool:
    """Return whether the first steps changed a good part of the weights, and the loss leapt up or the layers died."""
    if not e.from_start or e.updates is None or not largest(e.updates[: max(1, len(e.updates) // 10)]) > LARGE_UPDATE:
        return False
    return killed_by_steps(e) or bool(e.course is not None and e.course.leapt)


def killed_by_steps(e: Evidence) -> bool:
    """Return whether layers lost their gradient later, although it had not vanished before the first step."""
    killed = np.isneginf(e.late_profile).any() and not np.isneginf(e.first_profile).any()
    return bool(killed) and e.drop < DROP


def broke_by_steps(e: Evidence) -> bool:
    """Return whether numbers stopped being finite because of the steps: the loss was rising or updates were large."""
    step = e.break_step
    if step is None or step == 0 or not e.stays_broken:
        return False
    before = e.update_before_break
    if before is None and e.update_ratio_log10 is not None and e.first_broken:
        before = largest(e.update_ratio_log10[e.first_broken - 1])
    if before is not None and before > LARGE_UPDATE:
        return True
    first = e.course.first if e.course is not None else None
    last = e.loss_before_break
    if last is None and e.loss is not None and e.first_broken:
        last = float(e.loss[e.first_broken - 1])
    if first is not None and last is not None and last - first > WORSE * abs(first):
        return True
    if not e.first_broken or not e.from_start:
        return False
    return largest(e.log10_rms[e.first_broken - 1]) - largest(e.first_profile) > DROP


def weak_layers(e: Evidence) -> np.ndarray:
    """Return True for layers by whose size the first loss changes by less than a thousandth."""
    if e.sensitivity is None:
        return np.zeros(len(e.paths), bool)
    return np.asarray((e.sensitivity[0] < INSENSITIVE) & ~np.isneginf(e.sensitivity[0]))


def lost(e: Evidence) -> bool:
    """Return whether the gradient does not reach some layers at first, and nothing is learned.

    The order of the layers may be only that of names. A gradient that grows towards the input may then be a vanishing
    one in reverse. No layer changes the loss by much then, and the smallest ones not at all.
    """
    if never_reached(e):
        return True
    if not e.from_start or e.break_step == 0 or broke_by_steps(e) or has_learned(e):
        return False
    if e.drop >= (DROP if e.remaining is not None else DROP_WITHOUT_TIME):
        return True
    if e.sensitivity is None:
        return False
    if e.drop <= -DROP_WITHOUT_TIME and in_reverse(e):
        return True
    if targets_are_far(e):
        return False
    most = max(largest(e.sensitivity[0]), largest(lower_median(e.sensitivity)))
    if most < WITHOUT_EFFECT and e.records >= FEWEST_RECORDS:  # Weights that start at zero have an effect later.
        return True
    front = e.sensitivity[0][: max(1, len(e.paths) // 2)]
    deep = len(e.paths) >= FEWEST_LAYERS
    return bool(deep and lower_median(front) < INSENSITIVE and not np.isneginf(front).all())


def in_reverse(e: Evidence) -> bool:
    """Return whether layers are so insensitive that a gradient which seems to grow is one that vanishes."""
    if e.sensitivity is None or e.before is not None:
        return False
    return bool(weak_layers(e).any() and largest(e.sensitivity[0]) < MOST_SENSITIVE)


def faded(e: Evidence) -> bool:
    """Return whether zeros are the end of a steady decay over the depth, and not of units that are off."""
    finite = e.first_profile[np.isfinite(e.first_profile)]
    return bool(len(finite) >= FEWEST_LAYERS and finite.min() < FADED_SIZE and np.ptp(finite) > FADED_RANGE)


def steps_are_small(e: Evidence) -> bool:
    """Return whether updates were small over the training, in the median of its records."""
    return e.typical_update <= SMALL_UPDATE
