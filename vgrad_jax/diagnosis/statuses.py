"""Table of statuses: meaning, priority, layers and advice of every verdict.

A new status is a row here, its rule in `rules.py`, and its test.
"""

from enum import Enum
from typing import NamedTuple

__all__ = ["HEALTHY", "PRIORITY", "STATUSES", "TABLE", "UNCLEAR", "Spread", "Status", "rank", "spread_of", "status_of"]


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
    ),
    HEALTHY: Status("Nothing speaks against the gradient.", Spread.ALL, {}),
}
"""Statuses in the order of priority: causes before their consequences."""

PRIORITY = tuple(status for status, row in TABLE.items() if row.advice)
"""Statuses that rules find; the first of those that were found is the verdict."""
STATUSES = (HEALTHY, *PRIORITY, UNCLEAR)
"""Every verdict there is, but for those of a user's own rules."""

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


def spread_of(status: str) -> Spread:
    """Return which layers take a status; one of a user's own rule spreads to every layer with a gradient."""
    return TABLE[status].spread if status in TABLE else Spread.ACTIVE
