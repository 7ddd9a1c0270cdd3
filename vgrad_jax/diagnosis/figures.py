"""Figures of checks before training: sizes and states of units by layer, and sizes against the width."""

from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from vgrad_jax.gradients.look import ACTIVATIONS, SMOOTH_ACTIVATIONS, Look
from vgrad_jax.numerics import lower_median, lower_quantile
from vgrad_jax.wording import literal

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from vgrad_jax.theory.prediction import Prediction

__all__ = ["check_profile", "width_lines"]

BLUE, ORANGE, GREEN = "#0072B2", "#D55E00", "#009E73"
MOST_NAMES = 40
"""Names of layers that an axis has room for."""


def check_profile(
    look: Look,
    status: str,
    measured: Float[np.ndarray, " layer"],
    prediction: "Prediction | None" = None,
) -> "Figure":
    """Draw, from the input on, log10 RMS of gradient and preactivations above the shares of units that are off.

    A line is the median over the seeds, its band their central 90 %. A cross marks a layer that has no gradient in
    most seeds.

    Args:
        look: the numbers, with a leading axis of seeds.
        status: the verdict, for the title.
        measured: the gradient's log10 RMS over the seeds, which a prediction is compared with.
        prediction: drawn beside `measured`; a prediction without numbers is drawn as its reason.
    """
    from matplotlib.figure import Figure

    layers = np.arange(len(look.stats.paths))
    figure = Figure(figsize=(max(6, min(14, 0.32 * len(layers) + 3)), 5), layout="constrained", dpi=110)
    sizes, shares = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    gradient = np.asarray(look.stats.log10_rms, np.float64)
    _draw_band(sizes, gradient, BLUE, "o-", "gradient")
    _draw_band(sizes, look.by_layer("log10_rms", ("product",)), ORANGE, "s--", "preactivations")
    if prediction is not None:
        _draw_prediction(sizes, measured, prediction)
    zero = np.isneginf(lower_median(gradient))
    if zero.any():
        bottom = np.full(zero.sum(), sizes.get_ylim()[0])
        sizes.plot(layers[zero], bottom, "x", color=BLUE, label="gradient exactly zero")
    sizes.set(ylabel="log10 RMS", title=f"{status}, at initialisation, n = {len(gradient)} seeds")
    _draw_band(
        shares, look.by_layer("off_fraction", SMOOTH_ACTIVATIONS), ORANGE, "s-", "saturated (tanh, logistic, softmax)"
    )
    _draw_band(shares, look.by_layer("off_fraction", ("relu",)), BLUE, "o--", "zero (ReLU)")
    stuck = look.by_layer("stuck_fraction", ACTIVATIONS)
    _draw_band(shares, stuck, GREEN, "^:", "units off for every example")
    shares.set(ylim=(-0.03, 1.03), ylabel="share of units", xlabel="layer (input side on the left)")
    every = -(-len(layers) // MOST_NAMES)
    shares.set_xticks(layers[::every], [literal(path) for path in look.stats.paths[::every]], rotation=90, fontsize=7)
    for axes in (sizes, shares):
        if axes.get_legend_handles_labels()[0]:
            axes.legend(fontsize=7, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def _draw_prediction(axes: "Axes", measured: Float[np.ndarray, " layer"], prediction: "Prediction") -> None:
    """Draw the predicted sizes beside the measured ones, or the reason why there is no prediction."""
    if prediction.log10_rms is None:
        text = literal(f"theory {prediction.why_not}", longest=None)
        axes.text(0.02, 0.02, text, transform=axes.transAxes, fontsize=6, color=GREEN, wrap=True)
        return
    layers = np.arange(len(measured))
    known = np.where(np.isfinite(measured), measured, np.nan)
    axes.plot(layers, known, ".", color=BLUE, markersize=8, label="gradient, RMS over seeds")
    axes.plot(layers, prediction.log10_rms, "D--", color=GREEN, markersize=4, label="the same, predicted")


def _draw_band(axes: Any, values: Float[np.ndarray, "seed layer"], colour: str, dash: str, label: str) -> None:
    """Draw the median and the central 90 % over the seeds that have a number; nothing where no layer has a number."""
    layers = np.arange(values.shape[-1])
    known = np.where(np.isfinite(values), values, np.nan)
    shown = np.isfinite(known).any(axis=0)
    if not shown.any():
        return
    low, middle, high = (lower_quantile(known, share, skip_nan=True) for share in (0.05, 0.5, 0.95))
    axes.plot(layers[shown], middle[shown], dash, color=colour, markersize=4, linewidth=1.2, label=label)
    axes.fill_between(layers, low, high, where=shown, color=colour, alpha=0.2, linewidth=0)


def width_lines(
    paths: tuple[str, ...],
    widths: tuple[int, ...],
    first: Float[np.ndarray, "width seed layer"],
    late: Float[np.ndarray, "width seed layer"],
    steps: int,
) -> "Figure":
    """Draw log10 RMS of preactivations against the width, a line for each layer: median over the seeds.

    Args:
        paths: names of the layers, input side first.
        widths: of the networks.
        first: sizes at initialisation.
        late: sizes after the updates.
        steps: number of updates, for the title.
    """
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained", dpi=110)
    panels = figure.subplots(1, 2, sharex=True, sharey=True)
    titles = ("at initialisation", f"after {steps} updates")
    colours = colormaps["viridis"](np.linspace(0, 0.9, len(paths)))
    for axes, sizes, title in zip(panels, (first, late), titles, strict=True):
        for layer, (path, colour) in enumerate(zip(paths, colours, strict=True)):
            middle = lower_median(sizes[:, :, layer], axis=1)
            if np.isfinite(middle).any():
                axes.plot(widths, middle, "o-", color=colour, markersize=4, linewidth=1.2, label=literal(path))
        axes.set_xscale("log", base=2)
        axes.set_xticks(widths, [str(width) for width in widths])
        axes.minorticks_off()
        axes.set(title=title, xlabel="width")
    panels[0].set_ylabel("preactivations, log10 RMS")
    if len(paths) <= MOST_NAMES // 2:
        panels[1].legend(fontsize=7, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5), title="layer")
    return figure
