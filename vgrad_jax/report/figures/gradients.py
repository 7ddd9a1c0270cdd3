"""Sizes of gradients: by layer, and by layer and time."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from vgrad_jax.report.figures.style import (
    BAND,
    BLUE,
    GREEN,
    ORANGE,
    is_narrow,
    new_figure,
    one_legend,
    panels_of,
)
from vgrad_jax.results.reading import Axis
from vgrad_jax.statistics.bands import HEATMAP_SHARES, GradientProfile
from vgrad_jax.theory.prediction import Prediction
from vgrad_jax.wording import literal

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


__all__ = ["ARMS_IN_A_ROW", "gradient_heatmap", "gradient_profiles"]

ARMS_IN_A_ROW = 7
"""Most heat maps beside each other; more arms have the median over seeds alone."""
MEDIAN = 0.5
LONGEST_TITLE = 26
"""Characters above a narrow panel."""
ENDS = (("initialisation", BLUE, "o-", 0.12), ("last epoch", ORANGE, "s--", 0.03))
"""Label, colour, dash and height of the note, of the first and the last record."""


def gradient_profiles(
    profiles: Mapping[str, tuple[GradientProfile, GradientProfile]], predictions: Mapping[str, Prediction]
) -> "Figure":
    """Draw the gradient by layer, a panel for each arm: median and central 90 % of seeds, and theory's prediction.

    Args:
        profiles: arm name to the profiles at initialisation and after the last epoch.
        predictions: arm name to the prediction at initialisation.
    """
    floor = min((end.smallest for ends in profiles.values() for end in ends), default=0.0)
    figure, panels = panels_of(list(profiles), "gradient, log10 RMS", "layer (0 is the input side)")
    for (arm, ends), axes in zip(profiles.items(), panels, strict=True):
        for profile, (label, colour, dash, height) in zip(ends, ENDS, strict=True):
            _draw_profile(axes, profile, floor, colour, dash, label)
            if profile.zero_share:
                text = f"{label}: {profile.zero_share:.0%} of seeds with a zero layer"
                axes.text(0.03, height, text, transform=axes.transAxes, fontsize=6, color=colour)
        if arm in predictions:
            _draw_prediction(axes, predictions[arm])
        axes.locator_params(axis="x", integer=True)
    one_legend(figure, panels)
    return figure


def gradient_heatmap(
    quantiles: Mapping[str, Float[np.ndarray, "3 record layer"]], labels: Mapping[str, Axis]
) -> "Figure":
    """Draw the gradient by layer and epoch, a column for each arm and a row for each quantile.

    Zero is hatched. More than `ARMS_IN_A_ROW` arms have the median alone.

    Args:
        quantiles: arm name to the quantiles `HEATMAP_SHARES` over seeds.
        labels: arm name to the labels of its records, such as epochs.
    """
    arms = list(quantiles)
    finite = np.concatenate([values[np.isfinite(values)] for values in quantiles.values()])
    limits = (math.floor(finite.min()), math.floor(finite.max()) + 1) if len(finite) else (-1, 0)
    columns = min(len(arms), 2 if is_narrow() else ARMS_IN_A_ROW)
    blocks = math.ceil(len(arms) / columns)
    shares = HEATMAP_SHARES if len(arms) <= ARMS_IN_A_ROW else (MEDIAN,)
    lines = len(shares)
    figure = new_figure(1.55 * columns + 1.5, (1.25 * lines + 0.4) * blocks + 0.4)
    grid = figure.subplots(
        lines * blocks, columns, squeeze=False, sharex=len({tuple(axis.values) for axis in labels.values()}) == 1
    )
    used = []
    image = None
    for index in range(blocks * columns):
        for line, share in enumerate(shares):
            axes = grid[index // columns * lines + line, index % columns]
            if index >= len(arms):
                axes.remove()
                continue
            used.append(axes)
            image = _draw_heatmap(
                axes, quantiles[arms[index]][HEATMAP_SHARES.index(share)], labels[arms[index]].values, limits
            )
            if not line:
                size = 8 if len(arms[index]) <= LONGEST_TITLE // 2 else 6
                axes.set_title(literal(arms[index], LONGEST_TITLE), fontsize=size, y=1.0)
            if not index % columns:
                axes.set_ylabel(f"{share:.0%} of seeds\nare below", fontsize=7)
    if image is not None:
        figure.colorbar(image, ax=used, label="gradient, log10 RMS", shrink=0.8)
    figure.supxlabel(" or ".join(dict.fromkeys(axis.name for axis in labels.values())), fontsize=9)
    figure.supylabel("layer (0 is the input side)", fontsize=9)
    figure.text(0.01, -0.02, "hatched: exactly zero, or not finite in any seed", fontsize=8)
    return figure


def _draw_heatmap(axes: "Axes", values: np.ndarray, epochs: np.ndarray, limits: tuple[float, float]) -> Any:
    axes.set_facecolor("white")
    axes.patch.set(hatch="xxx", edgecolor="#999999")
    axes.tick_params(labelsize=7)
    layers = values.shape[1]
    axes.set_yticks(range(0, layers, math.ceil(layers / 8)))
    return axes.imshow(
        np.ma.masked_invalid(values.T),
        aspect="auto",
        extent=(epochs[0], epochs[-1] if len(epochs) > 1 else epochs[0] + 1, layers - 0.5, -0.5),
        vmin=limits[0],
        vmax=limits[1],
        cmap="viridis",
        interpolation="none",
    )


def _draw_profile(axes: "Axes", profile: GradientProfile, floor: float, colour: str, dash: str, label: str) -> None:
    low, middle, high = profile.quantiles
    layers = np.arange(len(middle))
    # A band that reaches exactly zero goes down as far as anything drawn.
    low = np.where(np.isneginf(low), floor, low)
    axes.fill_between(layers, low, high, where=np.isfinite(high), color=colour, alpha=BAND, linewidth=0)
    axes.plot(layers, np.where(np.isfinite(middle), middle, np.nan), dash, color=colour, markersize=4, label=label)


def _draw_prediction(axes: "Axes", prediction: Prediction) -> None:
    if prediction.log10_rms is not None:
        label = "initialisation, predicted root mean square"
        axes.plot(prediction.log10_rms, "D--", color=GREEN, markersize=3, linewidth=1.2, label=label)
    else:
        text = literal(f"theory {prediction.why_not}", longest=None)
        axes.text(0.03, 0.94, text, transform=axes.transAxes, fontsize=6, color=GREEN, wrap=True)
