"""Mappings that are merged without loss: no name is there twice."""

from collections.abc import Iterable, Mapping
from typing import TypeVar

from vgrad_jax.errors import InputError

__all__ = ["merged"]

T = TypeVar("T")


def merged(kind: str, parts: Iterable[Mapping[str, T]]) -> dict[str, T]:
    """Return a mapping of the names of all parts.

    Args:
        kind: the word for what is named, such as "table".
        parts: name to value.

    Raises:
        InputError: two parts have the same name, so that one of the values would be lost.

    >>> merged("table", [{"arms": 1}, {"pairs": 2}])
    {'arms': 1, 'pairs': 2}
    """
    names: dict[str, T] = {}
    for part in parts:
        if twice := sorted(names.keys() & part.keys()):
            raise InputError(
                f"every {kind} of a report has a name of its own; two have the name {twice[0]!r}: rename one of them"
            )
        names |= part
    return names
