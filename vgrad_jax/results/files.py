"""Files of a store, read-only: a folder, or an archive (`archive.py`).

A key is a path below the store with slashes, such as "train_loss/c/0/3/0".
"""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol, runtime_checkable

from vgrad_jax.errors import InputError

__all__ = ["Files", "Folder", "UnreadableError"]


class UnreadableError(InputError):
    """Error of a file that cannot be read or decoded; its text names the file, and its store where it is known."""


@runtime_checkable
class Files(Protocol):
    """Files of a store, by their keys."""

    path: Path
    """Folder or archive."""
    compares: bool
    """True where every file is compared with a checksum when it is read."""

    def read(self, key: str, start: int = 0, stop: int | None = None) -> bytes | None:
        """Return the bytes `start` to `stop` of a file; None where there is no such file.

        Raises:
            UnreadableError: the disk refuses, or the file is not the one that was packed.
        """

    def size(self, key: str) -> int | None:
        """Return the size of a file in bytes; None where there is no such file."""

    def sizes(self, folder: str) -> dict[str, int]:
        """Map the key of every file below a folder to its size in bytes."""


class Folder:
    """Files below a folder; an implementation of `Files`.

    Only ordinary files count, since opening a pipe would wait for its writer.
    """

    compares = False

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self, key: str, start: int = 0, stop: int | None = None) -> bytes | None:
        """Return the bytes `start` to `stop` of a file; None where there is no such file.

        Raises:
            UnreadableError: the disk refuses.
        """
        if self.size(key) is None:
            return None
        try:
            with open(self.path / key, "rb") as file:
                file.seek(start)
                return file.read() if stop is None else file.read(max(stop - start, 0))
        except FileNotFoundError:  # Another process may remove a damaged block at the same time.
            return None
        except OSError as error:
            raise UnreadableError(f"the file {key} cannot be read ({error.strerror or error})") from error

    def size(self, key: str) -> int | None:
        """Return the size of a file in bytes; None where there is no such file."""
        try:
            state = os.stat(self.path / key)
        except (FileNotFoundError, NotADirectoryError, ValueError):  # No name holds a NUL or half of a character.
            return None
        except OSError as error:
            raise UnreadableError(f"the file {key} cannot be read ({error.strerror or error})") from error
        return state.st_size if stat.S_ISREG(state.st_mode) else None

    def sizes(self, folder: str) -> dict[str, int]:
        """Map the key of every file below a folder to its size in bytes."""
        sizes = {}
        try:
            for entry in _walk(self.path / folder):
                key = Path(entry.path).relative_to(self.path).as_posix()
                size = self.size(key)
                if size is not None:
                    sizes[key] = size
        except OSError as error:
            raise UnreadableError(f"the folder {folder} cannot be read ({error.strerror or error})") from error
        return sizes


def _walk(folder: Path) -> Iterator[os.DirEntry[str]]:
    """Yield every file below a folder that its writer has completed."""
    if not folder.is_dir():
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                yield from _walk(Path(entry.path))
            elif not entry.name.endswith(".partial"):
                yield entry
