"""Rules on the course of the training: its loss, its updates, and where numbers stop being finite."""

import math
from typing import NamedTuple

import numpy as np

from vgrad_jax.diagnosis.bad_starts import fell_from_a_bad_start, weights_decayed
from vgrad_jax.diagnosis.evidence import Evidence
from vgrad_jax.diagnosis.findings import Finding, finding
from vgrad_jax.diagnosis.profiles import largest
from vgrad_jax.diagnosis.symptoms import (
    broke_by_steps,
    fell,
    has_learned,
    has_surely_learned,
    is_of_the_end_alone,
    is_solved,
    killed_by_steps,
    lost,
    overgrown,
    rose,
    stalled,
    steps_are_small,
    steps_were_large,
    updates_stopped_at,
)
from vgrad_jax.diagnosis.thresholds import (
    ABOVE,
    DROP,
    FALLING,
    FAR_ABOVE,
    FAR_OFF,
    FEW_UPDATES,
    FEWEST_RECORDS,
    HALF_WAY,
    HARDLY,
    LEARNED,
    MUCH_LEFT,
    ONE_SIDED,
    SHRUNK,
    SHRUNK_TOGETHER,
    SHRUNK_WEIGHTS,
    SMALL_UPDATE,
    SPIKE,
    STALLED,
    TINY_UPDATE,
    UPHILL,
    WORSE,
)
from vgrad_jax.numerics import lower_median
from vgrad_jax.wording import counted

__all__ = [
    "chance_level",
    "learning_rate_large",
    "learning_rate_small",
    "non_finite",
    "notes",
    "solved",
    "too_few_steps",
]


def non_finite(e: Evidence) -> list[Finding]:
    """Find gradients or losses that are infinite or missing and stay so, where the steps are not to blame."""
    step = e.break_step
    if step is None or not e.stays_broken or broke_by_steps(e):
        return []
    fault = None if e.before is None else e.before.nonfinite
    if step == 0 and fault is not None and (fault.growth or 0.0) > 1:
        return []  # Numbers grew from one iteration of a loop to the next: they explode.
    record = e.first_broken or 0
    share = e.nonfinite_fraction[record]
    layer = int(np.argmax(share))
    if step == 0 or (e.first_broken_step is None and e.first_broken == 0 and e.from_start):
        sentence = f"{share[layer]:.0%} of this layer's gradient is infinite or missing in the first record."
        if e.before is not None and e.before.nonfinite is not None:
            sentence += f" {e.before.nonfinite.sentence}"
        return [
            finding(
                e,
                "non_finite_gradient",
                sentence,
                layer=e.paths[layer],
                value=float(share[layer]),
                threshold=0.0,
                causes=_causes_of_non_finite(e),
            )
        ]
    sentence = f"At step {step} numbers stop being finite, {_before(e)}."
    return [finding(e, "breaks_later", sentence, layer=_first_layer(e), value=float(step), threshold=0.0)]


def _causes_of_non_finite(e: Evidence) -> tuple[str, ...] | None:
    """Return what makes numbers overflow inside of the network; None for any other operation."""
    kind = None if e.before is None or e.before.nonfinite is None else e.before.nonfinite.kind
    if kind == "overflow_of_exp":
        return ("hidden_activation",)
    return ("initialisation", "input_scaling") if kind in ("overflow", "overflow_of_product") else None


def _before(e: Evidence) -> str:
    """Return words on the training before it broke."""
    words = []
    if e.loss_before_break is not None and e.course is not None and math.isfinite(e.loss_before_break):
        words.append(f"the loss was {e.loss_before_break:.3g} before, and {e.course.first:.3g} at first")
    if e.update_before_break is not None and math.isfinite(e.update_before_break):
        words.append(f"updates were 10^{e.update_before_break:.1f} of the weights")
    return " and ".join(words) if words else "and nothing before it points to the steps"


