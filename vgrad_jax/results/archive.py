"""Archive of a store: one zip file that is opened as the store is.

    MANIFEST.sha256             digest and name of every file, as `sha256sum -c` reads them
    results.zarr/zarr.json      the store's own files, not compressed again

Nothing is ever unpacked. A member is refused, before a byte of it is read, where it is compressed, overlaps another
one, or leaves the folder. So are two members of a name, and names that the manifest lacks. The same store gives the
same bytes.
"""

import re
import struct
import zipfile
from pathlib import Path
from typing import IO, NamedTuple

from vgrad_jax.errors import InputError
from vgrad_jax.results.checksums import Digest
from vgrad_jax.results.files import UnreadableError

__all__ = ["COMMENT", "MANIFEST", "ROOT_FOLDER", "Archive", "is_archive", "stored_member", "write_archive"]

MANIFEST = "MANIFEST.sha256"
"""Name of the member that lists all others with their digests; it is the first one."""

ROOT_FOLDER = "results.zarr/"
"""Folder of the store in the archive."""

COMMENT = b"vgrad_jax archive 1"
"""Comment of the zip file, by which an archive of this package is known."""

LOCAL_HEADER = struct.Struct("<4s5H3I2H")
"""Header before each member of a zip file: signature, ..., length of the name, length of the extra field."""

ENCRYPTED = 0x1
"""Bit of a member's flags."""


class _Member(NamedTuple):
    start: int
    """First byte of the content in the archive."""
    digest: Digest


class Archive:
    """Files of a store in an archive; an implementation of `Files`.

    A file is compared with the manifest before the first of its bytes is given.

    Args:
        path: of the archive.

    Raises:
        UnreadableError: the file is no archive of this package, or a damaged or harmful one.
    """

    compares = True

    def __init__(self, path: Path) -> None:
        self.path = path
        self._members = _members(path)
        self._compared: set[str] = set()

    def read(self, key: str, start: int = 0, stop: int | None = None) -> bytes | None:
        """Return the bytes `start` to `stop` of a file; None where there is no such file.

        Raises:
            UnreadableError: the file is not the one that was packed.
        """
        member = self._members.get(key)
        if member is None:
            return None
        size = member.digest.size
        with open(self.path, "rb") as file:
            if key not in self._compared:
                file.seek(member.start)
                if Digest.of(file.read(size)) != member.digest:
                    raise UnreadableError(f"the file {key} is damaged: its checksum is not the one that was packed")
                self._compared.add(key)
            file.seek(member.start + min(start, size))
            return file.read(max((size if stop is None else min(stop, size)) - start, 0))

    def size(self, key: str) -> int | None:
        """Return the size of a file in bytes; None where there is no such file."""
        member = self._members.get(key)
        return None if member is None else member.digest.size

    def sizes(self, folder: str) -> dict[str, int]:
        """Map the key of every file below a folder to its size in bytes."""
        inside = f"{folder.rstrip('/')}/" if folder else ""
        return {key: member.digest.size for key, member in self._members.items() if key.startswith(inside)}


def is_archive(path: Path) -> bool:
    """Return whether a path is a file, and so could be an archive."""
    return path.is_file()


def write_archive(path: Path, files: dict[str, bytes | Path]) -> None:
    """Write a zip file of a store's files.

    Args:
        path: of the new file.
        files: key of each file to its path; the smallest archive of equal files has equal bytes.

    Raises:
        OSError: the disk refuses.
    """
    names = sorted(files)
    digests = {name: Digest.of(_content(files[name])).sha256 for name in names}
    manifest = "".join(f"{digests[name]}  {ROOT_FOLDER}{name}\n" for name in names).encode()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.comment = COMMENT
        archive.writestr(stored_member(MANIFEST), manifest)
        for name in names:
            archive.writestr(stored_member(f"{ROOT_FOLDER}{name}"), _content(files[name]))


