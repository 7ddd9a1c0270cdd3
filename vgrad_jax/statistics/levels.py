"""Factors of a set of arms: the fields in which they differ, and the levels of each.

arms ─► fields that differ ─► fields that part the arms alike are one factor ─► levels as texts
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from vgrad_jax.statistics.factorial import factor_name

__all__ = ["Factor", "cells_of", "factors_in"]

SILENT = ("momentum", "nesterov")
"""Fields whose defaults come with the optimiser that is named."""


class Factor(NamedTuple):
    """Factor of a set of arms: what differs between them."""

    name: str
    levels: tuple[str, ...]
    """Levels as texts, in the order of the arms."""
    of: Mapping[str, str]
    """Arm name to level."""


def factors_in(arms: Mapping[str, Mapping[str, Any]]) -> list[Factor]:
    """Return the factors in which arms differ.

    Fields that part the arms alike are one factor with the names of all of them, since their effects cannot be told
    apart. A field that follows from another one is named in its levels.

    Args:
        arms: arm name to its fields: "index name" to value.
    """
    names = list(dict.fromkeys(name for fields in arms.values() for name in fields))
    parts: dict[tuple[int, ...], list[str]] = {}
    for name in names:
        values = [_text(fields[name]) if name in fields else "-" for fields in arms.values()]
        order = {value: index for index, value in enumerate(dict.fromkeys(values))}
        if len(order) > 1:
            parts.setdefault(tuple(order[value] for value in values), []).append(name)
    followers: dict[tuple[int, ...], list[str]] = {part: [] for part in parts}
    for part, own in parts.items():
        finer = [other for other in parts if other != part and len(set(other)) < len(arms) and _follows(part, other)]
        if finer:
            followers[min(finer, key=lambda other: len(set(other)))] += own
    following = {name for own in followers.values() for name in own}
    return [_factor(arms, own, followers[part], part) for part, own in parts.items() if not following.intersection(own)]


def _factor(
    arms: Mapping[str, Mapping[str, Any]], names: Sequence[str], followers: Sequence[str], part: tuple[int, ...]
) -> Factor:
    """Return a factor of all fields that part the arms alike; fields that follow from it are named in its levels."""
    shown = _without_repetition(arms, [*names, *followers])
    texts = [" with ".join(_text(fields.get(name, "-")) for name in shown) for fields in arms.values()]
    levels = tuple(texts[part.index(number)] for number in sorted(set(part)))
    return Factor(factor_name(frozenset(shown)), levels, dict(zip(arms, texts, strict=True)))


def _without_repetition(arms: Mapping[str, Mapping[str, Any]], names: Sequence[str]) -> list[str]:
    """Return fields without those that add nothing for a reader: the same text as another, or defaults of a choice."""
    shown: list[str] = []
    columns: list[list[str]] = []
    for name in names:
        column = [_text(fields.get(name, "-")) for fields in arms.values()]
        if column not in columns and name.split(maxsplit=1)[-1] not in SILENT:
            shown.append(name)
            columns.append(column)
    return shown or [names[0]]


def _follows(part: tuple[int, ...], other: tuple[int, ...]) -> bool:
    """Return whether each class of `other` lies in one class of `part`: then `part` follows from `other`."""
    return len(set(zip(part, other, strict=True))) == len(set(other))


def _text(value: Any) -> str:
    """Return a level as a text."""
    if callable(value):
        return str(getattr(value, "__name__", value))
    if isinstance(value, tuple | list):
        same = len(set(map(str, value))) == 1
        return f"{len(value)} x {value[0]}" if same and len(value) > 1 else ", ".join(map(str, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else "none" if value is None else str(value)


def cells_of(
    factors: Sequence[Factor], factor: Factor, arms: Mapping[str, Any]
) -> dict[tuple[str, ...], dict[str, str]]:
    """Return each combination of the other factors' levels to the arms in it, level of the factor to arm name."""
    cells: dict[tuple[str, ...], dict[str, str]] = {}
    for arm in arms:
        others = tuple(other.of[arm] for other in factors if other is not factor)
        cells.setdefault(others, {}).setdefault(factor.of[arm], arm)
    return cells
