"""Results in memory: what a sweep without a folder fills."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from vgrad_jax.results.schema import VARIABLES, attributes_of, own_layers, shapes

if TYPE_CHECKING:
    import xarray

__all__ = ["Memory"]


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
        self.arrays = {
            name: np.full(shape, VARIABLES[name].fill, _dtype(VARIABLES[name].dtype))
            for name, shape in shapes(coordinates).items()
        }

    def completed(self, start: int = 0, stop: int | None = None) -> np.ndarray:
        """As in `Target`."""
        return self.arrays["completed"][:, start:stop].copy()

    def converged(self, arm: int, stop: int) -> np.ndarray:
        """As in `Target`."""
        return self.arrays["converged"][arm, :stop].copy()

    def write(self, arm: int, start: int, stop: int, variables: Mapping[str, np.ndarray]) -> None:
        """As in `Target`."""
        for name, values in variables.items():
            self.arrays[name][arm, start:stop][own_layers(name, values)] = values
        self.arrays["completed"][arm, start:stop] = True

    def dataset(self) -> "xarray.Dataset":
        """As in `Target`; it shares its memory."""
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
    """As a stored dataset has it."""
    return np.dtypes.StringDType() if name == "str" else np.dtype(name)
