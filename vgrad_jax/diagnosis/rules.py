"""Rules: pure functions from the evidence of one seed to its findings, and the table of them with their sources."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from vgrad_jax.diagnosis.evidence import Evidence
from vgrad_jax.diagnosis.statuses import (
    DROP,
    DROP_WITHOUT_TIME,
    FEWEST_RECORDS,
    GROWTH,
    HARDLY,
    INSENSITIVE,
    LEARNED,
    REPLACED,
    SATURATED,
    SHARE_OF_ZEROS,
    SHORT_DTYPE,
    SHRUNK,
    SHRUNK_TOGETHER,
    SMALL_UPDATE,
    UNDERFLOWN,
    UNDERFLOWN_LAYERS,
    UNDERFLOWN_WITH_ZEROS,
    WORSE,
    status_of,
)
from vgrad_jax.diagnosis.symptoms import faded, harmed, largest, learns, lost, overgrown, stalled

__all__ = ["RULES", "Finding", "Rule"]


class Finding(NamedTuple):
    """Fault, or reason for a small gradient, with the numbers that it rests on."""

    code: str
    """Word for the finding that scripts can rely on."""
    status: str
    """Verdict that it speaks for."""
    layer: str | None
    """Layer that shows it most clearly; None where it is about all layers."""
    value: float
    threshold: float
    sentence: str
    advice: str


class Rule(NamedTuple):
    """Row of the table of rules."""

    find: Callable[[Evidence], list[Finding]]
    source: str


def _finding(code: str, sentence: str, *, layer: str | None, value: float, threshold: float) -> Finding:
    """Complete a finding by its status and advice from the table of statuses."""
    status, advice = status_of(code)
    return Finding(code, status, layer, value, threshold, sentence, advice)


def non_finite(e: Evidence) -> list[Finding]:
    """Find a gradient or loss that is infinite or missing from the first record on; later it is the steps' fault."""
    if e.first_broken != 0:
        return []
    share = e.nonfinite_fraction[0]
    layer = int(np.argmax(share))
    sentence = f"{share[layer]:.0%} of this layer's gradient is infinite or missing in the first record."
    return [_finding("non_finite_gradient", sentence, layer=e.paths[layer], value=float(share[layer]), threshold=0.0)]


def exploding(e: Evidence) -> list[Finding]:
    """Find signals or gradients that grow with every layer, or a first step far larger than the weights."""
    findings = []
    if overgrown(e) and not (learns(e) and not stalled(e)):
        findings.append(_overgrown(e))
    if e.drop < -DROP_WITHOUT_TIME and not learns(e):
        sentence = f"The gradient is 10^{-e.drop:.1f} times larger on the input side than on the output side."
        findings.append(
            _finding("gradient_grows", sentence, layer=e.paths[0], value=-e.drop, threshold=DROP_WITHOUT_TIME)
        )
    return findings


def _overgrown(e: Evidence) -> Finding:
    """Report the growth of the preactivations, or a first update that replaces the weights where it is not known."""
    if e.growth is not None and e.product_log10_rms is not None:
        layer = int(np.nanargmax(e.product_log10_rms))
        sentence = f"At initialisation preactivations grow by the factor 10^{e.growth:.1f} on their way to this layer."
        return _finding("preactivations_grow", sentence, layer=e.paths[layer], value=e.growth, threshold=GROWTH)
    first = e.update_ratio_log10[0] if e.update_ratio_log10 is not None else np.full(len(e.paths), math.nan)
    value = largest(first)
    layer = int(np.argmax(first == value))
    sentence = f"The first update is 10^{value:.1f} of this layer's weights; the preactivations are not known."
    return _finding("first_update_replaces_weights", sentence, layer=e.paths[layer], value=value, threshold=REPLACED)


def learning_rate_large(e: Evidence) -> list[Finding]:
    """Find steps that do harm after a healthy start."""
    if e.first_broken == 0 or overgrown(e) or not harmed(e):
        return []
    harm = _harm(e)
    sentence = f"The first gradient is in order, but {harm.words}."
    if e.update_ratio_log10 is not None:
        first = largest(e.update_ratio_log10[0])
        sentence += f" The first update is 10^{first:.1f} of the weights in its largest layer."
    return [_finding("training_diverges", sentence, layer=harm.layer, value=harm.value, threshold=harm.threshold)]


class _Harm(NamedTuple):
    """Harm that the steps did."""

    words: str
    layer: str | None
    value: float
    threshold: float


def _harm(e: Evidence) -> _Harm:
    """Return the harm that came first: loss or gradient not finite, a larger loss, or layers without a gradient."""
    record, unbounded = e.first_broken or 0, e.loss_ratio == math.inf
    # A loss that is not finite makes the gradient of its record not finite too, so the loss comes first.
    if e.loss is not None and not np.isfinite(e.loss[record]) and (e.first_broken is not None or unbounded):
        share = float(np.mean(~np.isfinite(e.loss)))
        return _Harm(f"the loss is infinite or missing in {share:.0%} of the records", None, share, 0.0)
    if e.first_broken is not None:
        shares = e.nonfinite_fraction[record]
        layer = int(np.argmax(shares))
        words = f"later {shares[layer]:.0%} of this layer's gradient is infinite or missing"
        return _Harm(words, e.paths[layer], float(shares[layer]), 0.0)
    if e.loss_ratio is not None and e.loss_ratio > WORSE:
        return _Harm(f"later the loss is {e.loss_ratio:.3g} times what it was at first", None, e.loss_ratio, WORSE)
    killed = np.isneginf(e.late_profile)
    layer = int(np.flatnonzero(killed)[-1])
    words = f"later {killed.sum()} of {len(killed)} layers have no gradient any more, this layer nearest to the output"
    return _Harm(words, e.paths[layer], float(killed.mean()), 0.0)


