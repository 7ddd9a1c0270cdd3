"""The table of arms, for the terminal, for the page and for scripts."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from vgrad_jax.report.findings import Findings
from vgrad_jax.statistics.summary import ArmSummary

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["COLUMNS", "Column", "as_dict", "rows", "terminal_table"]


class Column(NamedTuple):
    """One column: its heading, and what the heading means."""

    heading: str
    meaning: str


COLUMNS = (
    Column("arm", "one experiment"),
    Column("n", "finished runs"),
    Column("converged", "share of runs that reach the training accuracy, with its Wilson 95 % interval"),
    Column("median epochs", "over all runs, converged or not; a dash when fewer than half converge"),
    Column("mean epochs", "within the budget: a run that never converges counts with the whole budget"),
    Column("test accuracy", "median and 10 to 90 % quantiles after the last epoch"),
    Column("gradient at init", "log10 root mean square, median over seeds: first layer, last layer"),
    Column("zero gradient", "share of runs that end with an exactly zero gradient in the first layer"),
    Column("diverged", "runs with a loss that was not finite"),
)


WIDE = 150
NARROW = ("arm", "converged", "median epochs", "zero gradient")


def rows(summaries: Sequence[ArmSummary]) -> list[tuple[str, ...]]:
    """The cells of `COLUMNS`, as text."""
    return [_row(summary) for summary in summaries]


def terminal_table(summaries: Sequence[ArmSummary], title: str, width: int = WIDE) -> "Table":
    """The table for the terminal; a narrow one gets the columns that matter most."""
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    shown = [index for index, column in enumerate(COLUMNS) if width >= WIDE or column.heading in NARROW]
    for index in shown:
        table.add_column(COLUMNS[index].heading, justify="left" if index == 0 else "right", no_wrap=index == 0)
    for row in rows(summaries):
        table.add_row(*(row[index] for index in shown))
    return table


def as_dict(findings: Findings) -> dict[str, Any]:
    """The same numbers for scripts; -inf, which JSON cannot hold, is the text "-inf"."""
    return {
        "answer": findings.answer,
        "arms": [_plain(summary) for summary in findings.summaries],
        "crossed": None if findings.crossed is None else {**_plain(findings.crossed), "cause": findings.crossed.cause},
        "remarks": findings.remarks,
        "depth": [
            {**_plain(reach), "trainable_depth": _plain(findings.trainable_depths[reach.family])}
            for reach in findings.reaches
        ],
        "article": [{**_plain(placement), "inside": placement.inside} for placement in findings.placements],
        "article_sentences": findings.placement_sentences,
    }


def _row(summary: ArmSummary) -> tuple[str, ...]:
    low, middle, high = summary.test_accuracy
    gradient = summary.initial_gradient_log10_rms
    return (
        summary.arm,
        str(summary.n),
        f"{summary.converged.value:.1%} [{summary.converged.low:.0%}, {summary.converged.high:.0%}]",
        "-" if summary.median_epochs is None else f"{summary.median_epochs:.0f}",
        f"{summary.mean_epochs_within_budget:.0f}",
        f"{middle:.1%} ({low:.0%} to {high:.0%})",
        f"{_log10(gradient[0])}, {_log10(gradient[-1])}",
        f"{summary.no_gradient.value:.1%}",
        str(summary.diverged),
    )


def _log10(value: float) -> str:
    return "zero" if value == -math.inf else "not finite" if math.isnan(value) else f"{value:.1f}"


def _plain(value: Any) -> Any:
    if hasattr(value, "_asdict"):
        return {name: _plain(item) for name, item in value._asdict().items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
