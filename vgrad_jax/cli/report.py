"""`vgrad report`, and the report of a sweep on the terminal."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vgrad_jax.cli.shared import AsJson, Open, Quiet, open_page, terminal
from vgrad_jax.errors import InputError

if TYPE_CHECKING:
    from vgrad_jax.report import Report

__all__ = ["report", "show"]


def report(
    folder: Annotated[
        Path | None, typer.Argument(help="A folder that `vgrad sweep` wrote, or an archive of `vgrad pack`.")
    ] = None,
    quiet: Quiet = False,
    open_it: Open = False,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON schema of --json instead.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make the page, the figures and the table again from stored results.

    The page of an archive is written into the folder of its name without the ending.

    Example: vgrad report runs/article
    """
    if schema:
        from vgrad_jax.report import SUMMARY_SCHEMA

        print(json.dumps(SUMMARY_SCHEMA, indent=2))
        return
    if folder is None:
        raise InputError("no folder was named; give one that `vgrad sweep` wrote, such as runs/article")
    from vgrad_jax.report import write_report
    from vgrad_jax.results.opening import open_results

    if (folder / "zarr.json").exists():
        raise InputError(f"{str(folder)!r} is the store itself; give the folder that holds it: {folder.parent}")
    results = open_results(folder)
    out = folder.with_suffix("") if folder.is_file() else folder
    if out == folder and folder.is_file():
        raise InputError(f"{str(folder)!r} needs an ending such as .zip, for its page goes into a folder without it")
    made = write_report(results, out)
    if as_json or not quiet:
        show(made, out, str(folder), as_json=as_json)
    if open_it:
        open_page(out / "index.html")


def show(report: "Report", folder: Path, title: str, *, as_json: bool) -> None:
    """Print a sweep's report as a table and sentences, or as JSON.

    Args:
        report: the report.
        folder: folder of the page and the results.
        title: title of the table.
        as_json: True prints JSON.
    """
    from vgrad_jax.report.tables import terminal_table

    if as_json:
        print(json.dumps({**report.numbers(), "folder": str(folder)}, indent=2, allow_nan=False))
        return
    console = terminal(width=max(terminal().width, 160) if not sys.stdout.isatty() else None)
    console.print(terminal_table(report.study.summaries, title, console.width, report.study.unit))
    for line in report.lines:
        console.print(line)
    stored = f"   results: {folder / 'results.zarr'}" if (folder / "results.zarr").exists() else ""
    console.print(f"\npage: {folder / 'index.html'}{stored}   figures: {folder / 'figures'}")
