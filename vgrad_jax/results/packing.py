"""Packing of a store into one archive, after every file was compared with its checksum."""

import os
import uuid
from pathlib import Path

from vgrad_jax.errors import InputError
from vgrad_jax.results.archive import Archive, write_archive
from vgrad_jax.results.checksums import METADATA, block_key
from vgrad_jax.results.durable import sync_name
from vgrad_jax.results.files import UnreadableError
from vgrad_jax.results.integrity import find_damage
from vgrad_jax.results.lock import only_writer
from vgrad_jax.results.metadata import ROOT, metadata_key
from vgrad_jax.results.opened import Opened
from vgrad_jax.results.opening import open_store, store_in

__all__ = ["pack_results"]


def pack_results(path: str | Path, archive: str | Path) -> Path:
    """Write a store into one archive; files that are no part of the store stay out.

    Args:
        path: the store (`results.zarr`) or the folder that `vgrad sweep` wrote it into.
        archive: of the new file. An earlier archive of this package is replaced in one step.

    Returns:
        The path of the archive.

    Raises:
        InputError: the store is damaged, or another process writes into it. The archive would replace a file that is
            no archive of this package, or the disk refuses.
    """
    archive, store = Path(archive), store_in(path)
    if not store.is_dir():
        raise InputError(f"{str(store)!r} is no folder; give one that `vgrad sweep` wrote")
    _refuse_foreign(archive)
    with only_writer(store):
        opened = open_store(store)
        damage = find_damage(opened, thorough=True)
        if damage:
            raise InputError(
                f"damaged results in {str(store)!r}: {'; '.join(own.reason for own in damage)}; resume the sweep "
                "first, which trains these runs again"
            )
        partial = archive.with_name(f".{archive.name}.{uuid.uuid4().hex}.partial")
        try:
            archive.parent.mkdir(parents=True, exist_ok=True)
            write_archive(partial, {key: store / key for key in _keys(opened)})
            with open(partial, "rb") as file:
                os.fsync(file.fileno())
            partial.replace(archive)
            sync_name(archive)
        except OSError as error:
            raise InputError(f"cannot write the archive {str(archive)!r}: {error.strerror or error}") from None
        finally:
            partial.unlink(missing_ok=True)
    return archive


def _refuse_foreign(archive: Path) -> None:
    """Refuse to replace anything but an archive of this package."""
    if archive.is_symlink() or (archive.exists() and not archive.is_file()):
        raise InputError(f"{str(archive)!r} is no file; choose another name")
    if archive.is_file():
        try:
            Archive(archive)
        except UnreadableError:
            raise InputError(
                f"{str(archive)!r} is there and is no archive of `vgrad pack`; choose another name, or move it away"
            ) from None


def _keys(opened: Opened) -> list[str]:
    """Return the keys of every file of a store; blocks without marks have none."""
    metadata = opened.metadata
    if opened.checksums is not None:
        keys = [METADATA, *opened.checksums.metadata()]
    else:
        keys = [ROOT, *map(metadata_key, metadata.arrays)]
        for name in metadata.coordinates:
            keys += opened.files.sizes(f"{name}/c")
    for arm in range(metadata.arrays["arm"].shape[0]):
        for block in range(opened.blocks):
            if opened.files.size(opened.key("completed", arm, block)) is not None:
                own = [opened.key(name, arm, block) for name in metadata.variables]
                keys += [key for key in (*own, block_key(arm, block)) if opened.files.size(key) is not None]
    return keys
