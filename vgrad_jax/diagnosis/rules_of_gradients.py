"""Rules on the profile of the gradient over the layers."""

import math

import numpy as np
from jaxtyping import Bool, Float

from vgrad_jax.diagnosis.evidence import Evidence
from vgrad_jax.diagnosis.findings import Finding, finding
from vgrad_jax.diagnosis.profiles import largest
from vgrad_jax.diagnosis.rules_of_models import concerns_for
from vgrad_jax.diagnosis.symptoms import faded, has_learned, in_reverse, lost, never_reached, overgrown, stalled
from vgrad_jax.diagnosis.thresholds import (
    DROP,
    DROP_WITHOUT_TIME,
    GROWTH,
    INSENSITIVE,
    MOSTLY_SATURATED,
    MUCH_LEFT,
    NEVER_REACHED,
    REPLACED,
    SATURATED,
    SHARE_OF_ZEROS,
    SHORT_DTYPE,
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
    if e.from_start and e.drop < -DROP_WITHOUT_TIME and not has_learned(e) and not in_reverse(e):
        sentence = f"The gradient is 10^{-e.drop:.1f} times larger on the input side than on the output side."
        findings.append(
            finding(e, "gradient_grows", sentence, layer=e.paths[0], value=-e.drop, threshold=DROP_WITHOUT_TIME)
        )
    return findings


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
    if has_learned(e) or e.stays_broken or faded(e):
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
    return most and e.chance is not None and e.remaining is not None and e.remaining > MUCH_LEFT


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