def _first_layer(e: Evidence) -> str | None:
    """Return the layer nearest to the output among those that broke first; None where all did."""
    layers = e.first_broken_layers
    if layers is None or layers.all() or not layers.any():
        return None
    return e.paths[int(np.flatnonzero(layers)[-1])]


def learning_rate_large(e: Evidence) -> list[Finding]:
    """Find steps that do harm after a healthy start, or that go uphill."""
    if e.break_step == 0 or (e.records == 1 and e.break_step is None) or is_solved(e):
        return []
    if e.update_cosine is not None and not has_learned(e):
        cosine = float(np.nanmedian(e.update_cosine)) if np.isfinite(e.update_cosine).any() else math.nan
        if cosine > UPHILL:
            sentence = f"The updates go uphill: their cosine with the gradient is {cosine:.2f}."
            return [finding(e, "update_ascends", sentence, value=cosine, threshold=UPHILL)]
    if overgrown(e):
        return []
    harm = _harm(e)
    if harm is None:
        return []
    sentence = f"The first gradient is in order, but {harm.words}."
    if e.update_ratio_log10 is not None:
        first = largest(e.update_ratio_log10[0])
        sentence += f" The first update is 10^{first:.1f} of the weights in its largest layer."
    return [finding(e, harm.code, sentence, layer=harm.layer, value=harm.value, threshold=harm.threshold)]


class _Harm(NamedTuple):
    """Harm that the steps did."""

    code: str
    words: str
    layer: str | None
    value: float
    threshold: float


def _harm(e: Evidence) -> _Harm | None:
    """Return the harm that came first: loss or gradient not finite, a larger loss, or layers without a gradient."""
    if broke_by_steps(e):
        words = f"at step {e.break_step} numbers stop being finite, {_before(e)}"
        return _Harm("training_diverges", words, _first_layer(e), float(e.break_step or 0), 0.0)
    if e.stays_broken:
        return None
    if rose(e) and e.course is not None:
        rise = 1 + e.course.rise
        return _Harm(
            "training_diverges", f"later the loss is {rise:.3g} times what it was at first", None, rise, 1 + WORSE
        )
    if has_surely_learned(e) or not steps_were_large(e) or weights_decayed(e):
        return None
    if killed_by_steps(e):
        killed = np.isneginf(e.late_profile)
        layer = int(np.flatnonzero(killed)[-1])
        words = (
            f"later {killed.sum()} of {len(killed)} layers have no gradient any more, this layer nearest to the output"
        )
        return _Harm("training_diverges", words, e.paths[layer], float(killed.mean()), 0.0)
    peak = e.course.peak if e.course is not None else math.nan
    return _Harm(
        "steps_too_large", f"the loss leapt to {peak:.3g} times its start and never got below it", None, peak, SPIKE
    )


def solved(e: Evidence) -> list[Finding]:
    """Find a loss that is gone, with all layers' gradients: small because nothing is left to learn."""
    if e.course is None:
        if e.records < FEWEST_RECORDS or not e.from_start or not _shrunk_together(e) or e.drop > DROP or e.broken.any():
            return []
        value, threshold = float(e.shrinkage.min()), SHRUNK
        sentence = (
            f"Every layer's gradient shrank alike, by a factor of 10^{value:.1f} or more; the loss was not recorded."
        )
    elif is_solved(e) and e.remaining is not None and not (overgrown(e) and stalled(e)):
        value, threshold = e.remaining, LEARNED
        sentence = (
            f"The loss has fallen to {e.remaining:.2g} of its first value, and the gradient is small for that reason."
        )
    else:
        return []
    return [finding(e, "nothing_left_to_learn", sentence, value=value, threshold=threshold)]


def _shrunk_together(e: Evidence) -> bool:
    """Return whether every layer's gradient shrank, and all about alike."""
    finite = e.shrinkage[np.isfinite(e.shrinkage)]
    spread = float(np.ptp(finite)) if len(finite) else 0.0
    return bool(np.all(e.shrinkage > SHRUNK)) and spread < SHRUNK_TOGETHER


