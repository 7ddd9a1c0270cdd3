"""The command line: read what is asked, make one call, show what came."""

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
"""Of compiled programs on disk; those that have not been used for longest go first."""

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


def _guarded(function: Callable[..., None]) -> Callable[..., None]:
    """The command, with failures that are one sentence and an exit code."""

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


@app.callback()
def vgrad() -> None:
    """A microscope for gradient flow in neural networks."""
    _reuse_compiled_programs()


def main() -> None:
    """`vgrad`: exit 0 when fine, 1 for the verdict asked about, 2 for bad usage or bad input, 130 after Ctrl-C."""
    app()


def _reuse_compiled_programs() -> None:
    """Keep compiled programs on disk for the next start, unless JAX has been told where, or told not to."""
    import jax
    import platformdirs

    config: Any = jax.config  # Its own types do not know its flags.
    if config.jax_compilation_cache_dir is None and config.jax_enable_compilation_cache:
        jax.config.update("jax_compilation_cache_dir", str(platformdirs.user_cache_path("vgrad_jax") / "compiled"))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
        jax.config.update("jax_compilation_cache_max_size", CACHE_BYTES)
        # Another thread or command has just made room in a full cache: that costs a compilation, and no answer.
        warnings.filterwarnings("ignore", message="Error (reading|writing) persistent compilation cache entry")
