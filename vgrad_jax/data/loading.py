"""Arrays of a data set, and what was done to make them.

made data, digits ─► shuffle ─► scale by all rows, as in the article ─┐
                                                                      ├─► Dataset
own data ─► table ─► prepared by the training rows alone ─────────────┘
"""

import dataclasses
import hashlib
from functools import lru_cache
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from vgrad_jax.boundary import checked
from vgrad_jax.data.description import MADE, Data
from vgrad_jax.data.own import prepared
from vgrad_jax.data.summary import ALL_ROWS, Dataset, DataSummary
from vgrad_jax.errors import InputError
from vgrad_jax.memory import require_memory

BYTES_A_SAMPLE = 150
"""Bytes that a sample of made data takes while it is drawn and scaled: about 18 float64 numbers."""

__all__ = ["data_fingerprint", "fingerprint_of", "load_data", "noise_free", "summary_of"]


@checked
def load_data(data: Data) -> Dataset:
    """Return the arrays: float32 features, and int32 classes from 0 or float32 numbers.

    The arrays are read-only, since all callers with the same description share them.

    Raises:
        InputError: the file cannot be read, or a value in it cannot be used.

    >>> load_data(Data()).train_x.shape
    (500, 2)
    """
    return _load(data, _stamp(data))[0]


@checked
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
                tried = "" if Path(path).is_absolute() else f", which is {str(Path(path).absolute())!r} from here"
                raise InputError(f"no file {path!r}{tried}; give the path of a CSV, Parquet or NPZ file")
            status = Path(path).stat()
            stamps += (status.st_mtime_ns, status.st_size)
    return stamps


@lru_cache(maxsize=64)
def _fingerprint(data: Data, stamp: tuple[int, ...]) -> str:
    return data_fingerprint(_load(data, stamp)[0])


@lru_cache(maxsize=16)
def _load(data: Data, stamp: tuple[int, ...]) -> tuple[Dataset, DataSummary]:
    del stamp  # Part of the cache's key: a file that has changed is read again.
    dataset, summary = _as_in_the_article(data) if data.source in (*MADE, "digits") else prepared(data)
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
    require_memory(
        f"{data.samples} samples of {data.source}", BYTES_A_SAMPLE * (data.samples or 0), "take fewer samples"
    )
    make = datasets.make_circles if data.source == "circles" else datasets.make_moons
    points: tuple[np.ndarray, np.ndarray] = make(
        n_samples=data.samples, noise=data.noise, random_state=data.random_state
    )
    return points
