"""Results in memory: what a sweep without a folder fills."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from vgrad_jax.sweeps.results import VARIABLES

if TYPE_CHECKING:
    import xarray

__all__ = ["Memory", "Target"]


@runtime_checkable
class Target(Protocol):
    """Where a sweep's runs go: a `Store`, or `Memory`."""

    def completed(self, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Whether each run is there: `(arm, seed)`, for the seeds `start` to `stop`."""

    def converged(self, arm: int, stop: int) -> np.ndarray:
        """Whether each of an arm's first runs converged: `(seed,)`, for those that are there."""

    def write(self, arm: int, start: int, stop: int, variables: Mapping[str, np.ndarray]) -> None:
        """Write runs `start` to `stop` of an arm."""

    def dataset(self) -> "xarray.Dataset":
        """The results so far."""


class Memory:
    """Arrays that fill with blocks of runs.

    Args:
        coordinates: name to dimension and values.
        attributes: of the whole.
        block: seeds written together.
    """

    def __init__(
        self, coordinates: Mapping[str, tuple[str, np.ndarray]], attributes: Mapping[str, Any], block: int
    ) -> None:
        self.coordinates, self.attributes = coordinates, {**attributes, "block": block}
        sizes = {dimension: len(values) for dimension, values in coordinates.values()}
        self.arrays = {
            name: np.full([sizes[one] for one in variable.dims], variable.fill, _dtype(variable.dtype))
            for name, variable in VARIABLES.items()
            if all(one in sizes for one in variable.dims)
        }

    def completed(self, start: int = 0, stop: int | None = None) -> np.ndarray:
        """As in `Target`."""
        return self.arrays["completed"][:, start:stop].copy()

    def converged(self, arm: int, stop: int) -> np.ndarray:
        """As in `Target`."""
        return self.arrays["converged"][arm, :stop].copy()

    def write(self, arm: int, start: int, stop: int, variables: Mapping[str, np.ndarray]) -> None:
        """As in `Target`; arms with fewer layers leave the last ones as they were."""
        for name, values in variables.items():
            place = self.arrays[name][arm, start:stop]
            place[tuple(map(slice, values.shape))] = values
        self.arrays["completed"][arm, start:stop] = True

    def dataset(self) -> "xarray.Dataset":
        """As in `Target`; it shares its memory."""
        import xarray

        variables = {
            name: xarray.Variable(
                VARIABLES[name].dims,
                values,
                {"description": VARIABLES[name].description, "units": VARIABLES[name].units},
            )
            for name, values in self.arrays.items()
        }
        labels = {
            name: (dimension, values.astype(_dtype("str")) if values.dtype.kind == "U" else values)
            for name, (dimension, values) in self.coordinates.items()
        }
        return xarray.Dataset(variables, labels, self.attributes)


def _dtype(name: str) -> np.dtype:
    """As a stored dataset has it."""
    return np.dtypes.StringDType() if name == "str" else np.dtype(name)
