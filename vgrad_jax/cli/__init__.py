"""Command line: a command reads its options, makes a single call, and shows the results."""

import functools
import sys
import warnings
from collections.abc import Callable
from typing import Any

import typer

from vgrad_jax.cli.bench import bench
from vgrad_jax.cli.diagnose import diagnose
from vgrad_jax.cli.report import report
from vgrad_jax.cli.run import run
from vgrad_jax.cli.seeds import seeds
from vgrad_jax.cli.sweep import sweep
from vgrad_jax.cli.theory import theory
from vgrad_jax.errors import InputError

__all__ = ["app", "main"]

COMMANDS = (sweep, report, run, bench, diagnose, theory, seeds)

CACHE_BYTES = 2**30
"""Largest size of the compiled programs on disk, in bytes; the least recently used programs are dropped first."""

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
def vgrad() -> None:
    """Prepare the process for any command."""
    _reuse_compiled_programs()


def main() -> None:
    """Run `vgrad` with the arguments of this process.

    Exit codes:

    - 0: all went well;
    - 1: the verdict of `--fail-on` was reached;
    - 2: bad usage or bad input;
    - 130: Ctrl-C.
    """
    warnings.showwarning = _print_warning
    app()


def _print_warning(message: Warning | str, *details: Any, **more: Any) -> None:
    """Print a warning as a sentence, without the line of code that gave it."""
    del details, more
    print(f"vgrad: warning: {message}", file=sys.stderr)


def _reuse_compiled_programs() -> None:
    """Keep compiled programs on disk for the next start, unless the user has configured JAX's cache."""
    import jax
    import platformdirs

    config: Any = jax.config  # Its type does not declare its flags.
    if config.jax_compilation_cache_dir is None and config.jax_enable_compilation_cache:
        jax.config.update("jax_compilation_cache_dir", str(platformdirs.user_cache_path("vgrad_jax") / "compiled"))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
        jax.config.update("jax_compilation_cache_max_size", CACHE_BYTES)
        # Another thread or command may drop a program from a full cache: the program is then compiled again.
        warnings.filterwarnings("ignore", message="Error (reading|writing) persistent compilation cache entry")
