"""Layout of a store's arrays: their chunks and their files.

variable (arm, seed, record, ...) ──► a file for each arm and block of seeds ──► pieces of a few records
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vgrad_jax.results.axes import Schema
from vgrad_jax.results.files import UnreadableError
from vgrad_jax.results.metadata import ROOT, metadata_key
from vgrad_jax.results.schema import attributes_of

if TYPE_CHECKING:
    from vgrad_jax.results.zarr_stores import CheckedStore

__all__ = ["array_of", "consolidated", "lay_out", "read"]

READ_BYTES = 2**20
"""Size of a piece of a block's file (records that are read together), in bytes before compression."""

COORDINATE_CHUNK = 2**16
"""Number of a coordinate's values in a file."""


def array_of(store: "CheckedStore", name: str) -> Any:
    """Return an array of a store.

    The return type is `Any`, because Zarr's types do not say whether a member is an array or a group.

    Raises:
        UnreadableError: the array's metadata cannot be used.
    """
    import zarr

    try:
        array: Any = zarr.open_array(store, path=name, mode="r" if store.read_only else "r+", zarr_format=3)
        # Zarr would leave out files of fill values alone; with every file written, a missing file is a lost file.
        return array.with_config({"write_empty_chunks": True})
    except UnreadableError:
        raise
    except Exception as error:  # Zarr and its codecs raise errors of any type for values of a wrong type.
        raise UnreadableError(
            f"the file {metadata_key(name)} is damaged ({str(error) or type(error).__name__})"
        ) from None


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
    except UnreadableError:
        raise
    except Exception as error:  # Zarr's codecs have no common error.
        key = array.metadata.encode_chunk_key(file)
        raise UnreadableError(
            f"the file {array.basename}/{key} cannot be read ({str(error) or type(error).__name__})"
        ) from error


def lay_out(path: Path, schema: Schema, attributes: Mapping[str, Any]) -> None:
    """Write an empty group with all arrays and coordinates into an existing folder."""
    import zarr
    from zarr.codecs import ZstdCodec

    # Readers that know nothing of the store's checksums then notice changed bytes too.
    compressors = (ZstdCodec(level=0, checksum=True),)
    group = zarr.create_group(str(path), attributes=dict(attributes))
    block = int(attributes["block"])
    for name, (dims, values) in schema.coordinates.items():
        array = group.create_array(
            name,
            shape=values.shape,
            # A fixed length, because the number of seeds may grow.
            chunks=(COORDINATE_CHUNK,) if values.ndim == 1 else values.shape,
            dtype="str" if values.dtype.kind == "U" else values.dtype,
            compressors=compressors,
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
            compressors=compressors,
            fill_value=variable.fill,
            dimension_names=variable.dims,
            attributes=attributes_of(variable),
        )
    names = (*schema.coordinates, *schema.variables)
    arrays = {name: json.loads((path / metadata_key(name)).read_bytes()) for name in names}
    root = json.loads((path / ROOT).read_bytes())
    (path / ROOT).write_text(json.dumps(consolidated(root, arrays), indent=2))


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


def consolidated(root: Mapping[str, Any], arrays: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of a store's `zarr.json` with the metadata of all arrays, as `xarray.open_zarr` reads it.

    Args:
        root: content without, or with older, metadata of arrays.
        arrays: name of each array to the content of its `zarr.json`.
    """
    inline = {"kind": "inline", "must_understand": False, "metadata": dict(sorted(arrays.items()))}
    return {**root, "consolidated_metadata": inline}
