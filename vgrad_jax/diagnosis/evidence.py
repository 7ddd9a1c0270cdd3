"""Evidence of a verdict: the numbers of one seed, ratios wherever possible.

    Record ─────┐                          first_profile   gradient by layer, first record
    LayerStats ─┼─► Evidence, a seed each  late_profile    gradient by layer, latest quarter of the records
    Look ───────┘                          course          loss: start, late, remaining
                                           drop, growth, sensitivity, updates, breaks, ...

Layers without weights are left out. They stand in the order of the forward pass, where a look knows it.
Forward-pass numbers come from a look before training.
"""

import math
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int

from vgrad_jax.diagnosis.course import Course
from vgrad_jax.diagnosis.profiles import drop_of, largest
from vgrad_jax.diagnosis.recorded_course import course_of
from vgrad_jax.diagnosis.thresholds import FEWEST_LAYERS, HARDLY, SMALL_UPDATE
from vgrad_jax.inspection import Concern, NonFinite, ZeroReason
from vgrad_jax.numerics import lower_median

__all__ = ["Before", "Evidence"]

FEW_ROWS_MARGIN = 0.4
"""Margin of `HARDLY` for chance of one row; it falls with the root of the number of rows."""
SANE = 2.5
"""log10 RMS of preactivations up to which inputs of a usual size can bring them, without growth."""


@dataclass(frozen=True)
class Before:
    """Facts about a model before training, from a look at its loss."""

    kinds: frozenset[str] = frozenset()
    """Kinds of activations in the model: "tanh", "logistic", "softmax", "relu"."""
    drop: float | None = None
    """Decades by which the gradient shrinks over the layers of the look, which may be more than were recorded."""
    concerns: tuple[Concern, ...] = ()
    """Concerns about output, loss and data."""
    zeros: tuple[ZeroReason, ...] = ()
    """Reasons for which leaves have a gradient of exactly zero; of a term of the loss with an empty path."""
    nonfinite: NonFinite | None = None
    """First operation that is not finite."""
    correlation: float = math.nan
    """Mean absolute correlation of the last hidden layer's units over the examples."""
    singular_ratio: float = math.nan
    """Second over first singular value of the last hidden layer, centred over the examples."""
    input_ratio: float = math.nan
    """The same of the inputs."""
    kernel_mean: float = math.nan
    """Largest mean of a kernel over its root mean square."""

    def has_concern(self, code: str) -> bool:
        """Return whether the look has a concern of this code."""
        return any(own.code == code for own in self.concerns)


