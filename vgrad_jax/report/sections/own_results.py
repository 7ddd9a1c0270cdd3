"""Own results: what functions return, over their seeds."""

import math
from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from vgrad_jax.report.figures.own import own_curves, own_dots
from vgrad_jax.report.section import Block, Chart, Column, Section, Table
from vgrad_jax.report.study import Study
from vgrad_jax.results.reading import own_values
from vgrad_jax.statistics.own import OwnNumber, curve_band, own_numbers, own_variables
from vgrad_jax.wording import counted

__all__ = ["SECTION"]

COLUMNS = (
    Column("result", "name of the variable"),
    Column("arm", "one function or experiment"),
    Column("n", "finished runs with a finite number"),
    Column("lower quartile", "a quarter of the runs are below"),
    Column("median", "over the runs, with its distribution-free 95 % interval; of a boolean, the share that is true"),
    Column("upper quartile", "a quarter of the runs are above"),
    Column("at", "a curve is taken at its last value"),
    Column("not finite", "runs whose number is infinite or NaN"),
)

MOST_FIGURES = 12
"""Most own variables that have a figure on the page; the table has all of them."""


class OwnResults(NamedTuple):
    """Own variables, and the study that has them."""

    numbers: list[OwnNumber]
    study: Study


def _compute(study: Study) -> OwnResults | None:
    return OwnResults(own_numbers(study.results), study) if study.functions else None


def _answer(own: OwnResults) -> str | None:
    """Say how the first curve of the arms ends, or their first number, where no arm says when a run converges."""
    told = [row for row in own.numbers if row.median.n]
    if own.study.converging or not told:
        return None
    first = next((row for row in told if row.last_of), told[0])
    rows = [row for row in told if row.variable == first.variable]
    listed = ", ".join(f"{_median(row)} in {row.arm} (n = {row.n})" for row in rows)
    end = f" at {rows[0].last_of}" if rows[0].last_of else ""
    return f"Median {rows[0].variable}{end}: {listed}."


def _remarks(own: OwnResults) -> list[str]:
    lost = [row for row in own.numbers if row.not_finite]
    return [f"{row.arm}: {row.variable} is not finite in {counted(row.not_finite, 'run')}." for row in lost]


def _block(own: OwnResults) -> Block | None:
    if not own.numbers:
        return None
    shown = {row.variable for row in own.numbers}
    others = [name for name in own_variables(own.study.results) if name not in shown]
    note = f"Not shown, since they have several axes or are complex: {', '.join(others)}." if others else ""
    table = Table("Table of the functions' results", *_without_empty(COLUMNS, [_cells(row) for row in own.numbers]))
    return Block("What the functions returned", table=table, note=note)


def _without_empty(
    columns: tuple[Column, ...], rows: list[tuple[str, ...]]
) -> tuple[list[Column], list[tuple[str, ...]]]:
    kept = [index for index in range(len(columns)) if any(row[index] for row in rows)]
    return [columns[index] for index in kept], [tuple(row[index] or "-" for index in kept) for row in rows]


def _cells(row: OwnNumber) -> tuple[str, ...]:
    unit = f" ({row.units})" if row.units else ""
    true = f"{row.true.value:.1%} true [{row.true.low:.0%}, {row.true.high:.0%}]" if row.true.n else ""
    return (
        f"{row.variable}{unit}",
        row.arm,
        str(row.n),
        _number(row.lower_quartile),
        _median(row) if row.median.n else true,
        _number(row.upper_quartile),
        row.last_of,
        str(row.not_finite) if row.not_finite else "",
    )


def _median(row: OwnNumber) -> str:
    value, low, high, _ = row.median
    return f"{_number(value)} [{_number(low)}, {_number(high)}]"


def _number(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.4g}"


def _charts(own: OwnResults) -> Iterator[Chart]:
    results, styles = own.study.results, own.study.styles
    units = {row.variable: row.units for row in own.numbers}
    names = [name for name in own_variables(results).items() if name[0] in units]
    for name, arms in names[:MOST_FIGURES]:
        label = f"{name} ({units[name]})" if units[name] else name
        bands = {arm: band for arm in arms if (band := curve_band(results, name, arm)) is not None}
        described = str(results[name].attrs.get("description", ""))
        opening = f"{described[0].upper()}{described[1:]}: " if described else ""
        if bands:
            yield Chart(
                f"own_{name}",
                f"Bands: {name} over seeds, a curve for each arm",
                f"{opening}{name}, median over seeds with the central 50 % and, lighter, 90 %.",
                partial(own_curves, bands, styles, label),
            )
        elif any(row.variable == name and row.median.n for row in own.numbers):
            yield Chart(
                f"own_{name}",
                f"Dots: {name} of every run, a row for each arm",
                f"{opening}{name}, one dot a seed; the line is from the lower to the upper quartile, the black dot the "
                "median. Two clumps in one arm mean that an average would describe no run at all.",
                partial(own_dots, {arm: _finite(own, name, arm) for arm in arms}, styles, label),
            )


def _finite(own: OwnResults, name: str, arm: str) -> np.ndarray:
    values = own_values(own.study.results, arm, name)
    numbers = np.empty(0) if values is None or values.ndim != 1 else values.values.astype(np.float64)
    return numbers[np.isfinite(numbers)]


def _tables(own: OwnResults) -> dict[str, list[OwnNumber]]:
    return {"own_results": own.numbers}


def _numbers(own: OwnResults) -> dict[str, Any]:
    return {"own_results": own.numbers}


SECTION = Section(
    "own_results",
    _compute,
    answer=_answer,
    remarks=_remarks,
    block=_block,
    charts=_charts,
    tables=_tables,
    numbers=_numbers,
)
