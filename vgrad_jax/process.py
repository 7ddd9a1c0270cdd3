"""A process of the command `vgrad`: signals and failures from before the heavy imports until the end.

                      nothing to keep             within `finishing`
    first signal  ─►  a sentence, exit 130   ─►   a sentence, then KeyboardInterrupt in the main thread
    second signal ─►                              a sentence, exit 130

A thread reads the signals from a pipe: the main thread may be in compiled code, and cannot answer for many seconds.
This file imports the standard library alone. A process of another program is left as it is.
"""

import contextlib
import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import FrameType, TracebackType

__all__ = ["TRACEBACK", "begin_command", "broken_package", "finishing", "hear_signals", "is_of_memory", "keeping"]

TRACEBACK = "VGRAD_TRACEBACK"
"""Variable of the environment that makes an unexpected failure show where it happened."""

SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")
"""Names of the signals that end a command."""

OUT_OF_MEMORY = (
    "RESOURCE_EXHAUSTED",
    "Out of memory",
    "std::bad_alloc",
    "Unable to allocate",
    "Cannot allocate memory",
    "failed to map segment",
)
"""Words of the messages by which JAX, NumPy and the system say that memory was not enough."""

FINISHING = "finishing what is being trained; press Ctrl-C once more to stop now"

SHOW_CURSOR = "\x1b[?25h"
"""Code that shows the cursor of a terminal, which a progress bar has hidden."""


class _State:
    """State of this process."""

    hears = False
    """True where the signals are read."""
    finishes: str | None = None
    """Sentence of a first signal where work is to be finished; None where the process ends at once."""
    kept = ""
    """Clause about what an interruption leaves."""
    is_asked = False
    """True after a first signal within `finishing`."""
    answers = threading.Semaphore(0)
    """Number of signals that the thread has answered and the main thread has not taken up."""


def begin_command() -> None:
    """Prepare this process if it runs `vgrad`, so that no failure and no signal shows a traceback."""
    is_module = sys.argv[:1] == ["-m"] and "vgrad_jax" in sys.orig_argv
    if not is_module and Path(sys.argv[0] if sys.argv else "").name not in ("vgrad", "vgrad.exe"):
        return
    sys.excepthook = _end_with_a_sentence
    hear_signals()


def hear_signals() -> None:
    """Answer Ctrl-C, SIGTERM and SIGHUP in a sentence; a signal that the caller ignores stays ignored."""
    if _State.hears or threading.current_thread() is not threading.main_thread():
        return
    _State.hears = True
    reader, writer = os.pipe()
    for end in (reader, writer):
        os.set_blocking(end, end == reader)
    for name in SIGNALS:
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, _interrupt)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    threading.Thread(target=_answer, args=(reader,), name="signals", daemon=True).start()


@contextlib.contextmanager
def finishing(sentence: str = FINISHING) -> Iterator[None]:
    """Let a first signal raise `KeyboardInterrupt` in the main thread, so that finished work is kept; a second ends."""
    before, _State.finishes = _State.finishes, sentence
    try:
        yield
    finally:
        _State.finishes, _State.is_asked = before, False


@contextlib.contextmanager
def keeping(clause: str) -> Iterator[None]:
    """Add a clause to the sentence of an interruption, about what is kept."""
    before, _State.kept = _State.kept, clause
    try:
        yield
    finally:
        _State.kept = before


def broken_package(error: BaseException) -> str | None:
    """Return the name of the package whose import raised an error; None where the error was raised elsewhere."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        name = None
        if frame.f_code.co_name == "<module>":  # A module's own code runs while it is imported, and only then.
            name = frame.f_globals.get("__name__")
        elif frame.f_code.co_filename.startswith("<frozen importlib"):
            name = frame.f_locals.get("name")
        package = str(name or "").partition(".")[0]
        if package not in ("", "__main__", "vgrad_jax"):
            return package
    name = getattr(error, "name", None) if isinstance(error, ImportError) else None
    return name.partition(".")[0] if name else None


def is_of_memory(error: BaseException) -> bool:
    """Return whether an error says that memory was not enough."""
    return isinstance(error, MemoryError) or any(words in str(error) for words in OUT_OF_MEMORY)


def _answer(reader: int) -> None:
    """Answer the signals that arrive, in a thread of its own."""
    while numbers := os.read(reader, 1):
        name = signal.Signals(numbers[0]).name
        if name not in SIGNALS:
            continue
        cause = "interrupted" if name == "SIGINT" else f"ended by {name}"
        sentence = _State.finishes
        if sentence is None or _State.is_asked:
            _say(cause + (f"; {_State.kept}" if _State.kept else ""))
            _leave(130)
        else:
            _State.is_asked = True
            _say(sentence if name == "SIGINT" else f"{cause}; {sentence}")
            _State.answers.release()


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Raise KeyboardInterrupt where finished work is kept; elsewhere the thread that reads the signals ends."""
    del frame
    if _State.finishes is not None:
        _State.answers.acquire(timeout=1)  # The thread answers while `finishing` still holds.
        name = signal.Signals(number).name
        raise KeyboardInterrupt("" if name == "SIGINT" else f"ended by {name}")


def _end_with_a_sentence(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """End after a failure outside of any command, such as of an import."""
    if os.environ.get(TRACEBACK):
        traceback.print_exception(kind, error, trace)
    if isinstance(error, KeyboardInterrupt):
        _say("interrupted")
        _leave(130)
    package = broken_package(error.with_traceback(trace))
    text = " ".join(str(error).split())[:300]
    if is_of_memory(error):
        _say("there is not enough memory to start")
    elif package is not None:
        _say(f"the package {package!r} cannot be imported ({kind.__name__}: {text}); install it again")
    else:
        _say(f"cannot start, {kind.__name__}: {text}; {TRACEBACK}=1 shows where")
    _leave(2)


def _say(sentence: str) -> None:
    """Write a sentence past all buffers: their locks may be held by the thread that was interrupted."""
    line = f"{SHOW_CURSOR}\n" if os.isatty(2) else ""
    encoding = getattr(sys.stderr, "encoding", None) or "ascii"
    with contextlib.suppress(OSError):
        os.write(2, f"{line}vgrad: {sentence}\n".encode(encoding, "replace"))


def _leave(code: int) -> None:
    """End at once: what is unfinished is dropped, as by a loss of power, and no destructor prints anything."""
    os._exit(code)
