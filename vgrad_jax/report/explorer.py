"""Data of the page's chart: quantiles over seeds of every arm's gradients, accuracies and own curves."""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from vgrad_jax.numerics import json_value
from vgrad_jax.results.functions import is_of_record
from vgrad_jax.results.reading import Axis, arm_names, axis_of, function_of, own_values
from vgrad_jax.statistics.streaming import seed_quantiles

if TYPE_CHECKING:
    import xarray

__all__ = ["explorer_data"]

MOST_RECORDS = 100
QUANTILES = (0.1, 0.5, 0.9)


def explorer_data(results: "xarray.Dataset") -> dict[str, Any]:
    """Return plain values for a script: at most 100 values of each curve, evenly spread.

    Returns:
        `arms`, each with its name, its `n` and its `series`. A series has a label, a unit, the name of its axis with
        the labels `x`, and `values[quantile][x]` for the 10 %, 50 % and 90 % quantile. Numbers that are not finite are
        the texts of `json_value`, "-inf" for a gradient of exactly zero. Arms without curves are left out.
    """
    arms = [
        {"name": arm, "n": int(results["completed"].sel(arm=arm).sum()), "series": list(_series(results, arm))}
        for arm in arm_names(results)
    ]
    return {"arms": [arm for arm in arms if arm["series"]]}


def _series(results: "xarray.Dataset", arm: str) -> Iterator[dict[str, Any]]:
    gradients = own_values(results, arm, "gradient_log10_rms")
    axis = axis_of(results, arm, "gradient_log10_rms")
    if gradients is not None and axis is not None and len(axis.values):
        kept = _kept(len(axis.values))
        quantiles = seed_quantiles(gradients.isel(record=kept), QUANTILES)
        for layer in range(quantiles.shape[-1]):
            yield _series_of(quantiles[..., layer], axis, kept, f"gradient of layer {layer}", "log10 RMS")
    function = function_of(results, arm)
    if function is None:
        for kind in ("train", "test"):
            yield from _curve(results, arm, f"{kind}_accuracy", f"{kind} accuracy", "share")
        return
    for name in function.variables:
        if not is_of_record(name):
            yield from _curve(results, arm, name, name, str(results[name].attrs.get("units", "")))


def _curve(results: "xarray.Dataset", arm: str, name: str, label: str, unit: str) -> Iterator[dict[str, Any]]:
    """Yield the series of a curve; nothing where the variable is no curve of real numbers."""
    values, axis = own_values(results, arm, name), axis_of(results, arm, name)
    if values is None or axis is None or values.ndim != 2 or values.dtype.kind not in "iuf":
        return
    kept = _kept(len(axis.values))
    curve = values.rename({values.dims[1]: "record"}) if values.dims[1] != "record" else values
    yield _series_of(seed_quantiles(curve.isel(record=kept), QUANTILES), axis, kept, label, unit)


def _kept(total: int) -> np.ndarray:
    return np.unique(np.linspace(0, total - 1, min(total, MOST_RECORDS)).round().astype(int))


def _series_of(quantiles: np.ndarray, axis: Axis, kept: np.ndarray, label: str, unit: str) -> dict[str, Any]:
    values = [[_rounded(value) for value in line] for line in quantiles.astype(float).tolist()]
    x = axis.values[kept].tolist()
    return {"label": label, "unit": unit, "axis": axis.name, "x": x, "values": json_value(values)}


def _rounded(value: float) -> float:
    """Return a number with three decimals, or with four digits where it is small."""
    return round(value, 3) if not math.isfinite(value) or abs(value) >= 1 else float(f"{value:.4g}")
