"""Memory that this process may still take, refusals before it is taken, and pauses of garbage collection."""

import contextlib
import gc
import sys
from collections.abc import Iterator

import psutil

from vgrad_jax.errors import InputError

__all__ = ["available_bytes", "bytes_in_words", "require_memory", "uncollected"]


def available_bytes() -> int:
    """Return the bytes that this process may still take: those that are free, within the limit of `ulimit -v`."""
    free = int(psutil.virtual_memory().available)
    if sys.platform == "linux":
        import resource

        limit, _ = resource.getrlimit(resource.RLIMIT_AS)
        if limit != resource.RLIM_INFINITY:
            with contextlib.suppress(psutil.Error):
                free = min(free, limit - int(psutil.Process().memory_info().vms))
    return max(free, 0)


def require_memory(purpose: str, needed: int | float, advice: str) -> None:
    """Refuse what needs more memory than there is, before any is taken.

    Args:
        purpose: what needs the memory; the subject of the sentence.
        needed: estimate, in bytes.
        advice: what to do instead.

    Raises:
        InputError: there is less memory.

    >>> require_memory("a small array", 100, "take a smaller one")
    """
    free = available_bytes()
    if needed > free:
        raise InputError(
            f"{purpose} would need about {bytes_in_words(needed)} of memory, and {bytes_in_words(free)} are free; "
            f"{advice}"
        )


def bytes_in_words(size: int | float) -> str:
    """Return a number of bytes in the largest unit of which there is one or more.

    >>> bytes_in_words(3 * 2**30), bytes_in_words(100), bytes_in_words(1e30)
    ('3.0 GiB', '100 bytes', '9e+17 TiB')
    """
    for unit, factor in (("TiB", 2**40), ("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if size >= factor:
            number = size / factor
            return f"{number:.1f} {unit}" if number < 1e4 else f"{number:.0e} {unit}"
    return f"{size:.0f} bytes"


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """Pause Python's garbage collection within the context: it would take an eighth of the time for figures."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
