"""Files of a report: written whole or not at all, never through a symbolic link, never over somebody else's file.

Writing takes three steps. Every path is checked, `NAME.part` is written with the permissions of a new file, and it is
renamed to `NAME`. Renaming replaces a file at once and follows no link.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from vgrad_jax.errors import InputError

__all__ = ["write_files"]

MARKS = {
    ".html": (b'id="explorer-data"',),
    ".png": (b"\x89PNG", b"Matplotlib version"),
    ".json": (b'"answer"', b'"arms"'),
    ".tex": (rb"\begin{tabular}", rb"\toprule"),
}
"""Ending of a file to the bytes that every file of a report with this ending holds; tables are told by their header."""


def write_files(folder: Path, files: Mapping[str, bytes]) -> list[Path]:
    """Write the files of a report into a folder, in place of the files of an earlier report.

    Args:
        folder: of the report; made where it is missing.
        files: path below the folder, such as "figures/overview.png", to content.

    Returns:
        The paths that were written.

    Raises:
        InputError: a file or a folder below `folder` is a symbolic link, a file was not written by a report, or the
            disk refuses. Nothing is written in the first two cases.
    """
    paths = {folder / name: content for name, content in files.items()}
    try:
        for path, content in paths.items():
            _check(path, folder, content)
        for path, content in paths.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            _write(path, content)
    except OSError as error:
        raise InputError(f"cannot write the report into {str(folder)!r}: {error.strerror or error}") from None
    return list(paths)


def _check(path: Path, folder: Path, content: bytes) -> None:
    for part in (path, *path.parents[: len(path.relative_to(folder).parts) - 1]):
        if part.is_symlink():
            raise InputError(
                f"{str(part)!r} is a symbolic link, which a report does not follow; remove it or choose another folder"
            )
    if path.exists() and not _is_a_reports(path, content):
        raise InputError(
            f"{str(path)!r} was not written by a report, which writes over its own files alone; move it away or choose "
            "another folder"
        )


def _is_a_reports(path: Path, content: bytes) -> bool:
    earlier = path.read_bytes()
    if path.suffix == ".csv":  # A later version may have more columns.
        first, second = (text.partition(b"\r\n")[0].split(b",")[:2] for text in (earlier, content))
        return first == second
    return all(mark in earlier for mark in MARKS[path.suffix])


def _write(path: Path, content: bytes) -> None:
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with part.open("xb") as file:
            file.write(content)
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
