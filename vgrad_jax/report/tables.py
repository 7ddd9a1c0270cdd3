"""The table of arms, for the terminal, for the page and for scripts."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from vgrad_jax.report.findings import Findings
from vgrad_jax.statistics.comparison import Pair
from vgrad_jax.statistics.crossed import Crossed
from vgrad_jax.statistics.intervals import Estimate
from vgrad_jax.statistics.summary import ArmSummary

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["COLUMNS", "PAIR_COLUMNS", "Column", "as_dict", "pair_rows", "rows", "sparkline", "terminal_table"]


class Column(NamedTuple):
    """One column: its heading, and what the heading means."""

    heading: str
    meaning: str


MOST_BLOCKS = 12
"""In the table: a line of fifty would not fit beside the rest."""

COLUMNS = (
    Column("arm", "one experiment"),
    Column("n", "finished runs"),
    Column("converged", "share of runs that reach the training accuracy, with its Wilson 95 % interval"),
    Column("median epochs", "over all runs, converged or not, with its 95 % interval; never: fewer than half converge"),
    Column(
        "mean epochs", "within the budget, with its 95 % interval: a run that never converges counts with all of it"
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
BLOCKS = "▁▂▃▄▅▆▇█"


def rows(summaries: Sequence[ArmSummary]) -> list[tuple[str, ...]]:
    """The cells of `COLUMNS`, as text."""
    sizes = [
        size
        for summary in summaries
        for size in (*summary.initial_gradient_log10_rms, *summary.final_gradient_log10_rms)
        if math.isfinite(size)
    ]
    scale = (min(sizes), max(sizes)) if sizes else (0.0, 0.0)
    return [_row(summary, scale) for summary in summaries]


def sparkline(values: Sequence[float], low: float, high: float) -> str:
    """Values as blocks from low to high; "x" for a gradient of exactly zero, "?" for one that is not finite.

    >>> sparkline([-4.0, -2.0, 0.0, -math.inf], -4.0, 0.0)
    '▁▅█x'
    """
    width = max(high - low, 1e-9)
    return "".join(
        "x"
        if value == -math.inf
        else "?"
        if not math.isfinite(value)
        else BLOCKS[round((len(BLOCKS) - 1) * min(max((value - low) / width, 0), 1))]
        for value in values
    )


def terminal_table(summaries: Sequence[ArmSummary], title: str, width: int = WIDE) -> "Table":
    """The table for the terminal; a narrow one gets the columns that matter most."""
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    shown = [
        index
        for index, column in enumerate(COLUMNS)
        if width >= WIDE or column.heading in NARROW or (width >= MIDDLE and column.heading not in ONLY_WIDE)
    ]
    for index in shown:
        table.add_column(COLUMNS[index].heading, justify="left" if index == 0 else "right", no_wrap=index == 0)
    for row in rows(summaries):
        table.add_row(*(row[index] for index in shown))
    return table


PAIR_COLUMNS = ("pair", "converged, points", "mean epochs", "first is the faster", "p")


def pair_rows(pairs: Sequence[Pair]) -> list[tuple[str, ...]]:
    """The cells of `PAIR_COLUMNS`, as text."""
    return [
        (
            f"{pair.a} and {pair.b}",
            _difference(pair.comparison.share_difference, 100),
            _difference(pair.comparison.restricted_mean_difference),
            f"{pair.comparison.probability_a_faster:.0%}",
            "< 0.001" if pair.logrank_p_adjusted < 0.001 else f"{pair.logrank_p_adjusted:.3f}",
        )
        for pair in pairs
    ]


def as_dict(findings: Findings) -> dict[str, Any]:
    """The same numbers for scripts; what JSON cannot hold is text: "-inf", "inf", "nan"."""
    return {
        "answer": findings.answer,
        "sentences": findings.sentences,
        "arms": [_plain(summary) for summary in findings.summaries],
        "crossed": None if findings.crossed is None else _design(findings.crossed),
        "designs": [_design(design) for design in findings.designs],
        "pairs": [_plain(pair) for pair in findings.pairs],
        "verdicts": {arm: diagnosis.to_dict() for arm, diagnosis in findings.verdicts.items()},
        "predictors": [_plain(predictor) for predictor in findings.predictors],
        "predictor_sentences": findings.predictor_sentences,
        "remarks": findings.remarks,
        "depth": [
            {**_plain(reach), "trainable_depth": _plain(findings.trainable_depths[reach.family])}
            for reach in findings.reaches
        ],
        "article": [{**_plain(placement), "inside": placement.inside} for placement in findings.placements],
        "article_sentences": findings.placement_sentences,
    }


def _difference(estimate: Estimate, scale: float = 1.0) -> str:
    value, low, high = (scale * number for number in estimate[:3])
    return f"{value:+.0f} [{low:+.0f}, {high:+.0f}]"


def _design(design: Crossed) -> dict[str, Any]:
    return {**_plain(design), "cause": design.cause, "conclusion": design.conclusion}


def _row(summary: ArmSummary, scale: tuple[float, float]) -> tuple[str, ...]:
    accuracy, gradient = summary.test_accuracy, summary.initial_gradient_log10_rms
    typical = accuracy.interquartile_mean
    median, mean = summary.median_epochs, summary.restricted_mean_epochs
    return (
        summary.arm,
        str(summary.n),
        f"{summary.converged.value:.1%} [{summary.converged.low:.0%}, {summary.converged.high:.0%}]",
        "never" if math.isinf(median.value) else f"{median.value:.0f} [{median.low:.0f}, {_epochs(median.high)}]",
        f"{mean.value:.0f} [{mean.low:.0f}, {mean.high:.0f}]",
        f"{typical.value:.1%} [{typical.low:.1%}, {typical.high:.1%}]",
        f"{accuracy.low.value:.0%} to {accuracy.high.value:.0%}",
        f"{summary.dead.value:.1%}",
        f"{summary.stuck.value:.1%}",
        f"{summary.diverged.value:.1%}",
        f"{_log10(gradient[0])}, {_log10(gradient[-1])}",
        " ".join(sparkline(_thinned(values), *scale) for values in (gradient, summary.final_gradient_log10_rms)),
    )


def _thinned(values: Sequence[float]) -> list[float]:
    """The worst of each group of neighbours, where there are too many to show: zero, then not finite, then smallest."""
    worst = []
    for group in np.array_split(np.asarray(values, float), min(len(values), MOST_BLOCKS)):
        zero, finite = np.isneginf(group).any(), np.isfinite(group).all()
        worst.append(-math.inf if zero else float(group.min()) if finite else math.nan)
    return worst


def _epochs(value: float) -> str:
    return "never" if math.isinf(value) else f"{value:.0f}"


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
