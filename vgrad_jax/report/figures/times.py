"""Times to converge: runs that have not converged yet, epoch by epoch."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from vgrad_jax.report.figures.factor_styles import ArmStyle, Styles
from vgrad_jax.report.figures.style import is_narrow, new_figure, one_legend, panels_of
from vgrad_jax.statistics.survival import SurvivalCurve
from vgrad_jax.wording import literal

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["MOST_BANDS", "MOST_COUNTED", "survival_curves"]

TICKS, FEW_TICKS = 6, 3
"""Most intervals between the times at which runs are counted, on a wide and a narrow page."""
MOST_COUNTED = 12
"""Most arms in a single panel, with the numbers of their runs below."""
MOST_BANDS = 10
"""Most arms whose intervals are drawn; more bands hide each other."""


def survival_curves(
    curves: Mapping[str, SurvivalCurve], styles: Styles, budgets: Mapping[str, float], unit: str = "epoch"
) -> "Figure":
    """Draw the share of runs that have not converged yet, and under the curves their number.

    More than `MOST_COUNTED` arms have a panel for each colour, without the numbers.

    Args:
        curves: arm name to curve; up to `MOST_BANDS` have their 95 % intervals.
        styles: of the arms.
        budgets: arm name to its budget.
        unit: unit of time.
    """
    if len(curves) > MOST_COUNTED:
        return _panels_by_colour(curves, styles, budgets, unit)
    rows = (0.36 if is_narrow() else 0.19) * len(curves) + 0.3
    figure = new_figure(7.5, 3.2 + rows)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3.2, rows])
    for arm, curve in curves.items():
        _draw_curve(upper, curve, arm, styles.of[arm], budgets[arm], band=len(curves) <= MOST_BANDS)
    upper.set_ylim(-0.02, 1.02)
    upper.set_ylabel("share of runs that have\nnot converged yet")
    upper.grid(alpha=0.3)
    _write_at_risk(lower, curves, styles, _ticks(max(budgets.values())), budgets)
    lower.set_xlabel(unit)
    return figure


def _panels_by_colour(
    curves: Mapping[str, SurvivalCurve], styles: Styles, budgets: Mapping[str, float], unit: str
) -> "Figure":
    """Draw a panel for the arms of each colour.

    A legend says what dashes and marks tell: levels of factors, or else each panel's arms.
    """
    colours = dict.fromkeys(styles.of[arm].colour for arm in curves)
    named = {style.colour: level for key in styles.keys[:1] for level, style in key.levels.items()}
    figure, panels = panels_of([named.get(colour, "") for colour in colours], "share not converged yet", unit)
    for colour, axes in zip(colours, panels, strict=True):
        for arm, curve in curves.items():
            if styles.of[arm].colour == colour:
                _draw_curve(axes, curve, "", styles.of[arm], budgets[arm], band=False)
                if not styles.keys:
                    _, dash, mark = styles.of[arm]
                    axes.plot([], [], color=colour, linestyle=dash, marker=mark, markersize=4, label=literal(arm, 26))
        axes.set_ylim(-0.03, 1.03)
        axes.grid(alpha=0.3)
        if not styles.keys:
            axes.legend(fontsize=5.5, frameon=False, loc="upper right")
    for key in styles.keys[1:]:
        for level, (colour, dash, mark) in key.levels.items():
            panels[0].plot([], [], f"{mark}{dash}", color=colour, label=literal(f"{key.factor}: {level}"))
    if styles.keys[1:]:
        one_legend(figure, panels[:1])
    return figure


def _ticks(budget: float) -> np.ndarray:
    """Return the times at which runs are counted: round numbers up to the budget."""
    from matplotlib.ticker import MaxNLocator

    locator = MaxNLocator(FEW_TICKS if is_narrow() else TICKS, integer=budget >= TICKS)
    ticks = np.asarray(locator.tick_values(0, budget))
    return ticks[(ticks >= 0) & (ticks <= budget * (1 + 1e-9))]


def _draw_curve(axes: "Axes", curve: SurvivalCurve, arm: str, style: ArmStyle, budget: float, *, band: bool) -> None:
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
    styles: Styles,
    ticks: np.ndarray,
    budgets: Mapping[str, float],
) -> None:
    """Write the number of runs that have not converged at each tick; a sample of the arm's line precedes its name."""
    for row, (arm, curve) in enumerate(curves.items()):
        colour, dash, mark = styles.of[arm]
        along = axes.get_yaxis_transform()
        # On a narrow page the name stands above its numbers.
        left, height = (0.0, row - 0.42) if is_narrow() else (-0.3, row)
        axes.plot([left, left + 0.05], [height] * 2, color=colour, linestyle=dash, transform=along, clip_on=False)
        axes.plot(left + 0.025, height, mark, color=colour, markersize=4, transform=along, clip_on=False)
        axes.text(left + 0.06, height, literal(arm, longest=26), transform=along, va="center", fontsize=8)
        for tick in ticks[ticks <= budgets[arm]]:
            count = round(float(curve.at(np.asarray([tick]))[0]) * curve.n)
            axes.text(tick, row, str(count), ha="center", va="center", fontsize=8)
    axes.set_ylim(len(curves) - 0.4, -0.9 if is_narrow() else -0.6)
    axes.set_yticks([])
    axes.set_xticks(ticks)
    axes.set_title("runs that have not converged yet", fontsize=8, loc="left")
    for side in ("left", "right", "top"):
        axes.spines[side].set_visible(False)
