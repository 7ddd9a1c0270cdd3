"""Sizes of gradients: by layer, and by layer and time."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from vgrad_jax.report.figures.style import (
    BAND,
    BLUE,
    GREEN,
    ORANGE,
    gradients_of,
    new_figure,
    one_legend,
    panels_of,
)
from vgrad_jax.report.predictions import predictions
from vgrad_jax.results.reading import arm_names
from vgrad_jax.statistics.streaming import quantile, seed_quantiles
from vgrad_jax.theory.prediction import Prediction
from vgrad_jax.wording import literal

if TYPE_CHECKING:
    import xarray
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


__all__ = ["gradient_heatmap", "gradient_profiles"]

SHOWN_QUANTILES = (0.1, 0.5, 0.9)
ARMS_IN_A_ROW = 7


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
    """Depth against time: the gradient's 10 %, 50 % and 90 % quantile over seeds, hatched where it is exactly zero."""
    arms = arm_names(results)
    shown = {arm: seed_quantiles(gradients_of(results, arm), SHOWN_QUANTILES) for arm in arms}
    finite = np.concatenate([values[np.isfinite(values)] for values in shown.values()])
    low, high = (math.floor(finite.min()), math.floor(finite.max()) + 1) if len(finite) else (-1, 0)
    columns = min(len(arms), ARMS_IN_A_ROW)
    blocks = math.ceil(len(arms) / columns)
    lines = len(SHOWN_QUANTILES)
    figure = new_figure(1.55 * columns + 1.5, (1.25 * lines + 0.4) * blocks + 0.4)
    grid = figure.subplots(lines * blocks, columns, squeeze=False, sharex=True)
    used = []
    image = None
    for place in range(blocks * columns):
        for line, share in enumerate(SHOWN_QUANTILES):
            axes = grid[place // columns * lines + line, place % columns]
            if place >= len(arms):
                axes.remove()
                continue
            used.append(axes)
            image = _draw_heatmap(axes, shown[arms[place]][line], results["epoch"].values, low, high)
            if not line:
                axes.set_title(literal(arms[place]), fontsize=8)
            if not place % columns:
                axes.set_ylabel(f"{share:.0%} of seeds\nare below", fontsize=7)
    if image is not None:
        figure.colorbar(image, ax=used, label="gradient, log10 RMS", shrink=0.8)
    figure.supxlabel("epoch", fontsize=9)
    figure.supylabel("layer (0 is the input side)", fontsize=9)
    figure.text(0.01, -0.02, "hatched: exactly zero, or not finite in any seed", fontsize=8)
    return figure


def _draw_heatmap(axes: "Axes", values: np.ndarray, epoch: np.ndarray, low: float, high: float) -> Any:
    axes.set_facecolor("white")
    axes.patch.set(hatch="xxx", edgecolor="#999999")
    axes.tick_params(labelsize=7)
    layers = values.shape[1]
    axes.set_yticks(range(0, layers, math.ceil(layers / 8)))
    return axes.imshow(
        np.ma.masked_invalid(values.T),
        aspect="auto",
        extent=(epoch[0], epoch[-1], layers - 0.5, -0.5),
        vmin=low,
        vmax=high,
        cmap="viridis",
        interpolation="none",
    )


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
        text = literal(f"theory {prediction.why_not}", longest=None)
        axes.text(0.03, 0.94, text, transform=axes.transAxes, fontsize=6, color=GREEN, wrap=True)
