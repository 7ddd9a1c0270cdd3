"""Command line: a command reads its options, makes a single call, and shows the results."""

import functools
import sys
import warnings
from collections.abc import Callable
from typing import Any

import typer

from vgrad_jax.cli.bench import bench
from vgrad_jax.cli.diagnose import diagnose
from vgrad_jax.cli.prescribe import prescribe
from vgrad_jax.cli.program_files import reuse_compiled_programs
from vgrad_jax.cli.report import report
from vgrad_jax.cli.run import run
from vgrad_jax.cli.seeds import seeds
from vgrad_jax.cli.study import arms, study
from vgrad_jax.cli.sweep import sweep
from vgrad_jax.cli.theory import theory
from vgrad_jax.errors import InputError

__all__ = ["app", "main"]

OWN_PROCESS = object()
"""Mark of a process that runs a single command; settings of a process that only calls `app` stay as they are."""

COMMANDS = (sweep, report, run, bench, diagnose, prescribe, theory, seeds, arms, study)

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


def _guarded(function: Callable[..., None]) -> Callable[..., None]:
    """Return a command whose failures print a sentence and set the exit code, without a traceback."""

    @functools.wraps(function)
    def wrapped(*args: Any, **options: Any) -> None:
        try:
            function(*args, **options)
        except InputError as error:
            print(f"vgrad: {error}", file=sys.stderr)
            raise typer.Exit(2) from None
        except OSError as error:
            print(f"vgrad: {error}", file=sys.stderr)
            raise typer.Exit(2) from None
        except KeyboardInterrupt as interruption:
            print(f"vgrad: {str(interruption) or 'interrupted'}", file=sys.stderr)
            raise typer.Exit(130) from None

    return wrapped


for _function in COMMANDS:
    app.command()(_guarded(_function))


@app.callback(help="A microscope for gradient flow in neural networks.")
def vgrad(context: typer.Context) -> None:
    """Prepare the process for any command, where the process is a command's own."""
    if context.obj is OWN_PROCESS:
        reuse_compiled_programs()


def main() -> None:
    """Run `vgrad` with the arguments of this process.

    Exit codes:

    - 0: all went well;
    - 1: the verdict of `--fail-on` was reached, or nothing mends the network;
    - 2: bad usage or bad input;
    - 130: Ctrl-C.
    """
    warnings.showwarning = _print_warning
    app(obj=OWN_PROCESS)


def _print_warning(message: Warning | str, *details: Any, **more: Any) -> None:
    """Print a warning as a sentence, without the line of code that gave it."""
    del details, more
    print(f"vgrad: warning: {message}", file=sys.stderr)
