"""Course of the loss: where it started, where it ended, and how sure both are, in numbers that batch noise cannot turn.

    loss of the first steps ──► start  ┐                      ┌─ remaining = (late - floor) / (reference - floor)
    median of the late records ► late  ├─ reference = smaller ┤
    best constant prediction ──► chance┘  of start and chance └─ error, from the records' own scatter

Records hold the mean and the scatter of the losses between them, where the recorder kept them. A loss that was below
zero has an unknown floor. So has one that lost a tiny part of itself while the weights moved. Their fall is judged by
the gradient, which shrinks with what is left to learn.
"""

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float

from vgrad_jax.diagnosis.thresholds import (
    FEWEST_RECORDS,
    HARDLY,
    LEARNED,
    MANY_RECORDS,
    MANY_TIMES,
    OFFSET,
    SIGNIFICANT,
    SPIKE,
)
from vgrad_jax.numerics import lower_median

__all__ = ["Course"]

EARLY_RECORDS = 4
"""Number of records whose losses are averaged as the start, where they lie within the scatter of the first."""
SAME = 1e-3
"""Difference of two losses, as a share of them, up to which they are the same."""
AS_FAST = 0.7
"""Fall in the last third of the records over that in the middle third, from which a fall does not slow down."""
NORMAL_MAD = 1.4826
"""Standard deviation over the median absolute deviation, of a normal distribution."""
MEDIAN_ERROR = 1.2533
"""Standard error of a median over that of a mean, of a normal distribution."""


