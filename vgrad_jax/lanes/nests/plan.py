"""The plan of a block: which nodes are stored, and in which order, before code is written.

A node that is not stored is computed where it is read. Stored nodes of one shape whose elements need each other's at
the same index only are computed by one nest of loops:

    x ──► exp ──► y = exp * 2 (stored) ──► z = y + x (stored)          one nest: y and z of each index
                  y.T (a view, not stored) ──► sum (stored)            a nest of its own, after it
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from vgrad_jax.lanes.graph import Node
from vgrad_jax.lanes.nests.graph import Operation, is_given
from vgrad_jax.lanes.nests.views import keeps_axes
from vgrad_jax.lanes.nests.writer import UNROLLED
from vgrad_jax.lanes.primitives import PRIMITIVES, is_elementwise

__all__ = ["Step", "cost_of_node", "make_plan"]

CHEAP = 2.0
"""Instructions of an element up to which it is computed again rather than stored."""


class Step(NamedTuple):
    """Nodes that one nest computes, or an operation."""

    nodes: tuple[Node, ...] = ()
    operation: Operation | None = None


def make_plan(
    sinks: Sequence[Node],
    made_by: Mapping[int, Operation],
    arrays: Mapping[str, object],
    given: set[int],
    unrolled: int = UNROLLED,
) -> list[Step]:
    """Return the steps that store all that some nodes need.

    Args:
        sinks: nodes that are read after the block.
        made_by: number of an operation's output to the operation.
        arrays: primitives that are computed as whole arrays.
        given: numbers of nodes that need no code: in memory, or computed before.
        unrolled: elements up to which a nest of loops is written out.
    """
    nodes = _ancestors(sinks, made_by, given)
    stored = _stored(nodes, sinks, made_by, arrays, given, unrolled)
    return _ordered(nodes, stored, made_by, arrays)


def _ancestors(sinks: Sequence[Node], made_by: Mapping[int, Operation], given: set[int]) -> list[Node]:
    ancestors: dict[int, Node] = {}
    waiting = list(sinks)
    while waiting:
        node = waiting.pop()
        if node.number in ancestors:
            continue
        ancestors[node.number] = node
        if node.number in given:
            continue
        waiting.extend(node.inputs)
        if node.number in made_by:
            waiting.extend(made_by[node.number].inputs)
    return [ancestors[number] for number in sorted(ancestors)]


def _stored(
    nodes: Sequence[Node],
    sinks: Sequence[Node],
    made_by: Mapping[int, Operation],
    arrays: Mapping[str, object],
    given: set[int],
    unrolled: int,
) -> set[int]:
    """Return the numbers of the nodes that are stored."""
    uses: dict[int, float] = {}
    wanted, must = {node.number for node in sinks}, set[int]()
    for operation in {made_by[n.number] for n in nodes if n.number in made_by and n.number not in given}:
        wanted.update(node.number for node in operation.inputs)
        must.update(node.number for node in operation.read_by_rows() if not is_given(node))
    for node in nodes:
        if node.number in given:
            continue
        must.update(_read_from_memory(node))
        for operand in node.inputs:
            uses[operand.number] = uses.get(operand.number, 0.0) + _reads(node, operand)
    stored, cost = set[int](), dict[int, float]()
    for node in nodes:
        if node.number in given or is_given(node):
            cost[node.number] = 0.0
            continue
        own = PRIMITIVES[node.operation].instructions(node) if is_elementwise(node) else 0.0
        cost[node.number] = own + sum(cost[operand.number] for operand in node.inputs)
        computed = cost[node.number] > 0
        if (
            node.operation in arrays
            or node.number in must
            or (computed and node.number in wanted)
            or (node.operation == "concatenate" and node.size > unrolled)
            or (computed and not node.shape)
            or (computed and cost[node.number] * (uses.get(node.number, 0.0) - 1) > CHEAP)
        ):
            stored.add(node.number)
            cost[node.number] = 0.0
    return stored


def _read_from_memory(node: Node) -> list[int]:
    """Return the numbers of the inputs that a node's code reads at any index."""
    match node.operation:
        case "dot_general" | "concatenate" | "argmax" | "argmin":
            return [operand.number for operand in node.inputs if not _is_plain_view(operand)]
        case "gather" | "dynamic_slice" | "dynamic_update_slice":
            return [node.inputs[0].number] if not is_given(node.inputs[0]) else []
        case "reshape" | "squeeze" | "expand_dims":
            far = not keeps_axes(node.inputs[0].shape, node.shape)
            return [node.inputs[0].number] if far else []
    return []


