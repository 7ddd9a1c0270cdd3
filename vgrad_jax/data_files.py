"""Tables of numbers with a class in the last column, read from CSV and NPZ files.

    CSV ─► rows of cells ─► header or not ─► numbers ─┐
                                                      ├─► check of the classes ─► features, classes
    NPZ ─► arrays x and y ────────────────────────────┘

No row is lost or invented. A cell that cannot be used is refused with its row and column. A spreadsheet counts them
in the same way: row 1 is the first line of the file, and column A holds first cells.
"""

import csv
import math
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from vgrad_jax.errors import InputError

__all__ = ["read_table"]

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "nil", "?", "-", "inf", "+inf", "-inf", "infinity"})
"""Cells, in lower case, that mean a missing value or a value that is not finite."""

LARGEST = float(np.finfo(np.float32).max)
"""Largest magnitude of a feature: training computes in float32."""

Table = tuple[Float[np.ndarray, "rows features"], Float[np.ndarray, " rows"]]
"""Features, and the class of each row."""

_Row = tuple[int, list[str]]
"""Number of a row, counted from 1, and the row's cells."""


def read_table(path: Path, header: bool | None) -> Table:
    """Read features and classes from a file.

    Args:
        path: a CSV file with the class in the last column, or an NPZ file with the arrays `x` and `y`.
        header: True if row 1 of a CSV holds names; None decides by the cells of row 1.

    Returns:
        The features, `(rows, features)`, and the classes 0, 1, ..., `(rows,)`.

    Raises:
        InputError: the file cannot be read, or a value in it cannot be used.
    """
    try:
        is_npz = path.suffix.lower() == ".npz"
        return _read_npz(path) if is_npz else _read_csv(path, header)
    except InputError:
        raise
    except (OSError, KeyError, ValueError, csv.Error) as error:
        raise InputError(
            f"{str(path)!r} cannot be read as a table of numbers with the class in the last column "
            f"(CSV), or as arrays 'x' and 'y' (NPZ): {error}"
        ) from None


def _read_csv(path: Path, header: bool | None) -> Table:
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = [
            (number, cells)
            for number, line in enumerate(csv.reader(file), 1)
            if (cells := _stripped(line)) not in ([], [""])
        ]
    if rows and _is_header(path, rows, header):
        del rows[0]
    if not rows:
        raise ValueError("it has no rows")
    width = len(rows[0][1])
    if width < 2:
        raise InputError(f"{str(path)!r} needs features and a class in each row, separated by commas; got {rows[0][1]}")
    for number, cells in rows:
        if len(cells) != width:
            raise InputError(f"{str(path)!r}, row {number} has {len(cells)} cells; row {rows[0][0]} has {width}")
    table = np.array([[_number(path, row, column) for column in range(width)] for row in rows])
    numbers = [number for number, _ in rows]
    _check_classes(table[:, -1], [f"{str(path)!r}, row {number}, column {_letters(width - 1)}" for number in numbers])
    return table[:, :-1], table[:, -1]


def _stripped(line: Sequence[str]) -> list[str]:
    return [cell.strip() for cell in line]


def _is_header(path: Path, rows: Sequence[_Row], header: bool | None) -> bool:
    """Return whether the first row holds names: no cell of it is a number or stands for a missing value.

    Raises:
        InputError: the first row holds numbers that may be names.
    """
    number, cells = rows[0]
    if header is not None:
        return header
    are_numbers = [_NUMBER.fullmatch(cell) is not None for cell in cells]
    if not any(are_numbers):
        return not any(cell.lower() in _MISSING for cell in cells)
    if all(are_numbers) and _looks_like_names(rows):
        raise InputError(
            f"{str(path)!r}, row {number} may hold the names of the columns or numbers of the table: {cells[:5]}; "
            "say which with header=True or header=False"
        )
    return False