@dataclass(frozen=True)
class Course:
    """Loss of one seed over the records."""

    loss: Float[np.ndarray, " record"]
    """Losses of the recorded steps."""
    level: Float[np.ndarray, " record"]
    """Mean loss since the record before; the recorded loss where the mean is not known."""
    spread: float
    """Standard deviation of the loss of one step about its trend; NaN where it is not known."""
    relative_spread: float
    """The same as a share of the loss at that time; NaN where it is not known."""
    from_start: bool
    """False where neither the first record nor the first loss is of the first step."""
    first: float
    """Loss of the first step."""
    chance: float | None = None
    """Loss of the best constant prediction; None where it is not known."""
    chance_is_partial: bool = False
    """True where the loss has terms that chance does not count."""
    floor: float | None = None
    """Loss of a perfect prediction; None where it is not known, and then zero unless the loss says otherwise."""
    gradient_ratio: float = math.nan
    """Gradient in the late window over the first one."""
    moved: bool = False
    """True where updates were large enough to move the weights."""
    steps_a_record: float = 1.0
    """Number of steps between records, whose losses `level` averages."""

    @property
    def late_window(self) -> slice:
        """Latest quarter of the records."""
        return slice(len(self.level) - max(1, len(self.level) // 4), None)

    @cached_property
    def finite(self) -> Bool[np.ndarray, " record"]:
        """True for records with a finite loss."""
        return np.isfinite(self.loss) & np.isfinite(self.level)

    @cached_property
    def scatter(self) -> float:
        """Standard deviation of `level` about its trend, from its successive differences."""
        known = self.level[self.finite]
        if len(known) < FEWEST_RECORDS:
            return self.spread if math.isfinite(self.spread) else 0.0
        steps = np.diff(known[len(known) // 4 :])
        return float(NORMAL_MAD * np.median(np.abs(steps - np.median(steps))) / math.sqrt(2))

    def noise_at(self, loss: float) -> float:
        """Return the standard deviation of the loss of one step where the loss is this large.

        The noise of a positive loss grows with it: that of a training which has diverged is not that of its start.
        """
        known = self.level[self.finite]
        if math.isfinite(self.relative_spread) and self.first > 0 and len(known) and known.min() > 0:
            return self.relative_spread * loss
        return self.spread if math.isfinite(self.spread) else self.scatter

    @cached_property
    def start(self) -> float:
        """Loss before anything was learned: that of the first steps where they agree within their scatter."""
        early = self.level[1:EARLY_RECORDS][self.finite[1:EARLY_RECORDS]]
        if len(early) > 1 and abs(self.first - early.mean()) <= SIGNIFICANT * self.noise_at(self.first):
            weights = [1.0, *[self.steps_a_record] * len(early)]
            return float(np.average([self.first, *early], weights=weights))
        return self.first

    @cached_property
    def late(self) -> float:
        """Loss in the late window; infinite where most of it is not finite."""
        window = self.level[self.late_window]
        known = window[np.isfinite(window)]
        return float(lower_median(known)) if 2 * len(known) > len(window) else math.inf

    @cached_property
    def error(self) -> float:
        """Standard error of the difference between start and late window."""
        window, noise = self.level[self.late_window], self.noise_at(self.start)
        averaged = 1 if self.start == self.first else 1 + (EARLY_RECORDS - 1) * self.steps_a_record
        return math.hypot(noise / math.sqrt(averaged), MEDIAN_ERROR * self.scatter / math.sqrt(len(window)))

    @cached_property
    def fall(self) -> float:
        """Loss at the start less that in the late window."""
        return self.start - self.late

    @cached_property
    def is_offset(self) -> bool:
        """Return whether the loss has a floor that is not zero and not known."""
        if self.floor is not None:
            return False
        known = self.level[self.finite]
        if len(known) and (known.min() < 0 or self.first < 0):
            return True
        tiny = 0 < self.fall < OFFSET * abs(self.start)
        return bool(tiny and self.moved and self.fall > 2 * SIGNIFICANT * self.error)

    @cached_property
    def reference(self) -> float:
        """Loss of a network that has learned nothing: chance, or the start where that is smaller or chance not known.

        A network whose first loss is no better than chance, within the noise of one batch, knows nothing. What its
        first steps took off the start counts as learned. Chance that equals the floor, as for a batch with one label,
        does not count. Other batches have another chance.
        """
        if (
            self.chance is None
            or self.is_kept_above_chance
            or abs(self.chance - (self.floor or 0.0)) <= OFFSET**2 * abs(self.start)
        ):
            return self.start
        if self.first >= self.chance - self.noise_at(self.first):
            return self.chance
        return min(self.start, self.chance)

    @cached_property
    def is_kept_above_chance(self) -> bool:
        """Return whether terms that chance does not count may keep the loss above it.

        A network that predicts a constant can bring these terms to nothing. One that learns may need them.
        """
        return self.chance is not None and self.chance_is_partial and self.late > self.chance + self.scatter

    @cached_property
    def remaining(self) -> float | None:
        """Share of the loss that is left in the late window, over the floor; infinite where the loss is not finite.

        None where the start is not known. Where the floor is unknown, it is the square of the gradient's ratio. The
        excess of a smooth loss over its minimum falls with the square of its gradient.
        """
        if not self.from_start or len(self.level) < 2 or not math.isfinite(self.first):
            return None
        if not math.isfinite(self.late):
            return math.inf
        if self.is_offset:
            return self._remaining_by_gradient()
        floor = self.floor or 0.0
        height = self.reference - floor
        return (self.late - floor) / height if height > 0 else None

    def _remaining_by_gradient(self) -> float | None:
        """Return the square of the gradient's ratio for a loss that fell, 1 for a flat one, None for one that rose.

        At most a half where the loss fell by a good part of itself: a loss without a floor keeps its gradient.
        """
        if abs(self.fall) <= SIGNIFICANT * self.error:
            return 1.0
        if self.fall < 0:
            return None
        most = 0.5 if self.fall > (1 - HARDLY) * abs(self.start) else 1.0
        return min(self.gradient_ratio**2, most) if math.isfinite(self.gradient_ratio) else most

    @cached_property
    def ends_at_chance(self) -> bool:
        """Return whether a loss without a known floor ended just where the best constant prediction is.

        What it is below chance must be more than the noise of one batch, or a good part of its fall.
        """
        if self.chance is None or not self.is_offset or not math.isfinite(self.late):
            return False
        fall = max(self.start - self.chance, 0.0)
        noise = self.spread if math.isfinite(self.spread) else 0.0
        return bool(abs(self.late - self.chance) <= max(SAME * abs(self.chance), min(noise, (1 - HARDLY) * fall)))

    @cached_property
    def fell_at_all(self) -> bool:
        """Return whether the late loss is below the start by more than its scatter."""
        return bool(math.isfinite(self.late) and self.fall > SIGNIFICANT * self.error)

    @cached_property
    def rise(self) -> float:
        """Rise of the late loss over the start in units of the start, zero where it lies within the scatter."""
        if not math.isfinite(self.late):
            return math.inf
        if self.late - self.start <= SIGNIFICANT * self.error:
            return 0.0
        scale = abs(self.start) if self.floor is None else abs(self.start - self.floor)
        if self.is_offset:  # The size of such a loss is no measure: of a policy's gradient it rises while it learns.
            scale = 10 * max(scale, self.scatter)
        return (self.late - self.start) / scale if scale > 0 else math.inf

    @cached_property
    def late_fall(self) -> float | None:
        """Share of itself that the loss lost from the end of the first fifth of the records to the late window.

        Zero where it lies within the scatter; None for too few records.
        """
        records = len(self.level)
        if records < FEWEST_RECORDS:
            return None
        early = float(self.level[records // 5])
        if not (math.isfinite(self.late) and math.isfinite(early)) or early == 0:
            return None
        error = math.hypot(self.scatter, MEDIAN_ERROR * self.scatter / math.sqrt(max(1, records // 4)))
        fall = early - self.late
        return fall / abs(early) if abs(fall) > SIGNIFICANT * error else 0.0

    @cached_property
    def gone_at_once(self) -> bool:
        """Return whether nothing of the loss was left after the first tenth of the records."""
        known = self.level[self.finite]
        if not self.from_start or len(known) < MANY_RECORDS or self.first <= 0:
            return False
        return bool(known[len(known) // 10] < LEARNED * self.first)

    @cached_property
    def has_no_floor(self) -> bool:
        """Return whether the loss is far below zero and falls at the end at least as fast as in the middle."""
        known = self.level[self.finite]
        if not self.from_start or len(known) < MANY_RECORDS or not self.late < 0:
            return False
        # A loss that starts at zero is not many times its start for that alone.
        at_once = abs(known[0] - known[len(known) // 10])
        if abs(self.late) < MANY_TIMES * max(abs(self.start), self.scatter, at_once):
            return False
        third = len(known) // 3
        middle, end = known[third] - known[2 * third], known[2 * third] - known[-1]
        return bool(end > AS_FAST * middle > 0)

    @cached_property
    def peak(self) -> float:
        """Largest recorded loss after the first step, over the larger of the start and the first loss; at least 1.

        The first loss itself is no leap, even where the mean of the first steps is far below it.
        """
        later = self.loss[1:][np.isfinite(self.loss[1:])]
        start = max(self.start, self.first)
        return max(1.0, float(later.max() / start)) if len(later) and start > 0 else 1.0

    @cached_property
    def leapt(self) -> bool:
        """Return whether a recorded loss leapt over the start, by more than the scatter of one batch.

        The start is no measure of a loss that may be negative, since it may be near zero.
        """
        noise = max(self.scatter, self.noise_at(self.start))
        if self.is_offset and np.max(self.level[self.finite], initial=-math.inf) - self.start <= SIGNIFICANT * noise:
            return False
        spread = self.relative_spread if math.isfinite(self.relative_spread) else 0.0
        return bool(self.peak > max(SPIKE, 1 + SIGNIFICANT * spread))

    @cached_property
    def relapses(self) -> bool:
        """Return whether the loss was back above its start in the late half of the records, beyond its scatter.

        Batches that are not alike make it so, such as rows in the order of their labels. Each time the last ones are
        learned, and the others forgotten. The mean over the steps of a record counts, not a single batch.
        """
        later = self.level[len(self.level) // 2 :]
        later = later[np.isfinite(later)]
        if not self.from_start or len(self.level) < MANY_RECORDS or self.start <= 0 or not len(later):
            return False
        if not math.isfinite(self.relative_spread):
            return False
        return float(later.max()) > self.start + SIGNIFICANT * self.noise_at(self.start)

    @cached_property
    def came_back(self) -> bool:
        """Return whether the loss gave half of its fall back for good: it ends far above its own smallest trend."""
        known = self.trend[np.isfinite(self.trend)]
        if not self.from_start or len(known) < MANY_RECORDS or not math.isfinite(self.late):
            return False
        lowest = float(known.min())
        return bool(self.late - lowest > max((self.start - lowest) / 2, SIGNIFICANT * self.scatter))

    @cached_property
    def trend(self) -> Float[np.ndarray, " record"]:
        """Running median of the level over five records, fewer at the ends."""
        return np.array([np.median(self.level[max(0, n - 2) : n + 3]) for n in range(len(self.level))])

    def resampled(self, rng: np.random.Generator) -> "Course":
        """Return another course that the noise of the batches could have given.

        Residuals about a running median change places and signs. The first loss moves by the scatter of one loss.
        """
        if not self.finite.all() or self.scatter == 0:
            return self
        residual = self.level - self.trend
        changed = self.trend + rng.permutation(residual) * rng.choice((-1.0, 1.0), len(residual))
        first = self.first + self.noise_at(self.first) * rng.standard_normal()
        return replace(self, level=changed, loss=self.loss + changed - self.level, first=first)
