"""Families of arms that differ only in depth: shares that converge, and gradients at the start."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import Float

from vgrad_jax.report.figures.style import is_narrow, legend_beside, new_figure, one_legend, panels_of
from vgrad_jax.statistics.depth import Family
from vgrad_jax.statistics.intervals import Estimate
from vgrad_jax.statistics.summary import ArmSummary
from vgrad_jax.theory.prediction import Prediction
from vgrad_jax.wording import literal

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["FamilyProfiles", "profiles_by_depth", "share_against_depth"]

# Okabe and Ito's palette, the yellow left out; marks and dashes differ too.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#555555")
MARKS, DASHES = "osD^vP<>X*", ("-", "--", "-.", ":")


def share_against_depth(
    families: Sequence[Family], summaries: Sequence[ArmSummary], trainable: Mapping[str, float | None]
) -> "Figure":
    """Draw the share of runs that converge against the number of hidden layers: a line for each family.

    Args:
        families: arms that differ in depth alone.
        summaries: of all arms.
        trainable: family name to theory's trainable depth, marked by a vertical line where it is on the axis. Its value
            inf is any depth, and None is no statement.
    """
    shares = {summary.arm: summary.converged for summary in summaries}
    figure = new_figure(9, 4.2 + (0.3 * len(families) if is_narrow() else 0.0))
    axes = figure.subplots()
    depths = sorted({depth for family in families for depth in family.arms})
    low, high = depths[0] / 1.15, depths[-1] * 1.15
    for index, family in enumerate(families):
        # Beside each other, so that intervals at one depth can be told apart.
        x = np.asarray(list(family.arms)) * 1.02 ** (index - (len(families) - 1) / 2)
        reach = trainable.get(family.name)
        _draw_family(axes, x, family, [shares[arm] for arm in family.arms.values()], reach, index)
        if reach is not None and low < reach < high:
            colour = COLOURS[index % len(COLOURS)]
            axes.axvline(reach, color=colour, linestyle=":", linewidth=1.2)
            axes.plot(reach, 1.06, "v", color=colour, markersize=7)
    axes.set_xscale("log")
    axes.set_xticks(depths, [str(depth) for depth in depths])
    axes.minorticks_off()
    axes.set_xlim(low, high)
    axes.set_ylim(-0.03, 1.1)
    axes.grid(alpha=0.25)
    axes.set_xlabel("hidden layers")
    axes.set_ylabel("share of runs that converge (95 % Wilson interval)", fontsize=9)
    axes.plot([], [], "v:", color="black", label="theory's trainable depth, where it is on the axis")
    legend_beside(axes, size=7.5)
    return figure


def _draw_family(
    axes: "Axes", x: np.ndarray, family: Family, shares: Sequence[Estimate], reach: float | None, index: int
) -> None:
    value, below, above = (np.array([share[field] for share in shares]) for field in range(3))
    numbers = sorted({share.n for share in shares})
    n = f"n = {numbers[0]}" if len(numbers) == 1 else f"n = {numbers[0]} to {numbers[-1]}"
    axes.errorbar(
        x,
        value,
        yerr=[np.maximum(value - below, 0), np.maximum(above - value, 0)],
        fmt=MARKS[index % len(MARKS)] + DASHES[index % len(DASHES)],
        color=COLOURS[index % len(COLOURS)],
        markersize=5,
        linewidth=1.3,
        elinewidth=0.9,
        capsize=2,
        label=f"{literal(family.name)}, {n}; theory: {_depth(reach)}",
    )


class FamilyProfiles(NamedTuple):
    """First gradients of a family's arms by layer, log10 root mean square over seeds."""

    name: str
    measured: Mapping[int, Float[np.ndarray, " layer"]]
    """Number of hidden layers to sizes; -inf is a gradient of exactly zero."""
    predicted: Mapping[int, Prediction]
    """Number of hidden layers to theory's prediction of the same sizes."""


def profiles_by_depth(families: Sequence[FamilyProfiles]) -> "Figure":
    """Draw first gradients by layer and their predictions: a panel for each family, a line for each depth."""
    from matplotlib import colormaps

    depths = sorted({depth for family in families for depth in family.measured})
    colours = dict(zip(depths, colormaps["viridis"](np.linspace(0, 0.9, len(depths))), strict=True))
    figure, panels = panels_of(
        [family.name for family in families],
        "gradient at initialisation,\nlog10 RMS over seeds",
        "layer (0 is the input side)",
    )
    if not is_narrow():
        figure.set_size_inches(max(figure.get_size_inches()[0], 8), figure.get_size_inches()[1] + 0.8)
    for family, axes in zip(families, panels, strict=True):
        for depth, sizes in family.measured.items():
            axes.plot(_finite(sizes), color=colours[depth], label=f"{depth} layers")
            profile = family.predicted[depth].log10_rms
            if profile is not None:
                axes.plot(_finite(profile), "--", color="black", linewidth=0.9)
        reasons = {prediction.why_not for prediction in family.predicted.values() if prediction.log10_rms is None}
        for index, reason in enumerate(sorted(reasons)):
            text = literal(f"theory {reason}", longest=None)
            axes.text(0.03, 0.94 - 0.1 * index, text, transform=axes.transAxes, fontsize=6, wrap=True)
        axes.locator_params(axis="x", integer=True)
    panels[0].plot([], [], "--", color="black", linewidth=0.9, label="predicted")
    one_legend(figure, panels)
    return figure


def _finite(sizes: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(sizes), sizes, np.nan)


def _depth(reach: float | None) -> str:
    return "does not apply" if reach is None else "any depth" if math.isinf(reach) else f"about {reach:.0f}"
