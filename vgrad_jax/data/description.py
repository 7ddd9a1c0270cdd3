"""Description of a data set."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vgrad_jax.data.array_files import digest_of, table_of_arrays
from vgrad_jax.data.preparing import MISSING_RULES, SCALES
from vgrad_jax.data.targets import TASKS
from vgrad_jax.descriptions import MAX_SEED, Description, number, whole_number
from vgrad_jax.errors import InputError, unknown_name
from vgrad_jax.wording import is_writable

__all__ = ["MADE", "SHIPPED_TABLES", "SOURCES", "Data"]

MADE = ("circles", "moons")
"""Sources that are drawn anew: two classes in two features."""

SHIPPED_TABLES = ("breast_cancer", "diabetes", "wine")
"""Sources that ship with scikit-learn and are prepared as own data."""

SOURCES = (*MADE, "digits", *SHIPPED_TABLES, "file", "arrays")
"""Names of all sources."""

FROM_TABLES = ("target", "task", "categorical", "ignore", "split", "test_path", "scale")
"""Fields of own data; a description leaves them out where they have their defaults."""


@dataclass(frozen=True)
class Data(Description):
    """Description of a data set.

    Made data and "digits" are prepared as in the article. They are scaled to [-1, 1] by the smallest and largest value
    over ALL rows, test rows included. The first `train_samples` rows are for training. Rows of "digits"
    are first shuffled by `random_state`.

    Own data are files, arrays and data frames. Own data and the tables "breast_cancer", "diabetes" and "wine" are
    prepared without their test rows. Scales and fill values are those of the training rows. Rows are shuffled by
    `random_state`, and split so that both parts have the classes in the same proportions.

    Args:
        source: "circles" or "moons" (made, two classes), "file", or "arrays". Four more ship with scikit-learn:
            "digits" (ten classes), "breast_cancer" (two), "wine" (three) and "diabetes" (numbers).
        samples: number of rows; None is 1000 for made data, and all rows of other data.
        noise: standard deviation of the Gaussian noise of made data; None is 0.1.
        random_state: seed of the noise and of the shuffle.
        train_samples: number of training rows; None is half of the rows.
        path: file for the source "file", which may then be left out. A CSV has commas, semicolons or tabs, and `.gz`
            is unpacked. A Parquet file needs polars. An NPZ holds the arrays `x` (rows, features) and `y` (rows,).
        header: True if row 1 of a CSV holds names. None decides by the cells of row 1, and refuses an ambiguous row.
        x: features `(rows, features)`, an array or a data frame of pandas or polars. The source is then "arrays".
        y: targets `(rows,)`; None where a column of the frame `x` is the target.
        target: name or index of the target's column; None is the last column.
        task: "classes" or "numbers"; None takes texts and whole numbers as classes, and other numbers as numbers.
        categorical: names or indices of columns whose numbers are codes of categories. Columns of texts are
            categories anyhow. Each level of a category becomes a feature of zeros and ones.
        ignore: names or indices of columns that are left out.
        split: name or index of a column whose cells are "train" or "test".
        test_path: file with the test rows; `path` then holds training rows alone.
        scale: "minmax" (to [-1, 1]), "standard" (to mean 0 and standard deviation 1) or "none"; None is
            "minmax" for own data.
        missing: "refuse", "drop" (leave out rows with missing values), or "median" (of the training rows; the
            commonest level of a category).
        arrays: digest of the arrays; it is computed, and identifies them in a stored description.

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
    x: Any = field(default=None, repr=False, compare=False)
    y: Any = field(default=None, repr=False, compare=False)
    target: str | int | None = None
    task: str | None = None
    categorical: tuple[str | int, ...] = ()
    ignore: tuple[str | int, ...] = ()
    split: str | int | None = None
    test_path: str | None = None
    scale: str | None = None
    missing: str = "refuse"
    arrays: str | None = None

    def __post_init__(self) -> None:
        if self.source not in SOURCES:
            raise unknown_name("data source", self.source, SOURCES)
        self._take_arrays()
        if self.path is not None and self.source == "circles":
            object.__setattr__(self, "source", "file")
        self._check_sizes()
        self._check_files()
        self._check_columns()

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain values.

        Fields that a source does not need are left out where they have their defaults, so that older stores stay
        equal. Arrays are left out: their digest stands for them.
        """
        values = {name: value for name, value in super().to_dict().items() if name not in ("x", "y")}
        for name in ("header", "target", "task", "split", "test_path", "scale", "arrays"):
            if values[name] is None:
                del values[name]
        for name, default in (("categorical", []), ("ignore", []), ("missing", "refuse")):
            if values[name] == default:
                del values[name]
        return values

    def _take_arrays(self) -> None:
        """Note the digest of the arrays, which identifies them."""
        if self.x is None:
            if self.y is not None:
                raise InputError("y goes with x: Data(x=features, y=targets)")
            if (self.source == "arrays") != (self.arrays is not None):
                raise InputError("data from arrays need them: Data(x=features, y=targets)")
            return
        if self.source not in ("circles", "arrays"):
            raise InputError(f"x goes without a source, or with the source 'arrays'; got {self.source!r}")
        table = table_of_arrays("Data(x=..., y=...)" if self.y is not None else "Data(x=...)", self.x, self.y)
        object.__setattr__(self, "source", "arrays")
        object.__setattr__(self, "arrays", digest_of(table))

    def _check_sizes(self) -> None:
        made = self.source in MADE
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
        if self.train_samples is not None:
            object.__setattr__(self, "train_samples", whole_number("train_samples", self.train_samples, minimum=1))
            if self.samples is not None and self.train_samples >= self.samples:
                raise InputError(
                    f"train_samples must leave rows to test on: {self.samples} rows, {self.train_samples} to train"
                )
        elif self.samples is not None:
            object.__setattr__(self, "train_samples", self.samples // 2)

    def _check_files(self) -> None:
        if (self.path is not None) != (self.source == "file"):
            raise InputError(f"path goes with the source 'file'; got source {self.source!r} and path {self.path!r}")
        for name in ("path", "test_path"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, str(getattr(self, name)))
                if not is_writable(getattr(self, name)):
                    raise InputError(
                        f"{name} must be a name in UTF-8 without NUL; got {getattr(self, name)!r}; rename it"
                    )
        if self.test_path is not None and self.path is None:
            raise InputError(f"test_path goes with path, the file of the training rows; got {self.test_path!r} alone")
        is_csv = self.source == "file" and Path(str(self.path)).suffix.lower() not in (".npz", ".parquet", ".pq")
        if self.header is not None and not (is_csv and isinstance(self.header, bool)):
            raise InputError(f"header is None, True or False, and goes with a CSV file; got {self.header!r}")

    def _check_columns(self) -> None:
        """Check the fields of own data."""
        for name in ("categorical", "ignore"):
            columns = getattr(self, name)
            columns = (columns,) if isinstance(columns, str | int) else columns
            if not isinstance(columns, tuple | list):
                raise InputError(f"{name} must be a tuple of names or indices of columns; got {columns!r}")
            object.__setattr__(self, name, tuple(_column(name, column) for column in columns))
        for name in ("target", "split"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, _column(name, getattr(self, name)))
        for name, value, known in (("task", self.task, TASKS), ("scale", self.scale, SCALES)):
            if value is not None and value not in known:
                raise unknown_name(name, value, known)
        if self.missing not in MISSING_RULES:
            raise unknown_name("rule for missing values", self.missing, MISSING_RULES)
        given = [name for name in FROM_TABLES if getattr(self, name) not in (None, ())]
        if self.scale is None and self.source not in _ARTICLES:
            object.__setattr__(self, "scale", "minmax")
        given += ["missing"] if self.missing != "refuse" else []
        if given and self.source in _ARTICLES:
            raise InputError(
                f"{', '.join(given)}: for own data and tables; the source {self.source!r} is prepared as in the article"
            )
        if self.split is not None and self.test_path is not None:
            raise InputError("split= and test_path= both say which rows are for testing; give one")
        if (self.split is not None or self.test_path is not None) and (self.samples, self.train_samples) != (
            None,
            None,
        ):
            raise InputError(
                "samples and train_samples do not go with split= or test_path=, which say which rows are used"
            )


_ARTICLES = (*MADE, "digits")
"""Sources that are prepared as in the article."""


def _column(field_name: str, column: Any) -> str | int:
    """Return the name or the index of a column."""
    if isinstance(column, str):
        return column
    return whole_number(f"{field_name}, the index of a column,", column, minimum=-(10**6))
