"""The article's evidence as a distribution: where the first layer's weights go."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from vgrad_jax.report.figures.style import BAND, BLUE, ORANGE, panels_of
from vgrad_jax.results.reading import arm_names
from vgrad_jax.statistics.published import weight_paths

if TYPE_CHECKING:
    import xarray
    from matplotlib.figure import Figure

__all__ = ["first_layer_paths"]


def first_layer_paths(results: "xarray.Dataset") -> "Figure | None":
    """How far the first layer's weights are from where they began; None where they were kept fewer than three times."""
    paths = {arm: weight_paths(results, arm) for arm in arm_names(results)}
    kept = {arm: path for arm, path in paths.items() if path is not None}
    if not kept:
        return None
    label = "mean absolute change of the first layer's weights\nfrom initialisation"
    figure, panels = panels_of(list(kept), label, "epoch")
    for (epochs, distance), axes in zip(kept.values(), panels, strict=True):
        low, lower, middle, upper, high = _finite_quantiles(distance, [0.05, 0.25, 0.5, 0.75, 0.95])
        axes.fill_between(epochs, low, high, color=BLUE, alpha=BAND, linewidth=0, label="central 90 %")
        axes.fill_between(epochs, lower, upper, color=BLUE, alpha=BAND + 0.1, linewidth=0, label="central 50 %")
        axes.plot(epochs, middle, "o-", color=BLUE, markersize=3, label="median")
        first = np.where(np.isfinite(distance[0]), distance[0], np.nan)
        axes.plot(epochs, first, ":", color=ORANGE, linewidth=1.2, label="the first seed alone")
        lost = int((~np.isfinite(distance)).any(axis=1).sum())
        note = f"n = {len(distance)}" + (f", {lost} of them not finite at the end" if lost else "")
        axes.text(0.97, 0.05, note, transform=axes.transAxes, ha="right", fontsize=7)
    panels[0].legend(loc="upper left", fontsize=6, frameon=False)
    return figure


def _finite_quantiles(values: np.ndarray, shares: Sequence[float]) -> np.ndarray:
    """`(share, kept)` over the seeds that are finite there; NaN where none is."""
    columns = [column[np.isfinite(column)] for column in values.T]
    return np.stack([np.quantile(c, shares) if len(c) else np.full(len(shares), np.nan) for c in columns], axis=1)
