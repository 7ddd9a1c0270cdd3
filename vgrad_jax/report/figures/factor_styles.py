"""Colours, dashes and marks of arms: each of them tells the level of a factor.

factors of the arms ─► colour: the activation, or else the first factor ─► dash: the next one ─► mark: the others
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from vgrad_jax.report.figures.style import BLUE, GREY, ORANGE, OTHERS
from vgrad_jax.statistics.levels import Factor, factors_in

__all__ = ["ArmStyle", "Key", "Styles", "arm_styles"]

COLOURS, DASHES, MARKS = (BLUE, ORANGE, *OTHERS), ("-", "--", ":", "-."), "os^Dv<>pP*"


class ArmStyle(NamedTuple):
    """Colour, dash and mark of an arm."""

    colour: str
    dash: str
    mark: str


class Key(NamedTuple):
    """Factor that a property of the style tells, and the style of each of its levels."""

    factor: str
    levels: Mapping[str, ArmStyle]


class Styles(NamedTuple):
    """Styles of arms, and what they tell."""

    of: Mapping[str, ArmStyle]
    """Arm name to style."""
    keys: Sequence[Key]
    """Empty where the styles only tell arms apart."""

    def alone(self) -> dict[str, str]:
        """Return arm name to colour."""
        return {arm: style.colour for arm, style in self.of.items()}


def arm_styles(colours: Mapping[str, str], fields: Mapping[str, Mapping[str, Any]]) -> Styles:
    """Return styles that tell the factors of the arms.

    Where the factors do not tell all arms apart, dash and mark number them, and colour tells what `colours` tells.

    Args:
        colours: arm name to colour, of its activation.
        fields: arm name to its fields, "index name" to value; arms may lack them.
    """
    factors = factors_in(fields) if len(fields) == len(colours) else []
    named = [factor for factor in factors if len(factor.levels) <= len(COLOURS)]
    first = next((factor for factor in named if "activation" in factor.name), named[0] if named else None)
    if first is None or len(named) < len(factors):
        return _numbered(colours)
    # Dashes are few, so the factor with the fewest levels has them.
    rest = sorted((factor for factor in named if factor is not first), key=lambda factor: len(factor.levels))
    dash, mark = (rest[0], _together(rest[1:], [*colours]) or rest[0]) if rest else (None, None)
    shades = dict(colours) if "activation" in first.name else {arm: COLOURS[_place(first, arm)] for arm in colours}
    styles = {
        arm: ArmStyle(
            shades[arm],
            "-" if dash is None else DASHES[_place(dash, arm) % len(DASHES)],
            "o" if mark is None else MARKS[_place(mark, arm) % len(MARKS)],
        )
        for arm in colours
    }
    if len({*styles.values()}) < len(styles):
        return _numbered(colours)
    keys = [_key(styles, first, lambda style: ArmStyle(style.colour, "-", ""))]
    if dash is mark and dash is not None:
        keys.append(_key(styles, dash, lambda style: style._replace(colour=GREY)))
    elif dash is not None and mark is not None:
        keys.append(_key(styles, dash, lambda style: ArmStyle(GREY, style.dash, "")))
        keys.append(_key(styles, mark, lambda style: ArmStyle(GREY, "", style.mark)))
    return Styles(styles, keys)


def _together(factors: Sequence[Factor], arms: Sequence[str]) -> Factor | None:
    """Return several factors as one, whose levels are their combinations."""
    if len(factors) < 2:
        return factors[0] if factors else None
    of = {arm: ", ".join(factor.of[arm] for factor in factors) for arm in arms}
    return Factor(" and ".join(factor.name for factor in factors), tuple(dict.fromkeys(of.values())), of)


def _place(factor: Factor, arm: str) -> int:
    return factor.levels.index(factor.of[arm])


def _key(styles: Mapping[str, ArmStyle], factor: Factor, plain: Callable[[ArmStyle], ArmStyle]) -> Key:
    """Return how the levels of a factor are drawn; what the factor does not tell is plain."""
    drawn = {factor.of[arm]: plain(style) for arm, style in styles.items()}
    return Key(factor.name, {level: drawn[level] for level in factor.levels})


def _numbered(colours: Mapping[str, str]) -> Styles:
    return Styles(
        {
            arm: ArmStyle(colour, DASHES[index // 2 % len(DASHES)], MARKS[index % len(MARKS)])
            for index, (arm, colour) in enumerate(colours.items())
        },
        (),
    )
