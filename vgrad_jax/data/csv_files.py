"""Text files of rows: comma, semicolon, tab or bar between cells, quoted cells, with or without a header.

    file ─► text ─► delimiter ─► rows of cells ─► header or not ─► Table

The module `csv` of Python splits the rows. It leaves each cell as text, so that no reader guesses types, drops rows or
fills cells before this package sees them. Row 1 is the first line of the file, as a spreadsheet counts.
"""

import csv
import gzip
import io
import zlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from vgrad_jax.data.table import MISSING, Column, Table, letters, number_of
from vgrad_jax.errors import InputError

__all__ = ["read_csv"]

DELIMITERS = ("\t", ";", "|", ",")
"""Delimiters, the first that splits every row into as many cells is taken: commas also occur inside of cells."""

_Row = tuple[int, list[str]]
"""Number of a row, counted from 1, and the row's cells."""


def read_csv(path: Path, header: bool | None) -> Table:
    """Read the rows of a text file.

    Args:
        path: the file; a name that ends in `.gz` is unpacked.
        header: True if row 1 holds names; None decides by the cells of row 1.

    Raises:
        InputError: the file cannot be read, rows differ in length, or row 1 may be a header or not.
    """
    try:
        rows = _rows(_text(path))
    except UnicodeDecodeError as error:
        raise InputError(f"{str(path)!r} cannot be read as a table: {_encoding_advice(path, error)}") from None
    except (OSError, EOFError, csv.Error, zlib.error) as error:
        raise InputError(f"{str(path)!r} cannot be read as a table: {error}") from None
    if not rows:
        raise InputError(f"{str(path)!r} cannot be read as a table: it has no rows")
    first, width = rows[0][0], len(rows[0][1])
    for number, cells in rows:
        if len(cells) != width:
            raise InputError(f"{str(path)!r}, row {number} has {len(cells)} cells; row {first} has {width}")
    if width < 2:
        raise InputError(
            f"{str(path)!r} needs features and a target in each row, separated by commas, semicolons or tabs; "
            f"got {rows[0][1]}"
        )
    has_names = _is_header(path, rows, header)
    names = rows[0][1] if has_names else [letters(column) for column in range(width)]
    rows = rows[1:] if has_names else rows
    if not rows:
        raise InputError(f"{str(path)!r} cannot be read as a table: it has no rows below the names")
    numbers = [number for number, _ in rows]
    return Table(
        source=repr(str(path)),
        columns=tuple(Column(name, [cells[column] for _, cells in rows]) for column, name in enumerate(names)),
        address=lambda row, column: f"{str(path)!r}, row {numbers[row]}, column {letters(column)}",
        has_names=has_names,
        may_have_names=not has_names,
    )


def _text(path: Path) -> str:
    opened = gzip.open if path.suffix.lower() == ".gz" else open
    with opened(path, "rt", encoding="utf-8-sig", newline="") as file:
        return str(file.read())


def _encoding_advice(path: Path, error: UnicodeDecodeError) -> str:
    """Return what is wrong with a file's encoding, and the command that mends it."""
    is_wide = error.object[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in error.object[:2]
    likely = "UTF-16" if is_wide else "LATIN1"
    return (
        f"it is not in UTF-8 (byte {error.object[error.start]:#04x} at {error.start}), but perhaps in {likely}. Save "
        f"it as UTF-8, for example with: iconv -f {likely} -t UTF-8 {path.name} > utf8.csv"
    )


def _rows(text: str) -> list[_Row]:
    """Return the rows, split at the delimiter that gives every row as many cells; empty lines are left out.

    Raises:
        csv.Error: a quoted cell goes on behind its closing quote. Python's reader would join `"1"2` to 12 by itself.
    """
    split: list[list[_Row]] = []
    fault: csv.Error | None = None
    for delimiter in DELIMITERS:
        try:
            split.append(_split(text, delimiter))
            fault = None
        except csv.Error as error:  # A closing quote in the middle of a cell, for this delimiter.
            fault = error
    even = [rows for rows in split if rows and len(rows[0][1]) > 1 and len({len(cells) for _, cells in rows}) == 1]
    if not even and fault is not None:  # Of the last delimiter, the comma.
        raise fault
    return even[0] if even else split[-1]


def _split(text: str, delimiter: str) -> list[_Row]:
    return [
        (number, cells)
        for number, line in enumerate(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True), 1)
        if (cells := [cell.strip() for cell in line]) not in ([], [""])
    ]


def _is_header(path: Path, rows: Sequence[_Row], header: bool | None) -> bool:
    """Return whether the first row holds names.

    Raises:
        InputError: the first row may hold names or values.
    """
    if header is not None:
        return header
    number, cells = rows[0]
    are_numbers = [number_of(cell) is not None for cell in cells]
    if all(are_numbers):
        is_unclear = _looks_like_names(rows)
        is_header = False
    else:
        texts = [index for index, is_number in enumerate(are_numbers) if not is_number]
        if not cells[0] and not any(are_numbers) and all(cells[1:]) and len(set(cells)) == len(cells):
            return True  # A table that was written with the numbers of its rows has no name above them.
        if any(cells[index].lower() in MISSING for index in texts):
            return False
        again = sum(any(other[index] == cells[index] for _, other in rows[1:]) for index in texts)
        above_numbers = any(
            sum(number_of(other[index]) is not None for _, other in rows[1:]) > len(rows) / 2 for index in texts
        )
        # A column's name does not come again below it. A category does, in a table of some length.
        is_header = not any(are_numbers) and (above_numbers or not again)
        is_unclear = (any(are_numbers) and not again and not above_numbers) or (again > 0 and above_numbers)
        if not any(are_numbers) and not above_numbers:
            is_unclear = 0 < again < len(texts) or (not again and not _all_come_again(rows))
    if is_unclear:
        raise InputError(
            f"{str(path)!r}, row {number} may hold the names of the columns or values of the table: {cells[:5]}; "
            "say which with header=True or header=False"
        )
    return is_header


def _all_come_again(rows: Sequence[_Row]) -> bool:
    """Return whether every cell below the first row comes again in its column: a row that does not is no category's."""
    return all(min(Counter(column).values()) > 1 for column in zip(*(cells for _, cells in rows[1:]), strict=True))


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
