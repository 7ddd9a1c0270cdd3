"""Rules on the profile of the gradient over the layers."""

import math

import numpy as np
from jaxtyping import Bool, Float

from vgrad_jax.diagnosis.bad_starts import kernel_gains, kernels_amplify, outputs_were_huge, weights_decayed
from vgrad_jax.diagnosis.evidence import Evidence
from vgrad_jax.diagnosis.findings import Finding, finding
from vgrad_jax.diagnosis.profiles import largest
from vgrad_jax.diagnosis.rules_of_models import concerns_for
from vgrad_jax.diagnosis.symptoms import (
    faded,
    has_learned,
    in_reverse,
    is_solved,
    lost,
    never_reached,
    overgrown,
    stalled,
)
from vgrad_jax.diagnosis.thresholds import (
    ABOVE,
    AMPLIFIES,
    DROP,
    DROP_WITHOUT_TIME,
    FAR_LEFT,
    FEWEST_RECORDS,
    GROWTH,
    HALF_WAY,
    HARDLY,
    INSENSITIVE,
    MOSTLY_SATURATED,
    MUCH_LEFT,
    NEVER_REACHED,
    REPLACED,
    SATURATED,
    SATURATED_LATER,
    SHARE_OF_ZEROS,
    SHORT_DTYPE,
    SMALLEST_OF_HALF,
    TOO_SENSITIVE,
    UNDERFLOWN,
    UNDERFLOWN_LAYERS,
    UNDERFLOWN_WITH_ZEROS,
)
from vgrad_jax.inspection import ZeroReason
from vgrad_jax.numerics import lower_median

__all__ = ["dead", "exploding", "saturated", "underflow", "vanishing"]


def exploding(e: Evidence) -> list[Finding]:
    """Find signals or gradients that grow with every layer, or a first step far larger than the weights."""
    findings = _recurrence(e)
    if overgrown(e) and not (has_learned(e) and not stalled(e)):
        findings.append(_overgrown(e))
    if e.from_start and e.drop < -DROP_WITHOUT_TIME and not has_learned(e) and not in_reverse(e) and _grows(e):
        sentence = f"The gradient is 10^{-e.drop:.1f} times larger on the input side than on the output side."
        findings.append(
            finding(e, "gradient_grows", sentence, layer=e.paths[0], value=-e.drop, threshold=DROP_WITHOUT_TIME)
        )
    huge = outputs_were_huge(e) and kernels_amplify(e) and e.chance is None
    if huge and e.loss is not None and not has_learned(e) and not is_solved(e):
        findings.append(_huge(e, float(e.loss[0])))
    return [*findings, *_too_sensitive(e)]


def _huge(e: Evidence, first: float) -> Finding:
    """Report a huge first loss of outputs that large kernels made."""
    value = largest(kernel_gains(e))
    layer = int(np.nanargmax(np.where(kernel_gains(e) == value, 1.0, 0.0)))
    sentence = f"The first loss is {first:.2g}, and this layer's kernel makes signals 10^{value:.1f} times as large."
    return finding(e, "first_loss_huge", sentence, layer=e.paths[layer], value=value, threshold=AMPLIFIES)


