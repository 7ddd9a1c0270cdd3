"""Fission: one long loop becomes several shorter ones.

A processor has several iterations of a short loop in flight, but not of a long one. What a later part reads is kept
in memory, or computed again there where that is cheap:

    for row: a = f(x); b = g(a); c = h(b, a)

    for row: a = f(x); b = g(a); memory_a[row], memory_b[row] = a, b
    for row: c = h(memory_b[row], memory_a[row])
"""

from collections.abc import Collection, Sequence
from typing import NamedTuple

from vgrad_jax.lanes.dimensions import Dimensions
from vgrad_jax.lanes.graph import Node
from vgrad_jax.lanes.latency import ENOUGH, independent
from vgrad_jax.lanes.primitives import PRIMITIVES, is_elementwise, is_view

__all__ = ["Part", "base", "split"]

VERY_LONG = 8
"""Multiple of the threshold at which a loop is split wherever it is."""


class Part(NamedTuple):
    """One of the loops that a loop is split into."""

    computed: list[Node]
    """Nodes in the order of computation."""
    kept: set[int]
    """Numbers of those nodes that later parts read from memory."""


def split(
    dimensions: Dimensions,
    nodes: Sequence[Node],
    *,
    must: Collection[int],
    ends: Collection[int],
    memory: Collection[int],
    long: float,
) -> list[Part]:
    """Split what is computed in a loop.

    A long loop in which each element is computed from the one before is not split but interleaved.

    Args:
        dimensions: of the graph.
        nodes: all that the loop computes, in order.
        must: numbers of the nodes that are kept in memory anyway.
        ends: numbers of the nodes after which a part ends if possible. A long part of independent instructions ends
            anywhere, and a very long one in any case.
        memory: numbers of the nodes that are in memory before the loop.
        long: instructions of an iteration above which another part begins.
    """
    splitter = _Splitter(dimensions, memory)
    size, at_end = 0.0, False
    for node in nodes:
        if size > long and (at_end or size > VERY_LONG * long or splitter.is_independent()):
            splitter.begin_part(must)
            size = 0.0
        splitter.add(node)
        size += dimensions.instructions(node)
        at_end = node.number in ends
    return splitter.parts


def base(dimensions: Dimensions, node: Node) -> Node:
    """Return the node that a node is a view of, as far as the loop's iterations differ."""
    while is_view(node) and len(node.inputs) == 1 and dimensions.in_loop(node.inputs[0]):
        node = node.inputs[0]
    return node


class _Splitter:
    """The parts so far, of which the last one grows."""

    def __init__(self, dimensions: Dimensions, memory: Collection[int]) -> None:
        self.dimensions = dimensions
        self.parts = [Part([], set())]
        self._part_of: dict[int, int] = {}
        self._memory = set(memory)

    def begin_part(self, must: Collection[int]) -> None:
        self._memory.update(node.number for node in self.parts[-1].computed if node.number in must)
        self.parts.append(Part([], set()))

    def add(self, node: Node) -> None:
        """Compute a node in the last part, after all that it needs there."""
        for operand in node.inputs:
            self._need(operand)
        self._part_of[node.number] = len(self.parts) - 1
        self.parts[-1].computed.append(node)

    def is_independent(self) -> bool:
        return independent(self.dimensions, self.parts[-1].computed) >= ENOUGH

    def _need(self, node: Node) -> None:
        if self._at_hand(node):
            return
        if not (_is_cheap(node) and all(self._at_hand(base(self.dimensions, operand)) for operand in node.inputs)):
            origin = base(self.dimensions, node)
            if not self._is_here(origin):
                self.parts[self._part_of[origin.number]].kept.add(origin.number)
                self._memory.add(origin.number)
            if origin is node:
                return
        self.add(node)  # Computed again.

    def _at_hand(self, node: Node) -> bool:
        ready = not self.dimensions.in_loop(node) or not node.inputs or node.number in self._memory
        return ready or self._is_here(node)

    def _is_here(self, node: Node) -> bool:
        return self._part_of.get(node.number) == len(self.parts) - 1


def _is_cheap(node: Node) -> bool:
    return is_view(node) or (is_elementwise(node) and PRIMITIVES[node.operation].instructions(node) <= 1)
