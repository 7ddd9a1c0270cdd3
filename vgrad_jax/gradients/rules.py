"""Rules: each a small pure function from the evidence to what it finds, and a table of them with their sources."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from vgrad_jax.gradients.evidence import Evidence
from vgrad_jax.gradients.symptoms import (
    DROP,
    GROWTH,
    HARDLY,
    INSENSITIVE,
    LEARNED,
    SATURATED,
    SMALL_UPDATE,
    WORSE,
    faded,
    harmed,
    largest,
    learns,
    lost,
    overgrown,
    stalled,
)

__all__ = ["PRIORITY", "RULES", "Finding", "Rule"]

PRIORITY = (
    "non_finite",
    "exploding",
    "learning_rate_large",
    "underflow",
    "solved",
    "dead",
    "saturated",
    "vanishing",
    "learning_rate_small",
)
"""Which status is the verdict where several are found: causes before what follows from them."""


class Finding(NamedTuple):
    """One thing that was found, with what it rests on."""

    code: str
    """What was found, in a word that scripts can rely on."""
    status: str
    """The verdict that it speaks for."""
    layer: str | None
    """The layer it was found in; None where it is about all."""
    value: float
    threshold: float
    sentence: str
    advice: str


class Rule(NamedTuple):
    """A rule of the table."""

    find: Callable[[Evidence], list[Finding]]
    source: str


def non_finite(e: Evidence) -> list[Finding]:
    """A gradient or loss that is infinite or missing from the first record on; or later without another reason."""
    if e.first_broken is None:
        return []
    first = e.first_broken == 0
    if not first and (overgrown(e) or harmed(e)):
        return []
    share = e.nonfinite_fraction[e.first_broken]
    layer = int(np.argmax(share))
    when = "in the first record" if first else f"in record {e.first_broken}"
    return [
        Finding(
            "non_finite_gradient",
            "non_finite",
            e.paths[layer],
            float(share[layer]),
            0.0,
            f"{share[layer]:.0%} of this layer's gradient is infinite or missing {when}.",
            "Look for a logarithm or root of zero, a division by zero, or missing values in the data: "
            "jax.debug_nans names "
            "the operation. A root needs its argument kept from zero inside it, not its result.",
        )
    ]


def exploding(e: Evidence) -> list[Finding]:
    """Signals or gradients that grow with every layer, or a first step larger than the weights by far."""
    found = []
    if overgrown(e) and not (learns(e) and not stalled(e)):
        growth = e.growth or 0.0
        largest = int(np.nanargmax(e.product_log10_rms)) if e.product_log10_rms is not None else 0
        found.append(
            Finding(
                "preactivations_grow",
                "exploding",
                e.paths[largest],
                growth,
                GROWTH,
                f"At initialisation preactivations grow by the factor 10^{growth:.1f} on their way to this layer.",
                "Scale the kernels' variance to 2 / fan-in for ReLU (he_normal) or 1 / fan-in for tanh (lecun_normal), "
                "scale residual branches by 1 / sqrt(depth), or normalise; clipping the gradient only hides it.",
            )
        )
    if e.drop < -(DROP + 0.5) and not learns(e):
        found.append(
            Finding(
                "gradient_grows",
                "exploding",
                e.paths[0],
                -e.drop,
                DROP + 0.5,
                f"The gradient is 10^{-e.drop:.1f} times larger on the input side than on the output side.",
                "Lower the kernels' variance, or normalise; clip the gradient by its global norm to keep single "
                "steps small.",
            )
        )
    return found


def learning_rate_large(e: Evidence) -> list[Finding]:
    """A healthy start, and steps that do harm."""
    if e.first_broken == 0 or overgrown(e) or not harmed(e):
        return []
    ratio = e.loss_ratio if e.loss_ratio is not None else math.inf
    updates = None if e.update_ratio_log10 is None else e.update_ratio_log10[0]
    size = (
        ""
        if updates is None
        else f" The first update is 10^{largest(updates):.1f} of the weights in its largest layer."
    )
    killed = e.first_broken is None and ratio <= WORSE
    what = "is no longer finite" if math.isinf(ratio) else f"is {ratio:.3g} times what it was at first"
    what += ", and layers that had a gradient have none any more" if killed else ""
    return [
        Finding(
            "training_diverges",
            "learning_rate_large",
            None,
            ratio,
            WORSE,
            f"The first gradient is in order, but later the loss {what}.{size}",
            "Divide the learning rate by 3 to 10, or warm it up; clip the gradient by its global norm if single "
            "batches "
            "cause it.",
        )
    ]


def underflow(e: Evidence) -> list[Finding]:
    """Gradients about the smallest number of a short dtype: a larger loss would have a larger gradient."""
    short = e.smallest > -30
    if not short.any() or learns(e):
        return []
    largest = e.log10_max[0][short]
    zeros = e.zero_fraction[0][short]
    lost = (largest < e.smallest[short] + 0.5) | ((largest < e.smallest[short] + 1.5) & (zeros > 0.1))
    if lost.mean() < 0.5:
        return []
    layer = int(np.flatnonzero(short)[np.argmin(np.where(np.isfinite(largest), largest, -np.inf))])
    return [
        Finding(
            "gradient_underflows",
            "underflow",
            e.paths[layer],
            float(e.log10_max[0][layer]),
            float(e.smallest[layer]),
            f"The largest element of this layer's gradient is 10^{e.log10_max[0][layer]:.1f}, and the smallest "
            "normal number "
            f"of its dtype 10^{e.smallest[layer]:.1f}; {e.zero_fraction[0][layer]:.0%} of it is exactly zero.",
            "Multiply the loss by 2^10 to 2^15 and divide the gradient by it in float32 (loss scaling), or compute in "
            "bfloat16, which has the range of float32.",
        )
    ]


def solved(e: Evidence) -> list[Finding]:
    """Small because there is nothing left to learn: the loss is gone, and all layers' gradients went with it."""
    if e.loss_ratio is None:
        shrunk = e.shrinkage
        together = (
            bool(np.all(shrunk > 2))
            and float(np.ptp(shrunk[np.isfinite(shrunk)], axis=None) if np.isfinite(shrunk).any() else 0) < 2
        )
        if e.records < 5 or not together or e.drop > DROP or e.first_broken is not None:
            return []
        value, threshold = float(shrunk.min()), 2.0
        sentence = (
            f"Every layer's gradient shrank by at least 10^{value:.1f}, all about alike; the loss was not recorded."
        )
    elif e.loss_ratio < LEARNED and e.first_broken is None and not (overgrown(e) and stalled(e)):
        value, threshold = e.loss_ratio, LEARNED
        sentence = f"The loss is {e.loss_ratio:.2g} of what it was at first, and the gradient is small because of it."
    else:
        return []
    return [
        Finding(
            "nothing_left_to_learn",
            "solved",
            None,
            value,
            threshold,
            sentence,
            "Nothing is wrong: stop, or look at held-out data. A small gradient is no reason to raise the "
            "learning rate.",
        )
    ]


