"""Singular values of Jacobians beside their predicted density."""

from typing import TYPE_CHECKING

import numpy as np

from vgrad_jax.report.figures.style import BLUE, ORANGE, new_figure
from vgrad_jax.theory.jacobians import JacobianSpectrum
from vgrad_jax.wording import literal

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["spectrum_beside_prediction"]

DECADES = 6
"""Decades below the largest value that are drawn; smaller values are counted in words."""
NOTHING = 1e-12
"""Share of the largest value that single precision leaves of a singular value of zero."""
BINS = 60


def spectrum_beside_prediction(spectrum: JacobianSpectrum, title: str) -> "Figure":
    """Draw a histogram of squared singular values over seeds, and the density of wide networks; on a log axis.

    Args:
        spectrum: measured and predicted; neither may be None.
        title: the network's name.
    """
    assert spectrum.squares is not None
    assert spectrum.density is not None
    squares, predicted = spectrum.squares.ravel(), spectrum.density
    largest = max(float(squares.max()), predicted.largest)
    shown = squares[squares > NOTHING * largest]
    seen = np.log10(shown)
    weighted = predicted.density * predicted.squares * np.log(10)
    low = max(
        min(float(np.quantile(seen, 0.005)) if len(seen) else 0.0, _start(predicted.squares, weighted)),
        np.log10(largest) - DECADES,
    )
    high = np.log10(largest) + 0.03 * (np.log10(largest) - low) + 0.01
    figure = new_figure(6.4, 3.8)
    axes = figure.subplots()
    edges = np.linspace(low, high, BINS + 1)
    counts, _ = np.histogram(seen, edges)
    axes.stairs(counts / len(squares) / np.diff(edges), edges, fill=True, color=BLUE, alpha=0.45, label="measured")
    inside = np.log10(predicted.squares) >= low
    if weighted.any():
        axes.plot(np.log10(predicted.squares[inside]), weighted[inside], "--", color=ORANGE, label="predicted")
    position, held = predicted.point
    if held:
        axes.axvline(np.log10(position), color=ORANGE, linestyle="--", label=f"predicted: {held:.0%} at one place")
    below = np.mean(squares <= 10**low)
    expected = float(predicted.cumulative(np.asarray(10.0**low)))
    axes.set(
        xlabel="log10 of the squared singular value, last by first hidden layer",
        ylabel="share of singular values\nper decade",
        title=f"{literal(title)}, {len(spectrum.squares)} networks",
        xlim=(low, high),
    )
    axes.set_ylim(bottom=0)
    text = f"further left: {below:.1%}, predicted {expected:.1%}"
    axes.text(0.02, 0.97, text, transform=axes.transAxes, fontsize=8, va="top")
    axes.legend(fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(0.0, 0.93))
    return figure


def _start(squares: np.ndarray, weighted: np.ndarray) -> float:
    """Return log10 of the smallest square at which the density can be seen."""
    seen = weighted > 0.01 * weighted.max()
    return float(np.log10(squares[seen.argmax()])) if weighted.any() else np.inf
