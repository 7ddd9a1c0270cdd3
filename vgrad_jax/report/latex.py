"""The table of arms for a paper; LaTeX needs the package booktabs."""

from collections.abc import Iterable, Sequence

from vgrad_jax.report.tables import shown
from vgrad_jax.statistics.summary import ArmSummary

__all__ = ["latex_table"]

NOT_IN_PRINT = ("10 to 90 %", "gradient", "by layer")
"""Headings of the columns that are left out in print."""

ESCAPED = str.maketrans(
    {sign: rf"\{sign}" for sign in "%_&#${}"}
    | {"\n": " ", "\\": r"\textbackslash{}", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}"}
)


def latex_table(summaries: Sequence[ArmSummary], unit: str = "epoch") -> str:
    """Return the table of arms as LaTeX.

    Args:
        summaries: of the arms.
        unit: unit of the times to converge.
    """
    columns, cells = shown(summaries, unit)
    printed = [index for index, column in enumerate(columns) if column.heading not in NOT_IN_PRINT]
    lines = [
        r"\begin{tabular}{l" + "r" * (len(printed) - 1) + "}",
        r"\toprule",
        _line(columns[index].heading for index in printed),
        r"\midrule",
        *(_line(row[index] for index in printed) for row in cells),
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join(lines) + "\n"


def _line(cells: Iterable[str]) -> str:
    # Braces: a bracket after a line's end would be read as its spacing.
    return " & ".join("{" + cell.translate(ESCAPED) + "}" for cell in cells) + r" \\"
