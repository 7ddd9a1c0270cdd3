"""The table of arms, for the terminal and for the page."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from vgrad_jax.report.section import Column
from vgrad_jax.report.sparkline import sparkline
from vgrad_jax.statistics.intervals import Estimate
from vgrad_jax.statistics.summary import ArmSummary

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["COLUMNS", "rows", "shown", "terminal_table"]


MOST_BLOCKS = 12
"""Most layers in a line of blocks: fifty would not fit beside the other columns."""

COLUMNS = (
    Column("arm", "one experiment"),
    Column("n", "finished runs"),
    Column("converged", "share of runs that reach the training accuracy, with its Wilson 95 % interval"),
    Column("median epochs", "over all runs, converged or not, with its 95 % interval; never: fewer than half converge"),
    Column(
        "mean epochs", "to converge, with its 95 % interval; a run that never converges counts as the whole training"
    ),
    Column("test accuracy", "after the last epoch: mean of the middle half of runs, with its bootstrap 95 % interval"),
    Column("10 to 90 %", "of runs have a test accuracy in this range"),
    Column("dead", "share of runs that do not converge and end with an exactly zero gradient in the first layer"),
    Column("stuck", "share of runs that do not converge and still have a gradient"),
    Column("diverged", "share of runs with a loss that was not finite"),
    Column("gradient", "log10 root mean square at initialisation, median over seeds: first layer, last layer"),
    Column(
        "by layer",
        "the same for every layer from the input on, then after training; of more than "
        f"{MOST_BLOCKS} layers, the worst of neighbours; x: exactly zero",
    ),
)


WIDE, MIDDLE = 200, 150
ONLY_WIDE = ("10 to 90 %", "gradient")
NARROW = ("arm", "converged", "median epochs", "by layer")


def shown(summaries: Sequence[ArmSummary], unit: str = "epoch") -> tuple[list[Column], list[tuple[str, ...]]]:
    """Return the columns of which an arm has something, and their cells; "-" where an arm has nothing.

    Args:
        summaries: of the arms.
        unit: unit of the times to converge.
    """
    cells = rows(summaries)
    kept = [index for index in range(len(COLUMNS)) if any(row[index] for row in cells)]
    columns = [COLUMNS[index]._replace(heading=_in_unit(COLUMNS[index].heading, unit)) for index in kept]
    return columns, [tuple(row[index] or "-" for index in kept) for row in cells]


def _in_unit(heading: str, unit: str) -> str:
    return heading if unit == "epoch" else heading.replace("epochs", "time" if unit == "time" else f"{unit}s")


def rows(summaries: Sequence[ArmSummary]) -> list[tuple[str, ...]]:
    """Return the cells of `COLUMNS`, as text; empty where an arm has no such number."""
    sizes = [
        size
        for summary in summaries
        for size in (*summary.initial_gradient_log10_rms, *summary.final_gradient_log10_rms)
        if math.isfinite(size)
    ]
    scale = (min(sizes), max(sizes)) if sizes else (0.0, 0.0)
    return [_row(summary, scale) for summary in summaries]


def terminal_table(summaries: Sequence[ArmSummary], title: str, width: int = WIDE, unit: str = "epoch") -> "Table":
    """Return the table for the terminal; a narrow terminal gets the columns that matter most.

    Args:
        summaries: of the arms.
        title: above the table.
        width: of the terminal, in characters.
        unit: unit of the times to converge.
    """
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    columns, cells = shown(summaries, unit)
    fitting = [
        index
        for index, column in enumerate(columns)
        if width >= WIDE
        or column.heading in (_in_unit(heading, unit) for heading in NARROW)
        or (width >= MIDDLE and column.heading not in ONLY_WIDE)
    ]
    for index in fitting:
        table.add_column(columns[index].heading, justify="left" if index == 0 else "right", no_wrap=index == 0)
    for row in cells:
        table.add_row(*(row[index] for index in fitting))
    return table


def _row(summary: ArmSummary, scale: tuple[float, float]) -> tuple[str, ...]:
    accuracy, gradient = summary.test_accuracy, summary.initial_gradient_log10_rms
    typical, converged = accuracy.interquartile_mean, summary.converged
    median, mean = summary.median_epochs, summary.restricted_mean_epochs
    cells = {
        "arm": summary.arm,
        "n": str(summary.n),
        "converged": f"{converged.value:.1%} [{converged.low:.0%}, {converged.high:.0%}]" if converged.n else "",
        "median epochs": _median(median),
        "mean epochs": f"{mean.value:.0f} [{mean.low:.0f}, {mean.high:.0f}]" if mean.n else "",
        "test accuracy": f"{typical.value:.1%} [{typical.low:.1%}, {typical.high:.1%}]" if typical.n else "",
        "10 to 90 %": f"{accuracy.low.value:.0%} to {accuracy.high.value:.0%}" if typical.n else "",
        "dead": f"{summary.dead.value:.1%}" if summary.dead.n else "",
        "stuck": f"{summary.stuck.value:.1%}" if summary.stuck.n else "",
        "diverged": f"{summary.diverged.value:.1%}",
        "gradient": f"{_log10(gradient[0])}, {_log10(gradient[-1])}" if gradient else "",
        "by layer": " ".join(
            sparkline(_thinned(values), *scale) for values in (gradient, summary.final_gradient_log10_rms) if values
        ),
    }
    return tuple(cells[column.heading] for column in COLUMNS)


def _median(median: Estimate) -> str:
    if not median.n:
        return ""
    return "never" if math.isinf(median.value) else f"{median.value:.0f} [{median.low:.0f}, {_epochs(median.high)}]"


def _thinned(values: Sequence[float]) -> list[float]:
    """Return the worst of each group of neighbours, where layers are too many: zero, then not finite, then smallest."""
    worst = []
    for group in np.array_split(np.asarray(values, float), min(len(values), MOST_BLOCKS)):
        zero, finite = np.isneginf(group).any(), np.isfinite(group).all()
        worst.append(-math.inf if zero else float(group.min()) if finite else math.nan)
    return worst


def _epochs(value: float) -> str:
    return "never" if math.isinf(value) else f"{value:.0f}"


def _log10(value: float) -> str:
    return "zero" if value == -math.inf else "not finite" if math.isnan(value) else f"{value:.1f}"
