"""Tables from arrays, data frames, NPZ files and Parquet files."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from vgrad_jax.archives import read_arrays
from vgrad_jax.data.table import Column, Table
from vgrad_jax.errors import InputError

__all__ = ["digest_of", "read_npz", "read_parquet", "table_of_arrays"]

TARGET = "y"
"""Name of the column that holds a target which came apart from the features."""


def table_of_arrays(source: str, x: Any, y: Any = None) -> Table:
    """Return the table of features and, where it came apart, of the target as the last column.

    Args:
        source: name for messages.
        x: a data frame of pandas or polars, or an array `(rows, features)`; an array `(rows,)` is a single feature.
        y: the target of each row, `(rows,)` or `(rows, 1)`; None where a column of `x` is the target.

    Raises:
        InputError: the shapes do not fit, or a column holds no numbers and no texts.
    """
    columns = _frame_columns(x) if _is_frame(x) else _array_columns(source, _array(source, "x", x))
    if y is not None:
        values = _array(source, "y", y.to_numpy() if hasattr(y, "to_numpy") else y)
        values = values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values
        if values.ndim != 1 or len(values) != len(next(iter(columns.values()), ())):
            rows = len(next(iter(columns.values()), ()))
            raise InputError(f"{source}: y needs one target for each row of x, ({rows},); got {np.shape(y)}")
        name = TARGET
        while name in columns:
            name += "_"
        columns[name] = values
    if len(columns) < 2 or not len(next(iter(columns.values()))):
        raise InputError(f"{source} needs rows, features and a target; got the columns {list(columns)}")
    made = tuple(Column(name, _cells(source, name, values)) for name, values in columns.items())

    def address(row: int, column: int) -> str:
        if y is not None and column == len(made) - 1:
            return f"{source}, y[{row}]"
        return (
            f"{source}, row {row} of column {made[column].name!r}" if _is_frame(x) else f"{source}, x[{row}, {column}]"
        )

    return Table(source, made, address, has_names=_is_frame(x))


def digest_of(table: Table) -> str:
    """Return a SHA-256 of a table's names and cells."""
    digest = hashlib.sha256()
    for name, cells in table.columns:
        numbers = isinstance(cells, np.ndarray)
        content = np.ascontiguousarray(cells).tobytes() if numbers else repr(list(cells)).encode("utf-8", "replace")
        digest.update(f"{name!r}{numbers}{len(content)}:".encode("utf-8", "replace"))
        digest.update(content)
    return digest.hexdigest()


def read_npz(path: Path) -> Table:
    """Read the arrays `x` (rows, features) and `y` (rows,) of an NPZ file.

    Raises:
        InputError: the file is damaged, or lacks an array; or the arrays do not fit.
    """
    arrays = read_arrays(path, "arrays 'x' (rows, features) and 'y' (rows,)", ("x", "y"))
    x, y = arrays["x"], arrays["y"]
    if x.ndim != 2 or y.shape != x.shape[:1] or x.size == 0:
        raise InputError(f"{str(path)!r} needs x (rows, features) and y (rows,); got {x.shape} and {y.shape}")
    return table_of_arrays(repr(str(path)), x, y)


def read_parquet(path: Path) -> Table:
    """Read a Parquet file by polars.

    Raises:
        InputError: polars is not installed, or the file is damaged.
    """
    try:
        import polars
    except ImportError:
        raise InputError(
            f"{str(path)!r}: Parquet files are read by polars; install it with: pip install 'vgrad_jax[parquet]'"
        ) from None
    try:
        frame = polars.read_parquet(path)
    except Exception as error:  # A damaged file raises errors of many types.
        raise InputError(f"{str(path)!r} cannot be read as Parquet: {type(error).__name__}: {error}") from None
    return table_of_arrays(repr(str(path)), frame)


def _array(source: str, name: str, values: Any) -> np.ndarray:
    """Return values as an array.

    Raises:
        InputError: the rows have different lengths, or the values make no array.
    """
    try:
        return np.asarray(values)
    except Exception as error:  # A user's object may raise any error.
        reason = "rows of different lengths" if "inhomogeneous" in str(error) else f"{type(error).__name__}: {error}"
        raise InputError(f"{source}: {name} must be an array, one row of numbers or texts each; got {reason}") from None


def _is_frame(x: Any) -> bool:
    return hasattr(x, "columns") and hasattr(x, "to_numpy")


def _frame_columns(frame: Any) -> dict[str, np.ndarray]:
    names = [str(name) for name in frame.columns]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise InputError(f"a data frame needs different names of its columns; {repeated} come more than once")
    return {str(name): frame[name].to_numpy() for name in frame.columns}


def _array_columns(source: str, x: np.ndarray) -> dict[str, np.ndarray]:
    if x.ndim == 1:
        x = x[:, None]
    if x.ndim != 2:
        raise InputError(f"{source}: x must be an array (rows, features) or a data frame; got the shape {x.shape}")
    return {f"x{column}": x[:, column] for column in range(x.shape[1])}


def _cells(source: str, name: str, values: np.ndarray) -> Any:
    """Return a column's cells: an array of float64, or a list of numbers, texts and None.

    Raises:
        InputError: the column holds values of another kind, such as dates.
    """
    if values.dtype.kind in "biuf":
        return values.astype(np.float64)
    if values.dtype.kind in "US":
        return [str(value) for value in values.astype(str).tolist()]
    if values.dtype.kind == "O":
        cells = [_cell(value) for value in values.tolist()]
        if not any(cell is NotImplemented for cell in cells):
            return cells
    raise InputError(
        f"{source}: the column {name!r} must hold real numbers or texts; got {values.dtype}. "
        "Turn it into numbers, or leave it out"
    )


def _cell(value: Any) -> Any:
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return None
    if isinstance(value, bool | int | float | np.number | np.bool_):
        return float(value) if np.isreal(value) else NotImplemented
    return str(value) if isinstance(value, str) else NotImplemented
