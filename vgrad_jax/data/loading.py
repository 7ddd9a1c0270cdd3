"""Arrays of a data set, and what was done to make them.

made data, digits ─► shuffle ─► scale by all rows, as in the article ─┐
                                                                      ├─► Dataset
own data ─► table ─► prepared by the training rows alone ─────────────┘
"""

import dataclasses
import hashlib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Array, Bool, Float, Int

from vgrad_jax.data.array_files import digest_of, read_npz, read_parquet, table_of_arrays
from vgrad_jax.data.csv_files import read_csv
from vgrad_jax.data.description import MADE, SHIPPED_TABLES, Data
from vgrad_jax.data.features import features_of
from vgrad_jax.data.preparing import fill, rows_to_keep, scaler_of, split_of, stratified
from vgrad_jax.data.table import Column, Table
from vgrad_jax.data.targets import Target, target_of
from vgrad_jax.errors import InputError

__all__ = ["DataSummary", "Dataset", "data_fingerprint", "fingerprint_of", "load_data", "noise_free", "summary_of"]


class Dataset(NamedTuple):
    """Examples and their targets, split into rows for training and rows for testing."""

    train_x: Float[Array | np.ndarray, "train features"]
    train_y: Int[Array | np.ndarray, " train"] | Float[Array | np.ndarray, " train"]
    """Classes from 0, or numbers."""
    test_x: Float[Array | np.ndarray, "test features"]
    test_y: Int[Array | np.ndarray, " test"] | Float[Array | np.ndarray, " test"]


@dataclasses.dataclass(frozen=True)
class DataSummary:
    """Facts about a data set and its preparation.

    Args:
        features: name of each feature.
        target: name of the target's column.
        classes: name of each class, in the order of the numbers 0, 1, ...; None for a target of numbers.
        train_rows: number of training rows.
        test_rows: number of test rows.
        levels: name of each column of texts to its levels, each of which is a feature.
        dropped_rows: number of rows that were left out because a value was missing.
        filled_values: number of missing values that were filled in.
        scale: scaling of the features, in words.
    """

    features: tuple[str, ...]
    target: str
    classes: tuple[str, ...] | None
    train_rows: int
    test_rows: int
    levels: Mapping[str, tuple[str, ...]]
    dropped_rows: int
    filled_values: int
    scale: str

    def sentences(self) -> list[str]:
        """Return the facts as sentences, one for each kind of fact that applies."""
        said = [f"{self.train_rows} rows for training, {self.test_rows} for testing; {len(self.features)} features"]
        if self.classes is None:
            said.append(
                f"the target {self.target!r} is a number, in standard deviations from the training rows' mean; an "
                "accuracy is 1 less the squared error in these units, and of training rows the variance explained"
            )
        else:
            mapping = ", ".join(f"{name!r} is class {number}" for number, name in enumerate(self.classes[:10]))
            rest = f", and {len(self.classes) - 10} more" if len(self.classes) > 10 else ""
            said.append(f"the target {self.target!r} has {len(self.classes)} classes: {mapping}{rest}")
        said += [
            f"the column {name!r} became {len(levels)} features of zeros and ones: {', '.join(levels[:10])}"
            + (", ..." if len(levels) > 10 else "")
            for name, levels in self.levels.items()
        ]
        if self.dropped_rows:
            said.append(f"{self.dropped_rows} rows were left out because a value was missing")
        if self.filled_values:
            said.append(f"{self.filled_values} missing values were filled in from the training rows")
        return [*said, f"features: {self.scale}"]


ALL_ROWS = "scaled to [-1, 1] by the smallest and largest value of all rows, as in the article"

SCALINGS = {
    "minmax": "scaled to [-1, 1] by the smallest and largest value of the training rows",
    "standard": "scaled to mean 0 and standard deviation 1 of the training rows",
    "none": "not scaled",
}
"""Scaling of own data in words."""


def load_data(data: Data) -> Dataset:
    """Return the arrays: float32 features, and int32 classes from 0 or float32 numbers.

    The arrays are read-only, since all callers with the same description share them.

    Raises:
        InputError: the file cannot be read, or a value in it cannot be used.

    >>> load_data(Data()).train_x.shape
    (500, 2)
    """
    return _load(data, _stamp(data))[0]


