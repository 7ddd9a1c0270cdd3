"""Colours, panels and legends that the figures share."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from vgrad_jax.experiment import Experiment
from vgrad_jax.wording import literal

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


__all__ = [
    "BAND",
    "BLUE",
    "GREEN",
    "GREY",
    "MOST_DOTS",
    "ORANGE",
    "activation_colours",
    "arm_style",
    "new_figure",
    "one_legend",
    "own_colours",
    "panels_of",
]

# Okabe and Ito's palette: told apart by the colour-blind; every line also differs in dash or place.
BLUE, ORANGE, GREY, GREEN = "#0072B2", "#D55E00", "#555555", "#009E73"
OTHERS = (GREEN, "#CC79A7", "#56B4E9", "#E69F00")
"""Colours of activations beside tanh and relu, in the order of the arms."""

BAND = 0.25
MOST_DOTS = 2000
"""Most dots of an arm; more of them hide each other."""


def new_figure(width: float, height: float) -> "Figure":
    """Return an empty figure, `width` by `height` inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained", dpi=110)


def panels_of(arms: Sequence[str], y: str, x: str, *, share_y: bool = True) -> "tuple[Figure, list[Axes]]":
    """Return a figure with a panel for each arm, and the panels; the axes share their labels.

    Args:
        arms: titles of the panels.
        y: label of the vertical axes.
        x: label of the horizontal axes.
        share_y: whether the panels have the same vertical scale.
    """
    columns = min(len(arms), 4)
    lines = math.ceil(len(arms) / columns)
    figure = new_figure(2.6 * columns + 0.8, 2.1 * lines + 0.4)
    grid = figure.subplots(lines, columns, sharey=share_y, squeeze=False)
    panels: list[Axes] = list(grid.flat)
    for spare in panels[len(arms) :]:
        spare.remove()
    for arm, axes in zip(arms, panels, strict=False):
        axes.set_title(literal(arm), fontsize=9)
        axes.tick_params(labelsize=8)
    figure.supylabel(y, fontsize=9)
    figure.supxlabel(x, fontsize=9)
    return figure, panels[: len(arms)]


def one_legend(figure: "Figure", panels: "Sequence[Axes]") -> None:
    """Draw a single legend above the panels, each label once."""
    handles: dict[str, Any] = {}
    for axes in panels:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    figure.legend(handles.values(), handles.keys(), loc="outside upper center", ncols=4, fontsize=8, frameon=False)


def activation_colours(arms: Mapping[str, Experiment]) -> dict[str, str]:
    """Return arm name to colour: arms with the same activations have the same colour.

    Arms without hidden layers are grey, and so are those of a seventh and further activation.
    """
    activations = {arm: frozenset(experiment.mlp.activations()) for arm, experiment in arms.items()}
    colours: dict[frozenset[Any], str] = {frozenset(): GREY, frozenset({"tanh"}): BLUE, frozenset({"relu"}): ORANGE}
    others = iter(OTHERS)
    for activation in activations.values():
        if activation not in colours:
            colours[activation] = next(others, GREY)
    return {arm: colours[activation] for arm, activation in activations.items()}


def own_colours(arms: Sequence[str], taken: Mapping[str, str]) -> dict[str, str]:
    """Return arm name to colour for the arms without one: colours that no arm has first, grey where they run out.

    Args:
        arms: names of all arms.
        taken: arm name to colour of the arms that have one.
    """
    free = iter([colour for colour in (BLUE, ORANGE, *OTHERS) if colour not in taken.values()])
    return {arm: next(free, GREY) for arm in arms if arm not in taken}


def arm_style(colour: str, index: int) -> tuple[str, str, str]:
    """Return colour, dash and mark of an arm: the colour tells the activation, dash and mark tell the arm.

    Args:
        colour: of the arm.
        index: of the arm among all arms.
    """
    return colour, ("-", "--", ":", "-.")[index // 2 % 4], "os^Dv<>pP*"[index % 10]
