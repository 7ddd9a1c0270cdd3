"""Figure of a record: layers against steps, as a heat map."""

from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Int

from vgrad_jax.numerics import lower_median
from vgrad_jax.wording import literal

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["record_heatmap", "worst_first"]

LOSS_COLOUR = "#0072B2"
MOST_NAMES = 40
"""Names of layers that an axis has room for."""
DPI = 110


def record_heatmap(
    name: str,
    paths: tuple[str, ...],
    steps: Int[np.ndarray, " record"],
    sizes: Float[np.ndarray, "record layer"],
    loss: Float[np.ndarray, " record"],
) -> "Figure":
    """Draw layers against steps, with the layers that stand out most on top and the loss below.

    The colour is log10 RMS. A cell that is exactly zero is hatched, a cell that is not finite is black.

    Args:
        name: the recorder's name, for the title.
        paths: names of the layers, input side first.
        steps: updates done before each record was taken.
        sizes: log10 of the root mean square.
        loss: NaN where it was not recorded.
    """
    from matplotlib.figure import Figure

    if not len(steps):
        figure = Figure(figsize=(8, 1.3), layout="constrained", dpi=DPI)
        text = f"{literal(name)}: nothing recorded yet"
        figure.text(0.5, 0.5, text, ha="center", va="center", fontsize=9)
        return figure
    order = worst_first(sizes)
    with_loss = bool(np.isfinite(loss).any())
    height = 1.3 + 0.2 * min(len(order), MOST_NAMES)
    figure = Figure(figsize=(8, height + 1.2 * with_loss), layout="constrained", dpi=DPI)
    if with_loss:
        axes, below = figure.subplots(2, 1, sharex=True, height_ratios=(height - 0.6, 1.2))
        below.plot(steps, loss, color=LOSS_COLOUR)
        below.set(ylabel="loss", xlabel="step")
    else:
        axes = figure.subplots()
        axes.set_xlabel("step")
    _name_rows(axes, [f"{literal(paths[layer])}  [{layer}]" for layer in order])
    axes.set_title(f"{literal(name)}: log10 RMS, worst layer on top ([n] is the depth)", fontsize=9)
    image, notes = _fill_cells(axes, _edges(steps), sizes[:, order].T)
    figure.colorbar(image, ax=axes, label="log10 RMS")
    if notes:
        figure.supxlabel("; ".join(notes), fontsize=8, x=0.02, ha="left")
    return figure


def _fill_cells(
    axes: "Axes", edges: Float[np.ndarray, " edge"], cells: Float[np.ndarray, "row record"]
) -> tuple[Any, list[str]]:
    """Draw the cells and return the coloured mesh and the notes on cells without a colour."""
    finite = cells[np.isfinite(cells)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (-1.0, 0.0)
    if high - low < 1:
        low, high = (low + high) / 2 - 0.5, (low + high) / 2 + 0.5
    rows = np.arange(len(cells) + 1) - 0.5
    axes.patch.set(facecolor="white", hatch="xxx", edgecolor="#999999")
    image = axes.pcolormesh(edges, rows, np.ma.masked_invalid(cells), vmin=low, vmax=high, cmap="viridis")
    broken = np.isnan(cells) | np.isposinf(cells)
    axes.pcolormesh(edges, rows, np.ma.masked_where(~broken, np.ones_like(cells)), cmap="gray", vmin=1, vmax=2)
    marks = ((np.isneginf(cells), "hatched: exactly zero"), (broken, "black: not finite"))
    return image, [note for mark, note in marks if mark.any()]


def _name_rows(axes: "Axes", labels: list[str]) -> None:
    """Put names on the rows, every second, third, ... where there are many; row 0 is on top."""
    every = -(-len(labels) // MOST_NAMES)
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.set_yticks(range(0, len(labels), every), labels[::every], fontsize=7)


def worst_first(sizes: Float[np.ndarray, "record layer"]) -> Int[np.ndarray, " layer"]:
    """Return the layers' indices in the order of how much they stand out in the last quarter of the records.

    Layers that are not finite come first, then layers that are exactly zero. The others follow by the distance of
    log10 RMS from the layers' median.

    Args:
        sizes: log10 of the root mean square.

    >>> worst_first(np.array([[-3.0, -9.0, -np.inf, -2.5, np.nan]])).tolist()
    [4, 2, 1, 3, 0]
    """
    window = sizes[-max(1, len(sizes) // 4) :]
    level = lower_median(window)
    broken = (np.isnan(window) | np.isposinf(window)).any(axis=0)
    zero = np.isneginf(level) & ~broken
    usual = level[~broken & ~zero]
    centre = np.median(usual) if usual.size else 0.0
    distance = np.abs(np.where(broken | zero, centre, level) - centre)
    return np.lexsort((np.arange(len(level)), -distance, -zero.astype(int), -broken.astype(int)))


def _edges(steps: Int[np.ndarray, " record"]) -> Float[np.ndarray, " edge"]:
    """Return the borders of the cells around each step, one more than there are steps."""
    if len(steps) < 2:
        return np.array([steps[0] - 0.5, steps[0] + 0.5])
    middles = (steps[1:] + steps[:-1]) / 2
    return np.concatenate([[2 * steps[0] - middles[0]], middles, [2 * steps[-1] - middles[-1]]])
