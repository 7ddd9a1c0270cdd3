"""The table of arms for a paper; LaTeX needs the package booktabs."""

from collections.abc import Iterable, Sequence

from vgrad_jax.report.tables import COLUMNS, rows
from vgrad_jax.statistics.summary import ArmSummary

__all__ = ["latex_table"]

IN_PRINT = ("arm", "n", "converged", "median epochs", "mean epochs", "test accuracy", "dead", "stuck", "diverged")
"""Headings of the columns in print."""

ESCAPED = str.maketrans(
    {sign: rf"\{sign}" for sign in "%_&#${}"}
    | {"\n": " ", "\\": r"\textbackslash{}", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}"}
)


def latex_table(summaries: Sequence[ArmSummary]) -> str:
    """Return the table of arms as LaTeX."""
    shown = [index for index, column in enumerate(COLUMNS) if column.heading in IN_PRINT]
    lines = [
        r"\begin{tabular}{l" + "r" * (len(shown) - 1) + "}",
        r"\toprule",
        _line(COLUMNS[index].heading for index in shown),
        r"\midrule",
        *(_line(row[index] for index in shown) for row in rows(summaries)),
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join(lines) + "\n"


def _line(cells: Iterable[str]) -> str:
    # Braces: a bracket after a line's end would be read as its spacing.
    return " & ".join("{" + cell.translate(ESCAPED) + "}" for cell in cells) + r" \\"
