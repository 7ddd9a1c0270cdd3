"""The arms: a row of numbers for each, and the shares of runs that converge."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from vgrad_jax.report.figures.arms import overview, share_converged
from vgrad_jax.report.latex import latex_table
from vgrad_jax.report.section import Block, Chart, Section, Table
from vgrad_jax.report.study import Study
from vgrad_jax.report.tables import shown
from vgrad_jax.report.words import percent
from vgrad_jax.statistics.intervals import Estimate
from vgrad_jax.statistics.summary import ArmSummary

__all__ = ["MOST_ARMS_IN_ONE", "SECTION"]

MOST_ARMS_IN_ONE = 12
"""Most arms whose profiles can be told apart in a single panel."""

MOST_REMARKS = 4
"""Most arms that have a remark each."""

NOTICEABLE = 0.05
"""Share of dead runs from which an arm is remarked on."""


def _compute(study: Study) -> Study:
    return study


def _remarks(study: Study) -> list[str]:
    dead = {own.arm: own.dead for own in study.summaries if own.dead.n and own.dead.value >= NOTICEABLE}
    diverged = {own.arm: own.diverged for own in study.summaries if own.diverged.value}
    zero = "end with a gradient of exactly zero in the first layer: those networks are dead there, not slow"
    return [*_remarks_on(dead, zero), *_remarks_on(diverged, "diverged (a loss was not finite)")]


def _remarks_on(shares: Mapping[str, Estimate], ending: str) -> Iterator[str]:
    """Yield a remark on each arm, or a single one on many arms."""
    if len(shares) <= MOST_REMARKS:
        yield from (f"{arm}: {percent(share)} of runs {ending}." for arm, share in shares.items())
        return
    listed = ", ".join(f"{arm} ({share.value:.0%})" for arm, share in shares.items())
    yield f"In {len(shares)} arms runs {ending}. Shares of runs: {listed}."


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
