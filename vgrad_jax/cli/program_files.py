"""Compiled programs on disk: a command finds the programs that an earlier command compiled.

JAX's own limit on the size of the folder reads a file of every program at each write. A folder of thousands of programs
then costs more time than compiling. The folder is therefore cut to size once, when a command starts.
"""

import contextlib
from pathlib import Path
from typing import Any

import jax
import platformdirs

__all__ = ["reuse_compiled_programs", "trim"]

MOST_BYTES = 2**30
"""Largest size of the folder when a command starts, in bytes."""


def reuse_compiled_programs() -> None:
    """Keep compiled programs on disk for the next start, unless the user has configured JAX's cache."""
    config: Any = jax.config  # Its type does not declare its flags.
    if config.jax_compilation_cache_dir is not None or not config.jax_enable_compilation_cache:
        return
    folder = platformdirs.user_cache_path("vgrad_jax") / "compiled"
    trim(folder, MOST_BYTES)
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)


def trim(folder: Path, most_bytes: int) -> None:
    """Remove the files that were used least recently, until a folder is small enough.

    Another command may use the folder at the same time. It compiles a program again whose file was removed.

    Args:
        folder: the folder; it need not exist.
        most_bytes: largest sum of the sizes of its files.
    """
    files = []
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            status = path.stat()
            files.append((max(status.st_atime, status.st_mtime), status.st_size, path))
    size = sum(bytes_ for _, bytes_, _ in files)
    for _, bytes_, path in sorted(files):
        if size <= most_bytes:
            return
        with contextlib.suppress(OSError):
            path.unlink()
        size -= bytes_
