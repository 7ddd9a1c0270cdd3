"""Sizes of gradients: by layer, and by layer and time."""

import math
from typing import TYPE_CHECKING

import numpy as np

from vgrad_jax.report.figures.style import (
    BAND,
    BLUE,
    GREEN,
    ORANGE,
    arm_names,
    gradients_of,
    one_legend,
    panels_of,
    quantile,
)
from vgrad_jax.report.predictions import predictions
from vgrad_jax.statistics.streaming import record_slices
from vgrad_jax.theory.prediction import Prediction

if TYPE_CHECKING:
    import xarray
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


__all__ = ["gradient_heatmap", "gradient_profiles"]


def gradient_profiles(results: "xarray.Dataset") -> "Figure":
    """Size of the gradient by layer, first and last: median and central 90 % of seeds; and what theory predicts."""
    arms, predicted = arm_names(results), predictions(results)
    ends = {arm: [gradients_of(results, arm).isel(record=record).values for record in (0, -1)] for arm in arms}
    floor = min((float(end[np.isfinite(end)].min(initial=0.0)) for pair in ends.values() for end in pair), default=0.0)
    figure, panels = panels_of(arms, "gradient, log10 RMS", "layer (0 is the input side)")
    for arm, axes in zip(arms, panels, strict=True):
        for end, colour, dash, label in zip(
            ends[arm], (BLUE, ORANGE), ("o-", "s--"), ("initialisation", "last epoch"), strict=True
        ):
            _draw_profile(axes, end, floor, colour, dash, label)
        _draw_prediction(axes, predicted[arm])
        axes.locator_params(axis="x", integer=True)
    one_legend(figure, panels)
    return figure


def gradient_heatmap(results: "xarray.Dataset") -> "Figure":
    """Depth against time: the median gradient over seeds, hatched where most seeds have none at all."""
    arms = arm_names(results)
    medians = {
        arm: np.concatenate([quantile(values, 0.5) for values in record_slices(gradients_of(results, arm))])
        for arm in arms
    }
    finite = np.concatenate([values[np.isfinite(values)] for values in medians.values()])
    low, high = (math.floor(finite.min()), math.floor(finite.max()) + 1) if len(finite) else (-1, 0)
    figure, panels = panels_of(arms, "layer (0 is the input side)", "epoch", share_y=False)
    epoch = results["epoch"].values
    image = None
    for arm, axes in zip(arms, panels, strict=True):
        values = medians[arm]
        extent = (epoch[0], epoch[-1], values.shape[1] - 0.5, -0.5)
        axes.set_facecolor("white")
        axes.patch.set(hatch="xxx", edgecolor="#999999")
        shown = np.ma.masked_invalid(values.T)
        image = axes.imshow(
            shown, aspect="auto", extent=extent, vmin=low, vmax=high, cmap="viridis", interpolation="none"
        )
        axes.set_yticks(range(values.shape[1]))
    if image is not None:
        figure.colorbar(image, ax=panels, label="gradient, log10 RMS (median over seeds)", shrink=0.8)
    figure.text(0.01, -0.02, "hatched: exactly zero in most seeds, or not finite in any", fontsize=8)
    return figure


def _draw_profile(axes: "Axes", values: np.ndarray, floor: float, colour: str, dash: str, label: str) -> None:
    low, middle, high = (quantile(values, share) for share in (0.05, 0.5, 0.95))
    layers = np.arange(values.shape[1])
    # A band that reaches exactly zero goes down as far as anything drawn.
    low = np.where(np.isneginf(low), floor, low)
    axes.fill_between(layers, low, high, where=np.isfinite(high), color=colour, alpha=BAND, linewidth=0)
    axes.plot(layers, np.where(np.isfinite(middle), middle, np.nan), dash, color=colour, markersize=4, label=label)
    zero = np.isneginf(values).any(axis=1).mean()
    if zero:
        place = 0.12 if label == "initialisation" else 0.03
        text = f"{label}: {zero:.0%} of seeds with a zero layer"
        axes.text(0.03, place, text, transform=axes.transAxes, fontsize=6, color=colour)


def _draw_prediction(axes: "Axes", prediction: Prediction) -> None:
    if prediction.log10_rms is not None:
        label = "initialisation, predicted root mean square"
        axes.plot(prediction.log10_rms, "D--", color=GREEN, markersize=3, linewidth=1.2, label=label)
    else:
        text = f"theory {prediction.why_not}"
        axes.text(0.03, 0.94, text, transform=axes.transAxes, fontsize=6, color=GREEN, wrap=True)
