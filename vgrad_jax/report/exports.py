"""A sweep's numbers in files that other programs read: CSV, JSON and LaTeX."""

import io
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vgrad_jax.report.files import write_files
from vgrad_jax.report.findings import Findings
from vgrad_jax.report.tables import COLUMNS, as_dict, rows
from vgrad_jax.statistics.crossed import Crossed

__all__ = ["table_files", "write_tables"]

IN_PRINT = ("arm", "n", "converged", "median epochs", "mean epochs", "test accuracy", "dead", "stuck", "diverged")
"""Columns of the LaTeX table."""

ESCAPED = str.maketrans(
    {sign: rf"\{sign}" for sign in "%_&#${}"}
    | {"\n": " ", "\\": r"\textbackslash{}", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}"}
)


def write_tables(findings: Findings, folder: Path) -> list[Path]:
    """Write arms, pairs, effects and predictors as CSV, `arms.tex` and `summary.json` into a folder.

    One row an arm, a pair of arms, an effect of a crossed design, or a predictor of failure; `NAME`,
    `NAME_low`, `NAME_high` and `NAME_n` are
    an estimate with its 95 % interval. An empty cell is a number that is not finite.

    Returns:
        The files.
    """
    return write_files(folder, table_files(findings))


def table_files(findings: Findings) -> dict[str, bytes]:
    """Return the files of `write_tables`, name to content."""
    tables = {
        "arms": [_flat(summary) for summary in findings.summaries],
        "pairs": [_flat(pair) for pair in findings.pairs],
        "predictors": [_flat(predictor) for predictor in findings.predictors],
        "effects": [row for design in findings.designs for row in _effects(design)],
    }
    texts = {f"{name}.csv": _csv(table) for name, table in tables.items() if table}
    texts["arms.tex"] = _latex(findings)
    texts["summary.json"] = json.dumps(as_dict(findings), indent=2, allow_nan=False) + "\n"
    return {name: text.encode() for name, text in texts.items()}


def _flat(value: Any, name: str = "") -> dict[str, Any]:
    """Nested tuples as one row."""
    if hasattr(value, "_asdict"):
        if "value" in value._fields:
            value = {"": value.value, "low": value.low, "high": value.high, "n": value.n}
        else:
            value = value._asdict()
        row: dict[str, Any] = {}
        for key, part in value.items():
            nested = "_".join(filter(None, (name if key != "comparison" else "", key if key != "comparison" else "")))
            row.update(_flat(part, nested))
        return row
    if isinstance(value, tuple):
        return {f"{name}_{place}": part for place, part in enumerate(value)}
    return {name: value}


def _effects(design: Crossed) -> list[dict[str, Any]]:
    names = design._asdict()
    labels = {key: names.pop(key) for key in ("first", "second", "start", "first_only", "second_only", "both")}
    return [{**labels, "effect": name, **_flat(effect)} for name, effect in names.items()]


def _csv(table: Sequence[dict[str, Any]]) -> str:
    import csv

    columns = list(dict.fromkeys(name for row in table for name in row))
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns)
    writer.writeheader()
    for row in table:
        writer.writerow({name: "" if _missing(value) else value for name, value in row.items()})
    return text.getvalue()


def _missing(value: Any) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


def _latex(findings: Findings) -> str:
    """A table for a paper; needs the package booktabs."""
    shown = [place for place, column in enumerate(COLUMNS) if column.heading in IN_PRINT]
    lines = [
        r"\begin{tabular}{l" + "r" * (len(shown) - 1) + "}",
        r"\toprule",
        _latex_row(COLUMNS[place].heading for place in shown),
        r"\midrule",
        *(_latex_row(row[place] for place in shown) for row in rows(findings.summaries)),
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join(lines) + "\n"


def _latex_row(cells: Any) -> str:
    # Braces: a bracket after a line's end would be read as its spacing.
    return " & ".join("{" + cell.translate(ESCAPED) + "}" for cell in cells) + r" \\"