def summary_of(data: Data) -> DataSummary:
    """Return the facts about a data set and its preparation.

    Raises:
        InputError: as `load_data`.

    >>> summary_of(Data("wine")).classes
    ('class_0', 'class_1', 'class_2')
    """
    return _load(data, _stamp(data))[1]


def fingerprint_of(data: Data) -> str:
    """Return `data_fingerprint` of the arrays that `load_data` returns at this moment."""
    return _fingerprint(data, _stamp(data))


def data_fingerprint(dataset: Dataset) -> str:
    """Return a SHA-256 of the arrays: equal for equal data.

    >>> data_fingerprint(load_data(Data())) == data_fingerprint(load_data(Data(random_state=2)))
    False
    """
    digest = hashlib.sha256()
    for array in dataset:
        array = np.ascontiguousarray(array)
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def noise_free(data: Data) -> tuple[Float[np.ndarray, "rows 2"], Int[np.ndarray, " rows"]] | None:
    """Return the points of made data before noise and scaling, and their classes; None for other data."""
    return _drawn(dataclasses.replace(data, noise=0.0)) if data.source in MADE else None


def _stamp(data: Data) -> tuple[int, ...]:
    """Return the times and sizes of the data files, which change when a file is written again."""
    stamps: tuple[int, ...] = ()
    for path in (data.path, data.test_path):
        if path is not None:
            if not Path(path).is_file():
                raise InputError(f"no file {path!r}; give the path of a CSV, Parquet or NPZ file")
            status = Path(path).stat()
            stamps += (status.st_mtime_ns, status.st_size)
    return stamps


@lru_cache(maxsize=64)
def _fingerprint(data: Data, stamp: tuple[int, ...]) -> str:
    return data_fingerprint(_load(data, stamp)[0])


@lru_cache(maxsize=16)
def _load(data: Data, stamp: tuple[int, ...]) -> tuple[Dataset, DataSummary]:
    del stamp  # Part of the cache's key: a file that has changed is read again.
    dataset, summary = _as_in_the_article(data) if data.source in (*MADE, "digits") else _own(data)
    for array in dataset:  # All callers with the same description share the arrays.
        np.asarray(array).setflags(write=False)
    return dataset, summary


def _as_in_the_article(data: Data) -> tuple[Dataset, DataSummary]:
    x, y = _drawn(data)
    if data.source not in MADE:
        if data.samples is not None and data.samples > len(x):
            raise InputError(f"samples is {data.samples}, but {data.source!r} has {len(x)} rows only")
        order = np.random.default_rng(data.random_state).permutation(len(x))[: data.samples]
        x, y = x[order], y[order]
    low, high = x.min(axis=0), x.max(axis=0)
    x = ((x - low) / np.where(high > low, high - low, 1.0) * 2 - 1).astype(np.float32)
    split = data.train_samples or len(x) // 2
    if not 0 < split < len(x):
        raise InputError(f"{len(x)} rows cannot be split into {split} to train on and some to test on")
    y = y.astype(np.int32)
    summary = DataSummary(
        features=tuple(f"x{column}" for column in range(x.shape[1])),
        target="y",
        classes=tuple(str(label) for label in range(int(y.max()) + 1)),
        train_rows=split,
        test_rows=len(x) - split,
        levels={},
        dropped_rows=0,
        filled_values=0,
        scale=ALL_ROWS,
    )
    return Dataset(x[:split], y[:split], x[split:], y[split:]), summary


def _drawn(data: Data) -> tuple[np.ndarray, np.ndarray]:
    """Return points and classes of made data, or the digits."""
    from sklearn import datasets

    if data.source == "digits":
        digits: tuple[np.ndarray, np.ndarray] = datasets.load_digits(return_X_y=True)
        return digits
    make = datasets.make_circles if data.source == "circles" else datasets.make_moons
    points: tuple[np.ndarray, np.ndarray] = make(
        n_samples=data.samples, noise=data.noise, random_state=data.random_state
    )
    return points


def _own(data: Data) -> tuple[Dataset, DataSummary]:
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