def dead(e: Evidence) -> list[Finding]:
    """Layers whose gradient is exactly zero over the whole window."""
    if learns(e) or e.first_broken is not None:
        return []
    gone = np.isneginf(e.late_profile) & np.isneginf(e.log10_rms[e.late]).all(axis=0) & ~faded(e)
    if not gone.any():
        return []
    layer = int(np.flatnonzero(gone)[-1])
    return [
        Finding(
            "gradient_is_zero",
            "dead",
            e.paths[layer],
            float(gone.mean()),
            0.0,
            f"The gradient of {gone.sum()} of {len(gone)} layers is exactly zero, of this one nearest to the output.",
            "Units that are off for every example have no gradient to come back by: start biases at zero and "
            "kernels with "
            "zero mean, lower the learning rate, or use leaky_relu, elu or gelu.",
        )
    ]


def saturated(e: Evidence) -> list[Finding]:
    """The gradient is lost where tanh or logistic functions have no slope."""
    if e.saturated_fraction is None or not lost(e):
        return []
    shares = e.saturated_fraction
    if not np.isfinite(shares).any() or float(np.nanmax(shares)) < SATURATED:
        return []
    layer = int(np.nanargmax(shares))
    return [
        Finding(
            "activations_saturated",
            "saturated",
            e.paths[layer],
            float(shares[layer]),
            SATURATED,
            f"At initialisation {shares[layer]:.0%} of the activations behind this layer are saturated, and the "
            "gradient is "
            "lost on its way through them.",
            "Make preactivations smaller: kernels with zero mean and variance 1 / fan-in (lecun_normal, glorot), "
            "biases at "
            "zero, inputs scaled to about 1, or a norm before the activation.",
        )
    ]


def vanishing(e: Evidence) -> list[Finding]:
    """The gradient is lost on its way to the input, or the loss does not feel the weights at all."""
    if not lost(e):
        return []
    attenuated = e.drop >= DROP
    felt = e.sensitivity
    weakest = int(np.argmin(np.where(np.isnan(e.first_profile), np.inf, e.first_profile)))
    if attenuated:
        code, value, threshold = "gradient_shrinks", e.drop, DROP
        sentence = f"The gradient is 10^{e.drop:.1f} times smaller on the input side than on the output side."
    else:
        value = float(felt[0][weakest]) if felt is not None else math.nan
        code, threshold = "loss_insensitive", INSENSITIVE
        sentence = (
            f"Changing this layer by as much as it is large changes the loss by 10^{value:.1f} of itself at most."
        )
    return [
        Finding(
            code,
            "vanishing",
            e.paths[weakest],
            value,
            threshold,
            sentence,
            "Scale the kernels' variance to 2 / fan-in for ReLU (he_normal) or 1 / fan-in for tanh "
            "(lecun_normal); if they are, "
            "take the logistic function out of hidden layers, add residual branches, or normalise. A larger "
            "learning rate "
            "cannot mend a ratio between layers.",
        )
    ]


def learning_rate_small(e: Evidence) -> list[Finding]:
    """A healthy gradient, and steps too small to use it."""
    if e.update_ratio_log10 is None or e.loss_ratio is None or e.first_broken is not None:
        return []
    updates = float(np.median([largest(row) for row in e.update_ratio_log10]))
    if e.loss_ratio < HARDLY or e.loss_ratio > WORSE or updates > SMALL_UPDATE or lost(e):
        return []
    return [
        Finding(
            "updates_small",
            "learning_rate_small",
            None,
            updates,
            SMALL_UPDATE,
            f"A step changes the weights by 10^{updates:.1f} of their size at most, and the loss is still "
            f"{e.loss_ratio:.0%} "
            "of the first; the gradient itself is in order.",
            "Multiply the learning rate by 10 until the loss falls; about 10^-3 of the weights a step is usual.",
        )
    ]


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
