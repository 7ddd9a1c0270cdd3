"""Times to converge: runs that have not converged yet, epoch by epoch."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from vgrad_jax.report.figures.style import arm_style, new_figure
from vgrad_jax.statistics.survival import SurvivalCurve
from vgrad_jax.wording import literal

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["MOST_BANDS", "survival_curves"]

TICKS = 6
MOST_BANDS = 10
"""Most arms whose intervals are drawn; more bands hide each other."""


def survival_curves(
    curves: Mapping[str, SurvivalCurve], colours: Mapping[str, str], budgets: Mapping[str, float], unit: str = "epoch"
) -> "Figure":
    """Draw the share of runs that have not converged yet, and under the curves their number.

    Args:
        curves: arm name to curve; up to `MOST_BANDS` have their 95 % intervals.
        colours: arm name to colour.
        budgets: arm name to its budget.
        unit: unit of time.
    """
    rows = 0.19 * len(curves) + 0.3
    figure = new_figure(7.5, 3.2 + rows)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3.2, rows])
    for row, (arm, curve) in enumerate(curves.items()):
        style = arm_style(colours[arm], row)
        _draw_curve(upper, curve, arm, style, budgets[arm], band=len(curves) <= MOST_BANDS)
    upper.set_ylim(-0.02, 1.02)
    upper.set_ylabel("share of runs that have\nnot converged yet")
    upper.grid(alpha=0.3)
    _write_at_risk(lower, curves, colours, _ticks(max(budgets.values())), budgets)
    lower.set_xlabel(unit)
    return figure


def _ticks(budget: float) -> np.ndarray:
    """Return the times at which runs are counted: whole numbers, unless the budget is small."""
    ticks = np.linspace(0, budget, TICKS)
    return ticks.round() if budget >= TICKS else ticks.round(2)


def _draw_curve(
    axes: "Axes", curve: SurvivalCurve, arm: str, style: tuple[str, str, str], budget: float, *, band: bool
) -> None:
    colour, dash, mark = style
    times = np.concatenate([[0.0], curve.times, [budget]])
    middle, low, high = (
        np.concatenate([[1.0], values, values[-1:]]) for values in (curve.survival, curve.low, curve.high)
    )
    axes.step(times, middle, where="post", color=colour, linestyle=dash, linewidth=1.4, label=arm)
    axes.plot(budget, middle[-1], mark, color=colour, markersize=5, clip_on=False)
    if band:
        axes.fill_between(times, low, high, step="post", color=colour, alpha=0.12, linewidth=0)


def _write_at_risk(
    axes: "Axes",
    curves: Mapping[str, SurvivalCurve],
    colours: Mapping[str, str],
    ticks: np.ndarray,
    budgets: Mapping[str, float],
) -> None:
    """Write the number of runs that have not converged at each tick; a sample of the arm's line precedes its name."""
    for row, (arm, curve) in enumerate(curves.items()):
        colour, dash, mark = arm_style(colours[arm], row)
        along = axes.get_yaxis_transform()
        axes.plot([-0.3, -0.25], [row, row], color=colour, linestyle=dash, transform=along, clip_on=False)
        axes.plot(-0.275, row, mark, color=colour, markersize=4, transform=along, clip_on=False)
        axes.text(-0.24, row, literal(arm, longest=26), transform=along, va="center", fontsize=8)
        for tick in ticks[ticks <= budgets[arm]]:
            count = round(float(curve.at(np.asarray([tick]))[0]) * curve.n)
            axes.text(tick, row, str(count), ha="center", va="center", fontsize=8)
    axes.set_ylim(len(curves) - 0.4, -0.6)
    axes.set_yticks([])
    axes.set_xticks(ticks)
    axes.set_title("runs that have not converged yet", fontsize=8, loc="left")
    for side in ("left", "right", "top"):
        axes.spines[side].set_visible(False)
