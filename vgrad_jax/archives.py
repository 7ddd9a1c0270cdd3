"""Arrays of NPZ files, read without trust: nothing is executed, and no memory is taken before the sizes agree.

file ─► zip ─► member ─► header: dtype, shape ─► as many bytes as the member has? ─► checksum ─► array
"""

import math
import warnings
import zipfile
from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped

from vgrad_jax.errors import InputError
from vgrad_jax.memory import require_memory

__all__ = ["read_arrays"]

KINDS = "biufcUS"
"""Kinds of dtypes that are read: numbers and texts."""

MOST_AXES = 32
"""Largest number of axes of an array."""


def read_arrays(
    path: str | Path, expected: str, names: Collection[str] | None = None
) -> dict[str, Shaped[np.ndarray, "..."]]:
    """Read arrays of an NPZ file.

    Args:
        path: the file.
        expected: what the file should hold, for messages, such as "record".
        names: names of the arrays; None reads all.

    Raises:
        InputError: there is no such file; it is damaged or lacks an array; an array holds objects; or there is not
            enough memory.
    """
    if not Path(path).is_file():
        raise InputError(f"there is no file {str(path)!r}; expected an NPZ file with a {expected}")
    try:
        with zipfile.ZipFile(path) as archive, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # NumPy warns of headers of Python 2, which it reads.
            return _arrays(archive, f"{str(path)!r} holds no {expected}", names)
    except InputError:
        raise
    except Exception as error:  # A damaged archive raises errors of many types.
        raise InputError(f"{str(path)!r} holds no {expected}: {type(error).__name__}: {error}") from None


def _arrays(archive: zipfile.ZipFile, fault: str, names: Collection[str] | None) -> dict[str, np.ndarray]:
    members = {member.filename.removesuffix(".npy"): member for member in archive.infolist()}
    twice = [name for name, count in Counter(archive.namelist()).items() if count > 1]
    if twice:
        raise InputError(f"{fault}: it has the array {twice[0]!r} more than once")
    missing = [name for name in names or () if name not in members]
    if missing:
        raise InputError(f"{fault}: it lacks the array {missing[0]!r}, and has {sorted(members)}")
    wanted = {name: member for name, member in members.items() if names is None or name in names}
    size = sum(member.file_size for member in wanted.values())
    require_memory(f"the arrays of {archive.filename!r}", 2 * size, "give a smaller file, or one that is not damaged")
    arrays = {}
    for name, member in wanted.items():
        with archive.open(member) as file:
            arrays[name] = _array(file, fault, name, member.file_size)
    return arrays


def _array(file: Any, fault: str, name: str, size: int) -> np.ndarray:
    """Read an array whose file, header included, has `size` bytes."""
    version = np.lib.format.read_magic(file)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in readers:
        raise InputError(f"{fault}: the array {name!r} has a header of the unknown version {version}")
    shape, is_fortran, dtype = readers[version](file)
    if dtype.kind not in KINDS:
        raise InputError(f"{fault}: the array {name!r} must hold numbers or texts; it holds {dtype}")
    claimed = math.prod(shape) * dtype.itemsize
    if len(shape) > MOST_AXES or any(length < 0 for length in shape) or file.tell() + claimed != size:
        raise InputError(
            f"{fault}: it is damaged; the array {name!r} says that it has the shape {shape} of {dtype}, which are "
            f"{claimed} bytes, and the file has {size - file.tell()}"
        )
    content = file.read(claimed)
    if len(content) != claimed or file.read(1):  # Reading to the end compares the checksum.
        raise InputError(f"{fault}: it is damaged; the array {name!r} ends after {len(content)} of {claimed} bytes")
    flat = np.frombuffer(content, dtype) if dtype.itemsize else np.zeros(math.prod(shape), dtype)
    return flat.reshape(shape, order="F" if is_fortran else "C").copy()
