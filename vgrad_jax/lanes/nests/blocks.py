"""The code of a block: its plan's steps, one after the other."""

from collections.abc import Callable, Mapping, Sequence

from vgrad_jax.lanes.code import Memory, Register
from vgrad_jax.lanes.graph import Node
from vgrad_jax.lanes.nests.graph import Block, Operation
from vgrad_jax.lanes.nests.in_place import overwritable
from vgrad_jax.lanes.nests.plan import Step, cost_of_node, make_plan
from vgrad_jax.lanes.nests.writer import LONG_ELEMENT, Writer, indices

__all__ = ["Blocks", "Whole", "WriteOperation"]

Whole = Callable[[Writer, Node, Memory], None]
"""Writes all elements of a node into its array."""
WriteOperation = Callable[["Blocks", Operation], None]
"""Writes an operation and gives its outputs their arrays."""


class Blocks:
    """Writes blocks.

    Args:
        writer: where the code is written.
        arrays: primitives that are computed as whole arrays.
        operations: how loops, branches and sorts are written.
    """

    def __init__(self, writer: Writer, arrays: Mapping[str, Whole], operations: Mapping[str, WriteOperation]) -> None:
        self.writer, self.whole, self.operations = writer, arrays, operations

    def write(
        self, block: Block, arrays: Mapping[int, Memory] | None = None, following: Mapping[int, int] | None = None
    ) -> set[int]:
        """Write the code after which all results can be read.

        Args:
            block: the block.
            arrays: where nodes are stored, by their numbers; by default each gets an array of its own.
            following: a node's number to that of the leaf whose next value it is.

        Returns:
            The numbers of nodes that were stored in the arrays of their leaves.
        """
        given = set(self.writer.memory)
        steps = make_plan(block.results, block.made_by, self.whole, given, self.writer.unrolled)
        in_place = overwritable(steps, block.results, following, given) if following else set()
        arrays = dict(arrays or {})
        arrays.update((node, self.writer.memory[(following or {})[node]]) for node in in_place)
        for step in steps:
            if step.operation is not None:
                self.operations[step.operation.name](self, step.operation)
            else:
                self._nodes(step, arrays)
        return in_place

    def _nodes(self, step: Step, arrays: Mapping[int, Memory]) -> None:
        writer = self.writer
        memory = {
            node.number: arrays.get(node.number) or writer.frame.array(node.kind, node.size, node.varying)
            for node in step.nodes
        }
        first = step.nodes[0]
        if first.operation in self.whole:
            with writer.function(max(first.size, *(operand.size for operand in first.inputs))):
                self.whole[first.operation](writer, first, memory[first.number])
        elif first.operation == "concatenate" and first.size > writer.unrolled:
            self._concatenate(first, memory[first.number])
        else:

            def compute(index: tuple[str, ...]) -> None:
                # All before the first is stored: an array may be overwritten in place.
                registers = [writer.value(node, index) for node in step.nodes]
                for node, register in zip(step.nodes, registers, strict=True):
                    writer.store(memory[node.number], node.shape, index, register)

            cost = sum(map(cost_of_node, step.nodes))
            with writer.function(first.size * cost / LONG_ELEMENT):
                writer.nest(first.shape, compute, cost=cost)
        writer.memory.update(memory)

    def _concatenate(self, node: Node, memory: Memory) -> None:
        writer, axis, before = self.writer, node.parameters["dimension"], 0
        for operand in node.inputs:

            def move(index: tuple[str, ...], operand: Node = operand, before: int = before) -> None:
                moved = (*index[:axis], writer.added(index[axis], str(before)), *index[axis + 1 :])
                writer.store(memory, node.shape, moved, writer.value(operand, index))

            writer.nest(operand.shape, move)
            before += operand.shape[axis]

    def registers(self, nodes: Sequence[Node]) -> list[list[Register]]:
        """Return all elements of some small nodes."""
        return [[self.writer.value(node, index) for index in indices(node.shape)] for node in nodes]
