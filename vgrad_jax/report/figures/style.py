"""What the figures share: colours, panels, one legend, quantiles of values that may be -inf."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from vgrad_jax.errors import InputError
from vgrad_jax.results.reading import arm_names, arms_of, completed_seeds
from vgrad_jax.wording import literal

if TYPE_CHECKING:
    import xarray
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


__all__ = [
    "BAND",
    "BLUE",
    "GREEN",
    "GREY",
    "MOST_DOTS",
    "ORANGE",
    "arm_colours",
    "arm_style",
    "gradients_of",
    "new_figure",
    "one_legend",
    "panels_of",
]

# Okabe and Ito's palette: told apart by the colour-blind; every line also differs in dash or place.
BLUE, ORANGE, GREY, GREEN = "#0072B2", "#D55E00", "#555555", "#009E73"
OTHERS = (GREEN, "#CC79A7", "#56B4E9", "#E69F00")
"""Of activations beside tanh and relu, in the order of the arms."""

BAND = 0.25
MOST_DOTS = 2000
"""Of an arm; more of them hide each other."""


def new_figure(width: float, height: float) -> "Figure":
    """An empty figure, inches wide and high."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained", dpi=110)


def panels_of(arms: Sequence[str], y: str, x: str, *, share_y: bool = True) -> "tuple[Figure, list[Axes]]":
    """A panel for each arm, with one label for all axes."""
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
    """One legend above the panels, each label once."""
    handles: dict[str, Any] = {}
    for axes in panels:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    figure.legend(handles.values(), handles.keys(), loc="outside upper center", ncols=4, fontsize=8, frameon=False)


def arm_colours(results: "xarray.Dataset") -> dict[str, str]:
    """Arm name to its colour: arms with the same activations have the same one.

    Grey are arms without hidden layers, those of a seventh and further activation, and all of them where they are not
    described.
    """
    try:
        arms = arms_of(results)
    except InputError:
        return dict.fromkeys(arm_names(results), GREY)
    activations = {arm: frozenset(experiment.mlp.activations()) for arm, experiment in arms.items()}
    colours: dict[frozenset[Any], str] = {frozenset(): GREY, frozenset({"tanh"}): BLUE, frozenset({"relu"}): ORANGE}
    others = iter(OTHERS)
    for activation in activations.values():
        if activation not in colours:
            colours[activation] = next(others, GREY)
    return {arm: colours[activation] for arm, activation in activations.items()}


def gradients_of(results: "xarray.Dataset", arm: str) -> "xarray.DataArray":
    """`(seed, record, layer)` of the layers that the arm has, not read yet."""
    layers = arms_of(results)[arm].mlp.num_layers
    return completed_seeds(results, arm)["gradient_log10_rms"].isel(layer=slice(layers))


def arm_style(colour: str, place: int) -> tuple[str, str, str]:
    """Colour, dash and mark of an arm: colour says the activation, and the others which it is."""
    return colour, ("-", "--", ":", "-.")[place // 2 % 4], "os^Dv<>pP*"[place % 10]
