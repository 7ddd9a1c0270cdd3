"""Times to converge: who is still on the way, epoch by epoch."""

from typing import TYPE_CHECKING

import numpy as np

from vgrad_jax.report.figures.style import arm_colours, arm_style, new_figure
from vgrad_jax.statistics.outcomes import outcomes
from vgrad_jax.statistics.survival import SurvivalCurve, survival_curve
from vgrad_jax.wording import literal

if TYPE_CHECKING:
    import xarray
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["MOST_BANDS", "survival_curves"]

TICKS = 6
MOST_BANDS = 10
"""Arms; more bands hide each other."""


def survival_curves(results: "xarray.Dataset") -> "Figure":
    """Share of runs that have not converged yet, and how many those are, under the curves.

    With 95 % intervals, unless there are more than `MOST_BANDS` arms.
    """
    ends = outcomes(results)
    colours = arm_colours(results)
    curves = {arm: survival_curve(end.times, end.converged) for arm, end in ends.items()}
    budget = next(iter(ends.values())).budget
    rows = 0.19 * len(curves) + 0.3
    figure = new_figure(7.5, 3.2 + rows)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3.2, rows])
    for place, (arm, curve) in enumerate(curves.items()):
        style = arm_style(colours[arm], place)
        _draw_curve(upper, curve, arm, style, budget, band=len(curves) <= MOST_BANDS)
    upper.set_ylim(-0.02, 1.02)
    upper.set_ylabel("share of runs that have\nnot converged yet")
    upper.grid(alpha=0.3)
    _write_at_risk(lower, curves, colours, np.linspace(0, budget, TICKS).round())
    lower.set_xlabel("epoch")
    return figure


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


def _write_at_risk(axes: "Axes", curves: dict[str, SurvivalCurve], colours: dict[str, str], ticks: np.ndarray) -> None:
    """The runs that are still on the way at each tick; the arm's line stands before its name."""
    for place, (arm, curve) in enumerate(curves.items()):
        colour, dash, mark = arm_style(colours[arm], place)
        along = axes.get_yaxis_transform()
        axes.plot([-0.3, -0.25], [place, place], color=colour, linestyle=dash, transform=along, clip_on=False)
        axes.plot(-0.275, place, mark, color=colour, markersize=4, transform=along, clip_on=False)
        axes.text(-0.24, place, literal(arm), transform=along, va="center", fontsize=8)
        for tick in ticks:
            count = round(float(curve.at(np.asarray([tick]))[0]) * curve.n)
            axes.text(tick, place, str(count), ha="center", va="center", fontsize=8)
    axes.set_ylim(len(curves) - 0.4, -0.6)
    axes.set_yticks([])
    axes.set_xticks(ticks)
    axes.set_title("runs that have not converged yet", fontsize=8, loc="left")
    for side in ("left", "right", "top"):
        axes.spines[side].set_visible(False)
