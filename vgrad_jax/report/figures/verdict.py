"""Evidence of a verdict on one record: the loss over the steps, and sizes by layer."""

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int

from vgrad_jax.numerics import lower_median, lower_quantile
from vgrad_jax.report.figures.style import BAND, BLUE, GREEN, GREY, ORANGE, is_narrow, legend_beside, new_figure
from vgrad_jax.wording import literal

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["layer_sizes", "loss_course"]

MOST_LINES = 32
"""Most seeds that have a line of their own."""
LOG_RANGE = 30.0
"""Largest over smallest loss from which the axis is logarithmic."""
MOST_NAMES = 40
"""Names of layers that an axis has room for."""
USUAL_UPDATE = (-4.0, -2.0)
"""log10 of update over weights that usual trainings have."""


def loss_course(
    steps: Int[np.ndarray, " record"],
    loss: Float[np.ndarray, "seed record"],
    late: int,
    chance: float | None = None,
    first_break: int | None = None,
) -> "Figure":
    """Draw the loss of every seed and their median, with the steps that the verdict compares.

    Args:
        steps: updates done before each record.
        loss: NaN where it is missing.
        late: index of the first record of the late window.
        chance: loss of the best constant prediction.
        first_break: first step with a number that was not finite.
    """
    figure = new_figure(8, 3.2)
    axes = figure.subplots()
    known = np.where(np.isfinite(loss), loss, np.nan)
    for own in known[:MOST_LINES]:
        axes.plot(steps, own, color=BLUE, alpha=0.3 if len(known) > 1 else 1.0, linewidth=0.8)
    if len(known) > 1:
        axes.plot(steps, lower_median(known, skip_nan=True), color=BLUE, label="median over seeds")
    axes.axvspan(steps[late], steps[-1], color=GREY, alpha=0.12, label="latest quarter of the records")
    if chance is not None:
        axes.axhline(chance, color=GREEN, linestyle="--", label="best constant prediction")
    if first_break is not None:
        axes.axvline(first_break, color=ORANGE, linestyle=":", label="first number that is not finite")
    positive = known[np.isfinite(known)]
    if positive.size and positive.min() > 0 and positive.max() > LOG_RANGE * positive.min():
        axes.set_yscale("log")
    axes.set(xlabel="step", ylabel="loss")
    axes.legend(fontsize=8, frameon=False)
    return figure


def layer_sizes(
    paths: tuple[str, ...],
    first: Float[np.ndarray, "seed layer"],
    late: Float[np.ndarray, "seed layer"],
    updates: Float[np.ndarray, "seed layer"] | None,
) -> "Figure":
    """Draw the gradient by layer at the first record and at the end, and updates over weights below.

    A line is the median over the seeds, its band their central 90 %. A cross marks a gradient of exactly zero.

    Args:
        paths: names of the layers, input side first.
        first: log10 RMS of the gradient at the first record.
        late: the same in the latest quarter of the records.
        updates: log10 of update over weights in the latest quarter; None where it was not recorded.
    """
    figure = new_figure(max(6.0, min(14.0, 0.32 * len(paths) + 3)), 3.4 + 1.6 * (updates is not None))
    panels = figure.subplots(1 if updates is None else 2, 1, sharex=True, squeeze=False)[:, 0]
    for values, label, colour, dash in ((first, "first record", BLUE, "o-"), (late, "at the end", ORANGE, "s--")):
        _draw(panels[0], values, label, colour, dash)
    panels[0].set_ylabel("gradient, log10 RMS")
    if updates is not None:
        _draw(panels[1], updates, "at the end", ORANGE, "s--")
        panels[1].axhspan(*USUAL_UPDATE, color=GREEN, alpha=0.1, label="usual")
        panels[1].set_ylabel("update / weights,\nlog10")
    every = -(-len(paths) // (MOST_NAMES // 2 if is_narrow() else MOST_NAMES))
    ticks = range(0, len(paths), every)
    panels[-1].set_xticks(ticks, [literal(path) for path in paths[::every]], rotation=90, fontsize=7)
    panels[-1].set_xlabel("layer (input side on the left)")
    for axes in panels[:1] if is_narrow() else panels:
        legend_beside(axes)
    return figure


def _draw(axes: "Axes", values: Float[np.ndarray, "seed layer"], label: str, colour: str, dash: str) -> None:
    layers = np.arange(values.shape[-1])
    known = np.where(np.isfinite(values), values, np.nan)
    if np.isfinite(known).any():
        low, middle, high = (lower_quantile(known, share, skip_nan=True) for share in (0.05, 0.5, 0.95))
        axes.plot(layers, middle, dash, color=colour, markersize=4, linewidth=1.2, label=label)
        axes.fill_between(layers, low, high, color=colour, alpha=BAND, linewidth=0)
    zero = np.isneginf(lower_median(values))
    if zero.any():
        bottom = np.full(zero.sum(), axes.get_ylim()[0])
        axes.plot(layers[zero], bottom, "x", color=colour, label=f"exactly zero, {label}", clip_on=False)
