"""ReLU networks that are born dead and that die, beside the exact law."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from vgrad_jax.report.figures.style import BLUE, GREY, ORANGE, height_of_rows, is_narrow, name_rows, new_figure
from vgrad_jax.statistics.dying import Dying

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["dead_networks"]


def dead_networks(rows: Sequence[Dying]) -> "Figure":
    """Draw the shares of networks that are dead on one row, born dead on all rows, and died, a line for each arm."""
    figure = new_figure(8, height_of_rows(len(rows), 0.42) + 1.3)
    axes = figure.subplots()
    kinds = (("dead_on_one", GREY, "s", -0.2), ("born_dead", BLUE, "o", 0.0), ("died", ORANGE, "^", 0.2))
    labels = ("dead on one row, measured", "born dead on all rows", "died in training")
    for (field, colour, mark, shift), label in zip(kinds, labels, strict=True):
        for row, own in enumerate(rows):
            value, low, high, _ = getattr(own, field)
            axes.plot([low, high], [row + shift] * 2, color=colour, linewidth=1.5)
            axes.plot(value, row + shift, mark, color=colour, markersize=4.5, label="" if row else label)
    for row, own in enumerate(rows):
        axes.plot(
            [own.law] * 2, [row - 0.38, row - 0.02], color="black", label="" if row else "dead on one row, exact law"
        )
    name_rows(axes, [own.arm for own in rows])
    axes.set_xlim(-0.03, 1.03)
    axes.grid(axis="x", alpha=0.3)
    axes.set_xlabel("share of networks (95 % Wilson interval)")
    axes.legend(fontsize=8, frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=1 if is_narrow() else 2)
    return figure
