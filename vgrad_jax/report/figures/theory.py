"""Theory beside measurements: phase diagram, profile by layer, and the law over seeds."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from vgrad_jax.numerics import finite_quantiles
from vgrad_jax.report.figures.style import BAND, BLUE, GREY, ORANGE, is_narrow, new_figure, one_legend, panels_of
from vgrad_jax.theory.comparison import Comparison
from vgrad_jax.theory.mean_field import moments
from vgrad_jax.theory.seed_law import SeedLaw
from vgrad_jax.wording import literal

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["INK", "phase_diagram", "profile_beside_prediction", "seed_histogram", "seed_histograms"]

SQUARED_GRADIENT = "ln of the squared gradient norm of the first kernel, one logit, one input"

INK = "#111111"
"""Colour of lines over a heat map, which is as light on a dark page."""
STEPS = 400
"""Layers after which the variance counts as settled: enough for a picture."""


def phase_diagram(
    activation: Any,
    *,
    weight_variance: tuple[float, float] = (0.05, 4.0),
    bias_variance: tuple[float, float] = (0.0, 0.5),
    network: tuple[float, float] | None = None,
) -> "Figure":
    """Draw log10 chi_1 over weight and bias variance: gradients vanish, explode, or keep their size.

    Args:
        activation: a name from `ACTIVATIONS` or an elementwise function.
        weight_variance: range of fan-in times the variance of a weight.
        bias_variance: range of the variance of a bias.
        network: weight and bias variance of a network that is marked.
    """
    weights, biases = np.linspace(*weight_variance, 160), np.linspace(*bias_variance, 90)
    log_q = np.linspace(-12, 6, 541)
    square, gradient, _ = moments(activation, 10**log_q)
    q = np.ones((len(biases), len(weights)))
    for _ in range(STEPS):
        at = np.log10(np.clip(q, 10 ** log_q[0], 10 ** log_q[-1]))
        # E[phi^2] / q varies slowly, E[phi^2] itself over many orders.
        q = weights * q * np.interp(at, log_q, square / 10**log_q) + biases[:, None]
        q = np.clip(q, 10 ** log_q[0], 10 ** log_q[-1])
    chi = weights * np.interp(np.log10(q), log_q, gradient)
    figure = new_figure(6.4, 4.2)
    axes = figure.subplots()
    shown = np.clip(np.log10(np.maximum(chi, 1e-9)), -0.5, 0.5)
    image = axes.pcolormesh(weights, biases, shown, cmap="RdBu_r", vmin=-0.5, vmax=0.5, shading="gouraud")
    figure.colorbar(image, ax=axes, label="log10 chi_1, per layer (cut at +-0.5)", extend="both")
    if chi.min() < 1 - 1e-6 and chi.max() > 1 + 1e-6:
        axes.contour(weights, biases, chi, [1.0 + 1e-9], colors=INK, linewidths=1.5)
        axes.plot([], [], color=GREY, label="edge of chaos, chi_1 = 1")
    lines = axes.contour(weights, biases, chi, [0.5, 0.8, 0.9, 1.1, 1.2], colors=GREY, linewidths=0.7, linestyles=":")
    axes.clabel(lines, fontsize=7)
    if network is not None:
        axes.plot(*network, "*", color="gold", markeredgecolor="black", markersize=13, label="this network")
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="upper left", fontsize=8)
    axes.set(
        xlabel="weight variance times fan-in",
        ylabel="bias variance",
        title=f"{literal(str(activation))}: blue vanishes, red explodes",
    )
    return figure


def profile_beside_prediction(comparison: Comparison, title: str) -> "Figure":
    """Draw each layer's gradient at initialisation over seeds, with the predicted root mean square dashed."""
    figure = new_figure(6.4, 3.8)
    axes = figure.subplots()
    layers = np.arange(comparison.measured.shape[1])
    low, middle, high = finite_quantiles(comparison.measured, [0.05, 0.5, 0.95])
    axes.fill_between(layers, low, high, color=BLUE, alpha=BAND, linewidth=0, label="central 90 % of seeds")
    axes.plot(layers, middle, "o:", color=BLUE, markersize=4, linewidth=1, label="median")
    axes.plot(
        layers, comparison.measured_log10_rms, "s-", color=BLUE, markersize=4, label="root mean square over seeds"
    )
    if comparison.prediction.log10_rms is not None:
        axes.plot(
            layers, comparison.prediction.log10_rms, "D--", color=ORANGE, markersize=4, label="the same, predicted"
        )
    else:
        axes.text(
            0.02,
            0.02,
            literal(f"theory {comparison.prediction.why_not}", longest=None),
            transform=axes.transAxes,
            fontsize=7,
            color=ORANGE,
        )
    axes.set(
        xlabel="layer (0 is the input side)",
        ylabel="gradient, log10 RMS",
        title=f"{literal(title)}, n = {len(comparison.measured)}",
    )
    axes.locator_params(axis="x", integer=True)
    axes.legend(fontsize=8, frameon=False)
    return figure


def seed_histogram(measured: SeedLaw, title: str) -> "Figure":
    """Draw ln of a kernel's squared gradient over seeds, with the exact density of networks that are alive."""
    figure = new_figure(6.4, 3.8)
    axes = figure.subplots()
    counts = _draw_seed_law(axes, measured)
    axes.set(xlabel=SQUARED_GRADIENT, ylabel="density", title=f"{literal(title)}: {counts} on this input")
    axes.legend(fontsize=8, frameon=False)
    return figure


def seed_histograms(laws: Mapping[str, SeedLaw]) -> "Figure":
    """Draw `seed_histogram` for several arms, a panel for each."""
    figure, panels = panels_of(list(laws), "density", SQUARED_GRADIENT, share_y=False)
    if not is_narrow():
        figure.set_size_inches(max(figure.get_size_inches()[0], 6.4), figure.get_size_inches()[1] + 0.4)
    for (arm, measured), axes in zip(laws.items(), panels, strict=True):
        counts = _draw_seed_law(axes, measured)
        axes.set_title(f"{literal(arm)}: {counts}", fontsize=8)
        axes.text(0.03, 0.97, f"p = {measured.p_value:.2g}", transform=axes.transAxes, fontsize=8, va="top")
        for handle in axes.lines:
            handle.set_label("exact law")
    one_legend(figure, panels)
    return figure


def _draw_seed_law(axes: "Axes", measured: SeedLaw) -> str:
    """Draw histogram and density; return in words how many networks are alive and dead."""
    assert measured.log_squares is not None
    assert measured.law is not None
    law, alive = measured.law, measured.log_squares[np.isfinite(measured.log_squares)]
    spread = law.variance**0.5
    low, high = law.mean - 4 * spread, law.mean + 3 * spread
    if len(alive):
        bins = max(10, round(2 * len(alive) ** 0.4))
        axes.hist(alive, bins=bins, density=True, color=BLUE, alpha=0.45, label="measured")
        low, high = min(float(alive.min()), low), max(float(alive.max()), high)
    grid = np.linspace(low, high, 400)
    axes.plot(grid, law.density(grid), "--", color=ORANGE, label=f"exact law, p = {measured.p_value:.2g}")
    return f"{len(alive)} alive, {len(measured.log_squares) - len(alive)} dead"
