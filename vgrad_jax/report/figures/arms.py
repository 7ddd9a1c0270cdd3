"""Shares of runs that converge, and first gradients: the arms beside each other."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from vgrad_jax.report.figures.factor_styles import Styles
from vgrad_jax.report.figures.style import (
    height_of_rows,
    is_narrow,
    legend_beside,
    name_rows,
    new_figure,
    row_of_panels,
)
from vgrad_jax.statistics.summary import ArmSummary
from vgrad_jax.wording import literal

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


__all__ = ["overview", "share_converged"]

MANY = 12
"""Number of arms from which rows are close to each other."""


def share_converged(summaries: Sequence[ArmSummary], styles: Styles) -> "Figure":
    """Draw the share of runs that converge with its 95 % interval, a line for each arm."""
    each = 0.42 if len(summaries) <= MANY else 0.26
    figure = new_figure(7, height_of_rows(len(summaries), each) + 1.1)
    _draw_shares(figure.subplots(), summaries, styles)
    return figure


def overview(summaries: Sequence[ArmSummary], styles: Styles) -> "Figure":
    """Draw the study in one picture: who learns, and the gradient that each arm starts with."""
    figure, (left, right) = row_of_panels(2, 12, max(height_of_rows(len(summaries), 0.42) + 1.6, 2.8))
    _draw_shares(left, [summary for summary in summaries if summary.converged.n], styles)
    for summary in summaries:
        if not summary.initial_gradient_log10_rms:
            continue
        profile = np.asarray(summary.initial_gradient_log10_rms)
        colour, dash, mark = styles.of[summary.arm]
        label = literal(summary.arm) + ("" if np.isfinite(profile).all() else " (exactly zero where missing)")
        shown = np.where(np.isfinite(profile), profile, np.nan)
        # Marks and dashes differ too: colour says only which activation it is.
        right.plot(shown, mark + dash, color=colour, label=label, markersize=5, linewidth=1.2)
    right.set(xlabel="layer (0 is the input side)", ylabel="gradient at initialisation\nlog10 RMS, median over seeds")
    legend_beside(right, size=7)
    right.locator_params(axis="x", integer=True)
    return figure


def _draw_shares(axes: "Axes", summaries: Sequence[ArmSummary], styles: Styles) -> None:
    for row, summary in enumerate(summaries):
        value, low, high, _ = summary.converged
        colour, _, mark = styles.of[summary.arm]
        axes.plot([low, high], [row, row], color=colour, linewidth=2)
        axes.plot(value, row, mark, color=colour)
    notes = [f"{summary.converged.value:.0%}  n={summary.converged.n}" for summary in summaries]
    name_rows(axes, [summary.arm for summary in summaries], notes)
    axes.set_xlim(-0.03, 1.03)
    axes.grid(axis="x", alpha=0.3)
    between = "\n" if is_narrow() else " "
    axes.set_xlabel(f"share of runs that converge{between}(95 % Wilson interval)")
