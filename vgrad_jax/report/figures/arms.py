"""Shares of runs that converge, and first gradients: the arms beside each other."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from vgrad_jax.report.figures.style import arm_style, new_figure
from vgrad_jax.statistics.summary import ArmSummary
from vgrad_jax.wording import literal

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


__all__ = ["overview", "share_converged"]


def share_converged(summaries: Sequence[ArmSummary], colours: Mapping[str, str]) -> "Figure":
    """Draw the share of runs that converge with its 95 % interval, a line for each arm."""
    figure = new_figure(7, 0.42 * len(summaries) + 1.1)
    _draw_shares(figure.subplots(), summaries, colours)
    return figure


def overview(summaries: Sequence[ArmSummary], colours: Mapping[str, str]) -> "Figure":
    """Draw the study in one picture: who learns, and the gradient that each arm starts with."""
    figure = new_figure(12, 0.42 * len(summaries) + 1.6)
    left, right = figure.subplots(1, 2)
    _draw_shares(left, [summary for summary in summaries if summary.converged.n], colours)
    for index, summary in enumerate(summaries):
        if not summary.initial_gradient_log10_rms:
            continue
        profile = np.asarray(summary.initial_gradient_log10_rms)
        colour, dash, mark = arm_style(colours[summary.arm], index)
        label = literal(summary.arm) + ("" if np.isfinite(profile).all() else " (exactly zero where missing)")
        shown = np.where(np.isfinite(profile), profile, np.nan)
        # Marks and dashes differ too: colour says only which activation it is.
        right.plot(shown, mark + dash, color=colour, label=label, markersize=5, linewidth=1.2)
    right.set(xlabel="layer (0 is the input side)", ylabel="gradient at initialisation\nlog10 RMS, median over seeds")
    right.legend(fontsize=7, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    right.locator_params(axis="x", integer=True)
    return figure


def _draw_shares(axes: "Axes", summaries: Sequence[ArmSummary], colours: Mapping[str, str]) -> None:
    for row, summary in enumerate(summaries):
        value, low, high, n = summary.converged
        axes.plot([low, high], [row, row], color=colours[summary.arm], linewidth=2)
        axes.plot(value, row, "o", color=colours[summary.arm])
        axes.text(1.04, row, f"{value:.0%}  n={n}", va="center", fontsize=8, transform=axes.get_yaxis_transform())
    axes.set_yticks(range(len(summaries)), [literal(summary.arm) for summary in summaries])
    axes.set_ylim(len(summaries) - 0.5, -0.5)
    axes.set_xlim(-0.03, 1.03)
    axes.grid(axis="x", alpha=0.3)
    axes.set_xlabel("share of runs that converge (95 % Wilson interval)")
