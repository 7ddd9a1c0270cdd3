"""Data: descriptions of data sets, and the arrays that are made or read from them."""

import dataclasses
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Array, Float, Int

from vgrad_jax.data_files import read_table
from vgrad_jax.descriptions import MAX_SEED, Description, number, whole_number
from vgrad_jax.errors import InputError, unknown_name

__all__ = ["Data", "Dataset", "data_fingerprint", "fingerprint_of", "load_data", "noise_free"]


class Dataset(NamedTuple):
    """Examples and their classes, split into rows for training and rows for testing."""

    train_x: Float[Array | np.ndarray, "train features"]
    train_y: Int[Array | np.ndarray, " train"]
    test_x: Float[Array | np.ndarray, "test features"]
    test_y: Int[Array | np.ndarray, " test"]


@dataclass(frozen=True)
class Data(Description):
    """Description of a data set.

    Every feature is scaled to [-1, 1] by its smallest and largest value over ALL rows, test rows included, as in the
    article. The first `train_samples` rows are for training, and the rest are for testing. Rows of "digits" and "file"
    are first shuffled by `random_state`.

    Args:
        source: "circles" or "moons" (made, two classes), "digits" (8 x 8 images, ten classes; ships with
            scikit-learn), or "file".
        samples: number of rows; None is 1000 for made data, and all rows of other data.
        noise: standard deviation of the Gaussian noise of made data; None is 0.1.
        random_state: seed of the noise and of the shuffle.
        train_samples: number of training rows; None is half of the rows.
        path: CSV or NPZ file, for the source "file". The last column of a CSV is the class (0, 1, ...), and row 1 may
            hold names. An NPZ holds the arrays `x` (rows, features) and `y` (rows,).
        header: True if row 1 of a CSV holds names. None decides by the cells of row 1, and refuses an ambiguous row.

    Raises:
        InputError: the source is unknown, a size is impossible, or the source does not take a field.
    """

    source: str = "circles"
    samples: int | None = None
    noise: float | None = None
    random_state: int = 1
    train_samples: int | None = None
    path: str | None = None
    header: bool | None = None

    def __post_init__(self) -> None:
        if self.source not in _SOURCES:
            raise unknown_name("data source", self.source, _SOURCES)
        made = self.source in _MADE
        object.__setattr__(self, "random_state", whole_number("random_state", self.random_state, maximum=MAX_SEED))
        if self.samples is not None:
            object.__setattr__(self, "samples", whole_number("samples", self.samples, minimum=2))
        elif made:
            object.__setattr__(self, "samples", 1000)
        if made:
            noise = 0.1 if self.noise is None else number("noise", self.noise, at_least=0.0)
            object.__setattr__(self, "noise", noise)
        elif self.noise is not None:
            raise InputError(f"noise is for made data; the source {self.source!r} takes none; got {self.noise!r}")
        if (self.path is not None) != (self.source == "file"):
            raise InputError(f"path goes with the source 'file'; got source {self.source!r} and path {self.path!r}")
        if self.path is not None:
            object.__setattr__(self, "path", str(self.path))
        is_csv = self.source == "file" and not str(self.path).lower().endswith(".npz")
        if self.header is not None and not (is_csv and isinstance(self.header, bool)):
            raise InputError(f"header is None, True or False, and goes with a CSV file; got {self.header!r}")
        if self.train_samples is not None:
            object.__setattr__(self, "train_samples", whole_number("train_samples", self.train_samples, minimum=1))
            if self.samples is not None and self.train_samples >= self.samples:
                raise InputError(
                    f"train_samples must leave rows to test on: {self.samples} rows, {self.train_samples} to train"
                )
        elif self.samples is not None:
            object.__setattr__(self, "train_samples", self.samples // 2)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain values; `header` is left out where it is None, so that older stores stay equal."""
        values = super().to_dict()
        if self.header is None:
            del values["header"]
        return values


def load_data(data: Data) -> Dataset:
    """Return the arrays: float32 features in [-1, 1], and int32 classes from 0.

    The arrays are read-only, since all callers with the same description share them.

    Raises:
        InputError: the file cannot be read, or a value in it is no number or no class.

    >>> load_data(Data()).train_x.shape
    (500, 2)
    """
    return _load(data, _stamp(data))


def fingerprint_of(data: Data) -> str:
    """Return `data_fingerprint` of the arrays that `load_data` returns at this moment."""
    return _fingerprint(data, _stamp(data))


def _stamp(data: Data) -> tuple[int, ...]:
    """Return the time and size of a data file, which change when the file is written again."""
    if data.path is None:
        return ()
    if not Path(data.path).is_file():
        raise InputError(f"no file {data.path!r}; give the path of a CSV or NPZ file")
    status = Path(data.path).stat()
    return (status.st_mtime_ns, status.st_size)


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
    if data.source not in _MADE:
        return None
    return _SOURCES[data.source](dataclasses.replace(data, noise=0.0))


@lru_cache(maxsize=64)
def _fingerprint(data: Data, stamp: tuple[int, ...]) -> str:
    return data_fingerprint(_load(data, stamp))


@lru_cache(maxsize=16)
def _load(data: Data, stamp: tuple[int, ...]) -> Dataset:
    del stamp  # Part of the cache's key: a file that has changed is read again.
    x, y = _SOURCES[data.source](data)
    if data.source not in _MADE:
        if data.samples is not None and data.samples > len(x):
            raise InputError(f"samples is {data.samples}, but {data.path or data.source!r} has {len(x)} rows only")
        order = np.random.default_rng(data.random_state).permutation(len(x))[: data.samples]
        x, y = x[order], y[order]
    low, high = x.min(axis=0), x.max(axis=0)
    x = ((x - low) / np.where(high > low, high - low, 1.0) * 2 - 1).astype(np.float32)
    split = data.train_samples or len(x) // 2
    if not 0 < split < len(x):
        raise InputError(f"{len(x)} rows cannot be split into {split} to train on and some to test on")
    y = y.astype(np.int32)
    # All callers with the same description share the arrays.
    x.setflags(write=False)
    y.setflags(write=False)
    return Dataset(x[:split], y[:split], x[split:], y[split:])


def _circles(data: Data) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.datasets import make_circles

    return make_circles(n_samples=data.samples, noise=data.noise, random_state=data.random_state)


def _moons(data: Data) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.datasets import make_moons

    return make_moons(n_samples=data.samples, noise=data.noise, random_state=data.random_state)


def _digits(data: Data) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.datasets import load_digits

    del data
    return load_digits(return_X_y=True)


def _file(data: Data) -> tuple[np.ndarray, np.ndarray]:
    return read_table(Path(str(data.path)), data.header)


_SOURCES: dict[str, Callable[[Data], tuple[np.ndarray, np.ndarray]]] = {
    "circles": _circles,
    "moons": _moons,
    "digits": _digits,
    "file": _file,
}
_MADE = ("circles", "moons")
