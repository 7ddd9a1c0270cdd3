"""Results in memory: the target of a sweep without a store."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from vgrad_jax.results.axes import Schema
from vgrad_jax.results.schema import attributes_of, own_part

if TYPE_CHECKING:
    import xarray

__all__ = ["Memory"]


class Memory:
    """Arrays that blocks of runs are written into; an implementation of `Target`.

    Args:
        schema: coordinates and variables.
        attributes: attributes of the dataset.
        block: seeds written together.
    """

    def __init__(self, schema: Schema, attributes: Mapping[str, Any], block: int) -> None:
        self.schema, self.attributes = schema, {**attributes, "block": block}
        variables, shapes = schema.variables, schema.shapes
        self.arrays = {
            name: np.full(shapes[name], variable.fill, _dtype(variable.dtype)) for name, variable in variables.items()
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
            self.arrays[name][arm, start:stop][own_part(values)] = values
        self.arrays["completed"][arm, start:stop] = True

    def dataset(self) -> "xarray.Dataset":
        """Return the results so far; the dataset shares memory with the target."""
        import xarray

        variables = {
            name: xarray.Variable(self.schema.variables[name].dims, values, attributes_of(self.schema.variables[name]))
            for name, values in self.arrays.items()
        }
        labels = {
            name: (dims, values.astype(_dtype("str")) if values.dtype.kind == "U" else values)
            for name, (dims, values) in self.schema.coordinates.items()
        }
        return xarray.Dataset(variables, labels, self.attributes)


def _dtype(name: str) -> np.dtype:
    """Return the data type that a stored dataset has for this name."""
    return np.dtypes.StringDType() if name == "str" else np.dtype(name)
