"""One writer for a store."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vgrad_jax.errors import InputError

__all__ = ["only_writer"]


@contextmanager
def only_writer(path: Path) -> Iterator[None]:
    """Keep every other process from writing into a store.

    The operating system holds the lock (`path` with `.lock` behind it), so that it ends with the process, however that
    ends.

    Raises:
        InputError: another process holds it, or nothing can be written there.
    """
    from filelock import FileLock, Timeout

    file = Path(f"{path}.lock")
    if file.is_symlink() or (file.exists() and (not file.is_file() or file.stat().st_size)):
        raise InputError(f"{str(file)!r} is not a lock of a sweep; move it away, or choose another folder")
    try:
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
        # While it is still held: whoever opened the file before sees that it is gone, and makes a new one.
        Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()
