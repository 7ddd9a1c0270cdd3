"""Effects of all factors of a set of arms."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from vgrad_jax.report.figures.style import BLUE, GREY, height_of_rows, is_narrow, name_rows, row_of_panels
from vgrad_jax.statistics.factors import FactorEffects, Step
from vgrad_jax.wording import shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["MOST_STEPS", "factor_effects"]

MOST_STEPS = 6
"""Most steps of a factor that are drawn: those with the largest changes."""

LONGEST_FACTOR, LONGEST_LEVEL = 26, 18
"""Characters of a factor's and of a level's name."""

MEASURES = {
    "share": "share that converges, points",
    "time": "mean time, {unit}s",
    "score": "final test accuracy, points",
}
"""Field of a step to the label of its panel."""


def factor_effects(factors: Sequence[FactorEffects], unit: str) -> "Figure":
    """Draw the steps of every factor with their intervals, a panel for each measure that some arm has.

    Args:
        factors: the factors, the one that matters most first.
        unit: unit of the times; empty where there is no common one.
    """
    steps = [(factor, step) for factor in factors for step in factor.steps[:MOST_STEPS]]
    measures = [name for name in MEASURES if any(getattr(step, name).n for _, step in steps)]
    height = 1.2 + height_of_rows(len(steps), 0.32)
    figure, panels = row_of_panels(len(measures), 4.0 + 2.6 * len(measures), height, share_y=not is_narrow())
    for axes, measure in zip(panels, measures, strict=True):
        _draw(axes, [step for _, step in steps], measure)
        axes.set_xlabel(f"change of {MEASURES[measure].format(unit=unit)}", fontsize=9)
    for axes in panels if is_narrow() else panels[:1]:
        name_rows(
            axes, [_label(factor, step) for factor, step in steps], longest=LONGEST_FACTOR + 2 * LONGEST_LEVEL + 6
        )
    row = 0
    for factor in factors[:-1]:
        row += min(len(factor.steps), MOST_STEPS)
        for axes in panels:
            axes.axhline(row - 0.5, color="0.85", linewidth=1)
    return figure


def _draw(axes: "Axes", steps: Sequence[Step], measure: str) -> None:
    scale = 1.0 if measure == "time" else 100.0
    for row, step in enumerate(steps):
        estimate = getattr(step, measure)
        if not estimate.n:
            continue
        value, low, high = (scale * number for number in estimate[:3])
        colour = BLUE if estimate.excludes_zero else GREY
        axes.plot([low, high], [row, row], color=colour, linewidth=2)
        axes.plot(value, row, "o", color=colour)
    axes.axvline(0, color="black", linestyle=":", linewidth=1)
    axes.margins(x=0.1)
    axes.tick_params(labelsize=8)


def _label(factor: FactorEffects, step: Step) -> str:
    start, target = (shortened(text, LONGEST_LEVEL) for text in (step.start, step.target))
    return f"{shortened(factor.factor, LONGEST_FACTOR)}: {start} to {target}"
