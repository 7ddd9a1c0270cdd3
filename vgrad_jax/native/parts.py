"""How what is computed in a loop is divided among several, and what is kept in memory between them."""

from collections.abc import Collection, Sequence
from typing import NamedTuple

from vgrad_jax.native.dimensions import has_loop
from vgrad_jax.native.graph import ELEMENTWISE, SHAPES, Node

__all__ = ["Part", "divided", "read_after"]

LONG = 100
"""Instructions of a loop, about, after which another one begins; measured with five layers of five units."""

COSTS = {
    **dict.fromkeys(("div", "rsqrt", "sqrt"), 5),
    **dict.fromkeys(("erf", "exp", "log", "log1p", "logistic", "tanh"), 20),
    **dict.fromkeys(("cos", "exp2", "expm1", "pow", "sin", "tan"), 50),
}
"""Instructions of an operation, about, where it is not one."""


class Part(NamedTuple):
    """What one loop computes, in order, and the numbers of those nodes of it that later parts read."""

    computed: list[Node]
    kept: set[int]


def divided(nodes: Sequence[Node], must: Collection[int], ends: Collection[int], memory: Collection[int]) -> list[Part]:
    """Divide what is computed in a loop among several.

    A processor has several turns of a short loop under way, but not of a long one. What a later part reads is kept in
    memory, or computed again there where that is cheap.

    Args:
        nodes: all of the loop's, in order.
        must: numbers of those that are kept anyway.
        ends: numbers of those that a part may end with; a very long one ends anywhere.
        memory: numbers of those that are in memory before.
    """
    parts = [Part([], set())]
    place: dict[int, int] = {}
    in_memory = set(memory)

    def ready(node: Node) -> bool:
        return not has_loop(node) or not node.inputs or node.number in in_memory

    def is_here(node: Node) -> bool:
        return place.get(node.number) == len(parts) - 1

    def compute(node: Node) -> None:
        place[node.number] = len(parts) - 1
        parts[-1].computed.append(node)

    def need(node: Node) -> None:
        if ready(node) or is_here(node):
            return
        again = all(ready(_base(one)) or is_here(_base(one)) for one in node.inputs)
        if not (_is_cheap(node) and again):
            base = _base(node)
            if not is_here(base):
                parts[place[base.number]].kept.add(base.number)
                in_memory.add(base.number)
            if base is node:
                return
        for one in node.inputs:
            need(one)
        compute(node)

    size, at_end = 0.0, False
    for node in nodes:
        if size > (LONG if at_end else 8 * LONG):
            in_memory.update(one.number for one in parts[-1].computed if one.number in must)
            parts.append(Part([], set()))
            size = 0.0
        for one in node.inputs:
            need(one)
        compute(node)
        size += _cost(node)
        at_end = node.number in ends
    return parts


def read_after(nodes: Sequence[Node]) -> set[int]:
    """Which nodes are read after their loop."""
    found = set()
    for node in nodes:
        for one in node.inputs:
            if has_loop(one) and (one.stage < node.stage):
                base = _base(one)
                if base.inputs:
                    found.add(base.number)
    return found


def _base(node: Node) -> Node:
    """What a node is another view of."""
    while node.operation in SHAPES and len(node.inputs) == 1 and has_loop(node.inputs[0]):
        node = node.inputs[0]
    return node


def _is_cheap(node: Node) -> bool:
    return node.operation in SHAPES or (node.operation in ELEMENTWISE and node.operation not in COSTS)


def _cost(node: Node) -> float:
    """Instructions of a turn, about."""
    numbers = node.size / next(size for axis, size in zip(node.axes, node.shape, strict=True) if axis == node.loop)
    if node.operation == "dot_general":
        (left, _), _ = node.parameters["dimension_numbers"]
        return numbers * node.inputs[0].shape[left[0]]
    return numbers * COSTS.get(node.operation, 0 if node.operation in SHAPES else 1)
