"""Figures of what the instruments saw: each returns a matplotlib `Figure`."""

from typing import TYPE_CHECKING, Any

import numpy as np

from vgrad_jax.wording import literal

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from vgrad_jax.gradients.check import InitCheck
    from vgrad_jax.gradients.recording import Record

__all__ = ["check_profile", "record_heatmap", "worst_first"]

BLUE, ORANGE, GREEN = "#0072B2", "#D55E00", "#009E73"

MOST_NAMES = 40


def record_heatmap(record: "Record") -> "Figure":
    """Layers against steps: colour is log10 RMS, the layers that stand out most are on top, the loss is below.

    Batch axes (seeds) are shown by their median. A layer that is exactly zero is hatched, one that is not finite black.
    """
    from matplotlib.figure import Figure

    values = _median(np.asarray(record.log10_rms, np.float64))
    steps = np.asarray(record.step)[(0,) * (np.ndim(record.step) - 1)]
    if not len(steps):
        figure = Figure(figsize=(8, 1.3), layout="constrained", dpi=110)
        figure.text(0.5, 0.5, f"{literal(record.name)}: nothing recorded yet", ha="center", va="center", fontsize=9)
        return figure
    loss = _median(np.asarray(record.loss, np.float64)[..., None])[:, 0]
    order = worst_first(values)
    with_loss = bool(np.isfinite(loss).any())
    height = 1.3 + 0.2 * min(len(order), MOST_NAMES)
    figure = Figure(figsize=(8, height + 1.2 * with_loss), layout="constrained", dpi=110)
    if with_loss:
        axes, below = figure.subplots(2, 1, sharex=True, height_ratios=(height - 0.6, 1.2))
        below.plot(steps, loss, color=BLUE)
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
    labels = [f"{literal(record.paths[n])}  [{n}]" for n in order]
    axes.set_yticks(range(0, len(order), every), labels[::every], fontsize=7)
    axes.set_title(f"{literal(record.name)}: log10 RMS, worst layer on top ([n] is the depth)", fontsize=9)
    figure.colorbar(image, ax=axes, label="log10 RMS")
    notes = [
        text
        for mark, text in ((np.isneginf(shown), "hatched: exactly zero"), (broken.count() > 0, "black: not finite"))
        if np.any(mark)
    ]
    if notes:
        figure.supxlabel("; ".join(notes), fontsize=8, x=0.02, ha="left")
    return figure


def check_profile(check: "InitCheck") -> "Figure":
    """Layers from the input on: gradient and preactivations in log10 RMS, and shares of units that are off.

    Median over the seeds, and the band of their central 90 %; a cross marks layers with no gradient in most seeds. A
    prediction is shown beside what it is of, the root mean square over the seeds.
    """
    from matplotlib.figure import Figure

    look = check.look
    layers = np.arange(len(look.stats.paths))
    figure = Figure(figsize=(max(6, min(14, 0.32 * len(layers) + 3)), 5), layout="constrained", dpi=110)
    sizes, shares = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    gradient = np.asarray(look.stats.log10_rms, np.float64)
    _band(sizes, layers, gradient, BLUE, "o-", "gradient")
    _band(sizes, layers, look.by_layer("log10_rms", ("product",)), ORANGE, "s--", "preactivations")
    if check.prediction is not None and check.prediction.log10_rms is not None:
        measured = np.where(np.isfinite(check.log10_rms), check.log10_rms, np.nan)
        sizes.plot(layers, measured, ".", color=BLUE, markersize=8, label="gradient, RMS over seeds")
        sizes.plot(layers, check.prediction.log10_rms, "D--", color=GREEN, markersize=4, label="the same, predicted")
    elif check.prediction is not None:
        text = literal(f"theory {check.prediction.why_not}", longest=None)
        sizes.text(0.02, 0.02, text, transform=sizes.transAxes, fontsize=6, color=GREEN, wrap=True)
    zero = np.isneginf(np.sort(gradient, axis=0)[(len(gradient) - 1) // 2])
    if zero.any():
        sizes.plot(
            layers[zero], np.full(zero.sum(), sizes.get_ylim()[0]), "x", color=BLUE, label="gradient exactly zero"
        )
    sizes.set(ylabel="log10 RMS", title=f"{literal(check.status)}, at initialisation, n = {len(gradient)} seeds")
    smooth = ("tanh", "logistic")
    _band(shares, layers, look.by_layer("off_fraction", smooth), ORANGE, "s-", "saturated (tanh, logistic)")
    _band(shares, layers, look.by_layer("off_fraction", ("relu",)), BLUE, "o--", "zero (ReLU)")
    _band(
        shares, layers, look.by_layer("stuck_fraction", ("relu", *smooth)), GREEN, "^:", "units off for every example"
    )
    shares.set(ylim=(-0.03, 1.03), ylabel="share of units", xlabel="layer (input side on the left)")
    every = -(-len(layers) // MOST_NAMES)
    shares.set_xticks(layers[::every], [literal(path) for path in look.stats.paths[::every]], rotation=90, fontsize=7)
    for axes in (sizes, shares):
        if axes.get_legend_handles_labels()[0]:
            axes.legend(fontsize=7, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def _band(axes: Any, layers: np.ndarray, values: np.ndarray, colour: str, dash: str, label: str) -> None:
    """Median and central 90 % over the seeds, of `(seed, layer)`; nothing where no layer has a number."""
    ordered = np.sort(np.where(np.isfinite(values), values, np.nan), axis=0)  # NaN is last.
    known = np.isfinite(ordered).sum(axis=0)
    shown = known > 0
    if not shown.any():
        return
    low, middle, high = (ordered[(share * np.maximum(known - 1, 0)).astype(int), layers] for share in (0.05, 0.5, 0.95))
    axes.plot(layers[shown], middle[shown], dash, color=colour, markersize=4, linewidth=1.2, label=label)
    axes.fill_between(layers, low, high, where=shown, color=colour, alpha=0.2, linewidth=0)


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
