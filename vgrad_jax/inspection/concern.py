"""A concern about a loss, its data or its first parameters, and the thresholds of all concerns."""

from typing import NamedTuple

__all__ = ["Concern"]


class Concern(NamedTuple):
    """Reason against a loss before training, with the number that it rests on."""

    code: str
    """Word for the concern that scripts can rely on."""
    sentence: str
    value: float
    threshold: float
    layer: str | None
    """Layer that it is about; None where it is about the data or the loss."""
    certain: bool
    """False for advice: some networks learn with it."""


FEWEST_ROWS = 16
"""Number of rows of a batch from which equal or one-hot targets are no accident."""
SHARE = 0.01
"""Share of the numbers from which something holds of them."""
ZERO_SHARE = 0.1
"""Share of exact zeros among a head's outputs from which their logarithm is a fault."""
UNREACHABLE = 0.01
"""Share of the targets' mean square about their mean that no output can take away."""
OUTWEIGHS = 3.0
"""Ratio of the penalties to the rest of the loss above which they outweigh it; weight decay seldom does."""
COUNTS = 0.3
"""Ratio of the penalties' gradient to that of the rest, in a leaf, above which it counts."""
LARGE_INPUTS = 10.0
"""Root mean square of the inputs above which they should be scaled."""
UNEVEN_INPUTS = 1000.0
"""Ratio of the largest column's root mean square to the smallest above which columns should be scaled."""
LARGE_TARGETS = 30.0
"""Magnitude of a target above which targets should be scaled."""
