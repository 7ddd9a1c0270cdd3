"""Rules on the model before training: output, loss and data, and units that are all alike."""

import math

import numpy as np

from vgrad_jax.diagnosis.bad_starts import kernels_amplify, outputs_were_huge, targets_are_far
from vgrad_jax.diagnosis.evidence import Before, Evidence
from vgrad_jax.diagnosis.findings import Finding, finding
from vgrad_jax.diagnosis.profiles import largest
from vgrad_jax.diagnosis.statuses import TABLE
from vgrad_jax.diagnosis.symptoms import fell, has_learned, is_solved, lost, stalled
from vgrad_jax.diagnosis.thresholds import (
    FAR_LOSS,
    FAR_SENSITIVITY,
    HALF_WAY,
    MANY_TIMES,
    MOST_CORRELATED,
    MUCH_LEFT,
    ONE_SIGN,
    RANK_ONE,
)
from vgrad_jax.inspection import Hidden

__all__ = ["collinear", "concerns_for", "ill_posed", "ill_scaled", "units_are_collinear"]


def concerns_for(e: Evidence, status: str, failed: bool = False) -> list[Finding]:
    """Return the look's concerns that speak for a status: certain ones at once, others where training has failed.

    A loss that is solved has none. One that began with a large penalty may only have lost that, and one that a constant
    output solves is solved for that reason.
    """
    if e.before is None:
        return []
    solved = is_solved(e)
    return [
        finding(e, own.code, own.sentence, layer=own.layer, value=own.value, threshold=own.threshold)
        for own in e.before.concerns
        if own.code in TABLE[status].advice
        and (own.certain or failed)
        and (
            not solved or own.code == "constant_is_best" or (own.code == "constant_term_outweighs" and e.chance is None)
        )
    ]


def ill_posed(e: Evidence) -> list[Finding]:
    """Find an output, a loss and targets that do not fit together."""
    # Targets that a few rows put out of reach are the smaller fault where the gradient does not arrive.
    arrives = not lost(e)
    failed = e.remaining is not None and bool(e.remaining > MUCH_LEFT)
    concerns = [own for own in concerns_for(e, "ill_posed", failed) if arrives or own.code != "targets_outside_range"]
    return [*concerns, *_constant_targets(e, concerns), *_kinks(e), *_without_floor(e), *_always_zero(e)]


def _always_zero(e: Evidence) -> list[Finding]:
    """Report a loss that is exactly zero from the first step on, and so is its gradient."""
    if e.loss is None or not e.from_start or (e.loss != 0).any() or not np.isneginf(e.log10_rms).all():
        return []
    sentence = "The loss is exactly zero from the first step on, and so is its gradient: no example counts."
    return [finding(e, "loss_is_zero", sentence, value=0.0, threshold=0.0)]


def _constant_targets(e: Evidence, known: list[Finding]) -> list[Finding]:
    """Report constant targets of the batch where the loss was gone at once: those of other batches are the same."""
    if e.before is None or e.course is None or any(own.code == "labels_constant" for own in known):
        return []
    concern = next((own for own in e.before.concerns if own.code == "labels_constant"), None)
    if concern is None or not e.course.gone_at_once or e.course.relapses:
        return []
    sentence = f"{concern.sentence} The loss was gone in the first tenth of the training."
    return [finding(e, concern.code, sentence, value=concern.value, threshold=concern.threshold)]


def _without_floor(e: Evidence) -> list[Finding]:
    """Report a loss that falls below zero as fast at the end as before, by many times its size at first."""
    if e.course is None or e.stays_broken or not e.course.has_no_floor:
        return []
    ratio = abs(e.course.late) / max(abs(e.course.start), e.course.scatter)
    sentence = (
        f"The loss went from {e.course.start:.3g} to {e.course.late:.3g} and falls as fast as ever: it has no smallest "
        "value."
    )
    return [finding(e, "loss_without_floor", sentence, value=ratio, threshold=MANY_TIMES)]


def _kinks(e: Evidence) -> list[Finding]:
    """Report a term of the loss that has no gradient, because a derivative of it is zero everywhere."""
    terms = [] if e.before is None or has_learned(e) else [why for why in e.before.zeros if not why.path]
    return [finding(e, "no_second_derivative", why.sentence, value=0.0, threshold=0.0) for why in terms]


def ill_scaled(e: Evidence) -> list[Finding]:
    """Find inputs or targets far from the size that a network can fit, where training has failed."""
    # A loss that fell from a bad start to chance has learned nothing: where chance is known, the fall does not count.
    failed = e.remaining is not None and not has_learned(e) and (e.chance is not None or not fell(e))
    known = concerns_for(e, "ill_scaled", failed)
    if e.chance is None and e.loss is not None and outputs_were_huge(e) and not has_learned(e) and not is_solved(e):
        value = math.log10(e.loss[0])
        sentence = (
            f"The first loss is {e.loss[0]:.2g}, which its layers change by more than itself, and no kernel is large: "
            "the inputs probably are."
        )
        if not known and not kernels_amplify(e):
            return [finding(e, "inputs_large", sentence, value=value, threshold=math.log10(FAR_LOSS))]
    if known or has_learned(e) or not targets_are_far(e) or e.loss is None or e.sensitivity is None:
        return known
    value = largest(e.sensitivity[0])
    sentence = (
        f"The first loss is {e.loss[0]:.2g}, and no layer changes it by more than 10^{value:.1f} of itself: the "
        "targets are probably far larger than the outputs, or the loss has a large factor."
    )
    return [finding(e, "targets_large", sentence, value=value, threshold=FAR_SENSITIVITY)]


def units_are_collinear(layer: Before | Hidden) -> bool:
    """Return whether the units of a last hidden layer are all but multiples of each other, and its inputs are not."""
    rich = math.isnan(layer.input_ratio) or layer.input_ratio > 3 * RANK_ONE
    return rich and (layer.correlation > MOST_CORRELATED or layer.singular_ratio < RANK_ONE)


def collinear(e: Evidence) -> list[Finding]:
    """Find a last hidden layer whose units are all but multiples of each other, where the inputs are not."""
    if e.before is None or (e.remaining is not None and e.remaining < HALF_WAY / 2):
        return []
    stuck = e.chance is not None and e.remaining is not None and e.remaining > e.no_better
    findings = concerns_for(e, "collinear", stuck)
    if has_learned(e) and not stalled(e):
        return findings
    before = e.before
    if units_are_collinear(before):
        sentence = (
            f"The units of the last hidden layer have a mean absolute correlation of {before.correlation:.3f} over the "
            f"examples, and its second singular value is {before.singular_ratio:.2g} of the first."
        )
        findings.append(
            finding(
                e,
                "units_collinear",
                sentence,
                value=before.correlation,
                threshold=MOST_CORRELATED,
                causes=_causes_of_collinear(e),
            )
        )
    return findings


def _causes_of_collinear(e: Evidence) -> tuple[str, ...]:
    """Return what makes units alike: kernels of one sign, large inputs, or the depth with its activation."""
    if e.before is not None and not e.before.kernel_mean < ONE_SIGN:
        return ("initialisation",)
    return ("input_scaling", "hidden_activation") if e.inputs_are_large else ("hidden_activation", "units")