def _is_plain_view(node: Node) -> bool:
    """Return whether a node's elements are elements of an array in memory, or of a constant."""
    while node.operation in ("transpose", "broadcast_in_dim", "slice", "rev", "squeeze", "expand_dims"):
        node = node.inputs[0]
    return is_given(node)


def _reads(node: Node, operand: Node) -> float:
    """Return how often an operand's elements are read, about."""
    if node.operation == "dot_general":
        return 2.0
    if is_elementwise(node) or node.operation == "broadcast_in_dim":
        return max(node.size / max(operand.size, 1), 1.0)
    return 1.0


class _Levels:
    """Levels of stored nodes and of operations: how many nests are complete before theirs begins."""

    def __init__(self, stored: set[int], made_by: Mapping[int, Operation], arrays: Mapping[str, object]) -> None:
        self.stored, self.made_by, self.arrays = stored, made_by, arrays
        self.of: dict[int, int] = {}

    def together(self, node: Node) -> bool:
        """Return whether a stored node is computed element by element."""
        return node.number in self.stored and node.operation not in self.arrays and node.operation != "concatenate"

    def level(self, node: Node) -> int:
        """Return the level of a stored node."""
        level = 0
        seen: set[tuple[int, bool]] = set()
        waiting = [(operand, is_elementwise(node) and operand.shape == node.shape) for operand in node.inputs]
        while waiting:
            operand, aligned = waiting.pop()
            if (operand.number, aligned) in seen:
                continue
            seen.add((operand.number, aligned))
            if operand.number in self.of:
                near = aligned and self.together(operand) and self.together(node)
                level = max(level, self.of[operand.number] + (not near))
                continue
            waiting.extend(
                (further, aligned and is_elementwise(operand) and further.shape == node.shape)
                for further in operand.inputs
            )
        return level

    def level_of_inputs(self, operation: Operation) -> int:
        """Return the level of an operation."""
        level, seen, waiting = 0, set[int](), list(operation.inputs)
        while waiting:
            node = waiting.pop()
            if node.number in seen:
                continue
            seen.add(node.number)
            if node.number in self.of:
                level = max(level, self.of[node.number] + 1)
            else:
                waiting.extend(node.inputs)
        return level


def _ordered(
    nodes: Sequence[Node], stored: set[int], made_by: Mapping[int, Operation], arrays: Mapping[str, object]
) -> list[Step]:
    levels = _Levels(stored, made_by, arrays)
    groups: dict[tuple[int, object], list[Node]] = {}
    steps: list[tuple[int, int, Step]] = []
    for node in nodes:
        if node.number in made_by and node.operation == "result":
            operation = made_by[node.number]
            if operation.outputs[0].number not in levels.of:
                level = levels.level_of_inputs(operation)
                levels.of.update((output.number, level) for output in operation.outputs)
                steps.append((level, node.number, Step(operation=operation)))
            continue
        if node.number not in stored:
            continue
        level = levels.of[node.number] = levels.level(node)
        key = node.shape if levels.together(node) else node.number
        groups.setdefault((level, key), []).append(node)
    for (level, _), group in groups.items():
        steps += [(level, nest[0].number, Step(tuple(nest))) for nest in _nests(group, stored)]
    return [step for *_, step in sorted(steps, key=lambda item: item[:2])]


def _nests(group: Sequence[Node], stored: set[int]) -> list[list[Node]]:
    """Divide nodes that one nest could compute into nests without a common array: equal nests share code."""
    nest_of: dict[int, int] = {}
    parent: dict[int, int] = {}

    def root(number: int) -> int:
        while parent[number] != number:
            parent[number] = parent[parent[number]]
            number = parent[number]
        return number

    for node in group:
        parent[node.number] = node.number
        for number in (node.number, *_arrays_read(node, stored)):
            other = root(nest_of.setdefault(number, node.number))
            parent[other] = root(node.number)
    nests: dict[int, list[Node]] = {}
    for node in group:
        nests.setdefault(root(node.number), []).append(node)
    return list(nests.values())


def _arrays_read(node: Node, stored: set[int]) -> list[int]:
    """Return the numbers of the arrays that a node's code reads.

    Arrays of one element, which many nodes read, are left out.
    """
    read, seen, waiting = list[int](), set[int](), list(node.inputs)
    while waiting:
        operand = waiting.pop()
        if operand.number in seen:
            continue
        seen.add(operand.number)
        if operand.number not in stored and not is_given(operand):
            waiting.extend(operand.inputs)
        elif operand.size > 1 or node.size <= 1:
            read.append(operand.number)
    return read


def cost_of_node(node: Node) -> float:
    """Return the instructions of an element, without those of its inputs."""
    return PRIMITIVES[node.operation].instructions(node) if is_elementwise(node) else 1.0