@dataclass(frozen=True)
class Evidence:
    """Numbers of one seed, of the layers that have weights (of all, where no layer has weights), input side first.

    Multiplying the loss by a constant shifts `log10_rms` and `log10_max`. It changes no property that is computed here,
    as long as nothing leaves the range of the dtype.
    """

    paths: tuple[str, ...]
    counts: Float[np.ndarray, " layer"]
    """Number of elements of each layer."""
    smallest: Float[np.ndarray, " layer"]
    """log10 of the smallest normal number of each layer's dtype; NaN where the dtype is not known."""
    spacing: Float[np.ndarray, " layer"]
    """log10 of half the spacing of numbers about one, of each layer's dtype; NaN where the dtype is not known."""
    log10_rms: Float[np.ndarray, "record layer"]
    log10_max: Float[np.ndarray, "record layer"]
    zero_fraction: Float[np.ndarray, "record layer"]
    nonfinite_fraction: Float[np.ndarray, "record layer"]
    params_log10_rms: Float[np.ndarray, "record layer"] | None = None
    update_ratio_log10: Float[np.ndarray, "record layer"] | None = None
    step: Int[np.ndarray, " record"] | None = None
    loss: Float[np.ndarray, " record"] | None = None
    loss_mean: Float[np.ndarray, " record"] | None = None
    loss_std: Float[np.ndarray, " record"] | None = None
    first_loss: float | None = None
    update_cosine: Float[np.ndarray, " record"] | None = None
    first_broken_step: int | None = None
    """First step with a number that is not finite, recorded or not; -1 for none, None where it is not known."""
    first_broken_layers: Bool[np.ndarray, " layer"] | None = None
    first_broken_loss: bool | None = None
    broken_steps: int | None = None
    loss_before_break: float | None = None
    update_before_break: float | None = None
    refused_steps: int | None = None
    chance: float | None = None
    """Loss of the best constant prediction; None where it is not known."""
    floor: float | None = None
    """Loss of a perfect prediction; None where it is not known."""
    chance_rows: int | None = None
    """Number of rows that chance was fitted to; None where it is exact."""
    chance_constants: int | None = None
    """Number of constants that were fitted to them; None where it is not known."""
    chance_is_partial: bool = False
    """True where the loss has terms that chance does not count."""
    product_log10_rms: Float[np.ndarray, " layer"] | None = None
    """log10 RMS of the preactivations at initialisation; NaN for a layer without a product."""
    saturated_fraction: Float[np.ndarray, " layer"] | None = None
    """Share of saturated outputs of tanh, logistic and softmax behind a layer; NaN where there are none."""
    stuck_fraction: Float[np.ndarray, " layer"] | None = None
    """Share of units without a slope for any example; NaN for a layer without an activation."""
    before: Before | None = field(default=None)
    drawn: Course | None = None
    """Another course that the noise could have given, in place of the recorded one."""

    @property
    def records(self) -> int:
        """Number of records."""
        return len(self.log10_rms)

    @property
    def late(self) -> slice:
        """Late window, the latest quarter of the records: a fault has to persist over it."""
        return slice(self.records - max(1, self.records // 4), None)

    @property
    def from_start(self) -> bool:
        """Return whether the first record is of the first step: rules on the start judge no other record."""
        return self.step is None or bool(self.step[0] <= 0)

    @property
    def updates_done(self) -> int | None:
        """Number of updates up to the last record; None where steps are not known."""
        return None if self.step is None else int(self.step[-1]) + 1

    @cached_property
    def first_profile(self) -> Float[np.ndarray, " layer"]:
        """log10 RMS by layer at the first record."""
        return self.log10_rms[0]

    @cached_property
    def late_profile(self) -> Float[np.ndarray, " layer"]:
        """log10 RMS by layer, the median over the late window."""
        return lower_median(self.log10_rms[self.late])

    @cached_property
    def drop(self) -> float:
        """Decades by which the first gradient is smaller on the input side than on the output side.

        That of the look where it has more layers: a stack of layers that was recorded as one shows no drop.
        """
        if self.before is not None and self.before.drop is not None:
            return self.before.drop
        return drop_of(self.first_nonzero_profile)

    @cached_property
    def first_nonzero_profile(self) -> Float[np.ndarray, " layer"]:
        """log10 RMS by layer at the first record, over the elements that are not zero.

        Rows of a table that are not in the batch have no gradient by design.
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            share = np.log10(np.maximum(1 - self.zero_fraction[0], 0))
            return np.where(np.isfinite(share), self.first_profile - 0.5 * share, self.first_profile)

    @cached_property
    def sensitivity(self) -> Float[np.ndarray, "record layer"] | None:
        """log10 of |gradient| |weights| / |loss|, with Euclidean norms; None without parameters or loss.

        An upper bound (Cauchy and Schwarz): the loss changes by at most this share of itself when a layer's weights
        change by their own size.
        """
        if self.params_log10_rms is None or self.loss is None:
            return None
        with np.errstate(divide="ignore", invalid="ignore"):
            loss = np.log10(np.abs(self.loss))[:, None]
            return self.log10_rms + self.params_log10_rms + np.log10(self.counts)[None] - loss

    @cached_property
    def growth(self) -> float | None:
        """Decades by which preactivations grow from the first product to the largest, at initialisation.

        A recurrence may have grown in its first product already: unless inputs are large, that counts from `SANE`.
        """
        if self.product_log10_rms is None:
            return None
        known = self.product_log10_rms[np.isfinite(self.product_log10_rms)]
        if not len(known):
            return None
        return float(known.max() - (known[0] if self.inputs_are_large else min(known[0], SANE)))

    @property
    def inputs_are_large(self) -> bool:
        """Return whether the inputs are far larger than one."""
        return self.before is not None and self.before.has_concern("inputs_large")

    @cached_property
    def updates(self) -> Float[np.ndarray, " record"] | None:
        """log10 of update over weights in the largest layer, of the records whose step changed something.

        Steps that only accumulate gradients change nothing and do not count. None where updates were not recorded, or
        where every recorded update is zero and the weights change all the same.
        """
        if self.update_ratio_log10 is None:
            return None
        ratios = np.array([largest(row) for row in self.update_ratio_log10])
        emitting = ratios > -np.inf
        if emitting.any():
            return ratios[emitting]
        return ratios if self.weights_fixed else None

    @cached_property
    def typical_update(self) -> float:
        """log10 of update over weights in the median of the records; NaN where it is not known."""
        known = np.empty(0) if self.updates is None else self.updates[~np.isnan(self.updates)]
        return float(np.median(known)) if len(known) else math.nan

    @cached_property
    def weights_fixed(self) -> bool:
        """Return whether no layer's weights changed their size in any record."""
        if self.params_log10_rms is None or self.records < FEWEST_LAYERS:
            return False
        return bool((self.params_log10_rms == self.params_log10_rms[0]).all())

    @cached_property
    def course(self) -> Course | None:
        """Course of the loss; None where it was not recorded."""
        if self.loss is None or self.drawn is not None:
            return self.drawn
        largest_first, largest_late = largest(self.first_profile), largest(self.late_profile)
        return course_of(
            self.loss,
            self.loss_mean,
            self.loss_std,
            0 if self.step is None else int(self.step[0]),
            self.first_loss,
            steps_a_record=self.steps_a_record,
            chance=self.chance,
            chance_is_partial=self.chance_is_partial,
            floor=self.floor,
            gradient_ratio=10.0 ** min(largest_late - largest_first, 300.0),
            moved=self.typical_update > SMALL_UPDATE,
        )

    @property
    def steps_a_record(self) -> float:
        """Number of steps whose losses the mean of a record is of."""
        if self.loss_mean is None or self.step is None or self.records < 2:
            return 1.0
        return float(max(1, self.step[1] - self.step[0]))

    @cached_property
    def remaining(self) -> float | None:
        """Share of the loss that is left; see `Course.remaining`."""
        return None if self.course is None else self.course.remaining

    @property
    def hardly(self) -> float:
        """Share of the reference below which something was learned: nearer to one where chance is of few rows.

        The best constants of few rows fit their noise, so that their loss is too low. Each constant takes half a nat
        from the sum over the rows.
        """
        if self.chance_rows is None or not self.chance_constants:
            return self.no_better
        return min(HARDLY + self.chance_constants / (2 * self.chance_rows), self.no_better)

    @property
    def no_better(self) -> float:
        """Share of the reference above which the loss is no better than that of a constant.

        Few rows leave room between this share and `hardly`: chance may be off by as much to either side.
        """
        if self.chance is None or self.chance_rows is None:
            return HARDLY
        return min(HARDLY + FEW_ROWS_MARGIN / math.sqrt(self.chance_rows), 0.99)

    @cached_property
    def late_fall(self) -> float | None:
        """Share that the loss lost over the late four fifths of the records; see `Course.late_fall`."""
        return None if self.course is None else self.course.late_fall

    @cached_property
    def broken(self) -> Bool[np.ndarray, " record"]:
        """True for records in which a gradient or the loss is not finite."""
        broken = (self.nonfinite_fraction > 0).any(axis=1)
        if self.loss is None:
            return np.asarray(broken)
        given = not np.isnan(self.loss).all() or bool(self.first_broken_loss)
        return np.asarray(broken | ~np.isfinite(self.loss)) if given else np.asarray(broken)

    @cached_property
    def first_broken(self) -> int | None:
        """Index of the first record in which a gradient or the loss is not finite."""
        return int(np.argmax(self.broken)) if self.broken.any() else None

    @cached_property
    def break_step(self) -> int | None:
        """First step with a number that is not finite; None where there was none."""
        if self.first_broken_step is not None and self.first_broken_step >= 0:
            return self.first_broken_step
        if self.first_broken is None:
            return None
        return self.first_broken if self.step is None else int(self.step[self.first_broken])

    @cached_property
    def stays_broken(self) -> bool:
        """Return whether numbers are not finite over most of the late window."""
        return 2 * int(self.broken[self.late].sum()) > len(self.broken[self.late])

    @cached_property
    def shrinkage(self) -> Float[np.ndarray, " layer"]:
        """Decades by which each layer's gradient shrank from the first record to the late window."""
        with np.errstate(invalid="ignore"):
            return self.first_profile - self.late_profile
