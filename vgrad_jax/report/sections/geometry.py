"""Geometry: whether the units of the initial networks compute different functions, and what follows for learning."""

from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from vgrad_jax.diagnosis import units_are_collinear
from vgrad_jax.numerics import lower_median
from vgrad_jax.report.figures.geometry import geometry_of_arms, shown_arms
from vgrad_jax.report.section import Block, Chart, Column, Section, Table
from vgrad_jax.report.study import Study
from vgrad_jax.statistics.geometry import MOST_SEEDS, Geometry
from vgrad_jax.statistics.intervals import Estimate
from vgrad_jax.wording import counted

__all__ = ["SECTION", "ArmGeometry"]

MODE = 5
"""Number of the eigenvalue of the tangent kernel that is compared with the first."""

COLUMNS = (
    Column("arm", "name of the arm"),
    Column("converged", "share of runs that converge"),
    Column("correlation", "mean absolute correlation of the units of the last hidden layer over the training rows"),
    Column("effective rank", "participation ratio of the covariance of these units, of the number of units"),
    Column("input gradients", "mean cosine of the gradients of a logit by the input, over pairs of training rows"),
    Column("tangent kernel", f"its eigenvalue number {MODE} over the largest, on the training rows"),
    Column("collinear seeds", "seeds whose units are nearly multiples of each other"),
)


class ArmGeometry(NamedTuple):
    """Geometry of an arm's initial networks, medians over its seeds; NaN where there is none."""

    arm: str
    seeds: int
    converged: Estimate
    correlation: float
    effective_rank: float
    units: int
    """Number of units of the layer."""
    gradient_cosine: float
    eigenvalue_ratio: float
    """Eigenvalue `MODE` of the tangent kernel over the largest."""
    collinear: float
    """Share of seeds whose units are collinear."""


class Compared(NamedTuple):
    """Arms beside each other."""

    rows: list[ArmGeometry]
    study: Study


def _compute(study: Study) -> Compared | None:
    if not study.geometries:
        return None
    converged = {summary.arm: summary.converged for summary in study.summaries}
    rows = [_row(arm, geometry, converged[arm]) for arm, geometry in study.geometries.items()]
    return Compared(rows, study)


def _row(arm: str, geometry: Geometry, converged: Estimate) -> ArmGeometry:
    ratios = None if geometry.tangent is None else geometry.tangent[:, min(MODE, geometry.tangent.shape[1]) - 1]
    return ArmGeometry(
        arm=arm,
        seeds=len(geometry.hidden),
        converged=converged,
        correlation=_median(geometry.correlation),
        effective_rank=_median(geometry.effective_rank[:, geometry.judged]),
        units=geometry.widths[geometry.judged],
        gradient_cosine=_median(geometry.gradient_cosine),
        eigenvalue_ratio=_median(ratios),
        collinear=float(np.mean([units_are_collinear(layer) for layer in geometry.hidden])),
    )


def _median(values: np.ndarray | None) -> float:
    return float("nan") if values is None else float(lower_median(values, skip_nan=True))


def _sentences(compared: Compared) -> list[str]:
    """Write which arms fail with collinear units, beside the arm that learns most often with others."""
    failing = [row for row in compared.rows if row.collinear > 0.5 and row.converged.value < 0.5]
    learning = [row for row in compared.rows if row.collinear <= 0.5 and row.converged.value >= 0.5]
    if not failing:
        return []
    listed = ", ".join(f"{row.arm} {_words(row)}" for row in failing)
    sentence = (
        f"Collinear units: before training the units of the last hidden layer are nearly multiples of each other in "
        f"{counted(len(failing), 'arm')} whose runs mostly fail, {listed}. Such a network computes nearly one function "
        "of its input, whatever its output layer does."
    )
    if learning:
        best = max(learning, key=lambda row: row.converged.value)
        sentence += f" {best.arm}, of which {best.converged.value:.0%} converge, has {_words(best).strip('()')}."
    return [sentence]


def _words(row: ArmGeometry) -> str:
    return f"(correlation {row.correlation:.3f}, effective rank {row.effective_rank:.2f} of {row.units})"


def _block(compared: Compared) -> Block:
    return Block(
        "Do the units differ?",
        intro=f"The initial networks of the first {MOST_SEEDS} finished seeds of each arm, drawn again; medians over "
        "the seeds. Units that are multiples of each other are one unit. Where the gradients by the input have one "
        "direction, the network computes one function of one direction. Functions are learned at speeds in the ratio "
        "of the tangent kernel's eigenvalues; a kernel that falls fast slows learning, and need not prevent it.",
        table=Table("Table of the geometry of initial networks", COLUMNS, [_cells(row) for row in compared.rows]),
        note=_note(compared),
    )


def _cells(row: ArmGeometry) -> list[str]:
    return [
        row.arm,
        f"{row.converged.value:.0%}",
        _number(row.correlation, ".3f"),
        _number(row.effective_rank, ".2f") + f" of {row.units}",
        _number(row.gradient_cosine, ".2f"),
        _number(row.eigenvalue_ratio, ".1e"),
        f"{row.collinear:.0%}",
    ]


def _number(value: float, form: str) -> str:
    return "-" if np.isnan(value) else f"{value:{form}}"


def _note(compared: Compared) -> str:
    """Say what was not measured, and why."""
    geometries = compared.study.geometries
    reasons: dict[str, list[str]] = {}
    for arm, geometry in geometries.items():
        if geometry.why_not:
            reasons.setdefault(geometry.why_not, []).append(arm)
    notes = [
        f"No input gradients and no tangent kernel of {', '.join(arms)}: {why_not}."
        for why_not, arms in reasons.items()
    ]
    measured = {*geometries, *compared.study.functions}  # A function's network is not known.
    missing = [summary.arm for summary in compared.study.summaries if summary.arm not in measured]
    if missing:
        notes.append(
            f"Not measured: {', '.join(missing)}, whose networks are too large, have no hidden layer of two units, or "
            "cannot be drawn again."
        )
    return " ".join(notes)


def _charts(compared: Compared) -> Iterator[Chart]:
    geometries = compared.study.geometries
    shown = len(shown_arms(geometries))
    chosen = f" Shown are {shown} of {len(geometries)} arms." if shown < len(geometries) else ""
    yield Chart(
        "geometry",
        "Left, intervals: correlation of the last hidden layer's units in each arm; middle, lines: effective rank by "
        "layer; right, lines: eigenvalues of the tangent kernel",
        "Whether a network can tell its units apart before it has learned anything. Left: mean absolute correlation of "
        "the last hidden layer's units, median and 90 % of seeds; at 1 all units are multiples of one. Middle: in how "
        "many directions the units of a layer vary. Right: the relative speeds at which the network learns its first "
        f"functions. Marks are those of the left panel. Look for arms at 1 on the left and in the middle.{chosen}",
        partial(geometry_of_arms, geometries, compared.study.styles),
    )


def _tables(compared: Compared) -> dict[str, list[ArmGeometry]]:
    return {"geometry": compared.rows}


def _numbers(compared: Compared) -> dict[str, Any]:
    return {"geometry": compared.rows}


SECTION = Section(
    "geometry", _compute, sentences=_sentences, block=_block, charts=_charts, tables=_tables, numbers=_numbers
)
