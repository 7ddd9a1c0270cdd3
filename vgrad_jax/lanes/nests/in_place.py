"""Which of a loop's arrays an iteration may overwrite in place: those that nothing reads afterwards."""

from collections.abc import Mapping, Sequence

from vgrad_jax.lanes.graph import Node
from vgrad_jax.lanes.nests.plan import Step
from vgrad_jax.lanes.primitives import is_elementwise

__all__ = ["overwritable"]


def overwritable(
    steps: Sequence[Step], results: Sequence[Node], following: Mapping[int, int], given: set[int]
) -> set[int]:
    """Return the nodes that may be stored in the array of a leaf, whose next value they are.

    The steps after a node's must not read the leaf; its own step reads it at the index that it stores alone.

    Args:
        steps: the plan of an iteration.
        results: nodes that are read after all steps.
        following: a node's number to the leaf's.
        given: numbers of nodes that are in memory before the steps.
    """
    stored = {node.number for step in steps for node in step.nodes}
    stored |= {node.number for step in steps if step.operation for node in step.operation.outputs}
    stops = stored | given
    step_of = {node.number: number for number, step in enumerate(steps) for node in step.nodes}
    last_reads: dict[int, int] = {}
    apart: set[tuple[int, int]] = set()
    for number, step in enumerate(steps):
        nodes = step.operation.inputs if step.operation else step.nodes
        for node in nodes:
            for leaf, aligned in _reads(node, stops, step.operation is not None):
                last_reads[leaf] = number
                if not aligned:
                    apart.add((leaf, number))
    for node in results:
        if node.number not in stored:
            last_reads.update((leaf, len(steps)) for leaf, _ in _reads(node, stops, True))
    return {
        node
        for node, leaf in following.items()
        if node in step_of and last_reads.get(leaf, -1) <= step_of[node] and (leaf, step_of[node]) not in apart
    }


def _reads(node: Node, stops: set[int], itself: bool) -> list[tuple[int, bool]]:
    """Return what a node's code reads from memory, and whether at its own index.

    Args:
        node: the node.
        stops: numbers of nodes in memory.
        itself: whether the node is read, not computed.
    """
    if itself and node.number in stops:
        return [(node.number, False)]
    reads: dict[tuple[int, bool], None] = {}
    waiting = [(operand, _same_index(node, operand) and not itself) for operand in node.inputs]
    seen = set()
    while waiting:
        operand, aligned = waiting.pop()
        if (operand.number, aligned) in seen:
            continue
        seen.add((operand.number, aligned))
        if operand.number in stops:
            reads[operand.number, aligned] = None
            continue
        waiting += [(further, aligned and _same_index(operand, further)) for further in operand.inputs]
    return list(reads)


def _same_index(node: Node, operand: Node) -> bool:
    return is_elementwise(node) and operand.shape == node.shape
