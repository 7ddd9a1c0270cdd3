"""Dying ReLU: networks that are born dead, and those that die, beside the exact law."""

from collections.abc import Iterator
from functools import partial
from typing import Any

from vgrad_jax.report.figures.dying import dead_networks
from vgrad_jax.report.section import Block, Chart, Column, Section, Table
from vgrad_jax.report.study import Study
from vgrad_jax.report.words import percent
from vgrad_jax.statistics.dying import Dying, dying_arms

__all__ = ["SECTION"]

COLUMNS = (
    Column("arm"),
    Column("depth", "hidden layers"),
    Column("width", "units of the narrowest hidden layer"),
    Column("born dead", "share of networks without a gradient in the first layer at initialisation, on all rows"),
    Column("died", "share of networks that had one then, and have none after training"),
    Column("dead on one row", "share of initial networks that are dead on the first training row"),
    Column("exact law", "probability of that: 1 - prod(1 - 2^-n) over the widths n"),
)


def _compute(study: Study) -> list[Dying] | None:
    return dying_arms(study.results, study.seed_laws) if study.arms and not study.functions else None


def _sentences(rows: list[Dying]) -> list[str]:
    inside = sum(own.dead_on_one.low <= own.law <= own.dead_on_one.high for own in rows)
    born, died = (max(rows, key=lambda own: getattr(own, field).value) for field in ("born_dead", "died"))
    sentences = [
        f"The share of networks that are dead on one row agrees with the exact law in {inside} of {len(rows)} arms "
        "(95 % intervals)."
    ]
    if born.born_dead.value:
        sentences.append(
            f"Most networks are born dead in {born.arm}: {percent(born.born_dead)} on all rows, where the law for one "
            f"row, which is a bound, says {born.law:.1%}."
        )
    if died.died.value:
        sentences.append(f"Most networks die in training in {died.arm}: {percent(died.died)}.")
    return sentences


def _block(rows: list[Dying]) -> Block:
    cells = [
        [
            own.arm,
            str(own.depth),
            str(own.width),
            percent(own.born_dead),
            percent(own.died),
            percent(own.dead_on_one),
            f"{own.law:.1%}",
        ]
        for own in rows
    ]
    return Block("Born dead, or died", table=Table("Table of dead networks", COLUMNS, cells))


def _charts(rows: list[Dying]) -> Iterator[Chart]:
    yield Chart(
        "dead_networks",
        "Intervals: shares of networks that are dead on one row, on all rows, and after training, a line for each arm",
        "Networks without any gradient in the first layer. The black line is the exact law for one row, which bounds "
        "the share that is born dead on all rows. What died in training was alive at the start.",
        partial(dead_networks, rows),
    )


def _tables(rows: list[Dying]) -> dict[str, list[Dying]]:
    return {"dying": rows}


def _numbers(rows: list[Dying]) -> dict[str, Any]:
    return {"dying": rows}


SECTION = Section(
    "dying", _compute, sentences=_sentences, block=_block, charts=_charts, tables=_tables, numbers=_numbers
)
