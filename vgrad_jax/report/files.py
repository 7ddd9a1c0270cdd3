"""Files of a report: written whole or not at all, never through a link below the folder, never over a user's file.

    check every path ──► note names and digests in `MANIFEST` ──► write NAME.part, rename it ──► remove stale files

A file is a report's own where the manifest holds its digest. A folder of an earlier version has no manifest. There a
file is a report's own where its content has a report's marks, and the page beside it is a report's.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path

from vgrad_jax.errors import InputError

__all__ = ["MANIFEST", "is_current", "write_files", "write_page"]

MANIFEST = ".vgrad-report.json"
"""Name of the file that holds the name and the SHA-256 digest of every file of the report."""

PAGE = "index.html"

OWN_PAGE = b'<meta name="generator" content="vgrad_jax">'
"""Bytes by which a page that stands alone is known as this package's."""

MARKS = {
    ".html": (b'id="explorer-data"',),
    ".png": (b"\x89PNG", b"Matplotlib version"),  # The figures of earlier versions.
    ".svg": (b"<svg", b"Matplotlib v"),
    ".json": (b'"answer"', b'"arms"'),
    ".tex": (rb"\begin{tabular}", rb"\toprule"),
}
"""Bytes by which a report without a manifest is known: ending of a file to the bytes that it holds."""


def write_files(folder: Path, files: Mapping[str, bytes]) -> list[Path]:
    """Write the files of a report into a folder, in place of all files of an earlier report.

    Args:
        folder: of the report; made where it is missing.
        files: path below the folder, such as "figures/overview.png", to content.

    Returns:
        The paths that were written.

    Raises:
        InputError: a file or a folder below `folder` is a symbolic link. A file was not written by a report, or was
            changed since. The disk refuses. Nothing is written in the first two cases.
    """
    new = {name: _digest(content) for name, content in files.items()}
    try:
        old = _read_manifest(folder)
        for name, content in files.items():
            _check(folder, name, content, old)
        # Both reports' files are known at any moment, so that a killed report can be written again.
        _write(folder, MANIFEST, _manifest(old, new))
        for name, content in files.items():
            _write(folder, name, content)
        for name in (old or {}).keys() - new.keys():
            if _is_own(folder, name, old):
                (folder / name).unlink()
        _write(folder, MANIFEST, _manifest({}, new))
    except OSError as error:
        raise InputError(f"cannot write the report into {str(folder)!r}: {error.strerror or error}") from None
    return [folder / name for name in files]


def is_current(folder: Path, store: Path) -> bool:
    """Return whether a folder has the whole report on a store: all files as written, and later than every result.

    Args:
        folder: of the report.
        store: of the results.
    """
    files = _read_manifest(folder)
    if not files or PAGE not in files or not all(_is_own(folder, name, files) for name in files):
        return False
    written = (folder / PAGE).stat().st_mtime_ns
    return all(path.stat().st_mtime_ns <= written for path in (store / "completed").rglob("*"))


def write_page(path: Path, content: bytes) -> None:
    """Write a page that stands alone, in place of an earlier one.

    Args:
        path: of the file.
        content: of a page with `OWN_PAGE`.

    Raises:
        InputError: the file is a symbolic link or no such page, or the disk refuses.
    """
    if path.is_symlink():
        raise InputError(f"{str(path)!r} is a symbolic link, which a page does not follow; choose another file")
    try:
        if path.exists() and not (path.is_file() and OWN_PAGE in path.read_bytes()):
            raise InputError(f"{str(path)!r} is not a page of vgrad_jax; move it away or choose another file")
        _write(path.parent, path.name, content)
    except OSError as error:
        raise InputError(f"cannot write the page {str(path)!r}: {error.strerror or error}") from None


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _manifest(old: Mapping[str, set[str]] | None, new: Mapping[str, str]) -> bytes:
    names = sorted({*(old or {}), *new})
    digests = {name: sorted({*(old or {}).get(name, ()), *([new[name]] if name in new else [])}) for name in names}
    return json.dumps({"files": digests}, indent=1).encode()


def _read_manifest(folder: Path) -> dict[str, set[str]] | None:
    """Return the digests of each file of an earlier report; None where there is no manifest, or a damaged one."""
    path = folder / MANIFEST
    if path.is_symlink() or not path.is_file():
        return None
    try:
        files = json.loads(path.read_bytes())["files"]
        return {str(name): {str(digest) for digest in digests} for name, digests in files.items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _check(folder: Path, name: str, content: bytes, old: Mapping[str, set[str]] | None) -> None:
    path = folder / name
    for part in (path, *path.parents[: len(path.relative_to(folder).parts) - 1]):
        if part.is_symlink():
            raise InputError(
                f"{str(part)!r} is a symbolic link, which a report does not follow; remove it or choose another folder"
            )
    if path.exists() and not (_is_own(folder, name, old) or (old is None and _has_marks(folder, name, content))):
        raise InputError(
            f"{str(path)!r} was not written by a report, or was changed since; move it away or choose another folder"
        )


def _is_own(folder: Path, name: str, old: Mapping[str, set[str]] | None) -> bool:
    """Return whether a file is as a report wrote it, by the manifest."""
    path = folder / name
    return path.is_file() and not path.is_symlink() and _digest(path.read_bytes()) in (old or {}).get(name, ())


def _has_marks(folder: Path, name: str, content: bytes) -> bool:
    """Return whether a file looks like a report's, beside a page that does."""
    page, path = folder / PAGE, folder / name
    if not page.is_file() or any(mark not in page.read_bytes() for mark in MARKS[".html"]):
        return False
    earlier = path.read_bytes()
    if path.suffix == ".csv":  # A later version may have more columns.
        header, new_header = (text.partition(b"\r\n")[0].split(b",") for text in (earlier, content))
        return set(header) <= set(new_header)
    return path.suffix in MARKS and all(mark in earlier for mark in MARKS[path.suffix])


def _write(folder: Path, name: str, content: bytes) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with part.open("xb") as file:
            file.write(content)
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
