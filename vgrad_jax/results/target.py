"""Target of a sweep: the protocol through which runs are written and read back.

blocks of runs ─► Target ─┬─► store.Store: files
                          └─► memory.Memory: arrays
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

if TYPE_CHECKING:
    import xarray

__all__ = ["Target"]


@runtime_checkable
class Target(Protocol):
    """Destination of a sweep's runs."""

    def completed(self, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Return marks of the completed runs, `(arm, seed)`, for the seeds `start` to `stop`."""

    def converged(self, arm: int, stop: int) -> np.ndarray:
        """Return marks of the converged runs of an arm, `(seed,)`, for the seeds 0 to `stop`.

        A run that is not completed has no mark.
        """

    def write(self, arm: int, start: int, stop: int, variables: Mapping[str, np.ndarray]) -> None:
        """Write the runs `start` to `stop` of an arm, and mark them as completed when all values are written.

        An arm with fewer layers than others leaves the last layers as they were. Several threads may write different
        runs at the same time.

        Args:
            arm: index of the arm.
            start: first run.
            stop: run after the last run.
            variables: variable name to values, seed axis first.
        """

    def dataset(self) -> "xarray.Dataset":
        """Return the results so far."""
