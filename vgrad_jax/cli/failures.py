"""Boundary of the command line: every failure is a sentence and an exit code, and no traceback.

    command ─► failure ───────────────► sentence, 2
            ─► Ctrl-C, SIGTERM, SIGHUP ► what is kept, 130
            ─► closed pipe ───────────► silence, 0

A failure that nobody foresaw is a sentence too, which asks for a report.
"""

import contextlib
import functools
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import typer
import typer.core

from vgrad_jax.errors import InputError
from vgrad_jax.process import TRACEBACK, broken_package, hear_signals, is_of_memory

__all__ = ["Commands", "guarded", "prepare_process"]

UsageError: Any = typer.BadParameter.__base__
"""Error of the command line's own parser: an unknown option, a missing argument, a text that is no number."""

DISTRIBUTIONS = {"sklearn": "scikit-learn"}
"""Package to the name by which pip installs it, where they differ."""


class Commands(typer.core.TyperGroup):
    """Commands whose usage errors look like all other errors."""

    def make_context(self, *arguments: Any, **options: Any) -> Any:
        """Return the context of the whole command line."""
        with _one_style():
            return super().make_context(*arguments, **options)

    def invoke(self, ctx: Any) -> Any:
        """Read the rest of the line and run a command."""
        with _one_style():
            return super().invoke(ctx)


@contextlib.contextmanager
def _one_style() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise _silence() from None
    except typer.Exit:
        try:
            sys.stdout.flush()  # A help is printed by now.
        except BrokenPipeError:
            raise _silence() from None
        raise
    except UsageError as error:
        if type(error).__name__ == "NoArgsIsHelpError":  # Its message is the help.
            raise
        sentence = " ".join(error.format_message().split()).rstrip(".")
        command = error.ctx.command_path if error.ctx is not None else "vgrad"
        raise _ended(f"{sentence[:1].lower()}{sentence[1:]} (see `{command} --help`)", 2) from None


def guarded(function: Callable[..., None]) -> Callable[..., None]:
    """Return a command whose failures print a sentence and set the exit code, without a traceback."""

    @functools.wraps(function)
    def wrapped(*args: Any, **options: Any) -> None:
        try:
            function(*args, **options)
            sys.stdout.flush()
        except (typer.Exit, typer.Abort):
            raise
        except KeyboardInterrupt as interruption:
            raise _ended(str(interruption) or "interrupted", 130) from None
        except BrokenPipeError:
            raise _silence() from None
        except Exception as error:
            if os.environ.get(TRACEBACK):
                traceback.print_exc()
            raise _ended(_sentence(error), 2) from None

    return wrapped


def _silence() -> typer.Exit:
    """Return the end of a command whose reader has what it wants: the interpreter must not write the rest."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return typer.Exit(0)


def prepare_process() -> None:
    """Make a process of a command fit for any terminal and any environment."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # The caller has closed it.
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # A character that the terminal lacks is shown as a question mark.
            stream.reconfigure(errors="replace")
    os.environ["MPLBACKEND"] = "agg"  # Figures are only written to files.
    hear_signals()


def _sentence(error: Exception) -> str:
    """Return a failure in a sentence that says what to do."""
    text = " ".join(str(error).split())
    if isinstance(error, InputError):
        return text
    if is_of_memory(error):
        return "there is not enough memory; ask for a smaller --chunk, fewer --workers or fewer seeds"
    if isinstance(error, OSError) and error.strerror:
        subject = "cannot write the output" if error.filename is None else repr(str(error.filename))
        return f"{subject}: {error.strerror}"
    package = broken_package(error)
    if package is not None:
        return (
            f"the package {package!r} cannot be imported ({type(error).__name__}: {text[:300]}); install it again: "
            f"pip install --force-reinstall {DISTRIBUTIONS.get(package, package)}"
        )
    platforms = os.environ.get("JAX_PLATFORMS")
    if platforms and ("backend" in text.lower() or not _has_device()):
        return (
            f"JAX finds no device for JAX_PLATFORMS={platforms}; unset the variable, or name a platform that is there"
        )
    short = f"{text[:300]}..." if len(text) > 300 else text
    return (
        f"unexpected failure, {type(error).__name__}{f': {short}' if short else ''}. This is a fault of vgrad: please "
        f"report it with the output of the same command under {TRACEBACK}=1"
    )


def _has_device() -> bool:
    import jax

    try:
        return bool(jax.devices())
    except Exception:  # JAX raises errors of several types, and asserts.
        return False


def _ended(sentence: str, code: int) -> typer.Exit:
    print(f"vgrad: {sentence}", file=sys.stderr)
    return typer.Exit(code)
