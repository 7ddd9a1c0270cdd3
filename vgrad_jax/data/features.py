"""Features: columns of numbers, and categories as a column of zeros and ones for each level."""

from collections.abc import Collection, Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from vgrad_jax.data.table import Table, Words, typed
from vgrad_jax.errors import InputError

__all__ = ["Features", "features_of"]

MOST_LEVELS = 20
"""Levels that a column of texts may always have."""

MOST_LEVELS_SHARE = 0.1
"""Share of the rows that a column of more levels may have as levels: a column of names is no category."""


class Features(NamedTuple):
    """Features of each row."""

    values: Float[np.ndarray, "rows features"]
    """Numbers, and zeros and ones; NaN where a value is missing."""
    names: tuple[str, ...]
    """Name of each feature; a level of a category is named "column=level"."""
    levels: Mapping[str, tuple[str, ...]]
    """Name of each column of texts to its levels."""
    groups: tuple[tuple[int, ...], ...]
    """Indices of the features that came of one column."""
    indicators: frozenset[int]
    """Indices of the features that are zeros and ones of a level."""


def features_of(table: Table, indices: Collection[int], categorical: Collection[int]) -> Features:
    """Return the features in some columns of a table.

    Args:
        table: the table.
        indices: indices of the columns.
        categorical: indices of columns whose numbers are codes of categories.

    Raises:
        InputError: a cell cannot be used, or a column of texts has about as many levels as rows.
    """
    values: list[Float[np.ndarray, " rows"]] = []
    names: list[str] = []
    levels: dict[str, tuple[str, ...]] = {}
    groups: list[tuple[int, ...]] = []
    indicators: set[int] = set()
    for index in indices:
        name = table.names[index]
        column = typed(table, index, as_words=index in categorical)
        first = len(values)
        if isinstance(column, Words):
            levels[name] = _levels(table, index, column)
            missing = np.array([text is None for text in column.texts])
            values += [_indicator(column, level, missing) for level in levels[name]]
            names += [f"{name}={level}" for level in levels[name]]
            indicators.update(range(first, len(values)))
        else:
            values.append(column)
            names.append(name)
        groups.append(tuple(range(first, len(values))))
    return Features(np.column_stack(values), tuple(names), levels, tuple(groups), frozenset(indicators))


def _levels(table: Table, index: int, column: Words) -> tuple[str, ...]:
    levels = sorted({text for text in column.texts if text is not None})
    if not levels:
        raise InputError(
            f"{table.source}: every cell of the column {table.names[index]!r} is missing; name it in ignore="
        )
    if len(levels) > max(MOST_LEVELS, MOST_LEVELS_SHARE * table.rows):
        raise InputError(
            f"{table.source}: the column {table.names[index]!r} holds {len(levels)} different texts in {table.rows} "
            f"rows, such as {levels[:3]}; a column of names or texts is no category. Name it in ignore= to leave it out"
        )
    return tuple(levels)


def _indicator(column: Words, level: str, missing: Bool[np.ndarray, " rows"]) -> Float[np.ndarray, " rows"]:
    is_level = np.array([text == level for text in column.texts], np.float64)
    return np.where(missing, np.nan, is_level)
