"""Sorts of short axes by a network of comparisons, which is the same for all lanes."""

import math
from collections.abc import Sequence

from vgrad_jax.lanes import mathematics
from vgrad_jax.lanes.code import Code, Register
from vgrad_jax.lanes.nests.blocks import Blocks
from vgrad_jax.lanes.nests.graph import Operation

__all__ = ["LONGEST", "comparisons", "write_sort"]

LONGEST = 1024
"""Elements of an axis that a network sorts, at the most."""
WRITTEN_OUT = 16
"""Elements of an axis whose network is written out, at the most."""


def write_sort(blocks: Blocks, operation: Operation) -> None:
    """Write a sort of several arrays by the first of them.

    Neighbours are exchanged until all are in order (odd-even transposition). Equal ones keep their order.
    """
    writer, parameters = blocks.writer, operation.equation.params
    axis, keys = parameters["dimension"], parameters["num_keys"]
    shape = operation.inputs[0].shape
    arrays = [writer.frame.array(node.kind, node.size, node.varying) for node in operation.outputs]
    for node, array in zip(operation.inputs, arrays, strict=True):
        writer.copy(node, array)
    size = shape[axis]

    def exchange(prefix: tuple[str, ...], first: str) -> None:
        pairs_of_indices = [(*prefix[:axis], writer.added(first, str(n)), *prefix[axis:]) for n in range(2)]
        low, high = ([writer.load(array, shape, index) for array in arrays] for index in pairs_of_indices)
        swap = _before(writer.code, high[:keys], low[:keys])
        for array, a, b in zip(arrays, low, high, strict=True):
            writer.store(array, shape, pairs_of_indices[0], writer.code.select(swap, b, a))
            writer.store(array, shape, pairs_of_indices[1], writer.code.select(swap, a, b))

    def line(prefix: tuple[str, ...]) -> None:
        if size <= WRITTEN_OUT:
            for turn in range(size):
                for first in range(turn % 2, size - 1, 2):
                    exchange(prefix, str(first))
            return

        def two_turns(_: str, __: list[str]) -> list[str]:
            for start in (0, 1):
                pairs = (size - start) // 2

                def pair(number: str, _: list[str], start: int = start) -> list[str]:
                    with writer.scope():
                        exchange(prefix, writer.code.integer("add", writer.code.integer("mul", number, 2), start))
                    return []

                writer.code.loop(pairs, pair)
            return []

        writer.code.loop(-(-size // 2), two_turns)

    if size > 1:
        writer.nest((*shape[:axis], *shape[axis + 1 :]), line, unrolled=1)
    writer.memory.update((node.number, array) for node, array in zip(operation.outputs, arrays, strict=True))


def _before(code: Code, a: Sequence[Register], b: Sequence[Register]) -> Register:
    """Return whether some keys come before others; NaN comes last, and zeros are equal."""
    result: Register | None = None
    for x, y in reversed(list(zip(a, b, strict=True))):
        below = _below(code, x, y)
        result = (
            below
            if result is None
            else code.select(_below(code, y, x), code.constant(False, "bool"), code.binary("or", below, result))
        )
    assert result is not None
    return result


def _below(code: Code, a: Register, b: Register) -> Register:
    if a.kind == "float":
        lower = mathematics.compare(code, "olt", a, b)
        last = code.binary("and", mathematics.compare(code, "uno", b, b), mathematics.compare(code, "ord", a, a))
        return code.binary("or", lower, last)
    if a.kind == "bool":
        return code.binary("and", code.binary("xor", a, code.constant(True, "bool")), b)
    return code.binary("icmp slt" if a.kind == "int" else "icmp ult", a, b, "bool")


def comparisons(size: int) -> int:
    """Return the number of comparisons that sort an axis."""
    return math.ceil(size * (size - 1) / 2)
