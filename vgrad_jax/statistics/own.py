"""Own variables of functions over seeds: quantiles of numbers, and of curves at each value and at the end."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import Float

from vgrad_jax.numerics import finite_quantiles
from vgrad_jax.results.axes import PER_RECORD
from vgrad_jax.results.functions import is_of_record
from vgrad_jax.results.reading import Axis, arm_names, axis_of, function_of, own_values
from vgrad_jax.statistics.bootstrap import quantile_of
from vgrad_jax.statistics.intervals import ABSENT, Estimate, share
from vgrad_jax.statistics.streaming import record_slices

if TYPE_CHECKING:
    import xarray

__all__ = ["CurveBand", "OwnNumber", "curve_band", "own_numbers", "own_variables"]

SHARES = (0.05, 0.25, 0.5, 0.75, 0.95)
"""Shares of seeds below the quantiles of `CurveBand`."""


class OwnNumber(NamedTuple):
    """A number of an arm's runs: a variable without further axes, or the last value of a curve."""

    variable: str
    arm: str
    n: int
    """Runs with a finite number."""
    not_finite: int
    """Runs whose number is infinite or NaN; they are left out of the quantiles."""
    last_of: str
    """Name of the curve's axis with its last label, such as "epoch 20"; empty for a number."""
    lower_quartile: float
    median: Estimate
    upper_quartile: float
    true: Estimate
    """Share of runs in which a boolean is true; its quantiles are NaN."""
    units: str


class CurveBand(NamedTuple):
    """A curve over the seeds of an arm."""

    axis: Axis
    quantiles: Float[np.ndarray, "5 value"]
    """Quantiles `SHARES` over the seeds with a finite value; NaN where there is none."""
    n: int


def own_variables(results: "xarray.Dataset") -> dict[str, list[str]]:
    """Return variable name to the arms that have it: all that functions declare, without their records.

    A curve that `Experiment`s have too, such as `train_loss`, counts with their arms.
    """
    names: dict[str, list[str]] = {}
    for arm in arm_names(results):
        function = function_of(results, arm)
        for name in () if function is None else function.variables:
            if not is_of_record(name):
                names.setdefault(name, [])
    for name, arms in names.items():
        for arm in arm_names(results):
            function = function_of(results, arm)
            if name in (PER_RECORD if function is None else function.variables):
                arms.append(arm)
    return names


def own_numbers(results: "xarray.Dataset") -> list[OwnNumber]:
    """Return a row for each own variable and arm: quartiles over the finished runs, of a curve at its end.

    Variables with two or more axes of their own, and complex ones, are left out.
    """
    rows = [_number(results, name, arm) for name, arms in own_variables(results).items() for arm in arms]
    return [row for row in rows if row is not None]


def curve_band(results: "xarray.Dataset", name: str, arm: str) -> CurveBand | None:
    """Return the quantiles over seeds of an arm's curve; None where the variable is no curve."""
    values, axis = own_values(results, arm, name), axis_of(results, arm, name)
    if values is None or axis is None or values.ndim != 2 or values.dtype.kind not in "iufb":
        return None
    curve = values.rename({values.dims[1]: "record"}) if values.dims[1] != "record" else values
    parts = [finite_quantiles(_double(part), list(SHARES)) for part in record_slices(curve)]
    return CurveBand(axis, np.concatenate(parts, axis=1), values.sizes["seed"])


def _number(results: "xarray.Dataset", name: str, arm: str) -> OwnNumber | None:
    values, axis = own_values(results, arm, name), axis_of(results, arm, name)
    if values is None or values.ndim > 2 or values.dtype.kind not in "iufb" or not values.size:
        return None
    last_of = "" if axis is None else f"{axis.name} {axis.values[-1]:g}"
    numbers = (values if values.ndim == 1 else values.isel({values.dims[1]: -1})).values
    units = str(results[name].attrs.get("units", ""))
    if numbers.dtype.kind == "b":
        true = share(int(numbers.sum()), len(numbers))
        return OwnNumber(name, arm, len(numbers), 0, last_of, np.nan, ABSENT, np.nan, true, units)
    ordered = np.sort(_double(numbers)[np.isfinite(numbers)])
    lost = len(numbers) - len(ordered)
    if not len(ordered):
        return OwnNumber(name, arm, 0, lost, last_of, np.nan, ABSENT, np.nan, ABSENT, units)
    lower, upper = np.quantile(ordered, [0.25, 0.75])
    median = quantile_of(ordered, 0.5)
    return OwnNumber(name, arm, len(ordered), lost, last_of, float(lower), median, float(upper), ABSENT, units)


def _double(values: np.ndarray) -> np.ndarray:
    """Return values in double precision."""
    return values.astype(np.float64)