def _grows(e: Evidence) -> bool:
    """Return whether the gradient on the input side is not far below that of the output layer: it grew on its way."""
    front = e.first_nonzero_profile[: max(1, len(e.paths) // 3)]
    return not float(lower_median(front)) < float(e.first_nonzero_profile[-1]) - DROP


def _too_sensitive(e: Evidence) -> list[Finding]:
    """Report a first loss that changes by itself when a layer's weights change by a tiny part of theirs."""
    if e.sensitivity is None or not e.from_start or e.remaining is None or e.break_step == 0:
        return []
    value = largest(e.sensitivity[0])
    learned = has_learned(e) and (e.chance is not None or e.remaining < FAR_LEFT)
    if not value > TOO_SENSITIVE or learned or is_solved(e):
        return []
    layer = int(np.nanargmax(np.where(e.sensitivity[0] == value, 1.0, 0.0)))
    sentence = f"A change of this layer's weights by 10^{-value:.1f} of their size changes the first loss by all of it."
    return [finding(e, "loss_too_sensitive", sentence, layer=e.paths[layer], value=value, threshold=TOO_SENSITIVE)]


def _recurrence(e: Evidence) -> list[Finding]:
    """Report an overflow inside a loop whose numbers grew from one iteration to the next."""
    fault = None if e.before is None else e.before.nonfinite
    if fault is None or fault.growth is None or fault.growth <= 1 or e.break_step != 0:
        return []
    return [finding(e, "recurrence_grows", fault.sentence, layer=fault.layer, value=fault.growth, threshold=1.0)]


def _overgrown(e: Evidence) -> Finding:
    """Report the growth of the preactivations, or a first update that replaces the weights where it is not known."""
    if e.growth is not None and e.product_log10_rms is not None:
        layer = int(np.nanargmax(e.product_log10_rms))
        sentence = f"At initialisation preactivations grow by the factor 10^{e.growth:.1f} on their way to this layer."
        causes = ("input_scaling", "initialisation") if e.inputs_are_large else ("initialisation",)
        return finding(
            e,
            "preactivations_grow",
            sentence,
            layer=e.paths[layer],
            value=e.growth,
            threshold=GROWTH,
            causes=causes,
        )
    first = e.update_ratio_log10[0] if e.update_ratio_log10 is not None else np.full(len(e.paths), math.nan)
    value = largest(first)
    layer = int(np.argmax(first == value))
    sentence = f"The first update is 10^{value:.1f} of this layer's weights; the preactivations are not known."
    return finding(e, "first_update_replaces_weights", sentence, layer=e.paths[layer], value=value, threshold=REPLACED)


def underflow(e: Evidence) -> list[Finding]:
    """Find gradients about the smallest number of a short dtype: a larger loss would have a larger gradient."""
    if _loss_underflows(e) and e.loss is not None:
        sentence = f"The first loss is {e.loss[0]:.2g}, and every gradient is exactly zero: float16 cannot hold it."
        value = math.log10(abs(float(e.loss[0])))
        return [finding(e, "gradient_underflows", sentence, value=value, threshold=math.log10(SMALLEST_OF_HALF))]
    short = e.smallest > SHORT_DTYPE
    if not short.any() or has_learned(e) or not e.from_start:
        return []
    size, zeros, smallest = e.log10_max[0][short], e.zero_fraction[0][short], e.smallest[short]
    underflown = (size < smallest + UNDERFLOWN) | ((size < smallest + UNDERFLOWN_WITH_ZEROS) & (zeros > SHARE_OF_ZEROS))
    if underflown.mean() < UNDERFLOWN_LAYERS:
        return []
    layer = int(np.flatnonzero(short)[np.argmin(np.where(np.isfinite(size), size, -np.inf))])
    value, threshold = float(e.log10_max[0][layer]), float(e.smallest[layer])
    sentence = (
        f"The largest element of this layer's gradient is 10^{value:.1f}, and the smallest normal number "
        f"of its dtype 10^{threshold:.1f}; {e.zero_fraction[0][layer]:.0%} of it is exactly zero."
    )
    return [finding(e, "gradient_underflows", sentence, layer=e.paths[layer], value=value, threshold=threshold)]


def _loss_underflows(e: Evidence) -> bool:
    """Return whether the loss is below float16's normal numbers from the start, and every gradient exactly zero."""
    if e.loss is None or not e.from_start or not np.isneginf(e.log10_rms).all():
        return False
    return bool(0 < abs(e.loss[0]) < SMALLEST_OF_HALF)


HARMLESS = {
    "zero_for_first_step": "zero_initialised",
    "stopped": "frozen",
    "unused": "frozen",
    "not_in_batch": "frozen",
}
"""Code of the note for each reason of a zero gradient that is no fault, as long as other layers have one."""
BORN_DEAD = ("hidden_activation", "initialisation")
"""Causes of units that are off from the start."""
CODES = {
    "no_derivative": "no_derivative",
    "stopped": "no_path",
    "unused": "no_path",
    "saturated": "activations_saturated",
    "underflow": "gradient_underflows",
    "units_off": "gradient_is_zero",
    "zeros_stay": "zeros_stay",
}
"""Code of the finding for each reason of a zero gradient that is a fault."""


def dead(e: Evidence) -> list[Finding]:
    """Find layers whose gradient is exactly zero over the late window, and say why where a look knows it."""
    return [*concerns_for(e, "dead"), *_without_gradient(e)]


def _without_gradient(e: Evidence) -> list[Finding]:
    """Report layers whose gradient is exactly zero over the late window."""
    little = has_learned(e) and e.remaining is not None and e.remaining > HALF_WAY
    if (has_learned(e) and not little) or e.stays_broken or faded(e):
        return []
    gone = np.isneginf(e.late_profile) & np.isneginf(e.log10_rms[e.late]).all(axis=0)
    # A layer that had a gradient at first and that a vanishing gradient never reached is not the cause.
    if not gone.any() or (lost(e) and not np.isneginf(e.first_profile).any()):
        return []
    reasons = {layer: _reason_of(e, layer) for layer in np.flatnonzero(gone).tolist()}
    alive = not gone.all()
    harmless = {layer: why for layer, why in reasons.items() if why is not None and _is_harmless(why, e, alive)}
    notes = [_note(e, layer, why) for layer, why in harmless.items()]
    faulty = [layer for layer in reasons if layer not in harmless]
    if little:  # Others learned something: only what a look found at the start, and no harmless reason for, is a fault.
        faulty = [layer for layer in faulty if reasons[layer] is not None]
    return [*([_zero(e, gone, faulty[-1], reasons[faulty[-1]])] if faulty else []), *notes]


def _reason_of(e: Evidence, layer: int) -> ZeroReason | None:
    """Return the reason for a layer's zero gradient, that of its first leaf; None where no look knows it."""
    if e.before is None or not np.isneginf(e.first_profile[layer]):
        return None
    path = e.paths[layer]
    own = [why for why in e.before.zeros if why.path == path or why.path.startswith(f"{path}/")]
    return next((why for why in own if why.reason not in HARMLESS), own[0] if own else None)


def _is_harmless(why: ZeroReason, e: Evidence, alive: bool) -> bool:
    """Return whether a reason is no fault: a first step without a gradient is none as long as there was no second."""
    if why.reason == "zero_for_first_step":
        return e.records == 1
    return why.reason in HARMLESS and alive


def _note(e: Evidence, layer: int, why: ZeroReason) -> Finding:
    return finding(e, HARMLESS[why.reason], why.sentence, layer=e.paths[layer], value=1.0, threshold=1.0)


def _zero(e: Evidence, gone: Bool[np.ndarray, " layer"], layer: int, why: ZeroReason | None) -> Finding:
    """Report the layer without a gradient that is nearest to the output, with the reason where it is known."""
    sentence = (
        f"The gradient is exactly zero in {gone.sum()} of {len(gone)} layers; this one is the nearest to the output."
    )
    if why is not None and why.reason in CODES:
        code = CODES[why.reason]
        return finding(
            e,
            code,
            f"{sentence} {why.sentence}",
            layer=e.paths[layer],
            value=float(gone.mean()),
            threshold=0.0,
            causes=BORN_DEAD if code == "gradient_is_zero" else None,
        )
    no_relu = e.before is not None and "relu" not in e.before.kinds
    born = bool(np.isneginf(e.first_profile[layer]))
    causes = () if no_relu else BORN_DEAD if born else ("learning_rate",)
    code = "no_gradient" if no_relu else "gradient_is_zero"
    return finding(e, code, sentence, layer=e.paths[layer], value=float(gone.mean()), threshold=0.0, causes=causes)


def saturated(e: Evidence) -> list[Finding]:
    """Find a gradient that is lost where tanh or logistic functions have no slope."""
    return _saturated_at_first(e) or _saturated_later(e)


def _saturated_later(e: Evidence) -> list[Finding]:
    """Report gradients that shrank in every layer under a loss that stays where it began."""
    course = e.course
    if course is None or e.remaining is None or e.records < FEWEST_RECORDS or e.stays_broken or not course.from_start:
        return []
    if not HARDLY < e.remaining < ABOVE or weights_decayed(e) or not np.isfinite(e.shrinkage).all():
        return []
    value, start = float(e.shrinkage.min()), course.start
    if value < SATURATED_LATER or not course.late > HARDLY * start:
        return []
    sentence = f"Every layer's gradient shrank to 10^{-value:.1f} of its first size, and the loss did not fall."
    return [finding(e, "saturates_later", sentence, value=value, threshold=SATURATED_LATER)]


def _saturated_at_first(e: Evidence) -> list[Finding]:
    """Report shares of saturated activations, where the gradient is lost or the training failed."""
    shares = e.saturated_fraction
    if shares is None or not np.isfinite(shares).any():
        return []
    value, layer = float(np.nanmax(shares)), int(np.nanargmax(shares))
    if lost(e) and value >= SATURATED:
        words = "and the gradient is lost on its way through them"
    elif _failed_saturated(e, shares):
        words = "and most others too: hardly an example moves them, and the loss did not come far"
    else:
        return []
    sentence = f"At initialisation {value:.0%} of the activations behind this layer are saturated, {words}."
    causes = ("input_scaling",) if e.inputs_are_large else ("initialisation",)
    return [
        finding(
            e,
            "activations_saturated",
            sentence,
            layer=e.paths[layer],
            value=value,
            threshold=SATURATED,
            causes=causes,
        )
    ]


def _failed_saturated(e: Evidence, shares: Float[np.ndarray, " layer"]) -> bool:
    """Return whether most layers' activations are saturated, and a training whose chance is known did not get far."""
    most = float(lower_median(shares[np.isfinite(shares)])) >= MOSTLY_SATURATED
    # Large inputs saturate the units, and are a fault of their own.
    return (
        most and not e.inputs_are_large and e.chance is not None and e.remaining is not None and e.remaining > MUCH_LEFT
    )


def vanishing(e: Evidence) -> list[Finding]:
    """Find a gradient that is lost on its way to the input, or a loss that does not depend on the weights."""
    if not lost(e):
        return []
    weakest = int(np.argmin(np.where(np.isnan(e.first_profile), np.inf, e.first_profile)))
    layer = e.paths[weakest]
    logistic = e.before is not None and "logistic" in e.before.kinds and "tanh" not in e.before.kinds
    if never_reached(e):
        sizes = np.sort(e.first_profile)
        value = float(sizes[-1] - sizes[-2])
        sentence = f"Only one layer moved: the gradient of every other one is at least 10^{value:.1f} times smaller."
        return [finding(e, "gradient_shrinks", sentence, layer=layer, value=value, threshold=NEVER_REACHED)]
    if e.drop >= DROP:
        sentence = f"The gradient is 10^{e.drop:.1f} times smaller on the input side than on the output side."
        code = "logistic_shrinks" if logistic else "gradient_shrinks"
        return [finding(e, code, sentence, layer=layer, value=e.drop, threshold=DROP)]
    value = float(e.sensitivity[0][weakest]) if e.sensitivity is not None else math.nan
    sentence = (
        f"Changing this layer's weights by their own size changes the loss by at most 10^{value:.1f} of its value."
    )
    code = "logistic_shrinks" if logistic else "loss_insensitive"
    return [finding(e, code, sentence, layer=layer, value=value, threshold=INSENSITIVE)]
