"""The registry of definitions."""

from collections.abc import Callable, Sequence
from typing import Any

from vgrad_jax.jaxprs import JaxprEqn

__all__ = ["EXPANSIONS", "Expansion", "expansion"]

Expansion = Callable[[JaxprEqn, list[Any]], Sequence[Any]]
"""From an equation and the arrays of its atoms to those of its results, for one example."""

EXPANSIONS: dict[str, Expansion] = {}
"""Primitive to its definition."""


def expansion(*names: str) -> Callable[[Expansion], Expansion]:
    """Register a definition of primitives."""

    def add(function: Expansion) -> Expansion:
        for name in names:
            assert name not in EXPANSIONS, f"{name} has two definitions"
            EXPANSIONS[name] = function
        return function

    return add
