"""The arms: a row of numbers for each, and the shares of runs that converge."""

from collections.abc import Iterator
from functools import partial
from typing import Any

from vgrad_jax.report.figures.arms import overview, share_converged
from vgrad_jax.report.latex import latex_table
from vgrad_jax.report.section import Block, Chart, Section, Table
from vgrad_jax.report.study import Study
from vgrad_jax.report.tables import shown
from vgrad_jax.report.words import percent
from vgrad_jax.statistics.summary import ArmSummary

__all__ = ["MOST_ARMS_IN_ONE", "SECTION"]

MOST_ARMS_IN_ONE = 12
"""Most arms whose profiles can be told apart in a single panel."""

NOTICEABLE = 0.05
"""Share of dead runs from which an arm is remarked on."""


def _compute(study: Study) -> Study:
    return study


def _remarks(study: Study) -> list[str]:
    return [remark for summary in study.summaries for remark in _remarks_on(summary)]


def _remarks_on(summary: ArmSummary) -> Iterator[str]:
    if summary.dead.n and summary.dead.value >= NOTICEABLE:
        yield (
            f"{summary.arm}: {percent(summary.dead)} of runs end with a gradient of exactly zero in the "
            f"first layer: those networks are dead there, not slow."
        )
    if summary.diverged.value:
        yield f"{summary.arm}: {percent(summary.diverged)} of runs diverged (a loss was not finite)."


def _block(study: Study) -> Block:
    return Block("The arms", table=Table("Table of arms", *shown(study.summaries, study.unit)))


def _charts(study: Study) -> Iterator[Chart]:
    if not study.converging:
        return
    if len(study.summaries) <= MOST_ARMS_IN_ONE and study.with_layers:
        yield Chart(
            "overview",
            "Left, intervals: share of runs that converge in each arm; right, lines: its first gradient by layer",
            f"Who learns, and with what gradient each arm starts ({study.seeds}). Look for arms that share an "
            "activation (colour) and still end far apart: the activation is not what separates them.",
            partial(overview, study.summaries, study.styles),
        )
    else:
        yield Chart(
            "share_converged",
            "Intervals: share of runs that converge, a line for each arm",
            f"Who learns: every arm in a line ({study.seeds}).",
            partial(share_converged, study.converging, study.styles),
        )


def _tables(study: Study) -> dict[str, list[ArmSummary]]:
    return {"arms": study.summaries}


def _texts(study: Study) -> dict[str, str]:
    return {"arms.tex": latex_table(study.summaries, study.unit)}


def _numbers(study: Study) -> dict[str, Any]:
    return {"arms": study.summaries}


SECTION = Section(
    "arms",
    _compute,
    remarks=_remarks,
    block=_block,
    charts=_charts,
    tables=_tables,
    texts=_texts,
    numbers=_numbers,
)
