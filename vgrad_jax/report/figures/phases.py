"""Measured gradients over the phase diagram of theory."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from vgrad_jax.report.figures.style import is_narrow
from vgrad_jax.report.figures.theory import INK, phase_diagram
from vgrad_jax.statistics.phases import Phase

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["measured_phases"]


def measured_phases(phases: Sequence[Phase]) -> "Figure":
    """Draw a dot for each arm on the phase diagram, in the colour of its own measured factor."""
    weights, biases = ([getattr(own, name) for own in phases] for name in ("weight_variance", "bias_variance"))
    ends = 0.8 * min(weights), 1.1 * max(weights)
    highest = 1.15 * max(*biases, 0.1)
    figure = phase_diagram(phases[0].activation, weight_variance=ends, bias_variance=(0.0, highest))
    axes = figure.axes[0]
    axes.set_ylim(-0.08 * highest, highest)
    measured = [2 * own.measured.value for own in phases]
    style: dict[str, Any] = {"cmap": "RdBu_r", "vmin": -0.5, "vmax": 0.5, "edgecolors": INK, "zorder": 3}
    axes.scatter(weights, biases, c=measured, s=70, label="measured", **style)
    for own in phases:
        note = f"{own.measured.value:+.2f}"
        position = own.weight_variance, own.bias_variance
        axes.annotate(note, position, (0, 8), textcoords="offset points", ha="center", size=6, color=INK)
    drawn = axes.get_legend()
    if drawn is not None:
        drawn.remove()  # It would hide dots.
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", fontsize=8, frameon=False, ncols=1 if is_narrow() else 2)
    return figure
