"""Opened store: its files, its checked metadata, its checksums, and Zarr's arrays over them."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vgrad_jax.results.checksums import FOLDER, METADATA, Checksums
from vgrad_jax.results.files import Files
from vgrad_jax.results.metadata import Metadata, read_metadata
from vgrad_jax.results.zarr_layout import array_of

if TYPE_CHECKING:
    from vgrad_jax.results.zarr_stores import CheckedStore

__all__ = ["Opened"]


class Opened:
    """Store that is open for reading, or for reading and writing.

    Args:
        files: of the store.
        writable: True gathers what is written through Zarr in the store's `staged`.

    Raises:
        UnreadableError: the metadata cannot be used.
    """

    def __init__(self, files: Files, *, writable: bool = False) -> None:
        self.files = files
        self.metadata: Metadata = read_metadata(files)
        has_checksums = FOLDER in self.metadata.attributes or files.size(METADATA) is not None
        self.checksums = Checksums(files) if has_checksums else None
        self.store = self._zarr_store(writable)
        self._arrays: dict[str, Any] = {}

    @property
    def path(self) -> Path:
        """Folder or archive."""
        return self.files.path

    @property
    def arms(self) -> set[str]:
        """Names of the arms of the study."""
        return set(json.loads(self.metadata.attributes["study"])["arms"])

    @property
    def block(self) -> int:
        """Number of seeds in a file."""
        return int(self.metadata.attributes["block"])

    @property
    def num_seeds(self) -> int:
        """Number of seeds of each arm."""
        return self.metadata.arrays["completed"].shape[1]

    @property
    def blocks(self) -> int:
        """Number of blocks of each arm."""
        return -(-self.num_seeds // self.block)

    def array(self, name: str) -> Any:
        """Return a Zarr array; kept, because a Zarr group reads an array's metadata from disk at each access."""
        if name not in self._arrays:
            self._arrays[name] = array_of(self.store, name)
        return self._arrays[name]

    def key(self, name: str, arm: int, block: int) -> str:
        """Return the key of the file of a variable that holds a block; each block is a single file."""
        axes = len(self.metadata.arrays[name].shape)
        return "/".join(map(str, (name, "c", arm, block, *(0,) * (axes - 2))))

    def _zarr_store(self, writable: bool) -> "CheckedStore":
        from vgrad_jax.results.zarr_stores import CheckedStore, StagingStore

        checksums = None if self.files.compares else self.checksums
        return StagingStore(self.files, checksums) if writable else CheckedStore(self.files, checksums)
