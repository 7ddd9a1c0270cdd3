"""Files that are on the disk before anything says that they are there.

    content ─► NAME.RANDOM.partial ─► fsync of the file ─► rename to NAME ─► fsync of the folder

A rename moves a name at once, and a power cut may still lose it, or keep the name and lose the content. The content is
therefore forced onto the disk before the rename, and the name after it. A caller that writes B after A has returned
therefore never has B without A.
"""

import contextlib
import errno
import os
import sys
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path

__all__ = ["PARTIAL", "remove_file", "sync_name", "sync_tree", "write_file", "write_files"]

PARTIAL = r"\.[0-9a-f]{32}\.partial$"
"""Pattern of the end of the name of a file that is not renamed yet, or whose writer was killed."""


def write_file(path: Path, content: bytes) -> None:
    """Write a file in place of an earlier one; it is on the disk, under its name, when this returns.

    Args:
        path: of the file; folders above it are made.
        content: all bytes of the file.

    Raises:
        OSError: the disk refuses; the earlier file stays.
    """
    write_files({path: content})


def write_files(files: Mapping[Path, bytes], *, between: Mapping[Path, bytes] | None = None) -> None:
    """Write several files; each is the earlier one or the new one at any moment.

    Args:
        files: path to content; folders above them are made. They are renamed in this order.
        between: files that must be on the disk before the first of `files` is renamed.

    Raises:
        OSError: the disk refuses; no file is renamed unless all contents are on the disk.
    """
    partial: dict[Path, Path] = {}
    try:
        made = {folder for path in files for folder in _make_folders(path.parent)}
        for path, content in files.items():
            partial[path] = path.with_name(f"{path.name}.{uuid.uuid4().hex}.partial")
            partial[path].write_bytes(content)
        for temporary in partial.values():  # All are written first, so that the disk may write them together.
            _sync(temporary)
        if between:
            write_files(between)
        for path, temporary in partial.items():
            temporary.replace(path)
        _sync_folders({path.parent for path in files} | made)
    except Exception:
        for temporary in partial.values():
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
        raise


def remove_file(path: Path) -> None:
    """Remove a file where it exists; it is gone from the disk when this returns."""
    if path.exists():
        path.unlink(missing_ok=True)
        _sync_folders([path.parent])


def sync_tree(folder: Path) -> None:
    """Force every file and folder below a folder, and the folder itself, onto the disk."""
    folders = [folder]
    for path in folder.rglob("*"):
        if path.is_dir():
            folders.append(path)
        else:
            _sync(path)
    _sync_folders(folders)


def sync_name(path: Path) -> None:
    """Force the name of a file or folder that was made, renamed or removed onto the disk."""
    _sync_folders([path.parent])


def _make_folders(folder: Path) -> list[Path]:
    """Make a folder and those above it; return the folders that gained a name."""
    missing = []
    while not folder.exists():
        missing.append(folder)
        folder = folder.parent
    for new in reversed(missing):
        new.mkdir(exist_ok=True)
    return [new.parent for new in missing]


def _sync(path: Path, flags: int = os.O_RDWR) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_folders(folders: Iterable[Path]) -> None:
    if sys.platform != "win32":  # Windows opens no folders; its renames are in a journal.
        for folder in folders:
            try:
                _sync(folder, os.O_RDONLY)
            except OSError as error:
                if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # Some network file systems have no such call.
                    raise
