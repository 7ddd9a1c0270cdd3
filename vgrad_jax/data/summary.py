"""Arrays of a data set, and facts about how they were made."""

import dataclasses
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Array, Float, Int

__all__ = ["ALL_ROWS", "SCALINGS", "DataSummary", "Dataset"]


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