def _looks_like_names(rows: Sequence[_Row]) -> bool:
    """Return whether the first row holds integers that count the columns, or that stand above fractions alone."""
    cells, others = rows[0][1], [other for _, other in rows[1:]]
    if not all(cell.isascii() and cell.isdigit() for cell in cells) or not others:
        return False
    values = [int(cell) for cell in cells]
    if values in (list(range(len(values))), list(range(1, len(values) + 1))):
        # In a table of two columns, the integers 0 and 1, or 1 and 2, are as likely a feature and its class.
        return len(values) > 2 or any("." in cell for other in others for cell in other[:-1])
    return len(others) > 2 and all("." in cell for other in others for cell in other[:-1])


def _number(path: Path, row: _Row, column: int) -> float:
    """Return the number in a cell.

    Raises:
        InputError: the cell is empty, or is no number that float32 can hold.
    """
    number, cells = row
    cell = cells[column]
    address = f"{str(path)!r}, row {number}, column {_letters(column)}"
    if cell.lower() in _MISSING:
        raise InputError(
            f"{address} is missing or not finite: {cell!r}; fill it in or drop the row, or, if row {number} holds "
            "names, give header=True"
        )
    if _NUMBER.fullmatch(cell) is None:
        raise InputError(
            f"{address} is not a number: {cell!r}; a table of numbers separated by commas is read, "
            "with names in row 1 at the most (header=True says that it holds names)"
        )
    value = float(cell)
    if abs(value) > LARGEST:
        raise InputError(f"{address} is {cell}, larger than float32 can hold ({LARGEST:.3g}); rescale the column")
    return value


def _letters(column: int) -> str:
    """Return a spreadsheet's letters for a column that is counted from 0: A to Z, then AA.

    >>> _letters(0), _letters(25), _letters(26), _letters(701), _letters(702)
    ('A', 'Z', 'AA', 'ZZ', 'AAA')
    """
    letters = ""
    column += 1
    while column:
        column, letter = divmod(column - 1, 26)
        letters = chr(ord("A") + letter) + letters
    return letters


def _read_npz(path: Path) -> Table:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            x, y = arrays["x"], arrays["y"]
    except (OSError, KeyError):
        raise
    except Exception as error:  # A damaged archive raises errors of many types.
        raise ValueError(f"damaged, {type(error).__name__}: {error}") from None
    if x.ndim != 2 or y.shape != x.shape[:1] or x.size == 0:
        raise InputError(f"{str(path)!r} needs x (rows, features) and y (rows,); got {x.shape} and {y.shape}")
    for name, array in (("x", x), ("y", y)):
        if array.dtype.kind not in "biuf":
            raise InputError(f"{str(path)!r}, array {name!r} must hold real numbers; got {array.dtype}")
    x, y = x.astype(np.float64), y.astype(np.float64)
    unusable = np.argwhere(~(np.abs(x) <= LARGEST))
    if len(unusable):
        row, column = unusable[0]
        raise InputError(
            f"{str(path)!r}, x[{row}, {column}] is {x[row, column]}: missing, not finite, or larger than float32 can "
            f"hold ({LARGEST:.3g}); {len(unusable)} such values; fill them in, drop their rows, or rescale"
        )
    _check_classes(y, [f"{str(path)!r}, y[{row}]" for row in range(len(y))])
    return x, y


def _check_classes(y: Float[np.ndarray, " rows"], addresses: Sequence[str]) -> None:
    """Refuse classes that are not 0, 1, ... without gaps, and a table with a single class.

    Args:
        y: the classes.
        addresses: file, row and column of each class, for the messages.

    Raises:
        InputError: a class is no whole number, is missing, or is the only class.
    """
    for value, address in zip(y.tolist(), addresses, strict=True):
        if not (math.isfinite(value) and value >= 0 and value == int(value)):
            raise InputError(f"{address} is {value:g}; classes 0, 1, ... are whole numbers, in the last column or in y")
    classes = np.unique(y)
    if len(classes) < 2:
        raise InputError(
            f"{addresses[0]}: every row has the class {classes[0]:g}; two classes are needed to learn from"
        )
    if not np.array_equal(classes, np.arange(len(classes))):
        first = next(index for index, value in enumerate(classes) if value != index)
        address = addresses[int(np.argmax(y == classes[first]))]
        raise InputError(
            f"{address} has the class {classes[first]:g}, but no row has the class {first}; "
            "classes 0, 1, ... are needed without gaps"
        )
