"""`vgrad diagnose`."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from vgrad_jax.cli.shared import AsJson, Open, Quiet, open_page, terminal
from vgrad_jax.errors import InputError, unknown_name
from vgrad_jax.wording import visible

__all__ = ["diagnose"]


def diagnose(
    file: Annotated[Path | None, typer.Argument(help="A record that Record.save wrote.")] = None,
    fail_on: Annotated[
        list[str] | None, typer.Option(help="Exit with 1 if this is the verdict; may be given several times.")
    ] = None,
    baseline: Annotated[
        float | None, typer.Option(help="Loss of the best constant prediction, such as 0.693 for two equal classes.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write the verdict as a page, with its evidence drawn.")] = None,
    quiet: Quiet = False,
    open_it: Open = False,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON schema of --json instead.")] = False,
    as_json: AsJson = False,
) -> None:
    """Say whether a recorded gradient is healthy, and if not, what to do.

    Example: vgrad diagnose record.npz --out verdict.html --fail-on vanishing --fail-on dead
    """

    from vgrad_jax.diagnosis import DIAGNOSIS_SCHEMA, STATUSES
    from vgrad_jax.diagnosis import diagnose as judge
    from vgrad_jax.gradients import Record
    from vgrad_jax.report.verdict import layer_table

    for status in fail_on or ():
        if status not in STATUSES:
            raise unknown_name("status", status, STATUSES)
    if schema:
        print(json.dumps(DIAGNOSIS_SCHEMA, indent=2))
        return
    if file is None:
        raise InputError("no record was named; give a file that Record.save wrote, such as record.npz")
    if open_it and out is None:
        raise InputError("--open needs a page: name its file with --out, such as --out verdict.html")
    record = Record.load(file)
    diagnosis = judge(record, baseline=baseline)
    if out is not None:
        from vgrad_jax.report.verdict_page import write_verdict

        write_verdict(record, diagnosis, out, baseline=baseline)
    if as_json:
        print(json.dumps(diagnosis.to_dict(), indent=2, allow_nan=False))
    elif not quiet:
        print(visible(str(diagnosis)))
        terminal(width=None if sys.stdout.isatty() else 160).print(layer_table(diagnosis))
        if out is not None:
            print(f"page: {out}")
    if open_it and out is not None:
        open_page(out)
    if diagnosis.status in (fail_on or ()):
        raise typer.Exit(1)
