"""From a table to arrays: rows with missing values, the split into training and test rows, filling, and scaling.

    Table ─► features, target ─► rows without gaps ─► split ─► fill and scale by the training rows ─► Dataset

Nothing is learned from test rows: fill values and scales are those of the training rows.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from vgrad_jax.data.features import Features
from vgrad_jax.data.table import Table
from vgrad_jax.data.targets import Target
from vgrad_jax.errors import InputError

__all__ = ["MISSING_RULES", "SCALES", "fill", "rows_to_keep", "scaler_of", "split_of", "stratified"]


SCALES = ("minmax", "standard", "none")
"""Scalings of the features: to [-1, 1], to mean 0 and standard deviation 1, or none."""

MISSING_RULES = ("refuse", "drop", "median")
"""Ways to treat missing values."""

TRAIN_WORDS = ("train", "training")
"""Cells, in lower case, of a split column in training rows."""

TEST_WORDS = ("test", "testing")
"""Cells, in lower case, of a split column in test rows."""


def rows_to_keep(
    table: Table, indices: Sequence[int], features: Features, target: Target, missing: str
) -> tuple[Bool[np.ndarray, " rows"], int]:
    """Return the rows that are used, and the number of missing values in all rows.

    Args:
        table: the table, for addresses.
        indices: indices of the columns of features and, last, of the target.
        features: the features; NaN where a value is missing.
        target: the targets.
        missing: one of `MISSING_RULES`.

    Raises:
        InputError: a value is missing and `missing` is "refuse"; a target is missing and is not to be dropped.
    """
    no_target = target.values == -1 if target.classes is not None else np.isnan(target.values)
    gaps = np.column_stack([np.isnan(features.values[:, group[0]]) for group in features.groups] + [no_target])
    count, with_gaps = int(gaps.sum()), gaps.any(axis=1)
    if missing == "drop":
        return np.logical_not(with_gaps), count
    if count and (missing == "refuse" or no_target.any()):
        refused = gaps if missing == "refuse" else gaps & (np.arange(gaps.shape[1]) == gaps.shape[1] - 1)
        row, column = np.argwhere(refused)[0]
        raise InputError(
            f"{table.address(int(row), indices[column])} is missing; {int(refused.sum())} such values in "
            f"{int(refused.any(axis=1).sum())} of {len(refused)} rows. Fill them in; or drop the rows with "
            "missing='drop'"
            + (", or fill in the median of the training rows with missing='median'" if missing == "refuse" else "")
            + ("; or, if row 1 holds names, say header=True" if not row and table.may_have_names else "")
        )
    return np.ones(len(gaps), dtype=bool), count


def split_of(table: Table, index: int) -> Bool[np.ndarray, " rows"]:
    """Return which rows the split column marks as training rows.

    Raises:
        InputError: a cell is neither "train" nor "test", or one kind has no row.
    """
    cells = [str(cell).lower() if isinstance(cell, str) else cell for cell in table.columns[index].cells]
    for row, cell in enumerate(cells):
        if cell not in (*TRAIN_WORDS, *TEST_WORDS):
            raise InputError(
                f"{table.address(row, index)} must be 'train' or 'test', since split= names its column; "
                f"got {table.columns[index].cells[row]!r}"
            )
    is_train = np.array([cell in TRAIN_WORDS for cell in cells])
    if is_train.all() or not is_train.any():
        raise InputError(
            f"{table.source}: the split column marks rows of one kind alone; train and test need some each"
        )
    return is_train


def stratified(
    target: Target, samples: int | None, train_samples: int | None, random_state: int, source: str
) -> tuple[Int[np.ndarray, " train"], Int[np.ndarray, " test"]]:
    """Return the indices of training rows and of test rows, in a random order.

    Both parts have the classes in the proportions of the whole table. Numbers are split without regard to their values.

    Args:
        target: target of each row that is used.
        samples: number of rows in both parts; None is all.
        train_samples: number of training rows; None is half of the rows.
        random_state: seed of the shuffle.
        source: name of the table, for messages.

    Raises:
        InputError: there are too few rows, or too few of a class.
    """
    from sklearn.model_selection import train_test_split

    rows = len(target.values)
    total = rows if samples is None else samples
    if total > rows:
        raise InputError(f"samples is {total}, but {source} has {rows} rows only")
    train = total // 2 if train_samples is None else train_samples
    if not 0 < train < total:
        raise InputError(f"{total} rows cannot be split into {train} to train on and some to test on")
    if target.classes is not None:
        counts = np.bincount(target.values, minlength=len(target.classes))
        rare = int(np.argmin(counts))
        if counts[rare] < 2 or min(train, total - train) < len(target.classes):
            raise InputError(
                f"{source}: {len(target.classes)} classes cannot be split into {train} training rows and "
                f"{total - train} test rows with each class in both; the class {target.classes[rare]!r} has "
                f"{counts[rare]} rows. Give more rows, leave out rare classes, or say task='numbers' if the classes "
                "are numbers"
            )
    train_rows, test_rows = train_test_split(
        np.arange(rows),
        train_size=train,
        test_size=total - train,
        random_state=random_state,
        stratify=target.values if target.classes is not None else None,
    )
    if target.classes is not None:
        for name, chosen in (("training", train_rows), ("test", test_rows)):
            missing = np.flatnonzero(np.bincount(target.values[chosen], minlength=len(target.classes)) == 0)
            if len(missing):
                raise InputError(
                    f"{source}: none of the {len(chosen)} {name} rows would have the class "
                    f"{target.classes[missing[0]]!r}, which is rare; take more {name} rows, or leave out the class"
                )
    return np.asarray(train_rows), np.asarray(test_rows)


def fill(features: Features, train: Int[np.ndarray, " train"]) -> Float[np.ndarray, "rows features"]:
    """Return the features with missing numbers as the training rows' median, and missing levels as their commonest.

    Raises:
        InputError: a column has no value in any training row.
    """
    values = features.values.copy()
    for group in features.groups:
        columns = list(group)
        known = values[train][:, columns]
        known = known[~np.isnan(known[:, 0])]
        if not len(known):
            raise InputError(f"the column of {features.names[columns[0]]!r} has no value in any training row")
        is_category = columns[0] in features.indicators
        filled = np.eye(len(columns))[np.argmax(known.sum(axis=0))] if is_category else np.median(known, axis=0)
        missing = np.isnan(values[:, columns[0]])
        values[np.ix_(missing, columns)] = filled
    return values


def scaler_of(scale: str, train_x: Float[np.ndarray, "train features"]) -> Callable[[Any], Any]:
    """Return the function that scales features as the training rows ask for.

    Args:
        scale: one of `SCALES`.
        train_x: features of the training rows.
    """
    from sklearn.preprocessing import MinMaxScaler, StandardScaler

    if scale == "none":
        return lambda x: x
    scaler = MinMaxScaler(feature_range=(-1, 1)) if scale == "minmax" else StandardScaler()
    return scaler.fit(train_x).transform
