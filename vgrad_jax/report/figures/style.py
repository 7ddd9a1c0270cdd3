"""Colours, panels and legends that the figures share."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from vgrad_jax.experiment import Experiment
from vgrad_jax.wording import LONGEST_NAME, literal

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


__all__ = [
    "BAND",
    "BLUE",
    "GREEN",
    "GREY",
    "LONGEST_ON_NARROW",
    "MOST_DOTS",
    "NARROW",
    "ORANGE",
    "OTHERS",
    "activation_colours",
    "height_of_rows",
    "is_narrow",
    "legend_beside",
    "name_rows",
    "narrow_page",
    "new_figure",
    "one_legend",
    "own_colours",
    "panels_of",
    "row_of_panels",
]

# Okabe and Ito's palette: told apart by the colour-blind; every line also differs in dash or place.
BLUE, ORANGE, GREY, GREEN = "#0072B2", "#D55E00", "#555555", "#009E73"
OTHERS = (GREEN, "#CC79A7", "#56B4E9", "#E69F00")
"""Colours of activations beside tanh and relu, in the order of the arms."""

BAND = 0.25
FEW_PANELS = 4
"""Most panels in a row of a wide page."""
LONGEST_ON_NARROW = 34
"""Characters of a name on a narrow page."""
LONGEST_TITLE = 28
"""Characters above a small panel; titles of more than half of them are written small."""
MOST_DOTS = 2000
"""Most dots of an arm; more of them hide each other."""


NARROW = 3.7
"""Width in inches of a figure on a narrow page, such as that of a phone."""

_is_narrow: ContextVar[bool] = ContextVar("is_narrow", default=False)


@contextmanager
def narrow_page() -> Iterator[None]:
    """Draw the figures within this context for a narrow page: panels below each other, names above their rows."""
    token = _is_narrow.set(True)
    try:
        yield
    finally:
        _is_narrow.reset(token)


def is_narrow() -> bool:
    """Return whether figures are drawn for a narrow page."""
    return _is_narrow.get()


def new_figure(width: float, height: float) -> "Figure":
    """Return an empty figure, `width` by `height` inches; on a narrow page it is no wider than `NARROW`."""
    from matplotlib.figure import Figure

    return Figure(figsize=(min(width, NARROW) if is_narrow() else width, height), layout="constrained", dpi=110)


def row_of_panels(
    count: int, width: float, height: float, *, ratios: Sequence[float] | None = None, share_y: bool = False
) -> "tuple[Figure, list[Axes]]":
    """Return a figure with panels beside each other; on a narrow page they are below each other.

    Args:
        count: number of panels.
        width: of the figure on a wide page, inches.
        height: of a panel, inches.
        ratios: widths of the panels on a wide page.
        share_y: whether the panels have the same vertical scale.
    """
    figure = new_figure(width, height * (count if is_narrow() else 1))
    if is_narrow():
        return figure, [*figure.subplots(count, 1, sharey=share_y, squeeze=False).flat]
    return figure, [*figure.subplots(1, count, sharey=share_y, squeeze=False, width_ratios=ratios).flat]


def name_rows(
    axes: "Axes", names: Sequence[str], notes: Sequence[str] = (), *, size: float = 8, longest: int = LONGEST_NAME
) -> None:
    """Write the name of each row beside the axes and its note on the other side; on a narrow page both above the row.

    The first row is on top.

    Args:
        axes: row k is at the height k.
        names: of the rows.
        notes: of the rows; none where it is empty.
        size: of the letters, points.
        longest: characters of a name at the most.
    """
    along = axes.get_yaxis_transform()
    noted = [*notes] or [""] * len(names)
    if is_narrow():
        axes.set_yticks(range(len(names)), [""] * len(names))
        for row, (name, note) in enumerate(zip(names, noted, strict=True)):
            text = f"{literal(name, longest if not note else LONGEST_ON_NARROW)}{f': {note}' if note else ''}"
            axes.text(0.01, row - 0.4, text, va="center", fontsize=size, transform=along)
        axes.set_ylim(len(names) - 0.5, -0.8)
        return
    axes.set_yticks(range(len(names)), [literal(name, longest) for name in names], fontsize=size)
    for row, note in enumerate(noted):
        if note:
            axes.text(1.02, row, note, va="center", fontsize=size, transform=along)
    axes.set_ylim(len(names) - 0.5, -0.5)


def height_of_rows(count: int, each: float) -> float:
    """Return the height of so many rows in inches, `each` on a wide page; a narrow page has their names between."""
    return count * (max(each, 0.44) if is_narrow() else each)


def panels_of(arms: Sequence[str], y: str, x: str, *, share_y: bool = True) -> "tuple[Figure, list[Axes]]":
    """Return a figure with a panel for each arm, and the panels; the axes share their labels.

    Args:
        arms: titles of the panels.
        y: label of the vertical axes.
        x: label of the horizontal axes.
        share_y: whether the panels have the same vertical scale.
    """
    most = (1 if len(arms) <= FEW_PANELS else 2) if is_narrow() else FEW_PANELS
    columns = min(len(arms), most)
    lines = math.ceil(len(arms) / columns)
    figure = new_figure(2.6 * columns + 0.8, 2.1 * lines + 0.4)
    grid = figure.subplots(lines, columns, sharey=share_y, squeeze=False)
    panels: list[Axes] = list(grid.flat)
    for spare in panels[len(arms) :]:
        spare.remove()
    longest = LONGEST_TITLE if is_narrow() and columns > 1 else LONGEST_NAME
    for arm, axes in zip(arms, panels, strict=False):
        # Without `y`, Matplotlib looks for a place of every title at every drawing.
        axes.set_title(literal(arm, longest), fontsize=9 if len(arm) <= LONGEST_TITLE // 2 else 7, y=1.0)
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
    columns = 4
    if is_narrow():
        columns = 1 if max(map(len, handles), default=0) > LONGEST_ON_NARROW // 2 else 2
    figure.legend(
        handles.values(), handles.keys(), loc="outside upper center", ncols=columns, fontsize=8, frameon=False
    )


def legend_beside(axes: "Axes", *, size: float = 8) -> None:
    """Draw a legend to the right of the axes; on a narrow page below the figure."""
    if is_narrow():
        figure = axes.figure.get_figure(root=True)
        assert figure is not None
        handles, labels = axes.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", fontsize=size, frameon=False)
        return
    axes.legend(fontsize=size, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))


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
