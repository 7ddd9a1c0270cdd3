"""Families of arms that differ only in depth: who still learns, and with what gradient they start."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from vgrad_jax.numerics import rms_over_seeds
from vgrad_jax.report.figures.style import gradients_of, new_figure, one_legend, panels_of
from vgrad_jax.report.predictions import predictions
from vgrad_jax.results.reading import arm_names
from vgrad_jax.statistics.depth import Family
from vgrad_jax.statistics.summary import ArmSummary
from vgrad_jax.wording import literal

if TYPE_CHECKING:
    import xarray
    from matplotlib.figure import Figure

__all__ = ["profiles_by_depth", "share_against_depth"]

# Okabe and Ito's palette, the yellow left out; marks and dashes differ too.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#555555")
MARKS, DASHES = "osD^vP<>X*", ("-", "--", "-.", ":")


def share_against_depth(
    found: Sequence[Family], summaries: Sequence[ArmSummary], trainable: Mapping[str, float | None]
) -> "Figure":
    """Share of runs that converge against the number of hidden layers: a line for each family, with 95 % intervals.

    Args:
        found: the families.
        summaries: of all arms.
        trainable: family name to theory's trainable depth, marked by a vertical line where it is on the axis; inf is
            any depth, None is where theory says nothing.
    """
    shares = {summary.arm: summary.converged for summary in summaries}
    figure = new_figure(9, 4.2)
    axes = figure.subplots()
    depths = sorted({depth for family in found for depth in family.arms})
    low, high = depths[0] / 1.15, depths[-1] * 1.15
    for index, family in enumerate(found):
        colour = COLOURS[index % len(COLOURS)]
        points = [shares[arm] for arm in family.arms.values()]
        # Beside each other, so that intervals at one depth can be told apart.
        x = np.asarray(list(family.arms)) * 1.02 ** (index - (len(found) - 1) / 2)
        value, below, above = (np.array([point[part] for point in points]) for part in range(3))
        numbers = sorted({point.n for point in points})
        n = f"n = {numbers[0]}" if len(numbers) == 1 else f"n = {numbers[0]} to {numbers[-1]}"
        axes.errorbar(
            x,
            value,
            yerr=[np.maximum(value - below, 0), np.maximum(above - value, 0)],
            fmt=MARKS[index % len(MARKS)] + DASHES[index % len(DASHES)],
            color=colour,
            markersize=5,
            linewidth=1.3,
            elinewidth=0.9,
            capsize=2,
            label=f"{literal(family.name)}, {n}; theory: {_depth(trainable.get(family.name))}",
        )
        reach = trainable.get(family.name)
        if reach is not None and low < reach < high:
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
    axes.legend(fontsize=7.5, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def profiles_by_depth(results: "xarray.Dataset", found: Sequence[Family]) -> "Figure":
    """Each layer's gradient at initialisation, root mean square over seeds, by depth, and the same as predicted."""
    from matplotlib import colormaps

    predicted = predictions(results)
    names = [family.name for family in found]
    depths = sorted({depth for family in found for depth in family.arms})
    colours = dict(zip(depths, colormaps["viridis"](np.linspace(0, 0.9, len(depths))), strict=True))
    figure, panels = panels_of(
        names, "gradient at initialisation,\nlog10 RMS over seeds", "layer (0 is the input side)"
    )
    figure.set_size_inches(max(figure.get_size_inches()[0], 8), figure.get_size_inches()[1] + 0.8)
    there = set(arm_names(results))
    for family, axes in zip(found, panels, strict=True):
        reasons = set()
        for depth, arm in family.arms.items():
            if arm not in there:
                continue
            values = gradients_of(results, arm).isel(record=0).values.astype(np.float64)
            finite = np.where(np.isnan(values), -np.inf, values)
            measured = rms_over_seeds(finite)
            axes.plot(np.where(np.isfinite(measured), measured, np.nan), color=colours[depth], label=f"{depth} layers")
            profile = predicted[arm].log10_rms
            if profile is None:
                reasons.add(predicted[arm].why_not)
            else:
                axes.plot(np.where(np.isfinite(profile), profile, np.nan), "--", color="black", linewidth=0.9)
        for place, reason in enumerate(sorted(reasons)):
            text = literal(f"theory {reason}", longest=None)
            axes.text(0.03, 0.94 - 0.1 * place, text, transform=axes.transAxes, fontsize=6, wrap=True)
        axes.locator_params(axis="x", integer=True)
    panels[0].plot([], [], "--", color="black", linewidth=0.9, label="predicted")
    one_legend(figure, panels)
    return figure


def _depth(reach: float | None) -> str:
    return "does not apply" if reach is None else "any depth" if math.isinf(reach) else f"about {reach:.0f}"
