"""One dot a seed: where an arm's runs end."""

from typing import TYPE_CHECKING

import numpy as np

from vgrad_jax.report.figures.style import MOST_DOTS, arm_colours, new_figure
from vgrad_jax.results.reading import arm_names, arms_of, completed_seeds, data_of
from vgrad_jax.statistics.ceiling import bayes_accuracy, majority_share
from vgrad_jax.statistics.published import FIRST_EPOCH, SECOND_EPOCH, first_layer_change, placements
from vgrad_jax.wording import literal

if TYPE_CHECKING:
    import xarray
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


__all__ = ["final_accuracy", "weight_change"]


def final_accuracy(results: "xarray.Dataset") -> "Figure":
    """Distribution of the test accuracy after the last epoch, between what anybody gets and what nobody beats."""
    arms = arms_of(results)
    published = {p.arm: p.published for p in placements(results) if "accuracy" in p.quantity}
    values = {arm: completed_seeds(results, arm)["test_accuracy"].isel(record=-1).values for arm in arms}
    figure = _strips(results, values, published, "test accuracy after the last epoch", log=False)
    (axes,) = figure.axes
    data = {arm.data for arm in arms.values()}
    if len(data) == 1:
        (one,) = data
        known = data_of(results, next(iter(arms))) is not None
        lines = [(majority_share(one), ":", "always naming the larger class")] if known else []
        ceiling = bayes_accuracy(one)
        lines += [] if ceiling is None else [(ceiling, "--", "the best possible rule (Bayes)")]
        for value, dash, label in lines:
            axes.axvline(value, color="black", linestyle=dash, linewidth=1, label=f"{label}: {value:.1%}")
        _legend(axes)
    return figure


def weight_change(results: "xarray.Dataset") -> "Figure | None":
    """How far the first layer's weights move from epoch 50 to 100, the article's evidence; None where not kept."""
    changes = {arm: first_layer_change(results, arm) for arm in arm_names(results)}
    values = {arm: change for arm, change in changes.items() if change is not None}
    if not values:
        return None
    published = {p.arm: p.published for p in placements(results) if "change" in p.quantity}
    label = f"mean absolute change of the first layer's weights, epoch {FIRST_EPOCH} to {SECOND_EPOCH}"
    return _strips(results, values, published, label, log=True)


def _strips(
    results: "xarray.Dataset", values: dict[str, np.ndarray], published: dict[str, float], label: str, *, log: bool
) -> "Figure":
    colours = arm_colours(results)
    figure = new_figure(7, 0.5 * len(values) + 1.2)
    axes = figure.subplots()
    scatter = np.random.default_rng(0)
    for place, (arm, numbers) in enumerate(values.items()):
        finite = numbers[np.isfinite(numbers)]
        shown = finite[(finite > 0) | (not log)]
        height = place + scatter.uniform(-0.25, 0.25, len(shown))
        axes.plot(shown[:MOST_DOTS], height[:MOST_DOTS], ".", color=colours[arm], alpha=0.45, markersize=4)
        if len(finite) and (np.median(finite) > 0 or not log):
            axes.plot([np.median(finite)] * 2, [place - 0.36, place + 0.36], color="black", linewidth=1.5)
        left_out = {"zero": len(finite) - len(shown), "not finite": len(numbers) - len(finite)}
        note = f"n={len(numbers)}" + (", not shown: " if any(left_out.values()) else "")
        note += ", ".join(f"{count} {why}" for why, count in left_out.items() if count)
        note += f", the first {MOST_DOTS} drawn" if len(shown) > MOST_DOTS else ""
        axes.text(1.01, place, note, va="center", fontsize=7, transform=axes.get_yaxis_transform())
        if arm in published:
            axes.plot(published[arm], place, "D", color="black", markerfacecolor="none", markersize=8)
    if published:
        axes.plot([], [], "D", color="black", markerfacecolor="none", label="the article's one run")
    axes.plot([], [], "|", color="black", markersize=12, label="median")
    _legend(axes)
    axes.set_yticks(range(len(values)), [literal(arm) for arm in values])
    axes.set_ylim(len(values) - 0.5, -0.5)
    axes.set_xlabel(label)
    # Without a positive number an axis has no logarithm.
    if log and any((numbers[np.isfinite(numbers)] > 0).any() for numbers in values.values()):
        axes.set_xscale("log")
    return figure


def _legend(axes: "Axes") -> None:
    axes.legend(fontsize=7, frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
