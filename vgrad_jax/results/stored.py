"""Results of an opened store as an `xarray.Dataset`; values are read, and compared with their checksums, when used."""

from typing import TYPE_CHECKING, Any

import numpy as np
from xarray import Dataset, Variable
from xarray.backends import BackendArray
from xarray.core import indexing

from vgrad_jax.errors import InputError
from vgrad_jax.results.checksums import FOLDER
from vgrad_jax.results.files import UnreadableError
from vgrad_jax.results.metadata import LISTED
from vgrad_jax.results.older import EVERY_FILE_WRITTEN
from vgrad_jax.results.opened import Opened

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["dataset_of"]

OF_FILES = (EVERY_FILE_WRITTEN, FOLDER, LISTED)
"""Attributes of a store that describe its files and not the results."""


class StoredArray(BackendArray):
    """Array in a store that is read when it is used.

    Args:
        array: the Zarr array.
        path: folder or archive of the store, for messages.
    """

    def __init__(self, array: Any, path: "Path") -> None:
        self.array, self.path = array, path
        self.shape: tuple[int, ...] = array.shape
        self.dtype: np.dtype = array.dtype

    def __getitem__(self, key: indexing.ExplicitIndexer) -> np.ndarray:
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.OUTER, self._values)

    def _values(self, key: tuple[Any, ...]) -> np.ndarray:
        basic = all(isinstance(own, int | np.integer | slice) for own in key)
        try:
            return np.asarray(self.array[key] if basic else self.array.oindex[key])
        except UnreadableError as error:
            raise InputError(f"damaged results in {str(self.path)!r}: {error}; `vgrad verify` names the runs") from None
        except Exception as error:  # Zarr's codecs have no common error.
            words = str(error) or type(error).__name__
            raise InputError(
                f"damaged results in {str(self.path)!r}: a file of {self.array.basename} cannot be read ({words}); "
                "`vgrad verify` names the runs"
            ) from error


def dataset_of(opened: Opened) -> Dataset:
    """Return the results of a store."""
    metadata = opened.metadata
    coordinates = {name: _variable(opened, name) for name in metadata.coordinates}
    variables = {name: _variable(opened, name) for name in metadata.variables}
    # netCDF has no value for "nothing".
    attributes = {name: value for name, value in metadata.attributes.items() if value is not None}
    return Dataset(variables, coordinates, {name: value for name, value in attributes.items() if name not in OF_FILES})


def _variable(opened: Opened, name: str) -> Variable:
    array = opened.array(name)
    lazy = indexing.LazilyIndexedArray(StoredArray(array, opened.path))
    dims = opened.metadata.arrays[name].dims
    encoding = {"chunks": array.chunks, **({} if array.shards is None else {"shards": array.shards})}
    return Variable(dims, lazy, dict(array.attrs), encoding)
