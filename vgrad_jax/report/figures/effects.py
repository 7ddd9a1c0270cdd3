"""Crossed designs: two changes, alone and together."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from vgrad_jax.report.figures.style import BLUE, ORANGE, row_of_panels
from vgrad_jax.statistics.factorial import Crossed
from vgrad_jax.statistics.summary import ArmSummary
from vgrad_jax.wording import literal

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["interaction_plot"]


def interaction_plot(design: Crossed, summaries: Sequence[ArmSummary], unit: str = "epoch") -> "Figure":
    """Draw the four arms of a crossed design on two scales, and the effects; parallel lines mean no interaction.

    Args:
        design: the design.
        summaries: of the arms.
        unit: unit of the times to converge; empty where convergence has no time, and a single scale is drawn.
    """
    ratios = [1, 1, 1.3] if unit else [1, 1.3]
    figure, (left, *middle, right) = row_of_panels(len(ratios), 11 if unit else 8, 3.4, ratios=ratios)
    by_name = {summary.arm: summary for summary in summaries}
    _draw_cells(left, design, by_name, "converged", "share of runs that converge")
    for axes in middle:
        label = f"mean {unit if unit == 'time' else f'{unit}s'} to converge"
        _draw_cells(axes, design, by_name, "restricted_mean_epochs", label)
    _draw_effects(right, design)
    return figure


def _draw_cells(axes: "Axes", design: Crossed, by_name: dict[str, ArmSummary], field: str, label: str) -> None:
    lines = ((design.start, design.second_only), (design.first_only, design.both))
    for shift, colour, style, arms in zip((-0.03, 0.03), (BLUE, ORANGE), ("o-", "s--"), lines, strict=True):
        estimates = [getattr(by_name[arm], field) for arm in arms]
        positions = [0 + shift, 1 + shift]
        values = [estimate.value for estimate in estimates]
        errors = [
            [max(estimate.value - estimate.low, 0) for estimate in estimates],
            [max(estimate.high - estimate.value, 0) for estimate in estimates],
        ]
        changed = arms[0] == design.first_only
        name = f"{design.first}: {'changed' if changed else 'as it was'}"
        axes.errorbar(positions, values, errors, fmt=style, color=colour, capsize=3, label=name)
        for position, value, arm in zip(positions, values, arms, strict=True):
            offset = (5, -11) if changed else (5, 5)
            note = f"{literal(arm)} (n={by_name[arm].n})"
            side = "left" if position < 0.5 else "right"
            axes.annotate(note, (position, value), offset, textcoords="offset points", size=6, ha=side)
    axes.set_xticks([0, 1], ["as it was", "changed"])
    axes.set_xlim(-0.25, 1.25)
    axes.margins(y=0.15)
    axes.set_xlabel(design.second)
    axes.set_ylabel(label)
    axes.legend(fontsize=7, frameon=False, loc="best")


def _draw_effects(axes: "Axes", design: Crossed) -> None:
    """Draw main effects and interaction on the share that converges, in points."""
    effects = {
        f"{design.second},\naveraged": design.second_main,
        f"{design.first},\naveraged": design.first_main,
        "interaction": design.interaction,
    }
    for row, effect in enumerate(effects.values()):
        value, low, high = (100 * number for number in effect.share[:3])
        axes.plot([low, high], [row, row], color="black", linewidth=2)
        axes.plot(value, row, "o", color="black")
        axes.annotate(
            f"{value:+.0f} [{low:+.0f}, {high:+.0f}]",
            (value, row),
            (0, 8),
            textcoords="offset points",
            ha="center",
            size=8,
        )
    axes.axvline(0, color="black", linestyle=":", linewidth=1)
    axes.set_yticks(range(len(effects)), list(effects), fontsize=8)
    axes.set_ylim(len(effects) - 0.5, -0.6)
    axes.margins(x=0.2)
    axes.set_xlabel("effect on the share that converges, points (95 %)")
