"""What predicts failure: measurements at initialisation, ranked."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from vgrad_jax.report.figures.style import BLUE, GREY, ORANGE, new_figure
from vgrad_jax.statistics.failure import ALL_ARMS, Predictor, label_of
from vgrad_jax.wording import counted, literal

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["predictors_caption", "predictors_ranked"]

COLUMNS = 4
MOST = 24
"""Measurements drawn, unless more are the best of a panel: a deep network has one more for each layer."""


def predictors_ranked(found: Sequence[Predictor]) -> "Figure":
    """The area under the ROC curve of each measurement with its interval, a panel for each arm and the pooled one.

    Measurements are on the same line in every panel, in the order of their mean strength over the arms: the best one of
    each panel, and of the others the strongest. To the right of one half, large values mean failure; to the left,
    small ones. A filled mark stands out of the many that were tried. Arms of which nothing can be told have no panel,
    unless there are no others.

    Args:
        found: as `vgrad_jax.statistics.failure.predictors` gives it.
    """
    scopes = list(dict.fromkeys(one.scope for one in found if one.area is not None))
    scopes = scopes or list(dict.fromkeys(one.scope for one in found))
    names = _shown(found)
    columns = min(len(scopes), COLUMNS)
    lines = math.ceil(len(scopes) / columns)
    figure = new_figure(2.3 * columns + 2.2, (0.21 * len(names) + 0.75) * lines + 0.7)
    grid = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False)
    for spare in grid.flat[len(scopes) :]:
        spare.remove()
    for scope, axes in zip(scopes, grid.flat, strict=False):
        _draw(axes, [one for one in found if one.scope == scope], names)
    first = grid[0, 0]
    first.set_yticks(range(len(names)), [label_of(name) for name in names], fontsize=8)
    first.set_ylim(len(names) - 0.5, -0.5)
    first.set_xlim(-0.03, 1.03)
    first.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "", "0.5", "", "1"])
    handles = [
        first.plot([], [], marker, color=colour, markerfacecolor=face, label=label)[0]
        for marker, colour, face, label in (
            ("s", ORANGE, ORANGE, "large values mean failure"),
            ("o", BLUE, BLUE, "small values mean failure"),
            ("D", GREY, "white", "not told apart from chance, given how many were tried"),
        )
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=3, fontsize=8, frameon=False)
    figure.supxlabel("area under the ROC curve for failure (95 % interval)", fontsize=9)
    return figure


def predictors_caption(found: Sequence[Predictor]) -> str:
    """What to look for in `predictors_ranked`."""
    told = sum(one.area is not None for one in found)
    measurements, shown = len({one.measurement for one in found}), len(_shown(found))
    untold = {one.scope for one in found} - {one.scope for one in found if one.area is not None}
    strongest = f" Shown are {shown} of {measurements} measurements, the best of each panel among them."
    strongest = strongest if shown < measurements else ""
    arms = counted(len(untold), "arm of which nothing can be told has", "arms of which nothing can be told have")
    without = f" {arms} no panel." if told and untold else ""
    pooled = (
        f" In the panel of {ALL_ARMS} a measurement also knows which arm a run belongs to: what is strong there and "
        "weak in each arm tells networks apart, not seeds."
        if any(one.scope == ALL_ARMS for one in found)
        else ""
    )
    filled = (
        f"Filled marks stand out of the {told} that were tried (false discovery rate 5 %); the best of many still "
        "looks better than it is."
        if told
        else "Here nothing can be told."
    )
    return (
        "What a network's start says about its end: the chance that of a failed and a converged run the failed one has "
        "the larger value. Look for intervals that stay clear of the line at 0.5, where a measurement says nothing. "
        f"{filled}{strongest}{without}{pooled}"
    )


def _shown(found: Sequence[Predictor]) -> list[str]:
    ordered = _in_order(found)
    told = [one for one in found if one.area is not None]
    best = {
        max((one for one in told if one.scope == scope), key=lambda one: one.strength).measurement
        for scope in {one.scope for one in told}
    }
    others = [name for name in ordered if name not in best][: max(MOST - len(best), 0)]
    return [name for name in ordered if name in best or name in others]


def _in_order(found: Sequence[Predictor]) -> list[str]:
    """Measurements, the strongest on average first; pooled areas count only where nothing else is told.

    Those of which nothing is told are left out, unless there are no others.
    """
    names = list(dict.fromkeys(one.measurement for one in found if one.area is not None))
    names = names or list(dict.fromkeys(one.measurement for one in found))

    def weakness(name: str) -> float:
        known = [one for one in found if one.measurement == name and one.area is not None]
        known = [one for one in known if one.scope != ALL_ARMS] or known
        return -sum(one.strength for one in known) / len(known) if known else 0.0

    return sorted(names, key=weakness)


def _draw(axes: "Axes", ranked: list[Predictor], names: list[str]) -> None:
    axes.axvline(0.5, color="black", linewidth=0.8, linestyle="--")
    axes.grid(axis="y", alpha=0.25)
    axes.tick_params(labelsize=8, labelbottom=True)
    converged, failed = ranked[0].converged, ranked[0].failed
    axes.set_title(f"{literal(ranked[0].scope)}\n{converged} converged, {failed} failed", fontsize=8)
    if all(one.area is None for one in ranked):
        axes.text(
            0.5, 0.5, "cannot be told", transform=axes.transAxes, ha="center", fontsize=8, backgroundcolor="white"
        )
    for one in ranked:
        if one.area is None or one.measurement not in names:
            continue
        place = names.index(one.measurement)
        marker, colour = ("s", ORANGE) if one.direction == "large" else ("o", BLUE)
        if not one.real:
            marker, colour = "D", GREY
        axes.plot([one.area.low, one.area.high], [place, place], color=colour, linewidth=1.5)
        face = colour if one.real else "white"
        axes.plot(one.area.value, place, marker, color=colour, markerfacecolor=face, markersize=4.5)
