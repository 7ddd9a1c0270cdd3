"""The article's evidence as a distribution: where the first layer's weights go."""

from typing import TYPE_CHECKING

import numpy as np

from vgrad_jax.report.figures.style import BAND, BLUE, ORANGE, arm_names, panels_of
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
        low, lower, middle, upper, high = np.nanquantile(distance, [0.05, 0.25, 0.5, 0.75, 0.95], axis=0)
        axes.fill_between(epochs, low, high, color=BLUE, alpha=BAND, linewidth=0, label="central 90 %")
        axes.fill_between(epochs, lower, upper, color=BLUE, alpha=BAND + 0.1, linewidth=0, label="central 50 %")
        axes.plot(epochs, middle, "o-", color=BLUE, markersize=3, label="median")
        axes.plot(epochs, distance[0], ":", color=ORANGE, linewidth=1.2, label="the first seed alone")
        axes.text(0.97, 0.05, f"n = {len(distance)}", transform=axes.transAxes, ha="right", fontsize=7)
    panels[0].legend(loc="upper left", fontsize=6, frameon=False)
    return figure
