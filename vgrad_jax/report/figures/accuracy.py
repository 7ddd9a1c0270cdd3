"""Accuracy over epochs."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from vgrad_jax.report.figures.style import BAND, BLUE, ORANGE, new_figure, panels_of
from vgrad_jax.results.reading import arm_names, completed_seeds
from vgrad_jax.statistics.streaming import record_slices
from vgrad_jax.wording import literal

if TYPE_CHECKING:
    import xarray
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


__all__ = ["accuracy_bands", "accuracy_curves"]


def accuracy_bands(results: "xarray.Dataset") -> "Figure":
    """Training accuracy over epochs: median, central 50 % and 90 % of seeds, and one seed alone."""
    arms = arm_names(results)
    figure, panels = panels_of(arms, "training accuracy", "epoch")
    for arm, axes in zip(arms, panels, strict=True):
        _draw_accuracy(axes, completed_seeds(results, arm))
    panels[0].legend(loc="upper left", fontsize=7, frameon=False)
    return figure


def accuracy_curves(epoch: Sequence[int], train: Sequence[float], test: Sequence[float], title: str) -> "Figure":
    """One run's accuracy over epochs: the article's own figure."""
    figure = new_figure(6, 3.6)
    axes = figure.subplots()
    axes.plot(epoch, train, color=BLUE, label="train")
    axes.plot(epoch, test, "--", color=ORANGE, label="test")
    axes.set(xlabel="epoch", ylabel="accuracy", title=literal(title))
    axes.legend(frameon=False)
    return figure


def _draw_accuracy(axes: "Axes", runs: "xarray.Dataset") -> None:
    epoch, accuracy = runs["epoch"].values, runs["train_accuracy"]
    shares = [0, 0.05, 0.25, 0.5, 0.75, 0.95]
    quantiles = [np.quantile(values, shares, axis=0) for values in record_slices(accuracy)]
    least, low, lower, middle, upper, high = np.concatenate(quantiles, axis=1)
    axes.fill_between(epoch, low, high, color=BLUE, alpha=BAND, linewidth=0, label="central 90 %")
    axes.fill_between(epoch, lower, upper, color=BLUE, alpha=BAND + 0.1, linewidth=0, label="central 50 %")
    axes.plot(epoch, middle, color=BLUE, label="median")
    first = int(runs["seed"].values[0])
    axes.plot(epoch, accuracy[0].values, ":", color=ORANGE, linewidth=1.2, label=f"seed {first} alone")
    axes.set_ylim(min(0.4, float(least.min()) - 0.02), 1)
    axes.text(0.97, 0.05, f"n = {len(accuracy)}", transform=axes.transAxes, ha="right", fontsize=7)