def _content(file: bytes | Path) -> bytes:
    return file if isinstance(file, bytes) else file.read_bytes()


def stored_member(name: str) -> zipfile.ZipInfo:
    """Return a member that is not compressed and has no time, so that equal stores have equal archives."""
    member = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
    member.external_attr = 0o644 << 16
    member.create_system = 3
    return member


def _members(path: Path) -> dict[str, _Member]:
    """Return the files of an archive by their keys, after all that can be checked without reading them."""
    try:
        with zipfile.ZipFile(path) as archive, open(path, "rb") as file:
            if archive.comment != COMMENT:
                raise UnreadableError("it is no archive of `vgrad pack`")
            infos = archive.infolist()
            if not infos or infos[0].filename != MANIFEST:
                raise UnreadableError("the archive has no manifest")
            _check(infos, path.stat().st_size)
            starts = {info.filename: _start(file, info) for info in infos}
            _check_overlaps(infos, starts)
            manifest = archive.read(MANIFEST).decode()
    except InputError:
        raise
    except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError, struct.error, RuntimeError) as error:
        raise UnreadableError(f"the archive is damaged ({str(error) or type(error).__name__})") from None
    listed = _listed(manifest)
    names = [info.filename for info in infos[1:]]
    if sorted(listed) != sorted(names):
        odd = min(set(listed) ^ set(names))
        raise UnreadableError(f"the manifest and the members of the archive differ: {odd!r}")
    sizes = {info.filename: info.file_size for info in infos}
    return {
        name.removeprefix(ROOT_FOLDER): _Member(starts[name], Digest(sizes[name], sha256))
        for name, sha256 in listed.items()
    }


def _check(infos: list[zipfile.ZipInfo], size: int) -> None:
    seen = set()
    for info in infos:
        name = info.filename
        if name in seen:
            raise UnreadableError(f"the archive has two members of the name {name!r}")
        seen.add(name)
        if name != MANIFEST and not (name.startswith(ROOT_FOLDER) and _stays_inside(name)):
            raise UnreadableError(f"the archive has a member of the name {name!r}, which no store has")
        if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & ENCRYPTED:
            raise UnreadableError(f"the member {name!r} is compressed or encrypted, which `vgrad pack` never does")
        if info.file_size != info.compress_size or info.file_size > size:
            raise UnreadableError(f"the member {name!r} claims {info.file_size} bytes in an archive of {size}")


def _stays_inside(name: str) -> bool:
    """Return whether a name is a plain path: no drive, no root, no step upwards."""
    return all(part not in ("", ".", "..") for part in name.split("/")) and not re.search(r"[\\:\0]", name)


def _start(file: IO[bytes], info: zipfile.ZipInfo) -> int:
    """Return the position of a member's first byte, which only the header before the member says."""
    file.seek(info.header_offset)
    signature, *_, name_size, extra_size = LOCAL_HEADER.unpack(file.read(LOCAL_HEADER.size))
    if signature != b"PK\x03\x04" or file.read(name_size) != info.filename.encode():
        raise UnreadableError(f"the member {info.filename!r} is not where the archive says")
    return info.header_offset + LOCAL_HEADER.size + name_size + int(extra_size)


def _check_overlaps(infos: list[zipfile.ZipInfo], starts: dict[str, int]) -> None:
    end = 0
    for info in sorted(infos, key=lambda info: info.header_offset):
        if info.header_offset < end:
            raise UnreadableError(f"the member {info.filename!r} overlaps another one")
        end = starts[info.filename] + info.file_size


def _listed(manifest: str) -> dict[str, str]:
    """Return the names in a manifest, each with its digest."""
    listed = {}
    for line in manifest.splitlines():
        match = re.fullmatch(r"([0-9a-f]{64})  (.+)", line)
        if match is None:
            raise UnreadableError("the manifest of the archive is damaged")
        listed[match[2]] = match[1]
    return listed
