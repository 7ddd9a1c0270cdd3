"""The order of computation that keeps a processor's units busy.

An instruction's result is there a few cycles later, and an instruction that needs it waits. A loop whose iterations
are one chain of dependent instructions is therefore interleaved: element n of some iterations before element n + 1.

    iteration 1   a ──► b ──► c             a1 a2 a3  b1 b2 b3  c1 c2 c3
    iteration 2   a ──► b ──► c     becomes     no instruction waits for its predecessor
    iteration 3   a ──► b ──► c
"""

import math
from collections.abc import Sequence

from vgrad_jax.lanes.dimensions import Dimensions
from vgrad_jax.lanes.graph import Node
from vgrad_jax.lanes.primitives import is_elementwise

__all__ = ["ENOUGH", "element_groups", "independent", "interleaved"]

ENOUGH = 4.0
"""Independent instructions, about, that keep a processor busy: each takes four cycles."""

NEAR = 1.6
"""Factor by which the number of interleaved iterations may miss the best one to divide the iterations evenly."""


def element_groups(nodes: Sequence[Node]) -> list[list[Node]]:
    """Group elementwise operations on arrays of one shape, to compute them element by element.

    An element of the whole group stays in registers; array by array, the arrays would be spilled.

    Args:
        nodes: computed without a loop, in order. An operation that is not elementwise is a group of its own.

    Returns:
        The groups, each after those that it needs.
    """
    levels: dict[int, int] = {}
    groups: dict[tuple[int, tuple[int, ...] | int], list[Node]] = {}
    for node in nodes:
        before = [operand for operand in node.inputs if operand.number in levels]
        levels[node.number] = max((levels[o.number] + (not _same_group(o, node)) for o in before), default=0)
        key = node.shape if is_elementwise(node) else node.number
        groups.setdefault((levels[node.number], key), []).append(node)
    return [groups[key] for key in sorted(groups, key=lambda key: key[0])]


def _same_group(operand: Node, node: Node) -> bool:
    return is_elementwise(node) and is_elementwise(operand) and operand.shape == node.shape


def interleaved(dimensions: Dimensions, nodes: Sequence[Node], iterations: int) -> int:
    """Return how many iterations of a loop to interleave, to hide the latency of instructions.

    The number is near the best one and divides the iterations evenly, where such a number exists.

    Args:
        dimensions: of the graph.
        nodes: computed by an iteration, in order.
        iterations: of the loop.
    """
    # Processors add floats on some of their units, and integers on all.
    integer = sum(dimensions.instructions(node) for node in nodes if _of_integers(node))
    enough = ENOUGH * (1 + integer / max(sum(map(dimensions.instructions, nodes)), 1.0))
    best = max(enough / independent(dimensions, nodes), 1.0)
    near = range(math.ceil(best / NEAR), min(math.floor(best * NEAR), iterations) + 1)
    even = [n for n in near if iterations % n == 0]
    return min(even, key=lambda n: (abs(n - best), n), default=min(round(best), iterations))


def _of_integers(node: Node) -> bool:
    return any(kind in ("int", "uint") for kind in (node.kind, *(operand.kind for operand in node.inputs)))


def independent(dimensions: Dimensions, nodes: Sequence[Node]) -> float:
    """Return how many instructions of an iteration are independent: all by those of the longest chain."""
    lengths: dict[int, float] = {}
    for node in nodes:
        before = max((lengths.get(operand.number, 0.0) for operand in node.inputs), default=0.0)
        lengths[node.number] = before + dimensions.instructions(node) / max(dimensions.elements(node), 1)
    longest = max(lengths.values(), default=0.0)
    total = sum(map(dimensions.instructions, nodes))
    return total / longest if longest else ENOUGH  # Moves alone wait for nothing.
