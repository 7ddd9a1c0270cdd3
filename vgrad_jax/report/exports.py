"""A sweep's numbers in files that other programs read: CSV, JSON and LaTeX."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

from vgrad_jax.numerics import json_value
from vgrad_jax.report.merging import merged
from vgrad_jax.report.report import Report
from vgrad_jax.statistics.comparison import TimeComparison
from vgrad_jax.statistics.intervals import Estimate

__all__ = ["table_files"]


def table_files(report: Report) -> dict[str, bytes]:
    """Return the files of the folder tables/: a CSV for each table, `summary.json`, and the sections' own files.

    In a CSV, `NAME`, `NAME_low`, `NAME_high` and `NAME_n` are an estimate with its 95 % interval. Numbers that are not
    finite are "inf", "-inf" and "nan", as in JSON. An empty cell is a number that the row lacks.

    Returns:
        Name of the file to content.

    Raises:
        InputError: two tables or files of the sections have the same name.
    """
    tables = {f"{name}.csv": _csv(rows) for name, rows in report.tables.items()}
    summary = {"summary.json": json.dumps(report.numbers(), indent=2, allow_nan=False) + "\n"}
    files = merged("file", [tables, report.texts, summary])
    return {name: text.encode() for name, text in files.items()}


def _csv(rows: Sequence[Any]) -> str:
    table = [_flat(row) for row in rows]
    columns = list(dict.fromkeys(name for row in table for name in row))
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns)
    writer.writeheader()
    for row in table:
        writer.writerow({name: json_value(value) for name, value in row.items()})
    return text.getvalue()


def _flat(value: Any, name: str = "") -> dict[str, Any]:
    """Return nested named tuples, mappings and tuples as a single row, names joined by underscores."""
    if isinstance(value, Estimate) and not value.n:
        return {}  # What an arm does not have is an empty cell, or no column at all.
    if isinstance(value, Estimate):
        value = {"": value.value, "low": value.low, "high": value.high, "n": value.n}
    elif hasattr(value, "_asdict"):
        value = value._asdict()
    elif isinstance(value, tuple):
        return {f"{name}_{index}": element for index, element in enumerate(value)}
    if not isinstance(value, Mapping):
        return {name: value}
    row: dict[str, Any] = {}
    for key, element in value.items():
        # The fields of a comparison are columns of their own.
        parts = (name,) if isinstance(element, TimeComparison) else (name, key)
        row |= _flat(element, "_".join(filter(None, parts)))
    return row
