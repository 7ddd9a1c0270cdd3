"""The graph: equations as nodes, with all calls inlined.

A node is an operation's result; its inputs are nodes. A leaf is an array in memory, a literal a constant of the
program. Numbers of nodes grow from inputs to results, which gives an order of computation.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vgrad_jax.jaxprs import (
    ClosedJaxpr,
    JaxprEqn,
    called,
    evaluate,
)
from vgrad_jax.lanes.code import Kind, kind_of
from vgrad_jax.lanes.errors import NotInLanesError

__all__ = ["Node", "inlined", "kind_of_array", "leaf", "literal", "nodes_of", "nodes_of_equation"]

INLINED = ("closed_call", "custom_jvp_call", "custom_vjp_call", "jit")
"""Primitives that are replaced by the jaxpr that they call."""

_numbers = itertools.count()


@dataclass(frozen=True, eq=False, slots=True)
class Node:
    """One result of one operation."""

    operation: str
    """The primitive's name, "leaf" or "literal"."""
    inputs: tuple["Node", ...]
    shape: tuple[int, ...]
    """Without the lanes."""
    kind: Kind
    varying: bool
    """True where elements differ from lane to lane; else they are uniform."""
    parameters: Mapping[str, Any]
    """The equation's."""
    number: int = field(default_factory=_numbers.__next__)

    @property
    def size(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)


def literal(value: Any) -> Node:
    """Return the node of a constant of the program.

    Raises:
        NotInLanesError: its dtype has no native code.
    """
    array = np.asarray(value)
    return Node("literal", (), array.shape, kind_of_array(array.dtype, "a constant"), False, {"value": array})


def leaf(aval: Any, varying: bool) -> Node:
    """Return the node of an array in memory.

    Raises:
        NotInLanesError: its dtype has no native code.
    """
    return Node("leaf", (), tuple(aval.shape), kind_of_array(aval.dtype, "an array"), varying, {})


def kind_of_array(dtype: Any, name: str = "an array") -> Kind:
    """Return the kind of an array's elements.

    Raises:
        NotInLanesError: the dtype has no native code.
    """
    kind = kind_of(dtype)
    if kind is None:
        raise NotInLanesError(f"{name} of dtype {dtype}")
    return kind


def inlined(equation: JaxprEqn) -> ClosedJaxpr | None:
    """Return the jaxpr that replaces an equation; None where the equation stays."""
    return called(equation) if equation.primitive.name in INLINED else None


def nodes_of(closed: ClosedJaxpr, arguments: Sequence[Node]) -> list[Node]:
    """Return the nodes of a jaxpr's results."""
    return evaluate(closed, arguments, nodes_of_equation, literal)


def nodes_of_equation(equation: JaxprEqn, inputs: Sequence[Node]) -> list[Node]:
    """Return the nodes of an equation's results.

    Args:
        equation: an operation or a call.
        inputs: the nodes of its atoms.
    """
    inner = inlined(equation)
    if inner is not None:
        return nodes_of(inner, inputs)
    aval: Any = equation.outvars[0].aval
    kind = kind_of_array(aval.dtype, f"a result of {equation.primitive.name}")
    varying = any(node.varying for node in inputs)
    return [Node(equation.primitive.name, tuple(inputs), tuple(aval.shape), kind, varying, equation.params)]
