"""Data of the page's chart: quantiles over seeds of every arm's curves, and the curves of some runs."""

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from vgrad_jax.numerics import json_value
from vgrad_jax.results.functions import is_of_record
from vgrad_jax.results.reading import Axis, arm_names, axis_of, completed_seeds, function_of, own_values
from vgrad_jax.statistics.streaming import seed_quantiles

if TYPE_CHECKING:
    import xarray

__all__ = ["explorer_data"]

MOST_RECORDS = 100
QUANTILES = (0.1, 0.5, 0.9)
MOST_RUNS = 16
"""Most runs of an arm of which the page has every curve."""
MOST_NUMBERS = 40_000
"""Most numbers in these curves: some 250 kB of a page."""


class Curve(NamedTuple):
    """Curve of an arm for the chart."""

    label: str
    unit: str
    axis: Axis
    kept: np.ndarray
    """Indices along the axis that the page has."""
    quantiles: np.ndarray
    """`QUANTILES` over seeds, `(quantile, kept)`."""
    values: "xarray.DataArray"
    """Values of every finished run, `(seed, kept)`, read when they are asked for."""


def explorer_data(results: "xarray.Dataset") -> dict[str, Any]:
    """Return plain values for a script: at most 100 values of each curve, evenly spread.

    Returns:
        `arms`, each with its name, its `n`, its `series` and the `seeds` of the runs that the page has, with their
        outcomes. A series has a label, a unit, and the name of its axis with the labels `x`. `values[quantile][x]` are
        the 10 %, 50 % and 90 % quantile, and `runs[run][x]` are the runs. Numbers that are not finite are the texts of
        `json_value`, "-inf" for a gradient of exactly zero. Arms without curves are left out.
    """
    curves = {arm: own for arm in arm_names(results) if (own := list(_curves(results, arm)))}
    numbers = sum(len(curve.kept) for own in curves.values() for curve in own)
    runs = min(MOST_RUNS, max(MOST_NUMBERS // max(numbers, 1), 1))
    return {"arms": [_arm(results, arm, own, runs) for arm, own in curves.items()]}


def _arm(results: "xarray.Dataset", arm: str, curves: Sequence[Curve], runs: int) -> dict[str, Any]:
    finished = completed_seeds(results[["completed", "outcome"]], arm)
    first = finished.isel(seed=slice(runs))
    seeds = [
        {"seed": int(seed), "outcome": str(outcome).replace("_", " ")}
        for seed, outcome in zip(first["seed"].values, first["outcome"].values, strict=True)
    ]
    return {
        "name": arm,
        "n": finished.sizes["seed"],
        "seeds": seeds,
        "series": [_series_of(curve, runs) for curve in curves],
    }


def _curves(results: "xarray.Dataset", arm: str) -> Iterator[Curve]:
    gradients = own_values(results, arm, "gradient_log10_rms")
    axis = axis_of(results, arm, "gradient_log10_rms")
    if gradients is not None and axis is not None and len(axis.values):
        kept = _kept(len(axis.values))
        # All layers at once: a store holds them together.
        quantiles, values = seed_quantiles(gradients.isel(record=kept), QUANTILES), gradients.isel(record=kept)
        for layer in range(gradients.sizes["layer"]):
            own = values.isel(layer=layer)
            yield Curve(f"gradient of layer {layer}", "log10 RMS", axis, kept, quantiles[..., layer], own)
    function = function_of(results, arm)
    if function is None:
        for kind in ("train", "test"):
            yield from _curve(results, arm, f"{kind}_accuracy", f"{kind} accuracy", "share")
        return
    for name in function.variables:
        if not is_of_record(name):
            yield from _curve(results, arm, name, name, str(results[name].attrs.get("units", "")))


def _curve(results: "xarray.Dataset", arm: str, name: str, label: str, unit: str) -> Iterator[Curve]:
    """Yield the curve of a variable; nothing where the variable is no curve of real numbers."""
    values, axis = own_values(results, arm, name), axis_of(results, arm, name)
    if values is None or axis is None or values.ndim != 2 or values.dtype.kind not in "iuf":
        return
    kept = _kept(len(axis.values))
    curve = values.rename({values.dims[1]: "record"}) if values.dims[1] != "record" else values
    shown = curve.isel(record=kept)
    yield Curve(label, unit, axis, kept, seed_quantiles(shown, QUANTILES), shown)


def _kept(total: int) -> np.ndarray:
    return np.unique(np.linspace(0, total - 1, min(total, MOST_RECORDS)).round().astype(int))


def _series_of(curve: Curve, runs: int) -> dict[str, Any]:
    return {
        "label": curve.label,
        "unit": curve.unit,
        "axis": curve.axis.name,
        "x": curve.axis.values[curve.kept].tolist(),
        "values": _plain(curve.quantiles),
        "runs": _plain(curve.values.isel(seed=slice(runs)).values),
    }


def _plain(lines: np.ndarray) -> list[list[Any]]:
    plain: list[list[Any]] = json_value([[_rounded(value) for value in line] for line in lines.astype(float).tolist()])
    return plain


def _rounded(value: float) -> float:
    """Return a number with three decimals, or with four digits where it is small."""
    return round(value, 3) if not math.isfinite(value) or abs(value) >= 1 else float(f"{value:.4g}")
