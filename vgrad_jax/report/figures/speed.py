"""Speed of a sweep."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from vgrad_jax.report.figures.style import BLUE, new_figure
from vgrad_jax.wording import literal

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from vgrad_jax.sweeps.speed import Speed


__all__ = ["speed_bars"]


def speed_bars(speeds: "Sequence[Speed]", title: str) -> "Figure":
    """Draw the wall time of a training for each way of training, on a log axis."""
    figure = new_figure(7, 0.5 * len(speeds) + 1.2)
    axes = figure.subplots()
    values = [speed.run_milliseconds for speed in speeds]
    axes.barh(range(len(speeds)), values, color=BLUE, height=0.6)
    for row, speed in enumerate(speeds):
        faster = values[0] / speed.run_milliseconds
        note = f"{speed.run_milliseconds:,.0f} ms" + (f", {faster:.2g} times as fast" if row else "")
        axes.annotate(note, (speed.run_milliseconds, row), (5, 0), textcoords="offset points", va="center", size=9)
    axes.set_yticks(range(len(speeds)), [literal(speed.name) for speed in speeds])
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set_xlim(min(values) / 3, max(values) * 20)
    axes.set_xlabel("wall time of one training, ms")
    axes.set_title(literal(title), fontsize=10)
    return figure