def learning_rate_small(e: Evidence) -> list[Finding]:
    """Find a healthy gradient, and steps too small to use it."""
    if e.updates is None or e.remaining is None or e.stays_broken or rose(e) or has_learned(e) or lost(e):
        return []
    typical, most = e.typical_update, largest(e.updates)
    if e.weights_fixed and most > TINY_UPDATE:
        rounded = bool((e.updates[0] < e.spacing).all())
        code = "updates_rounded_away" if rounded else "nothing_moves"
        words = "smaller than half the spacing of their dtype's numbers" if rounded else "not applied"
        sentence = f"The weights never change, although updates are 10^{typical:.1f} of them: they are {words}."
        return [finding(e, code, sentence, value=typical, threshold=SMALL_UPDATE)]
    if (stop := updates_stopped_at(e)) is not None:
        sentence = f"From step {stop} on updates are zero or next to it, although there is a gradient."
        return [finding(e, "updates_stopped", sentence, value=float(stop), threshold=float(e.updates_done or 0))]
    if e.chance is not None and e.remaining > FAR_ABOVE and fell(e) and not _began_far_off(e):
        sentence = (
            f"After {e.updates_done} updates the loss is still {e.remaining:.3g} times that of the best constant "
            "prediction."
        )
        return [finding(e, "far_from_chance", sentence, value=e.remaining, threshold=FAR_ABOVE)]
    early = largest(e.updates[: max(1, len(e.updates) // 4)])
    if not steps_are_small(e) or early > SMALL_UPDATE:
        return []
    if most > TINY_UPDATE and e.remaining < e.hardly:
        return []
    sentence = (
        f"A step changes the weights by 10^{typical:.1f} of their size, and the loss is still {e.remaining:.0%} of the "
        "first; the gradient itself is in order."
    )
    return [finding(e, "updates_small", sentence, value=typical, threshold=SMALL_UPDATE)]


def _began_far_off(e: Evidence) -> bool:
    """Return whether large inputs made the first outputs far too large, so that no rate would do.

    Targets of an unusual size are reached by larger steps.
    """
    if e.before is None or e.course is None or e.chance is None:
        return False
    large = any(e.before.has_concern(code) for code in ("inputs_large", "inputs_uneven"))
    return large and bool(e.course.start > FAR_OFF * e.chance)


def too_few_steps(e: Evidence) -> list[Finding]:
    """Find a training that ended after very few updates, with most of the loss left."""
    if e.remaining is None or e.stays_broken or e.updates_done is None or rose(e) or e.records < 2:
        return []
    late_fall = e.late_fall or 0.0
    far = e.remaining > HALF_WAY or (e.remaining > MUCH_LEFT and late_fall > FALLING)
    if e.updates_done >= FEW_UPDATES or not far or lost(e) or steps_were_large(e):
        return []
    falls = late_fall > STALLED
    sentence = f"After {e.updates_done} updates the loss is {e.remaining:.0%} of the first"
    sentence += " and still falling." if falls else "."
    return [finding(e, "few_updates", sentence, value=float(e.updates_done), threshold=FEW_UPDATES)]


def chance_level(e: Evidence) -> list[Finding]:
    """Find a loss that stays at that of the best constant prediction, or whose weights decayed on the way there."""
    return [*_decayed(e), *(_at_chance(e) or _at_start(e))]


def _decayed(e: Evidence) -> list[Finding]:
    """Report weights that shrank to a small part of themselves, in a training that learned little."""
    if e.params_log10_rms is None or e.remaining is None or e.stays_broken or not weights_decayed(e):
        return []
    if e.remaining < (HALF_WAY if e.chance is None else e.hardly) and not fell_from_a_bad_start(e):
        return []
    first, late = e.params_log10_rms[0], lower_median(e.params_log10_rms[e.late])
    change = float(lower_median((late - first)[np.isfinite(first)]))
    sentence = f"The weights shrank to 10^{change:.1f} of their size, and {e.remaining:.0%} of the loss is left."
    return [finding(e, "weights_decay", sentence, value=change, threshold=SHRUNK_WEIGHTS)]


def _at_chance(e: Evidence) -> list[Finding]:
    """Report a loss that stays at that of the best constant prediction."""
    if e.chance is None or e.course is None or e.remaining is None or e.records < FEWEST_RECORDS or e.stays_broken:
        return []
    if e.course.is_offset:
        return _just_at_chance(e)
    if e.course.is_kept_above_chance:
        return []
    floor = e.floor or 0.0
    share = (e.course.late - floor) / (e.chance - floor) if e.chance > floor else math.nan
    if not e.no_better < share < ABOVE:
        return []
    sentence = f"The loss ends at {share:.0%} of {e.chance:.3g}, the loss of the best constant prediction."
    return [finding(e, "no_better_than_constant", sentence, value=share, threshold=e.no_better)]


def _at_start(e: Evidence) -> list[Finding]:
    """Report a loss that stays where it began: a network that has seen nothing is no better than a constant."""
    course = e.course
    if course is None or e.remaining is None or e.records < FEWEST_RECORDS or e.stays_broken or course.is_offset:
        return []
    if not course.from_start or not e.no_better < e.remaining < ABOVE:
        return []
    floor = e.floor or 0.0
    if e.chance is not None and course.start - floor < e.no_better * (e.chance - floor):
        return []  # A network that was trained before begins below chance.
    # A mean of the first steps may hide a fall that began at once: the first loss must be near, too.
    noise, near = ONE_SIDED * course.noise_at(course.first), (1 - HARDLY) * abs(course.first)
    if course.first - course.late > max(noise, near) or (noise > near and course.steps_a_record > 1):
        return []
    share = course.late / course.start if course.start > 0 else math.nan
    if not share > HARDLY or (course.fell_at_all and share < 1 - STALLED):
        return []
    sentence = (
        f"The loss ends at {share:.0%} of its start, {course.start:.3g}; a network before its training is no better "
        "than a constant prediction."
    )
    return [finding(e, "no_better_than_start", sentence, value=share, threshold=1 - STALLED)]


def _just_at_chance(e: Evidence) -> list[Finding]:
    """Report a loss that may be negative, and that ends just where the best constant prediction is."""
    if e.course is None or e.chance is None or not e.course.ends_at_chance:
        return []
    sentence = f"The loss ends at {e.course.late:.3g}; that of the best constant prediction is {e.chance:.3g}."
    return [finding(e, "no_better_than_constant", sentence, value=e.course.late, threshold=e.chance)]


def notes(e: Evidence) -> list[Finding]:
    """Find facts beside the verdict: steps that were refused, numbers that recovered, a spike that passed."""
    facts = []
    if e.refused_steps:
        sentence = f"{e.refused_steps} steps were refused because numbers were not finite"
        sentence += f", the first at step {e.break_step}." if e.break_step is not None else "."
        facts.append(finding(e, "steps_refused", sentence, value=float(e.refused_steps), threshold=0.0))
    elif e.break_step is not None and not e.stays_broken:
        number = "" if not e.broken_steps else f" in {e.broken_steps} steps"
        sentence = f"Numbers were not finite{number}, first at step {e.break_step}, and the training recovered."
        facts.append(finding(e, "numbers_recovered", sentence, value=float(e.break_step), threshold=0.0))
    if is_of_the_end_alone(e):
        sentence = f"The training's course is not in what was kept, {counted(e.records, 'record')} of its end."
        facts.append(finding(e, "few_records", sentence, value=float(e.records), threshold=float(FEWEST_RECORDS)))
    course = e.course
    if course is not None and course.from_start and has_learned(e) and course.leapt:
        sentence = f"The loss leapt to {course.peak:.3g} times its start and came back."
        facts.append(finding(e, "spike_recovered", sentence, value=course.peak, threshold=SPIKE))
    return facts
