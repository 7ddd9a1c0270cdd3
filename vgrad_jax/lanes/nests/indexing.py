"""Reads and writes at computed indices, which may differ from lane to lane."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from vgrad_jax.lanes import mathematics
from vgrad_jax.lanes.code import Code, Memory, Register
from vgrad_jax.lanes.graph import Node
from vgrad_jax.lanes.nests.blocks import Whole
from vgrad_jax.lanes.nests.writer import Index, Position, Rule, Writer
from vgrad_jax.lanes.rules.elementwise import larger, smaller

__all__ = ["READS", "UPDATES", "fill_value", "mode_of"]

CHOSEN = 16
"""Positions among which an element is chosen by comparisons; from a longer axis it is fetched from memory."""


def mode_of(parameters: Any) -> str:
    """Return what becomes of an index outside: "clip", "fill_or_drop" or "promise_in_bounds"."""
    return str(getattr(parameters["mode"], "name", parameters["mode"])).lower()


def _clamped(writer: Writer, start: Register, most: int) -> Register:
    """Return a start within [0, most], as an element of kind int."""
    code = writer.code
    if start.kind == "uint":
        return smaller(code, start, code.constant(most, "uint"))._replace(kind="int")
    return smaller(code, larger(code, start, code.constant(0, "int")), code.constant(most, "int"))


def _inside(writer: Writer, start: Register, most: int) -> Register:
    """Return whether a start is within [0, most]."""
    return writer.code.binary("icmp ule", start, writer.code.constant(most, start.kind), "bool")


def read(writer: Writer, operand: Node, index: Sequence[Position]) -> Register:
    """Return an element at an index that may differ from lane to lane."""
    apart = [axis for axis, p in enumerate(index) if not isinstance(p, str) and operand.shape[axis] > 1]
    if len(apart) == 1 and operand.shape[apart[0]] <= CHOSEN:
        (axis,) = apart
        before, position, after = tuple(index[:axis]), index[axis], tuple(index[axis + 1 :])
        assert isinstance(position, Register)
        chosen = writer.value(operand, (*before, "0", *after))
        for number in range(1, operand.shape[axis]):
            here = writer.code.binary("icmp eq", position, writer.code.constant(number, "int"), "bool")
            chosen = writer.code.select(here, writer.value(operand, (*before, str(number), *after)), chosen)
        return chosen
    if apart and operand.operation == "literal":
        writer.keep_constant(operand)
    if apart:
        return writer.load(writer.memory[operand.number], operand.shape, tuple(index))
    return writer.value(operand, tuple(index))


def _dynamic_slice(writer: Writer, node: Node, index: Index) -> Register:
    operand, *starts = node.inputs
    moved = []
    for start, size, before, position in zip(starts, node.shape, operand.shape, index, strict=True):
        first = _clamped(writer, writer.value(start, ()), before - size)
        moved.append(writer.added(writer.position(first), position))
    return read(writer, operand, moved)


def _gather(writer: Writer, node: Node, index: Index) -> Register:
    operand, starts = node.inputs
    numbers, sizes = node.parameters["dimension_numbers"], node.parameters["slice_sizes"]
    batch = tuple(p for axis, p in enumerate(index) if axis not in numbers.offset_dims)
    offsets = iter([index[axis] for axis in numbers.offset_dims])
    inside: Register | None = None
    moved: list[Position] = []
    for axis, size in enumerate(operand.shape):
        if axis in numbers.operand_batching_dims:
            which = numbers.operand_batching_dims.index(axis)
            moved.append(batch[numbers.start_indices_batching_dims[which]])
            continue
        offset = "0" if axis in numbers.collapsed_slice_dims else next(offsets)
        if axis in numbers.start_index_map:
            entry = str(numbers.start_index_map.index(axis))
            start = writer.value(starts, (*batch, entry))
            if mode_of(node.parameters) == "fill_or_drop":
                here = _inside(writer, start, size - sizes[axis])
                inside = here if inside is None else writer.code.binary("and", inside, here)
            offset = writer.added(writer.position(_clamped(writer, start, size - sizes[axis])), offset)
        moved.append(offset)
    element = read(writer, operand, moved)
    if inside is None:
        return element
    return writer.code.select(inside, element, writer.code.constant(fill_value(node), node.kind))


def fill_value(node: Node) -> float | int | bool:
    """Return what a gather gives for an index outside."""
    given = node.parameters["fill_value"]
    if given is not None:
        return np.asarray(given).item()
    return {"float": float("nan"), "int": -(2**31), "uint": 2**32 - 1, "bool": True}[node.kind]


def _update_slice(writer: Writer, node: Node, memory: Memory) -> None:
    operand, update, *starts = node.inputs
    writer.copy(operand, memory)
    sizes = zip(starts, operand.shape, update.shape, strict=True)
    first = [writer.position(_clamped(writer, writer.value(s, ()), n - m)) for s, n, m in sizes]

    def move(index: tuple[str, ...]) -> None:
        moved = tuple(writer.added(*pair) for pair in zip(first, index, strict=True))
        writer.store(memory, node.shape, moved, writer.value(update, index))

    writer.nest(update.shape, move)


def _replaced(code: Code, old: Register, new: Register) -> Register:
    return new


def _sum(code: Code, old: Register, new: Register) -> Register:
    return mathematics.add(code, old, new) if old.kind == "float" else code.binary("add", old, new)


def _product(code: Code, old: Register, new: Register) -> Register:
    return mathematics.multiply(code, old, new) if old.kind == "float" else code.binary("mul", old, new)


def _scatter(combine: Any) -> Whole:
    """Return how updates of an array are written, one after the other."""

    def write(writer: Writer, node: Node, memory: Memory) -> None:
        operand, starts, updates = node.inputs
        writer.copy(operand, memory)
        numbers = node.parameters["dimension_numbers"]
        windows = iter([updates.shape[axis] for axis in numbers.update_window_dims])
        left_out = (*numbers.inserted_window_dims, *numbers.operand_batching_dims)
        sizes = [1 if axis in left_out else next(windows) for axis in range(len(operand.shape))]

        def update(index: tuple[str, ...]) -> None:
            batch = tuple(p for axis, p in enumerate(index) if axis not in numbers.update_window_dims)
            offsets = iter([index[axis] for axis in numbers.update_window_dims])
            inside: Register | None = None
            moved: list[Position] = []
            for axis, size in enumerate(operand.shape):
                if axis in numbers.operand_batching_dims:
                    which = numbers.operand_batching_dims.index(axis)
                    moved.append(batch[numbers.scatter_indices_batching_dims[which]])
                    continue
                offset: Position = "0" if axis in numbers.inserted_window_dims else next(offsets)
                if axis in numbers.scatter_dims_to_operand_dims:
                    entry = str(numbers.scatter_dims_to_operand_dims.index(axis))
                    start = writer.value(starts, (*batch, entry))
                    # XLA drops an update that is outside, whatever was promised; only clipping moves it.
                    if mode_of(node.parameters) != "clip":
                        here = _inside(writer, start, size - sizes[axis])
                        inside = here if inside is None else writer.code.binary("and", inside, here)
                    offset = writer.added(writer.position(_clamped(writer, start, size - sizes[axis])), offset)
                moved.append(offset)
            old = writer.load(memory, node.shape, tuple(moved))
            new = combine(writer.code, old, writer.value(updates, index))
            writer.store(
                memory, node.shape, tuple(moved), new if inside is None else writer.code.select(inside, new, old)
            )

        writer.nest(updates.shape, update)

    return write


READS: dict[str, Rule] = {"dynamic_slice": _dynamic_slice, "gather": _gather}
"""Primitive to the rule of an element."""

UPDATES: dict[str, Whole] = {
    "dynamic_update_slice": _update_slice,
    "scatter": _scatter(_replaced),
    "scatter-add": _scatter(_sum),
    "scatter-mul": _scatter(_product),
    "scatter-min": _scatter(smaller),
    "scatter-max": _scatter(larger),
}
"""Primitive to the code of all its elements."""
