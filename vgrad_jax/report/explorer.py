"""Data of the page's chart: quantiles over seeds of every arm's gradients and accuracy."""

from typing import TYPE_CHECKING, Any

import numpy as np

from vgrad_jax.numerics import json_value
from vgrad_jax.results.reading import arm_names, completed_seeds
from vgrad_jax.statistics.bands import gradients_of
from vgrad_jax.statistics.streaming import seed_quantiles

if TYPE_CHECKING:
    import xarray

__all__ = ["explorer_data"]

MOST_RECORDS = 100
QUANTILES = (0.1, 0.5, 0.9)


def explorer_data(results: "xarray.Dataset") -> dict[str, Any]:
    """Return plain values for a script: at most 100 epochs, evenly spread.

    Returns:
        `epochs`, and for each of `arms` its name, its `n` and its `series`. A series has a label, a unit and
        `values[quantile][epoch]` for the 10 %, 50 % and 90 % quantile. Numbers that are not finite are the texts of
        `json_value`, "-inf" for a gradient of exactly zero.
    """
    total = results.sizes["record"]
    kept = np.unique(np.linspace(0, total - 1, min(total, MOST_RECORDS)).round().astype(int))
    return {
        "epochs": results["epoch"].values[kept].tolist(),
        "arms": [
            {"name": arm, "n": int(results["completed"].sel(arm=arm).sum()), "series": _series(results, arm, kept)}
            for arm in arm_names(results)
        ],
    }


def _series(results: "xarray.Dataset", arm: str, kept: np.ndarray) -> list[dict[str, Any]]:
    runs = completed_seeds(results, arm)
    gradients = seed_quantiles(gradients_of(results, arm).isel(record=kept), QUANTILES)
    series = [
        _series_of(gradients[..., layer], f"gradient of layer {layer}", "log10 RMS")
        for layer in range(gradients.shape[-1])
    ]
    for kind in ("train", "test"):
        accuracy = seed_quantiles(runs[f"{kind}_accuracy"].isel(record=kept), QUANTILES)
        series.append(_series_of(accuracy, f"{kind} accuracy", "share"))
    return series


def _series_of(quantiles: np.ndarray, label: str, unit: str) -> dict[str, Any]:
    rounded = [[round(value, 3) for value in line] for line in quantiles.astype(float).tolist()]
    return {"label": label, "unit": unit, "values": json_value(rounded)}
