"""Dimensions: which axes of which nodes are one, and which dimensions get a loop.

Axes that share an index are united, as the records of the primitives relate them; a class of united axes is a
dimension. For a layer of 5 units and a batch of 32 rows

    x (32, 2) @ w (2, 5) + b (5)      dimensions: rows = 32, inputs = 2, units = 5

rows get a loop, since that shortens the code most; the other dimensions are unrolled. No node is computed in two
nested loops. A reduction over the rows needs all iterations: it belongs to the next stage.
"""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from vgrad_jax.lanes.errors import NotInLanesError
from vgrad_jax.lanes.graph import Node
from vgrad_jax.lanes.primitives import FEW, ITERATION, PRIMITIVES, RESULT, Index

__all__ = ["Dimensions", "analyse"]

MOST_UNROLLED = 40_000
"""Elements that an iteration of all loops may compute: about the size of the code, and the time to compile it."""

LEAST_SAVED = 0.25
"""Share of the code that another loop saves, at the least."""

MOVE_WEIGHT = 0.1
"""Code of an element that is only moved, where that of a computed element is 1."""


@dataclass(frozen=True)
class Dimensions:
    """The dimensions of a graph. Nodes are known by their numbers."""

    nodes: tuple[Node, ...]
    """All that the results need, inputs first."""
    axes: Mapping[int, tuple[int, ...]]
    """A node's axes as dimensions."""
    sizes: Sequence[int]
    """Elements along each dimension."""
    loops: Mapping[int, int | None]
    """The dimension that is looped over where a node is computed."""
    stages: Mapping[int, int]
    """Passes over a loop that are complete before a node is computed."""

    def in_loop(self, node: Node) -> bool:
        """Return whether a node's elements differ from iteration to iteration of its loop."""
        return self.loops[node.number] in self.axes[node.number]

    def ends_loop(self, operand: Node, node: Node) -> bool:
        """Return whether a node needs all iterations of the loop that its operand is computed in."""
        if any(operand is node.inputs[table] for table in PRIMITIVES[node.operation].tables):
            return False
        return self.in_loop(operand) and self.loops[operand.number] not in self.axes[node.number]

    def reduces_loop(self, node: Node) -> bool:
        """Return whether a node needs all iterations of some operand's loop."""
        return any(self.ends_loop(operand, node) for operand in node.inputs)

    def indices(self, node: Node) -> Iterator[Index]:
        """Yield all indices of a node, with `ITERATION` for the axis that is looped over."""
        loop = self.loops[node.number]
        axes = zip(self.axes[node.number], node.shape, strict=True)
        return itertools.product(*((ITERATION,) if axis == loop else range(size) for axis, size in axes))

    def elements(self, node: Node) -> float:
        """Return how many elements of a node an iteration computes."""
        axes = zip(self.axes[node.number], node.shape, strict=True)
        return node.size / next(size for axis, size in axes if axis == self.loops[node.number])

    def instructions(self, node: Node) -> float:
        """Return the instructions of a node in an iteration, about."""
        return self.elements(node) * PRIMITIVES[node.operation].instructions(node)


class _Classes:
    """Classes of axes that are united (a union-find structure)."""

    def __init__(self) -> None:
        self.parents: list[int] = []
        self.sizes: list[int] = []

    def new(self, size: int) -> int:
        self.parents.append(len(self.parents))
        self.sizes.append(size)
        return self.parents[-1]

    def find(self, axis: int) -> int:
        while self.parents[axis] != axis:
            axis = self.parents[axis]
        return axis

    def unite(self, a: int, b: int) -> None:
        # An axis of one element is read at index 0 by any other.
        if self.sizes[a] == self.sizes[b] > 1:
            self.parents[self.find(a)] = self.find(b)


@dataclass
class _Work:
    """The work of computing a node."""

    dimensions: set[int]
    elements: float
    """Terms and results, as code is written for them."""


def analyse(results: Sequence[Node]) -> Dimensions:
    """Find the dimensions of all that some nodes need.

    Args:
        results: nodes that are wanted.

    Raises:
        NotInLanesError: the code would be too long, or need nested loops.
    """
    nodes = _ancestors(results)
    axes, classes, unlooped = _united(nodes)
    loops = _choose_loops(nodes, axes, classes.sizes, unlooped)
    dimensions = Dimensions(tuple(nodes), axes, tuple(classes.sizes), loops, {})
    return Dimensions(dimensions.nodes, axes, dimensions.sizes, loops, _stages(dimensions))


