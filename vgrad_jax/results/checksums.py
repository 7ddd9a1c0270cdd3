"""Checksums of a store: what every file must hold, and which marks it belongs to.

    checksums/ARM/BLOCK.json   digest of the marks ─► variable ─► digests of its file
    checksums/metadata.json    zarr.json, arm/c/0, ... ─► digests of the file

A block is written several times while it grows, file after file. A process may die between two of them. A record is
therefore written before the first file is replaced, and names two states:

    {marks before: {train_loss: [old, new], ...},  marks after: {train_loss: [new], ...}}

With the old marks, a file may be the old or the new one: both hold the runs that are marked. With the new marks, only
the new files are right. The record then drops the old state, so that marks that vanish are noticed too.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from vgrad_jax.results.files import Files, UnreadableError

__all__ = ["FOLDER", "METADATA", "NO_MARKS", "Checksums", "Digest", "States", "block_key", "encoded", "parsed"]

FOLDER = "checksums"
"""Folder of a store that holds the checksums, and name of the attribute that says so."""

METADATA = f"{FOLDER}/metadata.json"
"""Key of the file with the checksums of everything that is no block."""

NO_MARKS = ""
"""Name of the state of a block without a file of marks."""

MOST_BYTES = 64 * 2**20
"""Largest size of a file of JSON in a store, in bytes."""


class Digest(NamedTuple):
    """Size and SHA-256 of a file."""

    size: int
    """Number of bytes."""
    sha256: str
    """SHA-256 of the bytes, in hexadecimal digits."""

    @classmethod
    def of(cls, content: bytes) -> "Digest":
        """Return the digest of a file's content."""
        return cls(len(content), hashlib.sha256(content).hexdigest())


Known = Mapping[str, tuple[Digest, ...]]
"""Name of a file to the digests that it may have."""

States = Mapping[str, Known]
"""SHA-256 of a block's file of marks to the files that belong to these marks."""


def block_key(arm: int, block: int) -> str:
    """Return the key of the checksums of a block."""
    return f"{FOLDER}/{arm}/{block}.json"


def encoded(content: Mapping[str, Any]) -> bytes:
    """Return a file of checksums, which holds a checksum of itself.

    Args:
        content: `Known` or `States`.
    """
    text = json.dumps(content, sort_keys=True)
    return json.dumps({"sha256": _sha256(text), "content": json.loads(text)}, sort_keys=True).encode()


def parsed(raw: bytes, key: str) -> Any:
    """Return the JSON of a file of a store.

    Raises:
        UnreadableError: the file is too large, or holds no JSON, or JSON that is nested too deeply.
    """
    if len(raw) > MOST_BYTES:
        raise UnreadableError(f"the file {key} cannot be read (it has {len(raw)} bytes of JSON)")
    try:
        return json.loads(raw)
    except (ValueError, RecursionError) as error:
        short = "nested too deeply" if isinstance(error, RecursionError) else f"no JSON: {error}"
        raise UnreadableError(f"the file {key} cannot be read ({short})") from None


class Checksums:
    """Checksums of a store, read when they are used.

    Another process may be writing the store. A file that does not match is therefore compared with its record a second
    time, read anew.

    Args:
        files: of the store.
    """

    def __init__(self, files: Files) -> None:
        self.files = files
        self._records: dict[str, Any] = {}

    def metadata(self, *, anew: bool = False) -> Known:
        """Return the digests of all files that belong to no block, by key.

        Raises:
            UnreadableError: they are missing or damaged.
        """
        content = self._record(METADATA, anew)
        if content is None:
            raise UnreadableError(f"the file {METADATA} is missing")
        return _known(content, METADATA)

    def block(self, arm: int, block: int, *, anew: bool = False) -> States | None:
        """Return the states of a block; None where nothing of the block was written.

        Raises:
            UnreadableError: they are damaged.
        """
        key = block_key(arm, block)
        content = self._record(key, anew)
        if content is None:
            return None
        if not isinstance(content, dict):
            raise UnreadableError(f"the file {key} is damaged")
        return {marks: _known(files, key) for marks, files in content.items()}

    def expected(self, key: str, *, anew: bool = False) -> tuple[Digest, ...] | None:
        """Return the digests that a file may have; None for a file that is not a part of the store.

        Raises:
            UnreadableError: the checksums are missing or damaged.
        """
        block = re.fullmatch(r"([^/]+)/c/(\d+)/(\d+)(?:/0)*", key)
        if block is None or key in self.metadata():
            return self.metadata(anew=anew).get(key)
        name, arm, index = block.groups()
        states = self.block(int(arm), int(index), anew=anew) or {}
        if name == "completed":
            return tuple(Digest(-1, marks) for marks in states if marks != NO_MARKS) or None
        return tuple({digest for known in states.values() for digest in known.get(name, ())}) or None

    def check(self, key: str, content: bytes) -> None:
        """Refuse a file whose content is not what was written.

        Raises:
            UnreadableError: the content is another one, or the checksums are missing or damaged.
        """
        digest = Digest.of(content)
        if not matches(digest, self.expected(key)) and not matches(digest, self.expected(key, anew=True)):
            raise UnreadableError(f"the file {key} is damaged: its checksum is not the one that was written")

    def forget(self) -> None:
        """Read every record anew when it is used next."""
        self._records.clear()

    def forget_block(self, arm: int, block: int) -> None:
        """Read the record of a block anew when it is used next."""
        self._records.pop(block_key(arm, block), None)

    def _record(self, key: str, anew: bool) -> Any:
        if anew or key not in self._records:
            raw = self.files.read(key)
            self._records[key] = None if raw is None else _decoded(raw, key)
        return self._records[key]


def matches(digest: Digest, allowed: Iterable[Digest] | None) -> bool:
    """Return whether a file has one of the allowed digests; a size of -1 allows any."""
    return any(digest.sha256 == own.sha256 and own.size in (-1, digest.size) for own in allowed or ())


def _decoded(raw: bytes, key: str) -> Any:
    held = parsed(raw, key)
    if not isinstance(held, dict) or held.keys() != {"sha256", "content"}:
        raise UnreadableError(f"the file {key} is damaged")
    if held["sha256"] != _sha256(json.dumps(held["content"], sort_keys=True)):
        raise UnreadableError(f"the file {key} is damaged: its checksum is not the one that was written")
    return held["content"]


def _known(content: Any, key: str) -> Known:
    try:
        return {
            str(name): tuple(Digest(int(size), str(sha256)) for size, sha256 in digests)
            for name, digests in content.items()
        }
    except (AttributeError, TypeError, ValueError):
        raise UnreadableError(f"the file {key} is damaged") from None


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
