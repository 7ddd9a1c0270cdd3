"""Shares of runs that converge, of a network and of the changes that were tried on it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from vgrad_jax.report.figures.style import BLUE, GREY, ORANGE, height_of_rows, name_rows, new_figure
from vgrad_jax.statistics.intervals import Estimate

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["shares_tried"]


def shares_tried(names: Sequence[str], shares: Sequence[Estimate], works: Sequence[bool], enough: float) -> "Figure":
    """Draw the share of each change with its interval, a line for each; the untouched network is first.

    Args:
        names: of the untouched network and of the changes.
        shares: that converge.
        works: whether each one works.
        enough: share that is asked.
    """
    figure = new_figure(7.5, height_of_rows(len(names), 0.34) + 1.1)
    axes = figure.subplots()
    for row, (share, is_cure) in enumerate(zip(shares, works, strict=True)):
        colour, mark = (BLUE, "o") if is_cure else (GREY, "s") if row == 0 else (ORANGE, "x")
        axes.plot([share.low, share.high], [row, row], color=colour, linewidth=2)
        axes.plot(share.value, row, mark, color=colour)
    axes.axvline(enough, color=GREY, linestyle=":", linewidth=1)
    name_rows(axes, names, [f"{share.value:.0%}  n={share.n}" for share in shares])
    axes.set_xlim(-0.03, 1.03)
    axes.grid(axis="x", alpha=0.3)
    axes.set_xlabel("share of runs that converge\n(time-uniform 95 % interval); dotted: enough")
    return figure
