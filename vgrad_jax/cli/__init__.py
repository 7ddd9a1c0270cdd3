"""Command line: a command reads its options, makes a single call, and shows the results."""

import sys
import warnings
from importlib.metadata import version as distribution_version
from typing import Annotated, Any

import typer

from vgrad_jax.cli.bench import bench
from vgrad_jax.cli.diagnose import diagnose
from vgrad_jax.cli.failures import Commands, guarded, prepare_process
from vgrad_jax.cli.pack import pack
from vgrad_jax.cli.prescribe import prescribe
from vgrad_jax.cli.program_files import reuse_compiled_programs
from vgrad_jax.cli.report import report
from vgrad_jax.cli.run import run
from vgrad_jax.cli.seeds import seeds
from vgrad_jax.cli.study import arms, study
from vgrad_jax.cli.sweep import sweep
from vgrad_jax.cli.theory import theory
from vgrad_jax.cli.verify import verify

__all__ = ["app", "main"]

OWN_PROCESS = object()
"""Mark of a process that runs a single command; settings of a process that only calls `app` stay as they are."""

COMMANDS = (sweep, report, run, bench, diagnose, prescribe, theory, seeds, arms, study, verify, pack)

EXIT_CODES = (
    "Exit codes: 0 all went well; 1 the verdict of --fail-on was reached, or nothing mends a network; "
    "2 bad usage, bad input or a failure outside; 130 Ctrl-C."
)

app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=EXIT_CODES,
)


for _function in COMMANDS:
    app.command()(guarded(_function))


def _print_version(asked: bool) -> None:
    if asked:
        print(f"vgrad_jax {distribution_version('vgrad_jax')}")
        raise typer.Exit(0)


@app.callback(help="A microscope for gradient flow in neural networks.")
def vgrad(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Prepare the process for any command, where the process is a command's own."""
    del version
    if context.obj is OWN_PROCESS:
        reuse_compiled_programs()


def main() -> None:
    """Run `vgrad` with the arguments of this process.

    Exit codes:

    - 0: all went well;
    - 1: the verdict of `--fail-on` was reached, or nothing mends the network;
    - 2: bad usage, bad input, or a failure outside of the package;
    - 130: Ctrl-C.
    """
    prepare_process()
    warnings.showwarning = _print_warning
    app(obj=OWN_PROCESS, prog_name="vgrad")


def _print_warning(message: Warning | str, *details: Any, **more: Any) -> None:
    """Print a warning as a sentence, without the line of code that gave it."""
    del details, more
    print(f"vgrad: warning: {message}", file=sys.stderr)
