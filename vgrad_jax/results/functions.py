"""Results of arms that are functions: the variables that a function declares, and what one of its runs gives.

train(key) ─► pytree ─► FunctionRun ─► own variables, outcome, time
                           └─ a `Record` in it ─► variables along `record` and `layer`
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from vgrad_jax.gradients.recording import (
    BY_LAYER,
    BY_STEP,
    BY_STEP_AND_LAYER,
    LABELS,
    LONG_NAMES,
    OF_TRAINING,
    Record,
)

__all__ = [
    "FINISHED",
    "FUNCTIONS",
    "FunctionLayout",
    "FunctionRun",
    "OwnVariable",
    "Time",
    "is_of_record",
    "numbered",
    "record_from",
    "record_labels",
    "record_variables",
    "unit_of",
]

FINISHED = 3
"""Outcome of a run of a function that defines no convergence."""

FUNCTIONS = "functions"
"""Name of the attribute that holds the layouts of all arms that are functions, as JSON."""

GRADIENT, RATIO = "gradient_log10_rms", "update_ratio_log10"
"""Variables of a record that arms of every kind have."""

SEEN = "as the recorder saw it"


class OwnVariable(NamedTuple):
    """Variable that an arm declares."""

    dims: tuple[str, ...]
    """Names of its axes behind `arm` and `seed`."""
    shape: tuple[int, ...]
    """Lengths of these axes."""
    dtype: str
    description: str = ""
    units: str = ""

    @property
    def fill(self) -> Any:
        """Value of runs that are not trained, and of arms without the variable."""
        kind = np.dtype(self.dtype).kind
        return np.nan if kind in "fc" else False if kind == "b" else -1 if kind == "i" else 0


class Time(NamedTuple):
    """Time in which a function's convergence is counted."""

    unit: str
    """Name of the dimension that counts it, such as "epoch"."""
    budget: float | int
    """Time of the last value: a run without convergence is censored there."""


class FunctionLayout(NamedTuple):
    """Declared results of a function."""

    variables: Mapping[str, OwnVariable]
    """Variable name to variable; those of a record among them."""
    coordinates: Mapping[str, tuple[float | int, ...] | None]
    """Name of each own dimension to its values; None counts from one."""
    record: Mapping[str, Any] | None = None
    """Labels of the layers of a returned record; None where there is none."""
    criterion: str | None = None
    """Description of convergence; None where the arm defines none."""
    time: Time | None = None
    """Time to converge; None where convergence has no time."""

    def length(self, dimension: str) -> int:
        """Return the largest length of a dimension in the arm's variables; 0 where it has none."""
        lengths = (dict(zip(own.dims, own.shape, strict=True)).get(dimension, 0) for own in self.variables.values())
        return max(lengths, default=0)

    def values_of(self, dimension: str) -> np.ndarray:
        """Return the values of an own dimension."""
        values = self.coordinates.get(dimension)
        return np.arange(1, self.length(dimension) + 1) if values is None else np.asarray(values)

    def to_plain(self) -> dict[str, Any]:
        """Return the layout as values for JSON."""
        plain = {
            "variables": {name: own._asdict() for name, own in self.variables.items()},
            "coordinates": self.coordinates,
            "record": self.record,
            "criterion": self.criterion,
            "time": None if self.time is None else self.time._asdict(),
        }
        return json.loads(json.dumps(plain))

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> "FunctionLayout":
        """Return the layout that `to_plain` wrote."""
        variables = {
            name: OwnVariable(tuple(own["dims"]), tuple(own["shape"]), own["dtype"], own["description"], own["units"])
            for name, own in plain["variables"].items()
        }
        time = plain["time"]
        return cls(
            variables=variables,
            coordinates={name: v if v is None else tuple(v) for name, v in plain["coordinates"].items()},
            record=plain["record"],
            criterion=plain["criterion"],
            time=None if time is None else Time(time["unit"], time["budget"]),
        )


class FunctionRun(NamedTuple):
    """Results of a run of a function; with a leading `seed` axis for many runs."""

    values: dict[str, jax.Array]
    """Name of each own variable to its values."""
    outcome: jax.Array
    """`vgrad_jax.Outcome` as a number, or `FINISHED`."""
    time: jax.Array | None
    """Time to converge, NaN where the run does not; None where convergence has no time."""


def numbered(variable: str, axes: int) -> tuple[str, ...]:
    """Return the dimensions of a variable to which the user gives no names.

    >>> numbered("loss", 2)
    ('loss_dim_0', 'loss_dim_1')
    """
    return tuple(f"{variable}_dim_{axis}" for axis in range(axes))


def record_variables(record: Record) -> Iterator[tuple[str, tuple[str, ...], str, str, Any]]:
    """Yield each array of a record as a variable: name, dims, description, units and values.

    Args:
        record: of one run, without batch axes.
    """
    for fields, dims in (
        (BY_STEP, ("record",)),
        (BY_STEP_AND_LAYER, ("record", "layer")),
        (BY_LAYER, ("layer",)),
        (OF_TRAINING, ()),
    ):
        for field in fields:
            values = getattr(record, field)
            if values is not None:
                yield _named(field), dims, _described(field), _units(field), values
    ratio = record.update_ratio_log10
    if ratio is not None:
        yield RATIO, ("record", "layer"), LONG_NAMES[RATIO], "log10(1)", ratio


def unit_of(dimension: str) -> str:
    """Return what is counted along a dimension, for people.

    >>> unit_of("step"), unit_of("evaluated_epoch"), unit_of("loss_dim_0")
    ('step', 'epoch', 'value')
    """
    if dimension.endswith("_epoch"):
        return "epoch"
    return "value" if re.fullmatch(r".*_dim_\d+", dimension) else dimension


def is_of_record(variable: str) -> bool:
    """Return whether a variable is a record's, in which NaN stands for what is not there yet."""
    return variable.startswith("record_") or variable in (GRADIENT, RATIO)


def record_labels(record: Record) -> dict[str, Any]:
    """Return the labels of a record as plain values."""
    return {"paths": list(record.paths), **{label: getattr(record, label) for label in LABELS}}


def record_from(labels: Mapping[str, Any], variables: Mapping[str, np.ndarray]) -> Record:
    """Return the record of many runs from stored variables, without slots that no run filled.

    Args:
        labels: as `record_labels` returns them.
        variables: variable name to values, seed axis first.
    """
    fields = (*BY_STEP, *BY_STEP_AND_LAYER, *BY_LAYER, *OF_TRAINING)
    arrays: dict[str, Any] = {field: variables.get(_named(field)) for field in fields}
    kept = np.flatnonzero((arrays["step"] >= 0).all(axis=0))
    for field in (*BY_STEP, *BY_STEP_AND_LAYER):
        if arrays[field] is not None:
            arrays[field] = arrays[field][:, kept]
    arrays |= {name: tuple(value) if isinstance(value, list) else value for name, value in labels.items()}
    return Record(**arrays)


def _named(field: str) -> str:
    return GRADIENT if field == "log10_rms" else f"record_{field}"


def _described(field: str) -> str:
    if field == "step":
        return "updates done before the record was taken; -1 where nothing was recorded"
    return f"{LONG_NAMES.get(field, field.replace('_', ' '))}, {SEEN}"


def _units(field: str) -> str:
    return "updates" if field == "step" else "log10" if "log10" in field else ""
