"""Lock of a store: a single process writes."""

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vgrad_jax.errors import InputError

__all__ = ["only_writer"]


@contextmanager
def only_writer(path: Path) -> Iterator[None]:
    """Keep every other process from writing into a store.

    The operating system holds the lock on the file `path` with `.lock` appended. The lock therefore ends with the
    process, however the process ends.

    Args:
        path: folder of the store; it need not exist yet.

    Raises:
        InputError: another process holds the lock; the file is not a lock; or the folder around it cannot be written.
    """
    from filelock import FileLock, Timeout

    file = Path(f"{path}.lock")
    try:
        if not _may_be_lock(file):
            raise InputError(f"{str(file)!r} is not a lock of a sweep; move it away, or choose another folder")
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(f"{path}.lock")
        lock.acquire(blocking=False)
    except Timeout:
        raise InputError(
            f"another process is writing to {str(path)!r}; wait until it has finished, or choose another folder"
        ) from None
    except OSError as error:
        raise InputError(f"cannot write results to {str(path)!r}: {error.strerror or error}") from None
    try:
        yield
    finally:
        # Removed while the lock is held: a process that has opened the file sees that it is gone, and makes a new file.
        Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()


def _may_be_lock(file: Path) -> bool:
    """Return whether a path is free or holds an empty file."""
    try:
        # The state is read once, because the process that holds the lock may remove the file at any moment.
        state = file.lstat()
    except FileNotFoundError:
        return True
    return stat.S_ISREG(state.st_mode) and state.st_size == 0
