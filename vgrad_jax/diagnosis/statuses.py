"""Table of statuses and thresholds: everything about a verdict that is not a computation.

A status has a meaning, a priority, layers that it spreads to, and advice. A new status is a row here, with its
thresholds, its rule in `rules.py`, and its test.

Thresholds were chosen on one half of a labelled set of models and are measured on the other; docs/verdicts.md has both.
Sizes are in decades (log10), so that a threshold on a ratio holds whatever the scale of the loss.
"""

from collections.abc import Mapping
from enum import Enum
from typing import NamedTuple

__all__ = [
    "FAULTLESS",
    "HEALTHY",
    "PRIORITY",
    "STATUSES",
    "TABLE",
    "UNCLEAR",
    "Spread",
    "Status",
    "most_frequent_first",
    "rank",
    "spread_of",
    "status_of",
]


class Spread(Enum):
    """Layers that take the status of the network; a layer that is not finite is always *non_finite*."""

    ALL = "every layer"
    ACTIVE = "every layer with a gradient; a layer without a gradient is *dead*"
    ATTENUATED = "layers that a finding names or whose gradient is far below the largest; the others are *healthy*"
    ZERO = "layers without a gradient; the others are *healthy*"


class Status(NamedTuple):
    """Row of the table."""

    meaning: str
    """Sentence on what the status says of the gradient."""
    spread: Spread
    advice: dict[str, str]
    """Code of each finding that speaks for the status, and what to do about it; empty where no rule is needed."""
    is_fault: bool = True
    """False for a status that names no fault of the gradients."""


HEALTHY, UNCLEAR = "healthy", "unclear"

TABLE: dict[str, Status] = {
    "non_finite": Status(
        "A gradient or the loss is infinite or missing from the first record on.",
        Spread.ACTIVE,
        {
            "non_finite_gradient": "Look for a logarithm or root of zero, a division by zero, or missing values in the "
            "data: jax.debug_nans names the operation. A root needs its argument kept from zero inside it, not its "
            "result."
        },
    ),
    "exploding": Status(
        "Signals or gradients grow with every layer.",
        Spread.ACTIVE,
        {
            "preactivations_grow": "Scale the kernels' variance to 2 / fan-in for ReLU (he_normal) or 1 / fan-in for "
            "tanh (lecun_normal), scale residual branches by 1 / sqrt(depth), or normalise; clipping the gradient only "
            "hides it.",
            "first_update_replaces_weights": "Look at the preactivations by check_init, and hand the check to "
            "diagnose. Where they grow, scale the kernels' variance or normalise; where they keep their size, divide "
            "the learning rate by 10 until an update is smaller than the weights.",
            "gradient_grows": "Lower the kernels' variance, or normalise; clip the gradient by its global norm to keep "
            "single steps small.",
        },
    ),
    "learning_rate_large": Status(
        "The first gradient is in order, and the steps make the loss worse.",
        Spread.ALL,
        {
            "training_diverges": "Divide the learning rate by 3 to 10, or warm it up; clip the gradient by its global "
            "norm if single batches cause it."
        },
    ),
    "underflow": Status(
        "The gradient is about the smallest number of a short dtype.",
        Spread.ALL,
        {
            "gradient_underflows": "Multiply the loss by 2^10 to 2^15 and divide the gradient by it in float32 (loss "
            "scaling), or compute in bfloat16, which has the range of float32."
        },
    ),
    "solved": Status(
        "The gradient is small because there is nothing left to learn.",
        Spread.ALL,
        {
            "nothing_left_to_learn": "Nothing is wrong: stop, or look at held-out data. A small gradient is no reason "
            "to raise the learning rate."
        },
        is_fault=False,
    ),
    "dead": Status(
        "The gradient of some layers is exactly zero.",
        Spread.ZERO,
        {
            "gradient_is_zero": "Units that are off for every example have no gradient to come back by: start biases "
            "at zero and kernels with zero mean, lower the learning rate, or use leaky_relu, elu or gelu."
        },
    ),
    "saturated": Status(
        "The gradient is lost where tanh or logistic functions have no slope.",
        Spread.ATTENUATED,
        {
            "activations_saturated": "Make preactivations smaller: kernels with zero mean and variance 1 / fan-in "
            "(lecun_normal, glorot), biases at zero, inputs scaled to about 1, or a norm before the activation."
        },
    ),
    "vanishing": Status(
        "The gradient is lost on its way to the input, or the loss does not depend on the weights.",
        Spread.ATTENUATED,
        dict.fromkeys(
            ("gradient_shrinks", "loss_insensitive"),
            "Scale the kernels' variance to 2 / fan-in for ReLU (he_normal) or 1 / fan-in for tanh (lecun_normal); if "
            "they are, take the logistic function out of hidden layers, add residual branches, or normalise. A larger "
            "learning rate cannot mend a ratio between layers.",
        ),
    ),
    "learning_rate_small": Status(
        "The gradient is in order, and the steps are too small to use it.",
        Spread.ALL,
        {
            "updates_small": "Multiply the learning rate by 10 until the loss falls; about 10^-3 of the weights a step "
            "is usual."
        },
    ),
    UNCLEAR: Status(
        "The gradient shows no fault, and the loss does not fall: the reason is not in what was recorded.",
        Spread.ALL,
        {},
        is_fault=False,
    ),
    HEALTHY: Status("Nothing speaks against it.", Spread.ALL, {}, is_fault=False),
}
"""Statuses in the order of priority: causes before their consequences."""

