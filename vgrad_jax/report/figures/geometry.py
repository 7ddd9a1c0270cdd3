"""Geometry of initial networks: correlation of units, effective rank of layers, spectrum of the tangent kernel."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from vgrad_jax.numerics import lower_median, lower_quantile
from vgrad_jax.report.figures.factor_styles import Styles
from vgrad_jax.report.figures.style import height_of_rows, name_rows, row_of_panels
from vgrad_jax.statistics.geometry import Geometry
from vgrad_jax.wording import literal

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["MOST_ARMS", "geometry_of_arms", "shown_arms"]

MOST_ARMS = 10
"""Most arms whose lines can be told apart."""
SMALLEST = 1e-6
"""Share of the largest eigenvalue below which float32 leaves little of a Jacobian's spectrum."""


def geometry_of_arms(geometries: Mapping[str, Geometry], styles: Styles) -> "Figure":
    """Draw how alike an arm's units are, how many directions its layers have, and the speeds of its functions.

    Args:
        geometries: arm name to geometry, one at least.
        styles: of the arms.
    """
    arms = {arm: geometries[arm] for arm in shown_arms(geometries)}
    with_tangent = any(geometry.tangent is not None for geometry in arms.values())
    panels = 3 if with_tangent else 2
    height = max(3.1, height_of_rows(len(arms), 0.3) + 1.3)
    figure, (correlation, rank, *tangent) = row_of_panels(panels, 3.7 * panels + 0.9, height)
    for index, (arm, geometry) in enumerate(arms.items()):
        colour, dash, mark = styles.of[arm]
        style: dict[str, Any] = {"color": colour, "linestyle": dash, "marker": mark, "linewidth": 1.2}
        style["markersize"] = 4.5
        _draw_correlation(correlation, index, geometry, colour, mark)
        rank.plot(lower_median(geometry.effective_rank, skip_nan=True), label=literal(arm), **style)
        for axes in tangent:
            if geometry.tangent is not None:
                middle = lower_median(geometry.tangent, skip_nan=True)
                axes.plot(np.arange(1, len(middle) + 1), np.where(middle > SMALLEST, middle, np.nan), **style)
    name_rows(correlation, [*arms])
    correlation.set_xlim(-0.03, 1.03)
    correlation.grid(axis="x", alpha=0.3)
    correlation.set_xlabel("correlation of units, last hidden layer")
    rank.set(xlabel="hidden layer (0 is the input side)", ylabel="effective rank")
    rank.locator_params(axis="x", integer=True)
    rank.set_ylim(bottom=0.9)
    for axes in tangent:
        axes.set(xlabel="eigenvalue of the tangent kernel", ylabel="eigenvalue over the largest", yscale="log")
        axes.locator_params(axis="x", integer=True)
    return figure


def shown_arms(geometries: Mapping[str, Geometry]) -> list[str]:
    """Return the arms that are drawn: all, or of many those whose units are the most and the least alike."""
    if len(geometries) <= MOST_ARMS:
        return list(geometries)
    alike = {arm: float(lower_median(geometry.correlation, skip_nan=True)) for arm, geometry in geometries.items()}
    ranked = sorted((arm for arm in alike if not np.isnan(alike[arm])), key=lambda arm: -alike[arm])
    chosen = {*ranked[: MOST_ARMS // 2], *ranked[-(MOST_ARMS // 2) :]}
    return [arm for arm in geometries if arm in chosen]


def _draw_correlation(axes: "Axes", row: int, geometry: Geometry, colour: str, mark: str) -> None:
    values = geometry.correlation
    if np.isnan(values).all():
        axes.text(0.5, row, "cannot be told", va="center", ha="center", fontsize=8)
        return
    low, middle, high = (lower_quantile(values, share, skip_nan=True) for share in (0.05, 0.5, 0.95))
    axes.plot([low, high], [row, row], color=colour, linewidth=1.5)
    axes.plot(middle, row, mark, color=colour, markersize=5.5)
