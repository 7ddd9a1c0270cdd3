"""Own data: a table becomes arrays, and nothing is learned from its test rows.

file, frame or arrays ─► Table ─► features, target ─► gaps ─► split ─► fill and scale by the training rows ─► Dataset
"""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from vgrad_jax.data.array_files import digest_of, read_npz, read_parquet, table_of_arrays
from vgrad_jax.data.csv_files import read_csv
from vgrad_jax.data.description import SHIPPED_TABLES, Data
from vgrad_jax.data.features import features_of
from vgrad_jax.data.preparing import fill, rows_to_keep, scaler_of, split_of, stratified
from vgrad_jax.data.summary import SCALINGS, Dataset, DataSummary
from vgrad_jax.data.table import Column, Table
from vgrad_jax.data.targets import Target, target_of
from vgrad_jax.errors import InputError

__all__ = ["prepared"]


def prepared(data: Data) -> tuple[Dataset, DataSummary]:
    """Return the arrays of a table: nothing is learned from its test rows."""
    table = _table(data)
    first_test = table.rows
    if data.test_path is not None:
        table = _joined(table, _read(data.test_path, data.header))
    target_index = table.index("target", -1 if data.target is None else data.target)
    left_out = {table.index("ignore", column) for column in data.ignore}
    if data.split is not None:
        left_out.add(table.index("split", data.split))
    if target_index in left_out:
        raise InputError(f"{table.source}: the target {table.names[target_index]!r} cannot be left out as well")
    indices = [index for index in range(len(table.columns)) if index not in {target_index, *left_out}]
    if not indices:
        raise InputError(f"{table.source}: no column is left as a feature")
    features = features_of(table, indices, {table.index("categorical", column) for column in data.categorical})
    target = target_of(table, target_index, data.task)
    keep, gaps = rows_to_keep(table, [*indices, target_index], features, target, data.missing)
    kept = np.flatnonzero(keep)
    if not len(kept):
        raise InputError(
            f"{table.source}: every row has a missing value; name columns in ignore= or use missing='median'"
        )
    used = target._replace(values=target.values[kept])
    is_train = _marked(data, table, first_test)
    if is_train is not None:
        train, test = _shuffled(kept, is_train[kept], data.random_state)
    else:
        parts = stratified(used, data.samples, data.train_samples, data.random_state, table.source)
        train, test = kept[parts[0]], kept[parts[1]]
    if not len(train) or not len(test):
        raise InputError(f"{table.source}: no row without a missing value is left to train on, or to test on")
    _check_training_rows(table, target, train, test)
    values = fill(features, train) if data.missing == "median" else features.values
    scale = scaler_of(str(data.scale), values[train])
    x_train, x_test = (scale(values[rows]).astype(np.float32) for rows in (train, test))
    y = target.values.astype(np.int32) if target.classes is not None else _standardised(target.values, train)
    summary = DataSummary(
        features=features.names,
        target=table.names[target_index],
        classes=target.classes,
        train_rows=len(train),
        test_rows=len(test),
        levels=features.levels,
        dropped_rows=int((~keep).sum()),
        filled_values=gaps if data.missing == "median" else 0,
        scale=SCALINGS[str(data.scale)],
    )
    return Dataset(x_train, y[train], x_test, y[test]), summary


def _check_training_rows(
    table: Table, target: Target, train: Int[np.ndarray, " train"], test: Int[np.ndarray, " test"]
) -> None:
    """Refuse training rows with a single target, and classes that are in the test rows alone."""
    different = np.unique(target.values[train])
    if len(different) < 2:
        raise InputError(f"{table.source}: all {len(train)} training rows have the same target; nothing can be learned")
    if target.classes is not None:
        unseen = sorted(set(target.values[test].tolist()) - set(different.tolist()))
        if unseen:
            names = ", ".join(repr(target.classes[number]) for number in unseen[:3])
            raise InputError(
                f"{table.source}: no training row has the class {names}, which test rows have; add rows or leave it out"
            )


def _standardised(values: np.ndarray, train: Int[np.ndarray, " train"]) -> Float[np.ndarray, " rows"]:
    """Return numbers with mean 0 and variance 1 over the training rows."""
    scaled: np.ndarray = scaler_of("standard", values[train][:, None])(values[:, None])
    return scaled[:, 0].astype(np.float32)


def _marked(data: Data, table: Table, first_test: int) -> Bool[np.ndarray, " rows"] | None:
    """Return which rows the user marks as training rows; None where the rows are to be split."""
    if data.split is not None:
        return split_of(table, table.index("split", data.split))
    return np.arange(table.rows) < first_test if data.test_path is not None else None


def _shuffled(
    rows: Int[np.ndarray, " rows"], is_train: Bool[np.ndarray, " rows"], random_state: int
) -> tuple[Int[np.ndarray, " train"], Int[np.ndarray, " test"]]:
    """Return training rows and test rows as they are marked, each in a random order."""
    generator = np.random.default_rng(random_state)
    return generator.permutation(rows[is_train]), generator.permutation(rows[~is_train])


def _table(data: Data) -> Table:
    if data.source == "arrays":
        if data.x is None:
            raise InputError(
                "these data came as arrays, which a description does not keep; make it again with Data(x=..., y=...)"
            )
        table = table_of_arrays("Data(x=..., y=...)" if data.y is not None else "Data(x=...)", data.x, data.y)
        if digest_of(table) != data.arrays:
            raise InputError("the arrays of Data(x=...) have changed since it was made; make it again from the new")
        return table
    if data.source in SHIPPED_TABLES:
        from sklearn import datasets

        loaded: Any = getattr(datasets, f"load_{data.source}")()
        y = loaded.target if data.source == "diabetes" else np.asarray(loaded.target_names)[loaded.target]
        table = table_of_arrays(repr(data.source), loaded.data, y)
        names = [*map(str, loaded.feature_names), "target"]
        named = [Column(name, column.cells) for name, column in zip(names, table.columns, strict=True)]
        return dataclasses.replace(table, columns=tuple(named))
    return _read(str(data.path), data.header)


def _read(path: str, header: bool | None) -> Table:
    suffix = Path(path).suffix.lower()
    if suffix == ".npz":
        return read_npz(Path(path))
    if suffix in (".parquet", ".pq"):
        return read_parquet(Path(path))
    return read_csv(Path(path), header)


def _joined(train: Table, test: Table) -> Table:
    """Return the rows of two tables with the same columns, those of `train` first."""
    if len(train.columns) != len(test.columns) or (train.has_names and test.has_names and train.names != test.names):
        raise InputError(
            f"{test.source} needs the columns of {train.source}, which are {train.names}; it has {test.names}"
        )
    if train.has_names != test.has_names:
        raise InputError(f"{train.source} and {test.source} need names in row 1 both, or none; say it with header=")
    columns = tuple(
        Column(first.name, [*first.cells, *second.cells])
        for first, second in zip(train.columns, test.columns, strict=True)
    )

    def address(row: int, column: int) -> str:
        return train.address(row, column) if row < train.rows else test.address(row - train.rows, column)

    return Table(train.source, columns, address, train.has_names)
