"""Counts with their nouns, and names that figures draw character by character."""

import re

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cbook import is_math_text
from matplotlib.figure import Figure

from vgrad_jax.wording import LONGEST_NAME, counted, literal


@pytest.mark.parametrize(
    ("arguments", "options", "shown"),
    [
        ((1, "arm"), {}, "1 arm"),
        ((2, "arm"), {}, "2 arms"),
        ((0, "arm"), {}, "0 arms"),
        ((1, "arm is", "arms are"), {}, "1 arm is"),
        ((3, "arm is", "arms are"), {}, "3 arms are"),
        ((0.6, "epoch"), {"form": "+.0f"}, "+1 epoch"),
        ((-1.0, "epoch"), {"form": "+.0f"}, "-1 epoch"),
        ((11.0, "epoch"), {"form": ".0f"}, "11 epochs"),
    ],
)
def test_a_noun_is_plural_unless_the_count_is_shown_as_one(arguments, options, shown):
    assert counted(*arguments, **options) == shown


def drawn(text):
    """What Matplotlib draws of a legend's label: the characters, and whether as a formula."""
    figure = Figure()
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.plot([0, 1], label=text)
    (label,) = axes.legend().get_texts()
    shown, is_formula = label._preprocess_math(label.get_text())
    figure.canvas.draw()
    return shown, is_formula


@pytest.mark.parametrize("name", ["$x^{2$", "a$b$c", r"\frac$1$", r"a\$b", "$", "$$", "<b>", "100 %", "{}", "_x", "__"])
def test_names_are_drawn_character_by_character(name):
    shown, is_formula = drawn(literal(name))
    assert shown.removeprefix("\u200b") == name
    assert not is_formula
    assert not is_math_text(literal(name))


def test_line_breaks_become_spaces_and_long_names_lose_their_middle():
    assert literal("a\nb\tc\x00") == "a b c "
    name = "".join(chr(ord("a") + place % 26) for place in range(300))
    short = literal(name)
    assert len(short) == LONGEST_NAME
    assert re.fullmatch(r"(\w+)…(\w+)", short)
    assert name.startswith(short.split("…")[0])
    assert name.endswith(short.split("…")[1])
    assert literal(name[:LONGEST_NAME]) == name[:LONGEST_NAME]
    assert literal(name, longest=None) == name
    assert drawn(literal("$" * 300))[0] == "$" * 32 + "…" + "$" * 15
