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
    folder: Annotated[Path, typer.Argument(help="A folder that `vgrad sweep` wrote.")],
    quiet: Quiet = False,
    open_it: Open = False,
    as_json: AsJson = False,
) -> None:
    """Make the page, the figures and the table again from stored results.

    Example: vgrad report runs/article
    """
    from vgrad_jax.report import write_report
    from vgrad_jax.results.store import open_results

    if (folder / "zarr.json").exists():
        raise InputError(f"{str(folder)!r} is the store itself; give the folder that holds it: {folder.parent}")
    results = open_results(folder)
    try:
        made = write_report(results, folder)
    except (RuntimeError, ValueError) as error:
        # Zarr's codecs raise these errors for damaged files; a wrong checksum is a ValueError.
        if isinstance(error, ValueError) and "checksum" not in str(error):
            raise
        raise InputError(f"the results in {str(folder)!r} are damaged: {error}") from None
    if as_json or not quiet:
        show(made, folder, str(folder), as_json=as_json)
    if open_it:
        open_page(folder / "index.html")


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
    console.print(
        f"\npage: {folder / 'index.html'}   results: {folder / 'results.zarr'}   figures: {folder / 'figures'}"
    )
