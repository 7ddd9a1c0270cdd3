"""Symptoms of a loss that fell from a bad start, as far as a record without the loss of chance can tell.

The loss of a network that starts with outputs far too large or too small falls to chance, and learns nothing. Where
chance is known, the loss itself tells it. Where it is not, other signs do: what the weights did, the shape of the fall,
and the first sensitivity. Most of them do not depend on a factor of the loss.
"""

import math

import numpy as np
from jaxtyping import Float

from vgrad_jax.diagnosis.evidence import Evidence
from vgrad_jax.diagnosis.profiles import largest
from vgrad_jax.diagnosis.thresholds import (
    AMPLIFIES,
    FAR_BELOW,
    FAR_LEFT,
    FAR_LOSS,
    FAR_SENSITIVITY,
    FAR_SQUARE,
    FEWEST_RECORDS,
    GROWN_WEIGHTS,
    HALF_WAY,
    HARDLY,
    HUGE_OUTPUTS,
    LARGE_OUTPUTS,
    MANY_RECORDS,
    MOST_FLAT,
    MOVED,
    NOISY,
    SHRUNK_A_BIT,
    SHRUNK_WEIGHTS,
    SIGNIFICANT,
    STALLED,
    USUAL_CHANCE,
)
from vgrad_jax.numerics import lower_median

__all__ = [
    "fell_from_a_bad_start",
    "fell_to_a_plateau",
    "grew_into_a_fit",
    "kernel_gains",
    "kernels_amplify",
    "outputs_were_huge",
    "targets_are_far",
    "weights_decayed",
    "weights_grew_most",
]


FEWEST_ELEMENTS = 2
"""Number of elements from which a layer has weights that may decay; a constant of a model is a number alone."""


def fell_from_a_bad_start(e: Evidence) -> bool:
    """Return whether the loss may have fallen to chance alone, which is not known: nothing shows that it learned."""
    if e.chance is not None or e.course is None or e.remaining is None or not e.from_start:
        return False
    if targets_are_far(e):
        return e.remaining > FAR_LEFT
    if e.course.is_offset:
        return False
    if weights_decayed(e) and not depends_on_weights(e):
        return True
    if outputs_were_huge(e) and e.course.late > USUAL_CHANCE:
        return True
    if e.records < FEWEST_RECORDS or not e.remaining > MOST_FLAT:
        return False
    grew = weights_grew_most(e)
    return grew is not None and grew < -MOVED


def depends_on_weights(e: Evidence) -> bool:
    """Return whether the late loss changes by a good part of itself with the size of some layer's weights."""
    if e.sensitivity is None:
        return True
    return largest(lower_median(e.sensitivity[e.late])) > FAR_SENSITIVITY


def weights_grew_most(e: Evidence) -> float | None:
    """Return the decades by which the weights of the layer that grew most did; None where no size changed at all.

    To learn, outputs must follow the inputs more than at first, or in another way, so that weights mostly grow. To
    fall from a bad start to chance they only have to shrink.
    """
    if e.params_log10_rms is None:
        return None
    first, late = e.params_log10_rms[0], lower_median(e.params_log10_rms[e.late])
    if not (np.isfinite(first).all() and np.isfinite(late).all()):
        return None  # Weights of zero grow beyond all bounds.
    changes = (late - first)[(e.params_log10_rms != first).any(axis=0)]  # Frozen layers tell nothing.
    return float(changes.max()) if np.abs(changes).max(initial=0.0) > MOVED else None


def grew_into_a_fit(e: Evidence) -> bool:
    """Return whether a layer's weights grew while every layer's gradient shrank: larger outputs that fit better."""
    grew = weights_grew_most(e)
    return grew is not None and grew > GROWN_WEIGHTS and bool((e.shrinkage > SHRUNK_A_BIT).all())


def outputs_were_huge(e: Evidence) -> bool:
    """Return whether a loss that fell was huge at first, and a layer changed it by more than itself: huge outputs."""
    if e.sensitivity is None or e.loss is None or not e.from_start or not e.loss[0] > FAR_LOSS:
        return False
    if e.course is None or not e.course.late < HARDLY * e.course.start:
        return False
    value = largest(e.sensitivity[0])
    if value > HUGE_OUTPUTS and e.course.late > FAR_LOSS:
        return True  # A sum of many squares has as large a start, and ends below.
    return value > LARGE_OUTPUTS and e.course.late < FAR_BELOW * e.course.start


def kernel_gains(e: Evidence) -> Float[np.ndarray, " layer"]:
    """Return log10 of each kernel's gain before training, as if it were square; NaN where it is not known."""
    if e.params_log10_rms is None:
        return np.full(len(e.paths), math.nan)
    return np.asarray(e.params_log10_rms[0] + 0.25 * np.log10(e.counts))


def kernels_amplify(e: Evidence) -> bool:
    """Return whether a kernel makes signals grow before training, so that large inputs are not to blame."""
    return largest(kernel_gains(e)) > AMPLIFIES


def fell_to_a_plateau(e: Evidence) -> bool:
    """Return whether all of the loss's fall was over in the first tenth of the records, far above nothing.

    A bad start falls to chance like this. Where chance is not known, such a fall does not show that much was learned.
    At chance all examples have about the same loss: where batches differ more, something was learned.
    """
    course = e.course
    if course is None or e.chance is not None or e.remaining is None or e.records < MANY_RECORDS:
        return False
    after = course.level[len(course.level) // 10 :]
    if not np.isfinite(after).all() or e.remaining < HALF_WAY / 2:
        return False
    if course.relative_spread > NOISY or grew_into_a_fit(e):
        return False
    middle = float(lower_median(after[: max(1, len(after) // 4)]))
    return abs(middle - course.late) <= max(SIGNIFICANT * course.scatter, STALLED * abs(course.late))


def weights_decayed(e: Evidence) -> bool:
    """Return whether most layers' weights shrank to a small part of themselves."""
    if e.params_log10_rms is None or e.records < 2 or not e.from_start:
        return False
    first, late = e.params_log10_rms[0], lower_median(e.params_log10_rms[e.late])
    # Weights of zero, such as those of a fresh adapter, can only grow. A single number is no weight of many.
    known = np.isfinite(first) & (e.counts >= FEWEST_ELEMENTS)
    return bool(known.any() and lower_median(late[known] - first[known]) < SHRUNK_WEIGHTS)


def targets_are_far(e: Evidence) -> bool:
    """Return whether the loss is huge and its gradient as large, although no layer changes it by a good part of itself.

    For a squared error |gradient|^2 / |loss| does not depend on the size of the targets; where a gradient vanishes it
    is small. A factor of the loss changes it: a loss with a large factor is told with this finding too.
    """
    if e.sensitivity is None or e.loss is None or not e.from_start or not e.loss[0] > FAR_LOSS:
        return False
    largest_square = largest(2 * e.first_profile + np.log10(e.counts)) - math.log10(e.loss[0])
    return bool(largest_square > FAR_SQUARE and largest(e.sensitivity[0]) < FAR_SENSITIVITY)
