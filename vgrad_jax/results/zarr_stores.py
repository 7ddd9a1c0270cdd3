"""Zarr's view of a store's files: read and compared with their checksums, or gathered until they are committed.

Zarr array ─► CheckedStore.get ─► file, and its checksum at the first reading ─► bytes
Zarr array ─► StagingStore.set ─► `staged`, in memory
"""

import asyncio
import re
from collections.abc import AsyncIterator, Iterable
from typing import Any

from zarr.abc.store import ByteRequest, OffsetByteRequest, RangeByteRequest, Store, SuffixByteRequest
from zarr.core.buffer import Buffer, BufferPrototype

from vgrad_jax.results.checksums import Checksums
from vgrad_jax.results.files import Files

__all__ = ["CheckedStore", "StagingStore"]


class CheckedStore(Store):
    """Files for Zarr; a file is compared with its checksum before the first of its bytes is given.

    Args:
        files: of the store.
        checksums: of the files; None where there are none, or where `files` compares them itself.
    """

    supports_writes: bool = False
    supports_deletes: bool = False
    supports_listing: bool = True

    def __init__(self, files: Files, checksums: Checksums | None, *, read_only: bool = True) -> None:
        super().__init__(read_only=read_only)
        self.files, self.checksums = files, checksums
        self._checked: set[str] = set()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CheckedStore) and self.files.path == other.files.path

    def __hash__(self) -> int:
        return hash(self.files.path)

    def __str__(self) -> str:
        return str(self.files.path)

    async def get(self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None) -> Buffer | None:
        """Return bytes of a file; None where there is no such file.

        Raises:
            UnreadableError: the file cannot be read, or is not what was written.
        """
        content = await asyncio.to_thread(self._bytes, key, byte_range)
        return None if content is None else prototype.buffer.from_bytes(content)

    async def get_partial_values(
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> list[Buffer | None]:
        """Return bytes of several files, as `get` does."""
        return [await self.get(key, prototype, byte_range) for key, byte_range in key_ranges]

    async def exists(self, key: str) -> bool:
        """Return whether there is a file."""
        return self.files.size(key) is not None

    async def set(self, key: str, value: Buffer) -> None:
        """Refuse to write."""
        raise PermissionError(f"{self} is opened for reading")

    async def delete(self, key: str) -> None:
        """Refuse to delete."""
        raise PermissionError(f"{self} is opened for reading")

    async def list(self) -> AsyncIterator[str]:
        """Yield the key of every file."""
        for key in self.files.sizes(""):
            yield key

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        """Yield the key of every file below a folder."""
        for key in self.files.sizes(prefix):
            yield key

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """Yield the names in a folder."""
        parts = len([part for part in prefix.split("/") if part])
        for name in {key.split("/")[parts] for key in self.files.sizes(prefix)}:
            yield name

    def _bytes(self, key: str, byte_range: ByteRequest | None) -> bytes | None:
        if self.checksums is not None and key not in self._checked:
            # A file of a block that is not finished is none, except for its writer.
            if self.checksums.expected(key) is None and self.checksums.expected(key, anew=not self.read_only) is None:
                return None
            content = self.files.read(key)
            if content is None:
                return None
            self.checksums.check(key, content)
            self._checked.add(key)
            return content[_slice(byte_range, len(content))]
        size = self.files.size(key)
        if size is None:
            return None
        own = _slice(byte_range, size)
        return self.files.read(key, own.start, own.stop)


class StagingStore(CheckedStore):
    """Store whose new files stay in memory until `take` hands them out.

    Several threads may write at the same time, as long as they write different files.
    """

    supports_writes: bool = True
    supports_deletes: bool = True

    def __init__(self, files: Files, checksums: Checksums | None) -> None:
        super().__init__(files, checksums, read_only=False)
        self.staged: dict[str, bytes] = {}

    async def set(self, key: str, value: Buffer) -> None:
        """Keep a file in memory."""
        self.staged[key] = value.to_bytes()

    async def delete(self, key: str) -> None:
        """Forget a file in memory; no file on the disk is removed."""
        self.staged.pop(key, None)

    def take(self, pattern: str) -> dict[str, bytes]:
        """Return the files in memory whose keys match a regular expression, and forget them here."""
        keys = [key for key in list(self.staged) if re.fullmatch(pattern, key)]
        self._checked.difference_update(keys)
        return {key: self.staged.pop(key) for key in keys}

    def _bytes(self, key: str, byte_range: ByteRequest | None) -> bytes | None:
        content = self.staged.get(key)
        return super()._bytes(key, byte_range) if content is None else content[_slice(byte_range, len(content))]


def _slice(request: ByteRequest | None, size: int) -> Any:
    """Return the slice of a file that a request names; its start and stop are at least zero."""
    if isinstance(request, RangeByteRequest):
        return slice(min(request.start, size), min(request.end, size))
    if isinstance(request, OffsetByteRequest):
        return slice(min(request.offset, size), size)
    if isinstance(request, SuffixByteRequest):
        return slice(max(size - request.suffix, 0), size)
    return slice(0, size)
