"""The article's evidence as a distribution: the distance of the first layer's weights from their start."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from vgrad_jax.report.figures.style import BAND, BLUE, ORANGE, one_legend, panels_of
from vgrad_jax.statistics.bands import WeightBand

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["first_layer_paths"]


def first_layer_paths(bands: Mapping[str, WeightBand]) -> "Figure":
    """Draw the distance of the first layer's weights from initialisation over epochs, a panel for each arm."""
    label = "mean absolute change of the first layer's weights\nfrom initialisation"
    figure, panels = panels_of(list(bands), label, "epoch")
    for band, axes in zip(bands.values(), panels, strict=True):
        low, lower, middle, upper, high = band.quantiles
        axes.fill_between(band.epochs, low, high, color=BLUE, alpha=BAND, linewidth=0, label="central 90 %")
        axes.fill_between(band.epochs, lower, upper, color=BLUE, alpha=BAND + 0.1, linewidth=0, label="central 50 %")
        axes.plot(band.epochs, middle, "o-", color=BLUE, markersize=3, label="median")
        axes.plot(band.epochs, band.single, ":", color=ORANGE, linewidth=1.2, label="the first seed alone")
        note = f"n = {band.n}" + (f", {band.lost} of them not finite at the end" if band.lost else "")
        axes.text(0.97, 0.05, note, transform=axes.transAxes, ha="right", fontsize=7)
    one_legend(figure, panels)
    return figure
