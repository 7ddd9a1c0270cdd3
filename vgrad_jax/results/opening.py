"""Opening of a sweep's results: a folder or an archive becomes an `xarray.Dataset`, or is refused in a sentence."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from vgrad_jax.boundary import checked
from vgrad_jax.errors import InputError
from vgrad_jax.results.archive import Archive, is_archive
from vgrad_jax.results.files import Files, Folder, UnreadableError
from vgrad_jax.results.integrity import Damage, check_coordinates, check_metadata, check_types, find_damage
from vgrad_jax.results.opened import Opened

if TYPE_CHECKING:
    import xarray

__all__ = ["STORE", "Verification", "open_results", "named_store", "open_store", "store_in", "verify_results"]

STORE = "results.zarr"
"""Name of the store in the folder of a sweep."""


class Verification(NamedTuple):
    """Answer of a complete comparison of a store with its checksums."""

    blocks: int
    """Blocks of all arms."""
    damage: list[Damage]
    """Blocks that are lost or damaged."""
    has_checksums: bool
    """False for a store of an earlier version, whose files could only be decoded."""


@checked
def open_results(path: str | Path) -> "xarray.Dataset":
    """Open the results of a sweep; values are read, and compared with their checksums, when they are used.

    Args:
        path: the store (`results.zarr`), the folder that `vgrad sweep` wrote it into, or an archive of `vgrad pack`.

    Raises:
        InputError: the path holds no results, or damaged results. A value that is read later raises it too, where its
            file is not the one that was written.
    """
    from vgrad_jax.results.stored import dataset_of

    opened = open_store(path)
    with named_store(opened.path):
        damage = find_damage(opened)
    if damage:
        others = f", and {len(damage) - 1} more blocks" if len(damage) > 1 else ""
        raise InputError(
            f"damaged results in {str(opened.path)!r}: {damage[0].reason}{others}; resuming the sweep trains these "
            "runs again"
        )
    with named_store(opened.path):
        return dataset_of(opened)


def verify_results(path: str | Path) -> Verification:
    """Compare every file of a sweep's results with its checksum.

    Args:
        path: the store (`results.zarr`), the folder that `vgrad sweep` wrote it into, or an archive of `vgrad pack`.

    Raises:
        InputError: the path holds no results, or their metadata or coordinates are damaged.
    """
    opened = open_store(path)
    with named_store(opened.path):
        damage = find_damage(opened, thorough=True)
        if not damage:
            check_types(opened)
    arms = opened.metadata.arrays["arm"].shape[0]
    return Verification(arms * opened.blocks, damage, opened.checksums is not None)


def store_in(path: str | Path) -> Path:
    """Return the folder of the store in a sweep's folder; the path itself where it is the store or an archive."""
    inside = Path(path) / STORE
    return inside if inside.exists() else Path(path)


def open_store(path: str | Path, *, writable: bool = False, resuming: bool = False) -> Opened:
    """Open a folder or an archive as a store.

    Args:
        path: the store, a folder that holds it, or an archive.
        writable: True for a store that blocks are written into.
        resuming: accept a store whose growth was interrupted.

    Raises:
        InputError: its attributes, arrays or coordinates are missing or damaged.
    """
    path = store_in(path)
    with named_store(path):
        opened = Opened(_files(path), writable=writable)
        check_metadata(opened)
        check_coordinates(opened, resuming=resuming)
    return opened


def _files(path: Path) -> Files:
    if is_archive(path):
        return Archive(path)
    if not (path / "zarr.json").is_file():
        raise InputError(
            f"no results of a sweep in {str(path)!r}; give a folder that `vgrad sweep` wrote, its results.zarr, or an "
            "archive of `vgrad pack`"
        )
    return Folder(path)


@contextmanager
def named_store(path: Path) -> Iterator[None]:
    """Raise every failure to read a store as an `InputError` that names it."""
    try:
        yield
    except UnreadableError as error:
        raise InputError(f"damaged results in {str(path)!r}: {error}") from None
    except OSError as error:
        raise InputError(f"cannot read the results in {str(path)!r}: {error.strerror or error}") from None
