"""How what is computed in a loop is divided among several, and what is kept in memory between them."""

import math
from collections.abc import Collection, Sequence
from typing import NamedTuple

from vgrad_jax.lanes.dimensions import has_loop
from vgrad_jax.lanes.graph import ELEMENTWISE, SHAPES, Node
from vgrad_jax.lanes.machine import Machine

__all__ = ["Part", "added_beside", "divided", "is_product", "number_by_number", "read_after", "turns_together"]

ENOUGH = 4.0
"""Instructions that can be under way at a time, about, for a processor to wait for none; each takes four cycles."""

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


def divided(
    nodes: Sequence[Node], must: Collection[int], ends: Collection[int], memory: Collection[int], long: float
) -> list[Part]:
    """Divide what is computed in a loop among several.

    A processor has several turns of a short loop under way, but not of a long one; a long one in which each number is
    computed from the one before is taken several turns at a time instead (`turns_together`). What a later part reads is
    kept in memory, or computed again there where that is cheap.

    Args:
        nodes: all of the loop's, in order.
        must: numbers of those that are kept anyway.
        ends: numbers of those that a part ends with if it can. A long one ends anywhere if its numbers do not wait
            for each other, and a very long one in any case.
        memory: numbers of those that are in memory before.
        long: instructions of a loop, about, after which another one begins.
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
        if size > long and (at_end or size > 8 * long or _at_a_time(parts[-1].computed) >= ENOUGH):
            in_memory.update(one.number for one in parts[-1].computed if one.number in must)
            parts.append(Part([], set()))
            size = 0.0
        for one in node.inputs:
            need(one)
        compute(node)
        size += _cost(node)
        at_end = node.number in ends
    return parts


def number_by_number(nodes: Sequence[Node]) -> list[list[Node]]:
    """Groups of elementwise operations on arrays of one shape: a number of each needs the same number of the others.

    Args:
        nodes: what is computed without a loop, in order; an operation that is not elementwise is a group of its own.

    Returns:
        The groups, each after those that it needs.
    """
    levels: dict[int, int] = {}
    groups: dict[tuple[int, tuple[int, ...] | int], list[Node]] = {}
    for node in nodes:
        elementwise = node.operation in ELEMENTWISE
        levels[node.number] = max(
            (
                levels[one.number] + (not elementwise or one.operation not in ELEMENTWISE or one.shape != node.shape)
                for one in node.inputs
                if one.number in levels
            ),
            default=0,
        )
        groups.setdefault((levels[node.number], node.shape if elementwise else node.number), []).append(node)
    return [groups[key] for key in sorted(groups, key=lambda key: key[0])]


def turns_together(nodes: Sequence[Node], turns: int) -> int:
    """How many turns of a loop are computed side by side, so that one has not to wait for the numbers of another.

    A number near the best that divides the turns evenly, where there is one.

    Args:
        nodes: what a turn computes, in order.
        turns: of the loop.
    """
    # Processors add floats on some of their units, and whole numbers on all.
    whole = sum(_cost(node) for node in nodes if {"int", "uint"} & {node.kind, *(one.kind for one in node.inputs)})
    enough = ENOUGH * (1 + whole / max(sum(map(_cost, nodes)), 1.0))
    wanted = max(enough / _at_a_time(nodes), 1.0)
    near = range(math.ceil(wanted / 1.6), min(math.floor(wanted * 1.6), turns) + 1)
    even = [n for n in near if turns % n == 0]
    return min(even, key=lambda n: (abs(n - wanted), n), default=min(round(wanted), turns))


def _at_a_time(nodes: Sequence[Node]) -> float:
    """How many instructions do not wait for each other: all of them by those of the longest chain."""
    lengths: dict[int, float] = {}
    for node in nodes:
        before = max((lengths.get(one.number, 0.0) for one in node.inputs), default=0.0)
        lengths[node.number] = before + _cost(node) / max(_numbers(node), 1)
    longest = max(lengths.values(), default=0.0)
    return sum(map(_cost, nodes)) / longest if longest else ENOUGH  # Where numbers are only moved, nothing waits.


def is_product(node: Node) -> bool:
    """Whether a node is made of sums of products."""
    return node.operation == "dot_general"


def added_beside(over: Sequence[Node], machine: Machine) -> list[Node]:
    """Which sums over a loop are added up in the loop that computes what is added.

    Args:
        over: the sums, or the largest or least numbers, over one loop.
        machine: what code is written for.
    """
    few: list[Node] = []
    for node in over:
        room = sum(one.size for one in few) + node.size <= machine.sums_beside
        if room and (machine.products_beside or not is_product(node)):
            few.append(node)
    return few


def read_after(nodes: Sequence[Node], beside: Collection[int]) -> set[int]:
    """Which nodes are read after their loop.

    Args:
        nodes: all of them.
        beside: numbers of those that are added up in the loop that computes what is added.
    """
    found = set()
    for node in nodes:
        for one in node.inputs:
            later = one.stage < node.stage - (node.number in beside)
            if has_loop(one) and later:
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


def _numbers(node: Node) -> float:
    """How many numbers of a node a turn computes."""
    return node.size / next(size for axis, size in zip(node.axes, node.shape, strict=True) if axis == node.loop)


def _cost(node: Node) -> float:
    """Instructions of a turn, about."""
    each = COSTS.get(node.operation, 0 if node.operation in SHAPES else 1)
    if node.operation == "dot_general":
        (left, _), _ = node.parameters["dimension_numbers"]
        each = node.inputs[0].shape[left[0]]
    return _numbers(node) * each
