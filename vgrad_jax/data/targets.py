"""Targets: classes with their names, or numbers.

texts, or whole numbers that are few ─► classes 0, 1, ... in the order of their names
other numbers ────────────────────────► numbers
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from vgrad_jax.data.table import Table, Words, typed
from vgrad_jax.errors import InputError

__all__ = ["TASKS", "Target", "target_of"]

TASKS = ("classes", "numbers")
"""Kinds of targets."""

FEW_CLASSES = 20
"""Different whole numbers that are taken as classes in a table of any length."""

ROWS_A_CLASS = 10
"""Rows for each different whole number from which more of them are taken as classes."""

MOST_CLASSES = 100
"""Largest number of different whole numbers that are taken as classes unless the user says so."""

MISTAKES = 0.2
"""Share of fractions below which they may be mistakes among classes."""


class Target(NamedTuple):
    """Target of each row."""

    values: Int[np.ndarray, " rows"] | Float[np.ndarray, " rows"]
    """Classes 0, 1, ... (int32; -1 where the target is missing) or numbers (float64; NaN where it is missing)."""
    classes: tuple[str, ...] | None
    """Name of each class; None for numbers."""


def target_of(table: Table, index: int, task: str | None) -> Target:
    """Return the target of each row of a table.

    Args:
        table: the table.
        index: index of the target's column.
        task: "classes" or "numbers"; None decides by the column.

    Raises:
        InputError: the column does not fit the task, or every row has the same target.
    """
    column = typed(table, index)
    if isinstance(column, Words):
        if task == "numbers":
            row = next((row for row, text in enumerate(column.texts) if text is not None), 0)
            raise InputError(
                f"{table.address(row, index)} is not a number: {column.texts[row]!r}; task='numbers' needs numbers"
            )
        return _classes(table, index, np.array(column.texts, object))
    known = column[~np.isnan(column)]
    task = _task(table, index, column) if task is None else task
    if task == "numbers":
        if len(np.unique(known)) < 2:
            raise InputError(
                f"{table.address(0, index)}: every row has the target {column[0]:g}; there is nothing to learn"
            )
        return Target(column, None)
    fractions = np.flatnonzero(_are_fractions(column))
    if len(fractions):
        row = int(fractions[0])
        raise InputError(f"{table.address(row, index)} is {column[row]:g}; classes are texts or whole numbers")
    return _classes(table, index, np.array([None if np.isnan(value) else int(value) for value in column], object))


def _task(table: Table, index: int, column: Float[np.ndarray, " rows"]) -> str:
    """Return the task that a column of numbers is for.

    Raises:
        InputError: nearly all numbers are whole and few: the others may be mistakes.
    """
    known = column[~np.isnan(column)]
    fractions = np.flatnonzero(_are_fractions(column))
    different = len(np.unique(known[known == np.round(known)]))
    are_few = different <= max(FEW_CLASSES, min(MOST_CLASSES, len(known) / ROWS_A_CLASS))
    if not len(fractions):
        return "classes" if are_few else "numbers"
    if are_few and len(fractions) < MISTAKES * len(known):
        row = int(fractions[0])
        raise InputError(
            f"{table.address(row, index)} is {column[row]:g}, and {len(known) - len(fractions)} of {len(known)} "
            "targets are whole numbers, as classes are; correct it, or say task='numbers'"
        )
    return "numbers"


def _are_fractions(column: Float[np.ndarray, " rows"]) -> Bool[np.ndarray, " rows"]:
    return np.logical_and(~np.isnan(column), column != np.round(column))


def _classes(table: Table, index: int, labels: np.ndarray) -> Target:
    """Return labels as classes 0, 1, ... in the order of the labels."""
    known = sorted({label for label in labels.tolist() if label is not None})
    if len(known) < 2:
        shown = known[0] if known else "missing"
        raise InputError(
            f"{table.address(0, index)}: every row has the class {shown}; two classes are needed to learn from"
        )
    numbers = {label: number for number, label in enumerate(known)}
    values = np.array([numbers.get(label, -1) for label in labels.tolist()], np.int32)
    return Target(values, tuple(str(label) for label in known))
