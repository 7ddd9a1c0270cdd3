"""A machine's speed as a table, a figure and numbers."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vgrad_jax.report.figures.speed import speed_bars
from vgrad_jax.results.environment import versions
from vgrad_jax.sweeps.speed import Speed

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["speed_table", "write_speed"]


def speed_table(speeds: Sequence[Speed], title: str) -> "Table":
    """Return a table with a row for each way of training."""
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    table.add_column("how")
    for header in ("ms a run", "runs/s", "us a step", "compile, s", "a thousand seeds", "calls timed"):
        table.add_column(header, justify="right")
    for speed in speeds:
        thousand = speed.compile_seconds + speed.run_milliseconds
        table.add_row(
            speed.name,
            f"{speed.run_milliseconds:.1f}",
            f"{speed.runs_per_second:.1f}",
            f"{speed.step_microseconds:.2f}",
            f"{speed.compile_seconds:.1f}",
            f"{thousand / 60:.1f} min" if thousand >= 100 else f"{thousand:.0f} s",
            str(speed.calls),
        )
    return table


def write_speed(speeds: Sequence[Speed], folder: Path, title: str) -> dict[str, Any]:
    """Write `speed.json` and `speed.png`; return the content of `speed.json`."""
    content = {
        "title": title,
        "versions": versions(),
        "speeds": [{**speed._asdict(), "runs_per_second": speed.runs_per_second} for speed in speeds],
    }
    (folder / "speed.json").write_text(json.dumps(content, indent=2))
    speed_bars(speeds, title).savefig(folder / "speed.png", dpi=150)
    return content
