"""Tables: columns of cells as they were read, and columns of numbers or of words.

    file, frame or arrays ─► Table of cells ─► typed columns ─► features and target

A cell is a float, a text, or None where a value is missing. Each cell has an address for messages.
"""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from vgrad_jax.errors import InputError, unknown_name

__all__ = ["LARGEST", "MISSING", "Column", "Table", "Words", "letters", "number_of", "typed"]

MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "nil", "?", "-"})
"""Cells, in lower case, that mean a missing value."""

DOUBTFUL = frozenset({"null", "none", "nil", "-"})
"""Cells, in lower case, that mean a missing value among numbers; among words they may be a category too."""

_INFINITE = frozenset({"inf", "+inf", "-inf", "infinity", "+infinity", "-infinity"})
"""Cells, in lower case, that mean a value that is not finite."""

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)

_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+([eE][+-]?\d+)?", re.ASCII)

LARGEST = float(np.finfo(np.float32).max)
"""Largest magnitude of a number: training computes in float32."""


class Column(NamedTuple):
    """Column of a table."""

    name: str
    """Name from the header, or a letter as a spreadsheet shows it."""
    cells: Sequence[float | str | None] | Float[np.ndarray, " rows"]
    """Cells of the column; an array holds numbers alone, and NaN where a value is missing."""


@dataclass(frozen=True)
class Table:
    """Columns of equal length, and the addresses of their cells.

    Args:
        source: name of the file or of the arrays, for messages.
        columns: the columns.
        address: function of the indices of a row and of a column that returns the cell's address.
        has_names: True where a header or a frame named the columns.
        may_have_names: True where the first row may hold names that were taken for cells.
    """

    source: str
    columns: tuple[Column, ...]
    address: Callable[[int, int], str]
    has_names: bool = False
    may_have_names: bool = False

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self.columns[0].cells)

    @property
    def names(self) -> list[str]:
        """Names of the columns."""
        return [column.name for column in self.columns]

    def index(self, field: str, column: str | int) -> int:
        """Return the index of a column that is given by its name or by its index.

        Args:
            field: name of the option that names the column, for the message.
            column: a name, or an index from 0; negative indices count from the end. A text that is no name may be an
                index.

        Raises:
            InputError: no column has this name or index, or several columns have the name.
        """
        if isinstance(column, str):
            named = [index for index, name in enumerate(self.names) if name == column]
            if len(named) > 1:
                raise InputError(f"{self.source}: {len(named)} columns are named {column!r}; give {field} as an index")
            if not named and re.fullmatch(r"-?\d{1,6}", column, re.ASCII):
                return self.index(field, int(column))
            if not named:
                raise unknown_name(f"column for {field} in {self.source}", column, self.names)
            return named[0]
        if not -len(self.columns) <= column < len(self.columns):
            raise InputError(f"{field} is column {column}, but {self.source} has {len(self.columns)} columns")
        return column % len(self.columns)


class Words(NamedTuple):
    """Column of texts."""

    texts: tuple[str | None, ...]
    """Text of each row; None where a value is missing."""


def number_of(text: str) -> float | None:
    """Return the number that a cell spells, or None.

    >>> number_of("1e-3"), number_of("0x1"), number_of("1_000")
    (0.001, None, None)
    """
    return float(text) if _NUMBER.fullmatch(text) else None


def typed(table: Table, index: int, *, as_words: bool = False) -> Float[np.ndarray, " rows"] | Words:
    """Return a column as numbers or as words.

    A column holds numbers where at least one of its cells is a number. Every other cell is then a number too, or it is
    missing.

    Args:
        table: the table.
        index: index of the column.
        as_words: True takes numbers as words, for numbers that are codes of categories.

    Returns:
        The numbers, with NaN where a value is missing; or the words.

    Raises:
        InputError: a cell is neither a number nor missing in a column of numbers; or a number is not finite in float32.
    """
    cells = table.columns[index].cells
    if isinstance(cells, np.ndarray) and not as_words:
        return _checked(table, index, cells)
    if as_words:
        _refuse_doubtful(table, index)
        return Words(tuple(_word(cell) for cell in cells))
    values = [_value(cell) for cell in cells]
    are_numbers = [isinstance(value, float) for value in values]
    texts = [(row, value) for row, value in enumerate(values) if isinstance(value, str)]
    if texts and all(_DECIMAL_COMMA.fullmatch(text) for _, text in texts):
        row, text = texts[0]
        raise InputError(
            f"{table.address(row, index)} is {text!r}, and all texts of the column are numbers with a decimal comma; "
            "write decimal points"
        )
    if not any(are_numbers):
        _refuse_doubtful(table, index)
        return Words(tuple(value if isinstance(value, str) else None for value in values))
    for row, value in enumerate(values):
        if isinstance(value, str):
            count = sum(are_numbers)
            raise InputError(
                f"{table.address(row, index)} is not a number: {value!r}, but {count} of the column's {len(values)} "
                "cells are. Correct it; or say header=True if row 1 holds names; or name the column in categorical= "
                "if its numbers are codes of categories"
            )
    return _checked(table, index, np.array([math.nan if value is None else value for value in values], float))


def _refuse_doubtful(table: Table, index: int) -> None:
    """Refuse a word that may be a missing value or a category.

    Raises:
        InputError: there is such a word among others.
    """
    cells = table.columns[index].cells
    if not any(isinstance(cell, str) and cell.lower() not in MISSING for cell in cells):
        return
    for row, cell in enumerate(cells):
        if isinstance(cell, str) and cell.lower() in DOUBTFUL:
            raise InputError(
                f"{table.address(row, index)} is {cell!r}, which may be a missing value or a category of its own. "
                "Leave the cell empty if the value is missing; write another word, such as 'no', if it is a category"
            )


def letters(column: int) -> str:
    """Return a spreadsheet's letters for a column that is counted from 0: A to Z, then AA.

    >>> letters(0), letters(25), letters(26), letters(701), letters(702)
    ('A', 'Z', 'AA', 'ZZ', 'AAA')
    """
    text = ""
    column += 1
    while column:
        column, letter = divmod(column - 1, 26)
        text = chr(ord("A") + letter) + text
    return text


def _value(cell: float | str | None) -> float | str | None:
    """Return a cell as a number, as a text, or as None where it is missing."""
    if not isinstance(cell, str):
        return None if cell is None or math.isnan(cell) else float(cell)
    if cell.lower() in MISSING:
        return None
    if cell.lower() in _INFINITE:
        return float(cell)
    number = number_of(cell)
    return cell if number is None else number


def _word(cell: float | str | None) -> str | None:
    """Return a cell as a word: a whole number is spelled without its fraction."""
    value = _value(cell)
    if isinstance(cell, str) and value is not None:
        return cell
    return f"{value:.15g}" if isinstance(value, float) else None


def _checked(table: Table, index: int, values: Float[np.ndarray, " rows"]) -> Float[np.ndarray, " rows"]:
    """Return the numbers of a column, or refuse the first number that float32 cannot hold."""
    unusable = np.flatnonzero(np.abs(values) > LARGEST)
    if len(unusable):
        value = values[unusable[0]]
        fault = "not finite" if math.isinf(value) else f"larger than float32 can hold ({LARGEST:.3g})"
        raise InputError(
            f"{table.address(int(unusable[0]), index)} is {value:g}, {fault}; correct it, or rescale the column"
        )
    return values
