"""Accuracy over epochs."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from vgrad_jax.report.figures.style import BAND, BLUE, ORANGE, new_figure, one_legend, panels_of
from vgrad_jax.statistics.bands import AccuracyBand
from vgrad_jax.wording import literal

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


__all__ = ["accuracy_bands", "accuracy_curves"]


def accuracy_bands(bands: Mapping[str, AccuracyBand]) -> "Figure":
    """Draw training accuracy over epochs, a panel for each arm: median, central 50 % and 90 %, and a single seed."""
    figure, panels = panels_of(list(bands), "training accuracy", "epoch")
    for band, axes in zip(bands.values(), panels, strict=True):
        _draw_band(axes, band)
    one_legend(figure, panels)
    return figure


def accuracy_curves(epoch: Sequence[int], train: Sequence[float], test: Sequence[float], title: str) -> "Figure":
    """Draw the accuracy of a single run over epochs: the article's own figure."""
    figure = new_figure(6, 3.6)
    axes = figure.subplots()
    axes.plot(epoch, train, color=BLUE, label="train")
    axes.plot(epoch, test, "--", color=ORANGE, label="test")
    axes.set(xlabel="epoch", ylabel="accuracy", title=literal(title))
    axes.legend(frameon=False)
    return figure


def _draw_band(axes: "Axes", band: AccuracyBand) -> None:
    least, low, lower, middle, upper, high = band.quantiles
    axes.fill_between(band.epochs, low, high, color=BLUE, alpha=BAND, linewidth=0, label="central 90 %")
    axes.fill_between(band.epochs, lower, upper, color=BLUE, alpha=BAND + 0.1, linewidth=0, label="central 50 %")
    axes.plot(band.epochs, middle, color=BLUE, label="median")
    axes.plot(band.epochs, band.single, ":", color=ORANGE, linewidth=1.2, label=f"seed {band.seed} alone")
    axes.set_ylim(min(0.4, float(least.min()) - 0.02), 1)
    axes.text(0.97, 0.05, f"n = {band.n}", transform=axes.transAxes, ha="right", fontsize=7)