PRIORITY = tuple(status for status, row in TABLE.items() if row.advice)
"""Statuses of findings; the first status that has a finding is the verdict."""
FAULTLESS = tuple(status for status, row in TABLE.items() if not row.is_fault)
"""Statuses that name no fault of the gradients."""
STATUSES = (HEALTHY, *PRIORITY, UNCLEAR)
"""Every verdict, but for those of a user's own rules."""

_STATUS_OF_CODE = {code: status for status, row in TABLE.items() for code in row.advice}
_RANK = {status: index for index, status in enumerate(TABLE)}


def status_of(code: str) -> tuple[str, str]:
    """Return the status that a finding's code speaks for, and the advice.

    >>> status_of("updates_small")[0]
    'learning_rate_small'
    """
    status = _STATUS_OF_CODE[code]
    return status, TABLE[status].advice[code]


def rank(status: str) -> int:
    """Return the position of a status in the order of priority; a status of a user's own rule is before all others.

    >>> rank("vanishing") < rank("healthy"), rank("of_my_own_rule")
    (True, -1)
    """
    return _RANK.get(status, -1)


def most_frequent_first(counts: Mapping[str, int]) -> dict[str, int]:
    """Return the number of seeds by status, the largest first; of equal numbers that of the worse status first.

    >>> most_frequent_first({"healthy": 2, "solved": 1, "vanishing": 2})
    {'vanishing': 2, 'healthy': 2, 'solved': 1}
    """
    ordered = sorted(counts, key=lambda status: (-counts[status], rank(status), status))
    return {status: counts[status] for status in ordered}


def spread_of(status: str) -> Spread:
    """Return which layers take a status; one of a user's own rule spreads to every layer with a gradient."""
    return TABLE[status].spread if status in TABLE else Spread.ACTIVE


DROP = 2.5
"""Decades over the depth from which the gradient counts as attenuated."""
DROP_WITHOUT_TIME = DROP + 0.5
"""Decades over the depth where the loss over time is not known, or where the gradient grows towards the input."""
INSENSITIVE = -3.0
"""log10 of the sensitivity below which the loss does not depend on the layers on the input side.

Also log10 of a layer's gradient over the largest, below which the layer takes part in an attenuation."""
GROWTH = 1.5
"""Decades that preactivations may grow by; Gaussian ReLU layers with variance 2 / fan-in keep their size on average."""
STALLED = 0.03
"""Share of itself that the loss must lose over the late four fifths of the records; below it the loss has stalled."""
LEARNED = 0.02
"""Share of the first loss below which nothing is left to learn."""
HARDLY = 0.9
"""Share of the first loss above which the loss has hardly fallen."""
WORSE = 1.5
"""Multiple of the first loss above which training has done harm."""
SMALL_UPDATE = -3.3
"""log10 of update over weights; a usual aim is about -3 (Karpathy 2022, "makemore" part 3)."""
LARGE_UPDATE = -1.0
"""log10 of update over weights from which a single step changes a good part of the weights."""
REPLACED = 2.0
"""log10 of update over weights at which the first step leaves nothing of the weights."""
SATURATED = 0.5
"""Share of saturated outputs in a layer from which the gradient counts as lost in them."""

SHRUNK = 2.0
"""Decades by which every layer's gradient shrinks where nothing is left to learn and the loss is not known."""
SHRUNK_TOGETHER = 2.0
"""Decades between the layers that shrank least and most, below which all layers shrank alike."""
FEWEST_RECORDS = 5
"""Number of records from which a course over time is judged."""

SHORT_DTYPE = -30.0
"""log10 of a dtype's smallest normal number above which a gradient may underflow: float16, not bfloat16 or float32."""
UNDERFLOWN = 0.5
"""Decades above the dtype's smallest number, up to which a layer's largest element has underflown."""
UNDERFLOWN_WITH_ZEROS = 1.5
"""Decades above the smallest number for a layer of which a share of `SHARE_OF_ZEROS` is zero."""
SHARE_OF_ZEROS = 0.1
"""Share of a layer's elements that are zero, above which more of them may have underflown."""
UNDERFLOWN_LAYERS = 0.5
"""Share of the layers that must have underflown."""

FADED_SIZE = -25.0
"""log10 RMS of the smallest gradient, below which zeros may be the end of a steady decay."""
FADED_RANGE = 10.0
"""Decades between the smallest and the largest gradient of a steady decay."""
FEWEST_LAYERS = 3
"""Number of layers with a gradient from which a decay or a line is seen."""
