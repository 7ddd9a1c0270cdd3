"""A dot for each seed: where an arm's runs end."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import Float

from vgrad_jax.report.figures.style import MOST_DOTS, height_of_rows, is_narrow, name_rows, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


__all__ = ["Reference", "Strips", "final_accuracy", "weight_change"]

MANY = 12
"""Number of arms from which rows are close to each other."""


class Strips(NamedTuple):
    """A quantity of every run."""

    values: Mapping[str, Float[np.ndarray, " seed"]]
    """Arm name to values."""
    published: Mapping[str, float]
    """Arm name to the number of the article's single run, where it printed a number."""
    colours: Mapping[str, str]


class Reference(NamedTuple):
    """A vertical line to compare with."""

    value: float
    dash: str
    label: str


def final_accuracy(strips: Strips, references: Sequence[Reference]) -> "Figure":
    """Draw the test accuracy of every run after the last epoch, beside lines to compare with."""
    figure = _strips(strips, "test accuracy after the last epoch", log=False)
    (axes,) = figure.axes
    for value, dash, label in references:
        axes.axvline(value, color="black", linestyle=dash, linewidth=1, label=f"{label}: {value:.1%}")
    _legend(axes)
    return figure


def weight_change(strips: Strips, first_epoch: int, second_epoch: int) -> "Figure":
    """Draw the change of the first layer's weights between two epochs, on a log axis: the article's evidence."""
    label = f"mean absolute change of the first layer's weights,\nepoch {first_epoch} to {second_epoch}"
    return _strips(strips, label, log=True)


def _strips(strips: Strips, label: str, *, log: bool) -> "Figure":
    values = strips.values
    figure = new_figure(7, height_of_rows(len(values), 0.5 if len(values) <= MANY else 0.3) + 1.2)
    axes = figure.subplots()
    scatter, notes = np.random.default_rng(0), []
    for row, (arm, numbers) in enumerate(values.items()):
        finite = numbers[np.isfinite(numbers)]
        shown = finite[(finite > 0) | (not log)]
        height = row + scatter.uniform(-0.25, 0.25, len(shown))
        dots: dict[str, Any] = {"color": strips.colours[arm], "alpha": 0.45, "markersize": 4}
        # Thousands of dots would make a page of megabytes.
        axes.plot(shown[:MOST_DOTS], height[:MOST_DOTS], ".", rasterized=True, **dots)
        if len(finite) and (np.median(finite) > 0 or not log):
            axes.plot([np.median(finite)] * 2, [row - 0.36, row + 0.36], color="black", linewidth=1.5)
        notes.append(_note(numbers, finite, shown))
        if arm in strips.published:
            axes.plot(strips.published[arm], row, "D", color="black", markerfacecolor="none", markersize=8)
    if strips.published:
        axes.plot([], [], "D", color="black", markerfacecolor="none", label="the article's one run")
    axes.plot([], [], "|", color="black", markersize=12, label="median")
    _legend(axes)
    name_rows(axes, [*values], notes)
    axes.set_xlabel(label)
    # Without a positive number an axis has no logarithm.
    if log and any((numbers[np.isfinite(numbers)] > 0).any() for numbers in values.values()):
        axes.set_xscale("log")
    return figure


def _note(numbers: np.ndarray, finite: np.ndarray, shown: np.ndarray) -> str:
    left_out = {"zero": len(finite) - len(shown), "not finite": len(numbers) - len(finite)}
    note = f"n={len(numbers)}" + (", not shown: " if any(left_out.values()) else "")
    note += ", ".join(f"{count} {reason}" for reason, count in left_out.items() if count)
    return note + (f", the first {MOST_DOTS} drawn" if len(shown) > MOST_DOTS else "")


def _legend(axes: "Axes") -> None:
    axes.legend(fontsize=7, frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=1 if is_narrow() else 2)
