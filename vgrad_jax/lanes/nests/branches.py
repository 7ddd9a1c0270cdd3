"""Branches: one is taken by all lanes, or each by the lanes whose index names it."""

from collections.abc import Sequence

from vgrad_jax.jaxprs import ClosedJaxpr, branches
from vgrad_jax.lanes.code import Memory, Register
from vgrad_jax.lanes.nests.blocks import Blocks
from vgrad_jax.lanes.nests.graph import Operation, block_of
from vgrad_jax.lanes.nests.loops import any_lane

__all__ = ["write_cond"]


def write_cond(blocks: Blocks, operation: Operation) -> None:
    """Write a cond; a branch that no lane takes is not executed."""
    writer, choices = blocks.writer, branches(operation.equation)
    index = writer.value(operation.inputs[0], ())
    memory = [writer.frame.array(node.kind, node.size, node.varying) for node in operation.outputs]
    for number, branch in enumerate(choices):
        _branch(blocks, operation, branch, _taken(blocks, index, number, len(choices)), memory)
    writer.memory.update((node.number, array) for node, array in zip(operation.outputs, memory, strict=True))


def _taken(blocks: Blocks, index: Register, number: int, count: int) -> Register:
    """Return where a branch is taken; an index outside of the branches names the nearest one."""
    code = blocks.writer.code
    if index.kind == "bool":
        return index if number else code.binary("xor", index, code.constant(True, "bool"))
    if count == 1:
        return code.constant(True, "bool")
    predicate = "sle" if number == 0 else "sge" if number == count - 1 else "eq"
    return code.binary(f"icmp {predicate}", index, code.constant(number, index.kind), "bool")


def _branch(
    blocks: Blocks, operation: Operation, branch: ClosedJaxpr, taken: Register, memory: Sequence[Memory]
) -> None:
    writer, code = blocks.writer, blocks.writer.code
    label = f"branch{code.name()[1:]}"
    code.lines += [f"  br i1 {any_lane(writer, taken)}, label %{label}, label %after{label}", f"{label}:"]
    code.block = label
    with writer.scope():
        block = block_of(branch, operation.inputs[1:])
        blocks.write(block)
        for node, array in zip(block.results, memory, strict=True):

            def move(index: tuple[str, ...], node=node, array=array) -> None:  # type: ignore[no-untyped-def]
                register = writer.value(node, index)
                if taken.vector:
                    register = code.select(taken, register, writer.load(array, node.shape, index))
                writer.store(array, node.shape, index, register)

            writer.nest(node.shape, move)
    code.lines += [f"  br label %after{label}", f"after{label}:"]
    code.block = f"after{label}"