def underflow(e: Evidence) -> list[Finding]:
    """Find gradients about the smallest number of a short dtype: a larger loss would have a larger gradient."""
    short = e.smallest > SHORT_DTYPE
    if not short.any() or learns(e):
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
    return [_finding("gradient_underflows", sentence, layer=e.paths[layer], value=value, threshold=threshold)]


def solved(e: Evidence) -> list[Finding]:
    """Find a loss that is gone, with all layers' gradients: small because nothing is left to learn."""
    if e.loss_ratio is None:
        if e.records < FEWEST_RECORDS or not _shrunk_together(e) or e.drop > DROP or e.first_broken is not None:
            return []
        value, threshold = float(e.shrinkage.min()), SHRUNK
        sentence = (
            f"Every layer's gradient shrank by at least 10^{value:.1f}, all about alike; the loss was not recorded."
        )
    elif e.loss_ratio < LEARNED and e.first_broken is None and not (overgrown(e) and stalled(e)):
        value, threshold = e.loss_ratio, LEARNED
        sentence = f"The loss is {e.loss_ratio:.2g} of what it was at first, and the gradient is small because of it."
    else:
        return []
    return [_finding("nothing_left_to_learn", sentence, layer=None, value=value, threshold=threshold)]


def _shrunk_together(e: Evidence) -> bool:
    """Return whether every layer's gradient shrank, and all about alike."""
    finite = e.shrinkage[np.isfinite(e.shrinkage)]
    spread = float(np.ptp(finite)) if len(finite) else 0.0
    return bool(np.all(e.shrinkage > SHRUNK)) and spread < SHRUNK_TOGETHER


def dead(e: Evidence) -> list[Finding]:
    """Find layers whose gradient is exactly zero over the late window."""
    if learns(e) or e.first_broken is not None:
        return []
    gone = np.isneginf(e.late_profile) & np.isneginf(e.log10_rms[e.late]).all(axis=0) & ~faded(e)
    if not gone.any():
        return []
    layer = int(np.flatnonzero(gone)[-1])
    sentence = f"The gradient of {gone.sum()} of {len(gone)} layers is exactly zero, of this one nearest to the output."
    return [_finding("gradient_is_zero", sentence, layer=e.paths[layer], value=float(gone.mean()), threshold=0.0)]


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
    return [_finding("activations_saturated", sentence, layer=e.paths[layer], value=value, threshold=SATURATED)]


def vanishing(e: Evidence) -> list[Finding]:
    """Find a gradient that is lost on its way to the input, or a loss that does not depend on the weights."""
    if not lost(e):
        return []
    weakest = int(np.argmin(np.where(np.isnan(e.first_profile), np.inf, e.first_profile)))
    layer = e.paths[weakest]
    if e.drop >= DROP:
        sentence = f"The gradient is 10^{e.drop:.1f} times smaller on the input side than on the output side."
        return [_finding("gradient_shrinks", sentence, layer=layer, value=e.drop, threshold=DROP)]
    value = float(e.sensitivity[0][weakest]) if e.sensitivity is not None else math.nan
    sentence = f"Changing this layer by as much as it is large changes the loss by 10^{value:.1f} of itself at most."
    return [_finding("loss_insensitive", sentence, layer=layer, value=value, threshold=INSENSITIVE)]


def learning_rate_small(e: Evidence) -> list[Finding]:
    """Find a healthy gradient, and steps too small to use it."""
    if e.update_ratio_log10 is None or e.loss_ratio is None or e.first_broken is not None:
        return []
    updates = float(np.median([largest(row) for row in e.update_ratio_log10]))
    if e.loss_ratio < HARDLY or e.loss_ratio > WORSE or updates > SMALL_UPDATE or lost(e):
        return []
    sentence = (
        f"A step changes the weights by 10^{updates:.1f} of their size at most, and the loss is still "
        f"{e.loss_ratio:.0%} of the first; the gradient itself is in order."
    )
    return [_finding("updates_small", sentence, layer=None, value=updates, threshold=SMALL_UPDATE)]


RULES: dict[str, Rule] = {
    "non_finite": Rule(non_finite, "IEEE 754: infinity and NaN pass through every sum"),
    "exploding": Rule(exploding, "He et al. 2015, arXiv:1502.01852; Hanin 2018, arXiv:1801.03744"),
    "learning_rate_large": Rule(
        learning_rate_large, "LeCun et al. 1998, Efficient BackProp: a step beyond twice the optimum"
    ),
    "underflow": Rule(underflow, "Micikevicius et al. 2018, arXiv:1710.03740"),
    "solved": Rule(solved, "the gradient of a loss that reaches its lower bound is zero"),
    "dead": Rule(dead, "Lu et al. 2019, arXiv:1903.06733"),
    "saturated": Rule(saturated, "Glorot and Bengio 2010, AISTATS"),
    "vanishing": Rule(vanishing, "Hochreiter 1991; Schoenholz et al. 2017, arXiv:1611.01232"),
    "learning_rate_small": Rule(learning_rate_small, "Karpathy 2022, makemore part 3: update over weights"),
}
"""Rules by the status that they speak for."""
