"""Compilation without optimisation, and bounded caches of compiled programs.

    key ──► `ProgramCache` ──► program

The first thread that asks for a key compiles its program; the other threads wait for it. A full cache drops the least
recently used programs.
"""

import ctypes
import gc
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager, suppress
from threading import Lock
from typing import Any, Generic, TypeVar

import jax

__all__ = ["ProgramCache", "clear_programs", "compiled_quickly"]

OPTIONS: dict[str, bool | int] = {
    "xla_backend_optimization_level": 0,
    "xla_llvm_disable_expensive_passes": True,
    "xla_cpu_use_fusion_emitters": False,
}
"""XLA's options that make compilation quick and the program slow."""

NO_SUCH_OPTION = "No such compile option"
"""Words of XLA's error for an option that its version does not know."""

Program = TypeVar("Program")


def compiled_quickly(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return `jax.jit(function)`, compiled without optimisation: for a program that runs for a fraction of a second.

    A version of XLA that does not know the options compiles with its defaults.

    >>> int(compiled_quickly(lambda x: x + 1)(1))
    2
    """
    quick, usual = jax.jit(function, compiler_options=OPTIONS), jax.jit(function)

    def call(*arguments: Any) -> Any:
        try:
            return quick(*arguments)
        except jax.errors.JaxRuntimeError as error:
            if NO_SUCH_OPTION not in str(error):
                raise
            return usual(*arguments)

    return call


class ProgramCache(Generic[Program]):
    """A bounded cache of compiled programs that threads share.

    Args:
        most: number of programs that are kept where no context of `room_for` reserves more.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._reserved = 0
        self._lock = Lock()
        self._entries: OrderedDict[Hashable, _Entry[Program]] = OrderedDict()
        _caches.append(self)

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: Hashable, compile_program: Callable[[], Program]) -> Program:
        """Return the program of a key; the first thread that asks compiles it, and the others wait.

        Args:
            key: equal for two calls that need the same program.
            compile_program: returns the program. After an error the cache keeps no program: the next call tries again.
        """
        with self._lock:
            entry = self._entries.setdefault(key, _Entry())
            self._entries.move_to_end(key)
            self._drop_oldest()
        with entry.lock:
            if not entry.programs:
                try:
                    entry.programs.append(compile_program())
                except BaseException:
                    self._forget(key, entry)
                    raise
        return entry.programs[0]

    def peek(self, key: Hashable) -> Program | None:
        """Return the program of a key if it is compiled and kept, else None."""
        entry = self._entries.get(key)
        return entry.programs[0] if entry is not None and entry.programs else None

    @contextmanager
    def room_for(self, programs: int) -> Iterator[None]:
        """Keep at least this many programs within the context.

        Without it, a sweep of many arms would drop and compile the same programs again and again.
        """
        with self._lock:
            self._reserved += programs
        try:
            yield
        finally:
            with self._lock:
                self._reserved -= programs
                before = len(self._entries)
                self._drop_oldest()
            if len(self._entries) < before:
                _return_memory()

    def clear(self) -> None:
        """Drop every program."""
        with self._lock:
            self._entries.clear()

    def _forget(self, key: Hashable, entry: "_Entry[Program]") -> None:
        with self._lock:
            if self._entries.get(key) is entry:
                del self._entries[key]

    def _drop_oldest(self) -> None:
        """Drop the least recently used programs above the limit; the caller holds the lock."""
        while len(self._entries) > max(self.most, self._reserved):
            self._entries.popitem(last=False)


class _Entry(Generic[Program]):
    """Program of a key, and the lock under which it is compiled; `programs` is empty until then."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.programs: list[Program] = []


_caches: list[ProgramCache[Any]] = []
"""All caches of this process, for `clear_programs`."""


def clear_programs() -> None:
    """Drop all compiled programs that the package keeps in memory; the next call compiles its program again."""
    for cache in _caches:
        cache.clear()
    _return_memory()


def _return_memory() -> None:
    """Give freed memory back to the operating system; without this glibc keeps most of a dropped program's pages."""
    gc.collect()
    with suppress(AttributeError, OSError):  # Other C libraries have no such function.
        ctypes.CDLL(None).malloc_trim(0)
