"""`vgrad diagnose`."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from vgrad_jax.cli.shared import AsJson, terminal
from vgrad_jax.errors import unknown_name

__all__ = ["diagnose"]


def diagnose(
    file: Annotated[Path, typer.Argument(help="A record that Record.save wrote.")],
    fail_on: Annotated[
        list[str] | None, typer.Option(help="Exit with 1 if this is the verdict; may be given several times.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say whether a recorded gradient is healthy, and if not, what to do.

    Example: vgrad diagnose record.npz --fail-on vanishing --fail-on dead
    """

    from vgrad_jax.diagnosis import STATUSES
    from vgrad_jax.diagnosis import diagnose as judge
    from vgrad_jax.gradients import Record
    from vgrad_jax.report.verdict import layer_table

    for status in fail_on or ():
        if status not in STATUSES:
            raise unknown_name("status", status, STATUSES)
    diagnosis = judge(Record.load(file))
    if as_json:
        print(json.dumps(diagnosis.to_dict(), indent=2, allow_nan=False))
    else:
        print(diagnosis)
        terminal(width=None if sys.stdout.isatty() else 160).print(layer_table(diagnosis))
    if diagnosis.status in (fail_on or ()):
        raise typer.Exit(1)