def _ancestors(results: Sequence[Node]) -> list[Node]:
    ancestors: dict[int, Node] = {}
    waiting = list(results)
    while waiting:
        node = waiting.pop()
        if node.number not in ancestors:
            ancestors[node.number] = node
            waiting.extend(node.inputs)
    return [ancestors[number] for number in sorted(ancestors)]


def _united(nodes: Sequence[Node]) -> tuple[dict[int, tuple[int, ...]], _Classes, set[int]]:
    """Return each node's axes as dimensions, the classes, and the dimensions that no loop goes over."""
    classes, unlooped = _Classes(), set[int]()
    raw: dict[int, list[int]] = {}
    for node in nodes:
        raw[node.number] = [classes.new(size) for size in node.shape]
        if not node.inputs:
            continue
        relation = PRIMITIVES[node.operation].axes(node)
        operands = {RESULT: raw[node.number], **{n: raw[operand.number] for n, operand in enumerate(node.inputs)}}
        unlooped.update(operands[operand][axis] for operand, axis in relation.unlooped)
        for (a, axis_a), (b, axis_b) in relation.same:
            classes.unite(operands[a][axis_a], operands[b][axis_b])
    axes = {number: tuple(map(classes.find, some)) for number, some in raw.items()}
    return axes, classes, set(map(classes.find, unlooped))


def _choose_loops(
    nodes: Sequence[Node], axes: Mapping[int, tuple[int, ...]], sizes: Sequence[int], unlooped: set[int]
) -> dict[int, int | None]:
    """Loop over the dimensions that save the most code; no node has two of them."""
    works = {node.number: _work(node, axes) for node in nodes if node.inputs}
    loops: dict[int, int | None] = dict.fromkeys((node.number for node in nodes), None)
    candidates = {d for work in works.values() for d in work.dimensions if sizes[d] > 1} - unlooped - _repeated(axes)
    while candidates:
        saved = {d: _saved(works.values(), d, sizes[d]) for d in candidates}
        best = max(saved, key=lambda d: (saved[d], d))
        total = sum(work.elements for work in works.values())
        if total <= FEW or saved[best] < LEAST_SAVED * total:
            break
        for number, work in works.items():
            if best in work.dimensions:
                loops[number] = best
                work.elements /= sizes[best]
                candidates -= work.dimensions
        for some in axes.values():
            if best in some:
                candidates -= set(some)
    if sum(work.elements for work in works.values()) > MOST_UNROLLED:
        raise NotInLanesError("so many numbers that the code would be long")
    return _with_sources(nodes, axes, loops)


def _repeated(axes: Mapping[int, tuple[int, ...]]) -> set[int]:
    """Return the dimensions that some node has twice, such as that of a diagonal."""
    return {axis for some in axes.values() for axis in some if some.count(axis) > 1}


def _with_sources(
    nodes: Sequence[Node], axes: Mapping[int, tuple[int, ...]], loops: dict[int, int | None]
) -> dict[int, int | None]:
    """Return the loops, with those of leaves that are read in one."""
    looped = set(loops.values()) - {None}
    for node in nodes:
        inside = [axis for axis in axes[node.number] if axis in looped]
        if len(inside) > 1:
            raise NotInLanesError("a loop within a loop")
        if not node.inputs:
            loops[node.number] = inside[0] if inside else None
    return loops


def _saved(works: Iterable[_Work], dimension: int, size: int) -> float:
    return sum(work.elements - work.elements / size for work in works if dimension in work.dimensions)


def _work(node: Node, axes: Mapping[int, tuple[int, ...]]) -> _Work:
    record = PRIMITIVES[node.operation]
    weight = 1.0 if record.instructions(node) else MOVE_WEIGHT
    dimensions, elements = set(axes[node.number]), weight * node.size
    for operand, axis in record.over(node):
        dimensions.add(axes[node.inputs[operand].number][axis])
        elements *= node.inputs[operand].shape[axis]
    return _Work(dimensions, elements)


def _stages(dimensions: Dimensions) -> dict[int, int]:
    stages: dict[int, int] = {}
    for node in dimensions.nodes:
        stages[node.number] = max(
            (stages[operand.number] + dimensions.ends_loop(operand, node) for operand in node.inputs), default=0
        )
    return stages
