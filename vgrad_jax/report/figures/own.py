"""Own variables of functions: curves with bands, and numbers as dots."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from vgrad_jax.report.figures.factor_styles import Styles
from vgrad_jax.report.figures.style import BAND, MOST_DOTS, height_of_rows, name_rows, new_figure
from vgrad_jax.statistics.own import CurveBand
from vgrad_jax.wording import literal

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["own_curves", "own_dots"]

MOST_BANDS = 5
"""Most arms whose outer band is drawn; more bands hide each other."""

RANGE_FOR_LOG = 1e3
"""Ratio of the largest to the smallest median from which the axis is logarithmic."""


def own_curves(bands: Mapping[str, CurveBand], styles: Styles, label: str) -> "Figure":
    """Draw a curve of each arm: median, central 50 %, and central 90 % where arms are few.

    Args:
        bands: arm name to the quantiles over seeds.
        styles: of the arms.
        label: name and unit of the variable.
    """
    figure = new_figure(7.5, 3.6)
    axes = figure.subplots()
    for arm, band in bands.items():
        colour, dash, _ = styles.of[arm]
        low, lower, middle, upper, high = band.quantiles
        x = band.axis.values
        if len(bands) <= MOST_BANDS:
            axes.fill_between(x, low, high, color=colour, alpha=BAND / 2, linewidth=0)
        axes.fill_between(x, lower, upper, color=colour, alpha=BAND, linewidth=0)
        mark = "o" if len(x) == 1 else ""
        axes.plot(x, middle, dash, marker=mark, color=colour, linewidth=1.4, label=f"{literal(arm)} (n={band.n})")
    medians = np.concatenate([band.quantiles.ravel() for band in bands.values()])
    medians = medians[np.isfinite(medians)]
    if len(medians) and medians.min() > 0 and medians.max() > RANGE_FOR_LOG * medians.min():
        axes.set_yscale("log")
    axes.set_xlabel(literal(" or ".join(dict.fromkeys(band.axis.name for band in bands.values()))))
    axes.set_ylabel(literal(label))
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8, frameon=False)
    return figure


def own_dots(values: Mapping[str, np.ndarray], styles: Styles, label: str) -> "Figure":
    """Draw a number of every run as a dot, a row for each arm, with the median and the quartiles.

    Args:
        values: arm name to the finite numbers of its runs.
        styles: of the arms.
        label: name and unit of the variable.
    """
    figure = new_figure(7.5, height_of_rows(len(values), 0.5) + 1.0)
    axes = figure.subplots()
    rng = np.random.default_rng(0)
    for row, (arm, numbers) in enumerate(values.items()):
        dots = numbers if len(numbers) <= MOST_DOTS else numbers[:MOST_DOTS]
        height = row + rng.uniform(-0.25, 0.25, len(dots))
        style: dict[str, Any] = {"color": styles.of[arm].colour, "alpha": 0.35, "markersize": 4}
        axes.plot(dots, height, ".", rasterized=True, **style)
        if len(numbers):
            lower, middle, upper = np.quantile(numbers, [0.25, 0.5, 0.75])
            axes.plot([lower, upper], [row, row], color="black", linewidth=2)
            axes.plot(middle, row, "o", color="black")
    name_rows(axes, [*values], [f"n={len(numbers)}" for numbers in values.values()])
    axes.set_xlabel(literal(label))
    axes.grid(axis="x", alpha=0.3)
    return figure
