"""Sizes of one training, from which a sweep decides how it is executed."""

from typing import NamedTuple

__all__ = ["ROWS_AT_ONCE", "ArmSize"]

ROWS_AT_ONCE = 32
"""Rows that a record of `lanes` evaluates together on a CPU.

A row's activations take 128 bytes for each unit, and a first-level cache holds 32 KiB.
"""


class ArmSize(NamedTuple):
    """Size of one training of an arm."""

    results: int
    """Bytes of a run's results."""
    plain: int
    """Bytes of working memory of a run that `plain` trains."""
    lanes: int
    """Bytes of working memory of a run that `lanes` trains."""
    parameters: int
    """Number of parameters: the length of the native code grows with it."""
    width: int
    """Units of the widest layer."""
    epochs: int
    """Passes over the training rows."""
    is_described: bool = True
    """False for a function, whose width and epochs are not known: "auto" then chooses `plain`."""

    def working(self, engine: str) -> int:
        """Return the bytes of working memory of a run that this engine trains."""
        return self.plain if engine == "plain" else self.lanes
