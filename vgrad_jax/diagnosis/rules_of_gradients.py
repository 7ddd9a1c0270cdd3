"""Rules on the profile of the gradient over the layers."""

import math

import numpy as np

from vgrad_jax.diagnosis.evidence import Evidence, largest
from vgrad_jax.diagnosis.findings import Finding, finding
from vgrad_jax.diagnosis.statuses import (
    DROP,
    DROP_WITHOUT_TIME,
    GROWTH,
    INSENSITIVE,
    REPLACED,
    SATURATED,
    SHARE_OF_ZEROS,
    SHORT_DTYPE,
    UNDERFLOWN,
    UNDERFLOWN_LAYERS,
    UNDERFLOWN_WITH_ZEROS,
)
from vgrad_jax.diagnosis.symptoms import faded, has_learned, in_reverse, lost, overgrown, stalled

__all__ = ["dead", "exploding", "saturated", "underflow", "vanishing"]


def exploding(e: Evidence) -> list[Finding]:
    """Find signals or gradients that grow with every layer, or a first step far larger than the weights."""
    findings = []
    if overgrown(e) and not (has_learned(e) and not stalled(e)):
        findings.append(_overgrown(e))
    if e.from_start and e.drop < -DROP_WITHOUT_TIME and not has_learned(e) and not in_reverse(e):
        sentence = f"The gradient is 10^{-e.drop:.1f} times larger on the input side than on the output side."
        findings.append(
            finding(e, "gradient_grows", sentence, layer=e.paths[0], value=-e.drop, threshold=DROP_WITHOUT_TIME)
        )
    return findings


def _overgrown(e: Evidence) -> Finding:
    """Report the growth of the preactivations, or a first update that replaces the weights where it is not known."""
    if e.growth is not None and e.product_log10_rms is not None:
        layer = int(np.nanargmax(e.product_log10_rms))
        sentence = f"At initialisation preactivations grow by the factor 10^{e.growth:.1f} on their way to this layer."
        return finding(e, "preactivations_grow", sentence, layer=e.paths[layer], value=e.growth, threshold=GROWTH)
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


def dead(e: Evidence) -> list[Finding]:
    """Find layers whose gradient is exactly zero over the late window, and say why where a look knows it."""
    if has_learned(e) or e.stays_broken:
        return []
    gone = np.isneginf(e.late_profile) & np.isneginf(e.log10_rms[e.late]).all(axis=0) & ~faded(e)
    # A layer that had a gradient at first and that a vanishing gradient never reached is not the cause.
    if not gone.any() or (lost(e) and not np.isneginf(e.first_profile).any()):
        return []
    layer = int(np.flatnonzero(gone)[-1])
    sentence = f"The gradient of {gone.sum()} of {len(gone)} layers is exactly zero, of this one nearest to the output."
    no_relu = e.before is not None and "relu" not in e.before.kinds
    born = bool(np.isneginf(e.first_profile[layer]))
    causes = () if no_relu else (("initialisation",) if born else ("learning_rate",))
    code = "no_gradient" if no_relu else "gradient_is_zero"
    return [finding(e, code, sentence, layer=e.paths[layer], value=float(gone.mean()), threshold=0.0, causes=causes)]


def saturated(e: Evidence) -> list[Finding]:
    """Find a gradient that is lost where tanh or logistic functions have no slope."""
    if e.saturated_fraction is None or not lost(e):
        return []
    shares = e.saturated_fraction
    if not np.isfinite(shares).any() or float(np.nanmax(shares)) < SATURATED:
        return []
    layer = int(np.nanargmax(shares))
    value = float(shares[layer])
    sentence = (
        f"At initialisation {value:.0%} of the activations behind this layer are saturated, and the gradient is "
        "lost on its way through them."
    )
    return [finding(e, "activations_saturated", sentence, layer=e.paths[layer], value=value, threshold=SATURATED)]


def vanishing(e: Evidence) -> list[Finding]:
    """Find a gradient that is lost on its way to the input, or a loss that does not depend on the weights."""
    if not lost(e):
        return []
    weakest = int(np.argmin(np.where(np.isnan(e.first_profile), np.inf, e.first_profile)))
    layer = e.paths[weakest]
    logistic = e.before is not None and "logistic" in e.before.kinds and "tanh" not in e.before.kinds
    if e.drop >= DROP:
        sentence = f"The gradient is 10^{e.drop:.1f} times smaller on the input side than on the output side."
        code = "logistic_shrinks" if logistic else "gradient_shrinks"
        return [finding(e, code, sentence, layer=layer, value=e.drop, threshold=DROP)]
    value = float(e.sensitivity[0][weakest]) if e.sensitivity is not None else math.nan
    sentence = f"Changing this layer by as much as it is large changes the loss by 10^{value:.1f} of itself at most."
    code = "logistic_shrinks" if logistic else "loss_insensitive"
    return [finding(e, code, sentence, layer=layer, value=value, threshold=INSENSITIVE)]
