"""Where a sweep's runs go: what `store.Store` and `memory.Memory` have in common."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

if TYPE_CHECKING:
    import xarray

__all__ = ["Target"]


@runtime_checkable
class Target(Protocol):
    """Fills with blocks of runs."""

    def completed(self, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Whether each run is there: `(arm, seed)`, for the seeds `start` to `stop`."""

    def converged(self, arm: int, stop: int) -> np.ndarray:
        """Whether each of an arm's first runs converged: `(seed,)`, for those that are there."""

    def write(self, arm: int, start: int, stop: int, variables: Mapping[str, np.ndarray]) -> None:
        """Write runs `start` to `stop` of an arm; one with fewer layers than others leaves the last ones as they were.

        They are marked as completed when all of them is there. Calls for other runs may come at the same time.
        """

    def dataset(self) -> "xarray.Dataset":
        """The results so far."""
