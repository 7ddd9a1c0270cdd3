"""Factors: what each thing that differs between the arms does, averaged over the others."""

from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

from vgrad_jax.report.figures.factors import factor_effects
from vgrad_jax.report.section import Block, Chart, Column, Section, Table
from vgrad_jax.report.study import Study
from vgrad_jax.report.words import points
from vgrad_jax.statistics.factors import FactorEffects, GridEffects, Interaction, grid_effects
from vgrad_jax.statistics.intervals import Estimate
from vgrad_jax.wording import counted

__all__ = ["SECTION"]

NOTE = (
    "Each row is a change of one factor, averaged over the combinations of the others in which both levels were "
    "trained. The intervals of a factor's rows hold together at 95 %, and use that arms share their seeds."
)


SMALL = 10
"""Changes below this number, in points or units of time, are shown with a decimal."""


class Factors(NamedTuple):
    """Effects of the factors."""

    grid: GridEffects
    leads: bool
    """True where the factor that matters most is the headline."""


def _compute(study: Study) -> Factors | None:
    grid = grid_effects(study.results) if study.by_factor else None
    return None if grid is None else Factors(grid, not (study.depth_leads or study.dying_leads))


def _answer(factors: Factors) -> str | None:
    return _first(factors.grid) if factors.leads else None


def _first(grid: GridEffects) -> str | None:
    """Return what the factor does that matters most; None where none is seen to matter."""
    first = grid.factors[0]
    if not first.measure:
        return None
    return f"What matters most is the {first.factor}. {_sentence(first, grid)}"


def _sentences(factors: Factors) -> list[str]:
    grid = factors.grid
    first = None if factors.leads else _first(grid)
    rest = [factor for factor in grid.factors[1:] if factor.measure]
    unseen = [factor.factor for factor in grid.factors if not factor.measure]
    said = [] if first is None else [first]
    said += [_sentence(factor, grid) for factor in rest] + [_dependence(own) for own in grid.interactions]
    if unseen:
        said.append(f"No effect is seen of the {' or the '.join(unseen)}.")
    return said


def _sentence(effects: FactorEffects, grid: GridEffects) -> str:
    step, measure = effects.largest, effects.measure
    parts = []
    if measure == "share":
        verb = "raises" if step.share.value > 0 else "lowers"
        parts.append(f"{verb} the share of runs that learn by {_interval(step.share, 100, 'point')}")
    if measure in ("share", "time") and step.time.n and step.time.excludes_zero:
        verb = "shortens" if step.time.value < 0 else "lengthens"
        parts.append(f"{verb} the mean time to learn by {_interval(step.time, 1, grid.unit)}")
    if measure == "score":
        verb = "raises" if step.score.value > 0 else "lowers"
        parts.append(f"{verb} the final test accuracy by {_interval(step.score, 100, 'point')}")
    others = [factor.factor for factor in grid.factors if factor is not effects]
    over, changed = f"On average over {_listed(others)}, switching" if others else "Switching", f"the {effects.factor}"
    if step.combinations < effects.combinations:
        pairs = "pair" if step.combinations == 1 else f"{step.combinations} pairs"
        over, changed = f"In the {pairs} of arms that differ in {changed} alone, switching", "it"
    return f"{over} {changed} from {step.start} to {step.target} {' and '.join(parts)}."


def _dependence(own: Interaction) -> str:
    return (
        f"How much the {own.first} does depends on the {own.second}: switching from {own.step.start} to "
        f"{own.step.target} changes the share of runs that learn by {points(own.at_start)} with {own.start}, and by "
        f"{points(own.at_target)} with {own.target}."
    )


def _interval(estimate: Estimate, scale: float, noun: str) -> str:
    """Return the size of a change with its interval, both without a sign."""
    low, high = sorted(scale * bound * (1 if estimate.value >= 0 else -1) for bound in (estimate.low, estimate.high))
    form = ".1f" if abs(scale * estimate.value) < SMALL else ".0f"
    return f"{counted(abs(scale * estimate.value), noun, form=form)} [{low:{form}}, {high:{form}}]"


def _listed(names: list[str]) -> str:
    named = [f"the {name}" for name in names]
    return " and ".join(filter(None, (", ".join(named[:-1]), named[-1]))) if named else ""


def _block(factors: Factors) -> Block:
    grid = factors.grid
    has_time = any(step.time.n for factor in grid.factors for step in factor.steps)
    has_score = any(step.score.n for factor in grid.factors for step in factor.steps)
    columns = [Column("factor"), Column("from", of_words=True), Column("to", of_words=True), Column("learns, points")]
    columns += [Column(f"mean {grid.unit}s")] if has_time else []
    columns += [Column("final accuracy, points")] if has_score else []
    columns.append(Column("combinations", "combinations of the other factors in which both levels were trained"))
    rows = []
    for factor in grid.factors:
        for step in factor.steps:
            cells = [factor.factor, step.start, step.target, _cell(step.share, 100)]
            cells += [_cell(step.time, 1)] if has_time else []
            cells += [_cell(step.score, 100)] if has_score else []
            rows.append([*cells, f"{step.combinations} of {factor.combinations}"])
    return Block("What each change does", table=Table("Table of effects of factors", columns, rows), note=NOTE)


def _cell(estimate: Estimate, scale: float) -> str:
    if not estimate.n:
        return "-"
    value, low, high = (scale * number for number in estimate[:3])
    form = "+.1f" if abs(value) < SMALL else "+.0f"
    return f"{value:{form}} [{low:{form}}, {high:{form}}]"


def _charts(factors: Factors) -> Iterator[Chart]:
    grid = factors.grid
    yield Chart(
        "factors",
        "Intervals: the change that each step of a factor makes, averaged over the other factors",
        "What each change does, the factor that matters most on top; blue intervals exclude zero.",
        partial(factor_effects, grid.factors, grid.unit),
    )


def _tables(factors: Factors) -> dict[str, list[dict[str, Any]]]:
    grid = factors.grid
    return {
        "factors": [{"factor": factor.factor, **step._asdict()} for factor in grid.factors for step in factor.steps]
    }


def _numbers(factors: Factors) -> dict[str, Any]:
    grid = factors.grid
    return {"factors": grid.factors, "interactions": grid.interactions}


SECTION = Section(
    "factors",
    _compute,
    answer=_answer,
    sentences=_sentences,
    block=_block,
    charts=_charts,
    tables=_tables,
    numbers=_numbers,
)
