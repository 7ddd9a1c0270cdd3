"""Elements that are elements of inputs, at another index."""

from collections.abc import Callable
from typing import Any

from vgrad_jax.lanes.code import Register
from vgrad_jax.lanes.graph import Node
from vgrad_jax.lanes.nests.writer import Index, Position, Rule, Writer

__all__ = ["VIEWS", "keeps_axes"]


def _iota(writer: Writer, node: Node, index: Index) -> Register:
    position = index[node.parameters["dimension"]]
    number = writer.number(position) if isinstance(position, str) else position
    if node.kind != "float":
        return Register(number.text, node.kind, number.vector)
    if number.text.isdigit():
        return writer.code.constant(int(number.text), "float")
    return writer.code.cast("sitofp", number, "float")


def _broadcast(writer: Writer, node: Node, index: Index) -> Register:
    return writer.value(node.inputs[0], tuple(index[axis] for axis in node.parameters["broadcast_dimensions"]))


def _transposed(writer: Writer, node: Node, index: Index) -> Register:
    source: list[Position] = ["0"] * len(index)
    for position, axis in zip(index, node.parameters["permutation"], strict=True):
        source[axis] = position
    return writer.value(node.inputs[0], tuple(source))


def keeps_axes(before: tuple[int, ...], after: tuple[int, ...]) -> bool:
    """Return whether a reshape only adds or removes axes of one element."""
    return [size for size in before if size > 1] == [size for size in after if size > 1]


def _reshaped(writer: Writer, node: Node, index: Index) -> Register:
    operand = node.inputs[0]
    if keeps_axes(operand.shape, node.shape):
        rest = iter([position for position, size in zip(index, node.shape, strict=True) if size > 1])
        return writer.value(operand, tuple(next(rest) if size > 1 else "0" for size in operand.shape))
    element = writer.element(node.shape, index)
    if isinstance(element, str) and element.isdigit():
        number, source = int(element), []
        for size in reversed(operand.shape):
            number, position = divmod(number, size)
            source.append(str(position))
        return writer.value(operand, tuple(reversed(source)))
    # The plan keeps the operand in memory, in the same order.
    return writer.load(writer.memory[operand.number], (operand.size,), (element,))


def _sliced(writer: Writer, node: Node, index: Index) -> Register:
    starts, strides = node.parameters["start_indices"], node.parameters["strides"] or (1,) * len(index)
    moved = [
        writer.added(scaled(writer, position, int(stride)), str(int(start)))
        for position, start, stride in zip(index, starts, strides, strict=True)
    ]
    return writer.value(node.inputs[0], tuple(moved))


def scaled(writer: Writer, position: Position, factor: int) -> Position:
    """Return a multiple of a position."""
    if isinstance(position, str):
        return writer.times(position, factor)
    return writer.code.binary("mul", position, writer.code.constant(factor, "int"))


def _reversed(writer: Writer, node: Node, index: Index) -> Register:
    source = list(index)
    for axis in node.parameters["dimensions"]:
        source[axis] = writer.added(scaled(writer, index[axis], -1), str(node.shape[axis] - 1))
    return writer.value(node.inputs[0], tuple(source))


def _concatenated(writer: Writer, node: Node, index: Index) -> Register:
    axis = node.parameters["dimension"]
    position = index[axis]
    assert isinstance(position, str), "the plan keeps in memory what is read at computed indices"
    assert position.isdigit(), "the plan keeps long concatenations in memory"
    number = int(position)
    for operand in node.inputs:
        if number < operand.shape[axis]:
            return writer.value(operand, (*index[:axis], str(number), *index[axis + 1 :]))
        number -= operand.shape[axis]
    raise AssertionError(index)


VIEWS: dict[str, Rule | Callable[..., Any]] = {
    "iota": _iota,
    "broadcast_in_dim": _broadcast,
    "transpose": _transposed,
    "reshape": _reshaped,
    "squeeze": _reshaped,
    "expand_dims": _reshaped,
    "slice": _sliced,
    "rev": _reversed,
    "concatenate": _concatenated,
}
"""Primitive to the rule of an element."""
