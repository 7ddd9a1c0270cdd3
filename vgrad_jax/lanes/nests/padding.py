"""Padding: an array filled with one number, in which another array stands."""

from vgrad_jax.lanes.code import Memory
from vgrad_jax.lanes.graph import Node
from vgrad_jax.lanes.nests.writer import Writer

__all__ = ["write_padded"]


def write_padded(writer: Writer, node: Node, memory: Memory) -> None:
    """Write a padded array; elements that negative padding cuts off are left out."""
    operand, outside = node.inputs
    padding = [tuple(map(int, numbers)) for numbers in node.parameters["padding_config"]]  # Some are NumPy's.
    filled = writer.value(outside, ())
    writer.nest(node.shape, lambda index: writer.store(memory, node.shape, index, filled))
    firsts, counts = [], []
    for (low, _, inside), size, before in zip(padding, node.shape, operand.shape, strict=True):
        kept = [n for n in range(before) if 0 <= low + n * (inside + 1) < size]
        firsts.append(kept[0] if kept else 0)
        counts.append(len(kept))
    if 0 in counts:
        return

    def move(index: tuple[str, ...]) -> None:
        source = tuple(writer.added(position, str(first)) for position, first in zip(index, firsts, strict=True))
        target = tuple(
            writer.offset(writer.times(position, inside + 1), (low + first * (inside + 1)))
            for position, first, (low, _, inside) in zip(index, firsts, padding, strict=True)
        )
        writer.store(memory, node.shape, target, writer.value(operand, source))

    writer.nest(counts, move)
