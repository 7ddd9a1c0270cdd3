"""Row of the table of statuses: what a status means, which layers take it, and what helps."""

from enum import Enum
from typing import NamedTuple

__all__ = ["CAUSES", "NOTES", "Remedy", "Spread", "Status"]


class Spread(Enum):
    """Layers that take the status of the network; a layer that is not finite is always *non_finite*."""

    ALL = "every layer"
    ACTIVE = "every layer with a gradient; a layer without a gradient is *dead*"
    ATTENUATED = "layers that a finding names or whose gradient is far below the largest; the others are *healthy*"
    ZERO = "layers without a gradient; the others are *healthy*"


class Remedy(NamedTuple):
    """Advice of a finding, and the words for its likely causes."""

    advice: str
    """Sentence on what to do; `{variance}` stands for the kernels' variance that fits the model's activations."""
    causes: tuple[str, ...] = ()
    """Words of `CAUSES`, most likely first."""


class Status(NamedTuple):
    """Row of the table."""

    meaning: str
    """Sentence on what the status says of the gradient."""
    spread: Spread
    advice: dict[str, Remedy]
    """Code of each finding that speaks for the status, and what to do about it; empty where no rule is needed."""
    is_fault: bool = True
    """False for a status that names no fault of the gradients."""


CAUSES = (
    "output_activation",
    "hidden_activation",
    "loss",
    "learning_rate",
    "optimiser",
    "epochs_too_few",
    "batch_size",
    "initialisation",
    "input_scaling",
    "labels",
    "layer_missing",
    "units",
    "regularisation",
    "dropout_misuse",
    "non_finite_op",
)
"""Words for causes of a failed training."""

NOTES: dict[str, str] = {
    "few_records": "Keep more records: `vgrad_jax.record(every=10, history=512)` keeps 512 of every tenth update.",
    "steps_refused": "Look at the batches of these steps; the training itself went on.",
    "numbers_recovered": "Look at the batch of that step; the training recovered.",
    "spike_recovered": "Look at the batches of these steps; the training recovered.",
    "zero_initialised": "Nothing is wrong: the gradient arrives as soon as the zero has moved.",
    "frozen": "Nothing is wrong where these parameters are meant to stay.",
}
"""Advice of each finding that names no fault: a fact beside the verdict."""
