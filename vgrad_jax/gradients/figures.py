"""Figures of what the instruments saw: each returns a matplotlib `Figure`."""

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from vgrad_jax.gradients.recording import Record

__all__ = ["record_heatmap", "worst_first"]

MOST_NAMES = 40


def record_heatmap(record: "Record") -> "Figure":
    """Layers against steps: colour is log10 RMS, the layers that stand out most are on top, the loss is below.

    Batch axes (seeds) are shown by their median. A layer that is exactly zero is hatched, one that is not finite black.
    """
    from matplotlib.figure import Figure

    values = _median(np.asarray(record.log10_rms, np.float64))
    steps = np.asarray(record.step).reshape(-1, np.shape(record.step)[-1])[0]
    loss = _median(np.asarray(record.loss, np.float64)[..., None])[:, 0]
    order = worst_first(values)
    with_loss = bool(np.isfinite(loss).any())
    height = 1.3 + 0.2 * min(len(order), MOST_NAMES)
    figure = Figure(figsize=(8, height + 1.2 * with_loss), layout="constrained", dpi=110)
    if with_loss:
        axes, below = figure.subplots(2, 1, sharex=True, height_ratios=(height - 0.6, 1.2))
        below.plot(steps, loss, color="#0072B2")
        below.set(ylabel="loss", xlabel="step")
    else:
        axes = figure.subplots()
        axes.set_xlabel("step")
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (-1.0, 0.0)
    low, high = (low, high) if high - low >= 1 else ((low + high) / 2 - 0.5, (low + high) / 2 + 0.5)
    axes.patch.set(facecolor="white", hatch="xxx", edgecolor="#999999")
    edges = _edges(steps)
    shown = values[:, order].T
    rows = np.arange(len(order) + 1) - 0.5
    image = axes.pcolormesh(edges, rows, np.ma.masked_invalid(shown), vmin=low, vmax=high, cmap="viridis")
    broken = np.ma.masked_where(~(np.isnan(shown) | np.isposinf(shown)), np.ones_like(shown))
    axes.pcolormesh(edges, rows, broken, cmap="gray", vmin=1, vmax=2)
    axes.set_ylim(len(order) - 0.5, -0.5)
    every = -(-len(order) // MOST_NAMES)
    labels = [f"{record.paths[n]}  [{n}]" for n in order]
    axes.set_yticks(range(0, len(order), every), labels[::every], fontsize=7)
    axes.set_title(f"{record.name}: log10 RMS, worst layer on top ([n] is the depth)", fontsize=9)
    figure.colorbar(image, ax=axes, label="log10 RMS")
    notes = [
        text
        for mark, text in ((np.isneginf(shown), "hatched: exactly zero"), (broken.count() > 0, "black: not finite"))
        if np.any(mark)
    ]
    if notes:
        figure.supxlabel("; ".join(notes), fontsize=8, x=0.02, ha="left")
    return figure


def worst_first(values: np.ndarray) -> np.ndarray:
    """Layers in the order of how much they stand out in the last records.

    Not finite first, then exactly zero, then by the distance of log10 RMS from the median of the layers.

    Args:
        values: log10 RMS, `(record, layer)`.

    >>> worst_first(np.array([[-3.0, -9.0, -np.inf, -2.5, np.nan]])).tolist()
    [4, 2, 1, 3, 0]
    """
    window = values[-max(1, len(values) // 4) :]
    level = np.sort(window, axis=0)[(len(window) - 1) // 2]
    broken = (np.isnan(window) | np.isposinf(window)).any(axis=0)
    zero = np.isneginf(level) & ~broken
    usual = level[~broken & ~zero]
    centre = np.median(usual) if usual.size else 0.0
    distance = np.abs(np.where(broken | zero, centre, level) - centre)
    return np.lexsort((np.arange(len(level)), -distance, -zero.astype(int), -broken.astype(int)))


def _median(values: np.ndarray) -> Any:
    """The median over all batch axes of `(..., record, layer)`: one of the values, since -inf has no mean."""
    flat = np.sort(values.reshape(int(np.prod(values.shape[:-2])), *values.shape[-2:]), axis=0)
    return flat[(len(flat) - 1) // 2]


def _edges(steps: np.ndarray) -> np.ndarray:
    """Borders of the cells around each step."""
    if len(steps) < 2:
        start = float(steps[0]) if len(steps) else 0.0
        return np.array([start - 0.5, start + 0.5])
    middles = (steps[1:] + steps[:-1]) / 2
    return np.concatenate([[2 * steps[0] - middles[0]], middles, [2 * steps[-1] - middles[-1]]])
