"""Predictors of failure: measurements at initialisation, ranked."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from vgrad_jax.report.figures.style import BLUE, GREY, ORANGE, is_narrow, new_figure
from vgrad_jax.statistics.failure import ALL_ARMS, Predictor, label_of
from vgrad_jax.wording import counted, literal

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["predictors_caption", "predictors_ranked"]

COLUMNS = 4
MOST_SCOPES = 8
"""Most panels; of more arms the first are drawn, and all arms together."""
MOST = 24
"""Most measurements drawn, unless more are the best of a panel: a deep network has one for each layer."""


def predictors_ranked(predictors: Sequence[Predictor]) -> "Figure":
    """Draw the area under the ROC curve of each measurement with its interval, a panel for each scope.

    A measurement is on the same line in every panel, in the order of the mean strength over the arms. Shown are the
    best of each panel, and of the others the strongest. To the right of one half, large values mean failure; to the
    left, small values. A filled mark stands out of the many that were tried. Arms of which nothing can be told have no
    panel, unless all arms are such.

    Args:
        predictors: as `vgrad_jax.statistics.predictors` gives them.
    """
    scopes = list(dict.fromkeys(predictor.scope for predictor in predictors if predictor.area is not None))
    scopes = scopes or list(dict.fromkeys(predictor.scope for predictor in predictors))
    scopes = scopes[:MOST_SCOPES] if ALL_ARMS not in scopes[MOST_SCOPES:] else [*scopes[: MOST_SCOPES - 1], ALL_ARMS]
    names = _shown(predictors)
    columns = min(len(scopes), 1 if is_narrow() else COLUMNS)
    lines = math.ceil(len(scopes) / columns)
    figure = new_figure(2.3 * columns + 2.2, (0.21 * len(names) + 0.75) * lines + 0.7)
    grid = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False)
    for spare in grid.flat[len(scopes) :]:
        spare.remove()
    for scope, axes in zip(scopes, grid.flat, strict=False):
        _draw(axes, [predictor for predictor in predictors if predictor.scope == scope], names)
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
    figure.legend(handles=handles, loc="outside upper center", ncols=1 if is_narrow() else 3, fontsize=8, frameon=False)
    figure.supxlabel("area under the ROC curve for failure (95 % interval)", fontsize=9)
    return figure


def predictors_caption(predictors: Sequence[Predictor]) -> str:
    """Write the caption of `predictors_ranked`."""
    told = sum(predictor.area is not None for predictor in predictors)
    measurements, shown = len({predictor.measurement for predictor in predictors}), len(_shown(predictors))
    without_area = {each.scope for each in predictors} - {each.scope for each in predictors if each.area is not None}
    strongest = f" Shown are {shown} of {measurements} measurements, the best of each panel among them."
    strongest = strongest if shown < measurements else ""
    arms = counted(len(without_area), "arm of which nothing can be told has", "arms of which nothing can be told have")
    without = f" {arms} no panel." if told and without_area else ""
    pooled = (
        f" In the panel of {ALL_ARMS} a measurement also knows which arm a run belongs to: what is strong there and "
        "weak in each arm tells networks apart, not seeds."
        if any(predictor.scope == ALL_ARMS for predictor in predictors)
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


def _shown(predictors: Sequence[Predictor]) -> list[str]:
    ordered = _in_order(predictors)
    told = [predictor for predictor in predictors if predictor.area is not None]
    best = {
        max(
            (predictor for predictor in told if predictor.scope == scope), key=lambda predictor: predictor.strength
        ).measurement
        for scope in {predictor.scope for predictor in told}
    }
    others = [name for name in ordered if name not in best][: max(MOST - len(best), 0)]
    return [name for name in ordered if name in best or name in others]


def _in_order(predictors: Sequence[Predictor]) -> list[str]:
    """Return measurements, the strongest on average first; pooled areas count only where nothing else is told.

    Measurements of which nothing is told are left out, unless all are such.
    """
    names = list(dict.fromkeys(predictor.measurement for predictor in predictors if predictor.area is not None))
    names = names or list(dict.fromkeys(predictor.measurement for predictor in predictors))

    def weakness(name: str) -> float:
        known = [predictor for predictor in predictors if predictor.measurement == name and predictor.area is not None]
        known = [predictor for predictor in known if predictor.scope != ALL_ARMS] or known
        return -sum(predictor.strength for predictor in known) / len(known) if known else 0.0

    return sorted(names, key=weakness)


def _draw(axes: "Axes", ranked: list[Predictor], names: list[str]) -> None:
    axes.axvline(0.5, color="black", linewidth=0.8, linestyle="--")
    axes.grid(axis="y", alpha=0.25)
    axes.tick_params(labelsize=8, labelbottom=True)
    converged, failed = ranked[0].converged, ranked[0].failed
    axes.set_title(f"{literal(ranked[0].scope)}\n{converged} converged, {failed} failed", fontsize=8, y=1.0)
    if all(predictor.area is None for predictor in ranked):
        axes.text(
            0.5, 0.5, "cannot be told", transform=axes.transAxes, ha="center", fontsize=8, backgroundcolor="white"
        )
    for predictor in ranked:
        if predictor.area is None or predictor.measurement not in names:
            continue
        row = names.index(predictor.measurement)
        marker, colour = ("s", ORANGE) if predictor.direction == "large" else ("o", BLUE)
        if not predictor.real:
            marker, colour = "D", GREY
        axes.plot([predictor.area.low, predictor.area.high], [row, row], color=colour, linewidth=1.5)
        face = colour if predictor.real else "white"
        axes.plot(predictor.area.value, row, marker, color=colour, markerfacecolor=face, markersize=4.5)
