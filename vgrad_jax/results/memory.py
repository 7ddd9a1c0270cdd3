"""Results in memory: the target of a sweep without a store."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from vgrad_jax.results.schema import VARIABLES, attributes_of, own_layers, shapes

if TYPE_CHECKING:
    import xarray

__all__ = ["Memory"]


class Memory:
    """Arrays that blocks of runs are written into; an implementation of `Target`.

    Args:
        coordinates: name of each coordinate to its dimension and values.
        attributes: attributes of the dataset.
        block: seeds written together.
    """

    def __init__(
        self, coordinates: Mapping[str, tuple[str, np.ndarray]], attributes: Mapping[str, Any], block: int
    ) -> None:
        self.coordinates, self.attributes = coordinates, {**attributes, "block": block}
        self.arrays = {
            name: np.full(shape, VARIABLES[name].fill, _dtype(VARIABLES[name].dtype))
            for name, shape in shapes(coordinates).items()
        }

    def completed(self, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Return marks of the completed runs, `(arm, seed)`, for the seeds `start` to `stop`."""
        return self.arrays["completed"][:, start:stop].copy()

    def converged(self, arm: int, stop: int) -> np.ndarray:
        """Return marks of the converged runs of an arm, `(seed,)`, for the seeds 0 to `stop`."""
        return self.arrays["converged"][arm, :stop].copy()

    def write(self, arm: int, start: int, stop: int, variables: Mapping[str, np.ndarray]) -> None:
        """Write the runs `start` to `stop` of an arm, and mark them as completed."""
        for name, values in variables.items():
            self.arrays[name][arm, start:stop][own_layers(name, values)] = values
        self.arrays["completed"][arm, start:stop] = True

    def dataset(self) -> "xarray.Dataset":
        """Return the results so far; the dataset shares memory with the target."""
        import xarray

        variables = {
            name: xarray.Variable(VARIABLES[name].dims, values, attributes_of(name))
            for name, values in self.arrays.items()
        }
        labels = {
            name: (dimension, values.astype(_dtype("str")) if values.dtype.kind == "U" else values)
            for name, (dimension, values) in self.coordinates.items()
        }
        return xarray.Dataset(variables, labels, self.attributes)


def _dtype(name: str) -> np.dtype:
    """Return the data type that a stored dataset has for this name."""
    return np.dtypes.StringDType() if name == "str" else np.dtype(name)
