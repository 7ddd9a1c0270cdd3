"""Layout of a store's arrays: their chunks, their files, and their growth with the number of seeds.

variable (arm, seed, record, ...) ──► a file for each arm and block of seeds ──► pieces of a few records
"""

import json
import math
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vgrad_jax.results.axes import Schema
from vgrad_jax.results.schema import VARIABLES, attributes_of

if TYPE_CHECKING:
    import zarr

__all__ = ["LISTED", "UnreadableError", "array_of", "lay_out", "read", "resize", "variable_names"]

READ_BYTES = 2**20
"""Size of a piece of a block's file (records that are read together), in bytes before compression."""

LISTED = "variables"
"""Name of the attribute of a store that lists its variables."""

COORDINATE_CHUNK = 2**16
"""Number of a coordinate's values in a file."""


_DECODING_ERRORS = (OSError, RuntimeError, ValueError, TypeError, IndexError, OverflowError, MemoryError, zlib.error)
"""Errors that Zarr's codecs raise for a damaged file; the codecs have no common error."""


class UnreadableError(Exception):
    """Error of a file that cannot be read or decoded; its text names the file."""


def array_of(group: "zarr.Group", name: str) -> Any:
    """Return an array of a store.

    The return type is `Any`, because Zarr's types do not say whether a member is an array or a group.
    """
    return group[name]


def read(array: Any, file: tuple[int, ...]) -> np.ndarray:
    """Return the values in a file of an array.

    Args:
        array: an array of a store.
        file: index of the file along each axis; zero on the last axes that are left out.

    Raises:
        UnreadableError: the file cannot be read or decoded.
    """
    file += (0,) * (array.ndim - len(file))
    sizes = array.shards or array.chunks
    index = tuple(slice(i * size, (i + 1) * size) for i, size in zip(file, sizes, strict=True))
    try:
        return np.asarray(array[index])
    except _DECODING_ERRORS as error:
        key = array.metadata.encode_chunk_key(file)
        raise UnreadableError(
            f"the file {array.basename}/{key} cannot be read ({str(error) or type(error).__name__})"
        ) from error


def lay_out(path: Path, schema: Schema, attributes: Mapping[str, Any]) -> None:
    """Write an empty group with all arrays and coordinates into an existing folder."""
    import zarr

    group = zarr.create_group(str(path), attributes=dict(attributes))
    block = int(attributes["block"])
    for name, (dims, values) in schema.coordinates.items():
        array = group.create_array(
            name,
            shape=values.shape,
            # A fixed length, because the number of seeds may grow.
            chunks=(COORDINATE_CHUNK,) if values.ndim == 1 else values.shape,
            dtype="str" if values.dtype.kind == "U" else values.dtype,
            dimension_names=(dims,) if isinstance(dims, str) else dims,
            config={"write_empty_chunks": True},
        )
        array[:] = values
    for name, variable in schema.variables.items():
        shape = schema.shapes[name]
        chunks, shards = _pieces(shape, block)
        group.create_array(
            name,
            shape=shape,
            chunks=chunks,
            shards=shards,
            dtype=variable.dtype,
            fill_value=variable.fill,
            dimension_names=variable.dims,
            attributes=attributes_of(variable),
        )


def variable_names(group: "zarr.Group") -> list[str]:
    """Return the names of a store's variables, the marks of completed runs last.

    A store of a sweep with functions lists its variables. Any other has known variables alone.
    """
    if LISTED in group.attrs:
        return [str(name) for name in json.loads(str(group.attrs[LISTED]))]
    return [name for name in VARIABLES if name in group]


def _pieces(shape: tuple[int, ...], block: int) -> tuple[tuple[int, ...], tuple[int, ...] | None]:
    """Return the shape of an array's pieces, and the shape of its files where a file has several pieces.

        file of a block: | piece: records 0 to 9 | piece: records 10 to 19 | ...

    Zarr calls the pieces chunks and the files shards. A piece is unpacked alone. A reader of a single record of every
    seed therefore does not unpack the other records. `shape` is `(arm, seed)` or `(arm, seed, record, ...)`.
    """
    if len(shape) == 2:
        return (1, block), None
    records, *rest = shape[2:]
    together = max(READ_BYTES // (4 * block * math.prod(rest)), 1)
    if together >= records:
        return (1, block, records, *rest), None
    return (1, block, together, *rest), (1, block, -(-records // together) * together, *rest)


def resize(group: "zarr.Group", num_seeds: int) -> None:
    """Give every array `num_seeds` seeds.

    The coordinate `seed` is enlarged last, and its new values are zero until they are written. If the process is
    killed in between, the next resumption corrects the arrays and the coordinate.
    """
    for name in variable_names(group):
        if array_of(group, name).shape[1] != num_seeds:
            array = array_of(group, name)
            array.resize((array.shape[0], num_seeds, *array.shape[2:]))
    seeds = array_of(group, "seed")
    if not np.array_equal(seeds[:], np.arange(num_seeds)):
        seeds.resize((num_seeds,))
        seeds[:] = np.arange(num_seeds)
