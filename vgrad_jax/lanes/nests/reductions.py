"""Reductions and cumulative operations: totals in registers while loops go over the terms."""

import itertools
import math
from collections.abc import Callable, Sequence

from vgrad_jax.lanes import mathematics
from vgrad_jax.lanes.code import Code, Kind, Memory, Register
from vgrad_jax.lanes.graph import Node
from vgrad_jax.lanes.nests.blocks import Whole
from vgrad_jax.lanes.nests.extremes import larger, smaller
from vgrad_jax.lanes.nests.writer import Index, Position, Writer, indices
from vgrad_jax.lanes.rules.elementwise import arithmetic

__all__ = ["CUMULATIVE", "REDUCTIONS", "accumulated", "typed_totals"]

Combine = Callable[[Code, Register, Register], Register]

TOTALS = 8
"""Totals of a loop, about: more would be spilled, fewer would wait for each other."""
UNROLLED_TERMS = 8
"""Terms that are written out, at the most."""
LINES = 48
"""Totals times terms that are written out, at the most."""


def accumulated(
    writer: Writer,
    sizes: Sequence[int],
    totals: Sequence[Register],
    step: Callable[[tuple[str, ...], list[Register]], list[Register]],
) -> list[Register]:
    """Write a nest of loops that carries registers, and return them after the last iteration.

    Args:
        writer: where the code is written.
        sizes: iterations of each loop, the outermost first.
        totals: the registers before.
        step: returns the registers after an innermost iteration.
    """
    current = list(totals)
    if math.prod(sizes) <= min(UNROLLED_TERMS, LINES // len(totals)) or math.prod(sizes) == 1:
        for index in indices(sizes):
            current = step(index, current)
        return current
    return _nested(writer, tuple(sizes), (), current, step)


def _nested(
    writer: Writer,
    sizes: tuple[int, ...],
    prefix: tuple[str, ...],
    totals: list[Register],
    step: Callable[[tuple[str, ...], list[Register]], list[Register]],
) -> list[Register]:
    first, *rest = sizes
    room = max(LINES // len(totals), 1)
    together = max(n for n in (1, 2, 4) if first % n == 0 and (n == 1 or n <= room)) if math.prod(rest) == 1 else 1

    def iteration(number: str, names: list[str]) -> list[str]:
        with writer.scope():
            current = [total._replace(text=name) for total, name in zip(totals, names, strict=True)]
            start = writer.times(number, together)
            for offset in range(together):
                position = (*prefix, writer.offset(start, offset))
                if math.prod(rest) <= min(UNROLLED_TERMS, room):
                    for index in indices(rest):
                        current = step((*position, *index), current)
                else:
                    current = _nested(writer, tuple(rest), position, current, step)
            return [total.text for total in current]

    names = writer.code.loop(first // together, iteration, typed_totals(writer, totals))
    return [total._replace(text=name) for total, name in zip(totals, names, strict=True)]


def typed_totals(writer: Writer, totals: Sequence[Register]) -> list[tuple[str, str]]:
    """Return LLVM's type and the name of each register."""
    return [(writer.code.type_of(total.kind, total.vector), total.text) for total in totals]


def start(writer: Writer, value: float | int | bool, kind: Kind, varying: bool) -> Register:
    """Return a total before the first term."""
    constant = writer.code.constant(value, kind)
    return writer.code.spread(constant) if varying else constant


def _least(kind: Kind) -> float | int | bool:
    return {"float": float("-inf"), "int": -(2**31), "uint": 0, "bool": False}[kind]


def _largest(kind: Kind) -> float | int | bool:
    return {"float": float("inf"), "int": 2**31 - 1, "uint": 2**32 - 1, "bool": True}[kind]


def _sum(code: Code, total: Register, term: Register) -> Register:
    if total.kind == "float":
        return mathematics.add(code, total, term)
    return code.binary("or" if total.kind == "bool" else arithmetic("add", total.kind), total, term)


def _product(code: Code, total: Register, term: Register) -> Register:
    return code.binary("and" if total.kind == "bool" else arithmetic("mul", total.kind), total, term)


def _bitwise(instruction: str) -> Combine:
    return lambda code, total, term: code.binary(instruction, total, term)


def _reduction(combine: Combine, identity: Callable[[Kind], float | int | bool]) -> Whole:
    def write(writer: Writer, node: Node, memory: Memory) -> None:
        operand, axes = node.inputs[0], sorted(node.parameters["axes"])
        kept = [axis for axis in range(len(operand.shape)) if axis not in axes]
        if not axes:
            writer.copy(operand, memory)
            return
        sizes = [operand.shape[axis] for axis in axes]
        first = start(writer, identity(node.kind), node.kind, node.varying)

        def totals_of(some: Sequence[Index], parts: int) -> list[Register]:
            def step(terms: tuple[str, ...], totals: list[Register]) -> list[Register]:
                after: list[Register] = []
                for part, result in itertools.product(range(parts), some):
                    moved = writer.added(writer.times(terms[-1], parts), str(part))
                    position = dict(zip(kept, result, strict=True)) | dict(zip(axes, (*terms[:-1], moved), strict=True))
                    index = tuple(position[axis] for axis in range(len(operand.shape)))
                    term = writer.value(operand, index)
                    total = combine(writer.code, totals[len(after)], term)
                    after.append(writer.code.spread(total) if node.varying else total)
                return after

            lengths = [*sizes[:-1], sizes[-1] // parts]
            totals = accumulated(writer, lengths, [first] * (parts * len(some)), step)
            for part in range(1, parts):
                for n in range(len(some)):
                    totals[n] = combine(writer.code, totals[n], totals[part * len(some) + n])
            return totals[: len(some)]

        _by_groups(writer, node, memory, totals_of, sizes[-1])

    return write


def _by_groups(
    writer: Writer,
    node: Node,
    memory: Memory,
    totals_of: Callable[[Sequence[Index], int], list[Register]],
    last: int,
) -> None:
    """Compute results in groups along the last axis, whose totals one loop carries."""
    *outer, inner = node.shape or (1,)
    together = min(inner, TOTALS)
    parts = max(n for n in (1, 2, 4) if last % n == 0 and (n == 1 or (n * together <= TOTALS and last > n)))

    def write_group(prefix: tuple[str, ...], begin: str, count: int) -> None:
        some: list[Index] = [(*prefix, writer.added(begin, str(n))) for n in range(count)] if node.shape else [()]
        for index, total in zip(some, totals_of(some, parts), strict=True):
            writer.store(memory, node.shape, index, total)

    def row(prefix: tuple[str, ...]) -> None:
        groups, rest = divmod(inner, together)

        def iteration(number: str, _: list[str]) -> list[str]:
            with writer.scope():
                write_group(prefix, writer.code.integer("mul", number, together), together)
            return []

        if groups == 1:
            write_group(prefix, "0", together)
        else:
            writer.code.loop(groups, iteration)
        if rest:
            write_group(prefix, str(groups * together), rest)

    writer.nest(outer, row, unrolled=1)


def _arg(better: str) -> Whole:
    """Return how the position of the first of the largest or smallest elements, or of the first NaN, is written."""

    def write(writer: Writer, node: Node, memory: Memory) -> None:
        operand, (axis,) = node.inputs[0], node.parameters["axes"]
        code = writer.code

        def result(prefix: tuple[str, ...]) -> None:
            def element(position: str) -> Register:
                return writer.value(operand, (*prefix[:axis], position, *prefix[axis:]))

            def step(terms: tuple[str, ...], totals: list[Register]) -> list[Register]:
                best, chosen = totals
                value = element(terms[0])
                above = _is_better(code, better, value, best)
                number = writer.number(terms[0])._replace(kind=node.kind)
                after = [code.select(above, value, best), code.select(above, number, chosen)]
                return [code.spread(register) for register in after] if node.varying else after

            totals = [element("0"), code.constant(0, node.kind)]
            totals = [code.spread(register) for register in totals] if node.varying else totals
            _, chosen = accumulated(writer, [operand.shape[axis]], totals, step)
            writer.store(memory, node.shape, prefix, chosen)

        writer.nest(node.shape, result, unrolled=4)

    return write


def _is_better(code: Code, better: str, value: Register, best: Register) -> Register:
    if value.kind != "float":
        sign = "s" if value.kind == "int" else "u"
        return code.binary(f"icmp {sign}{better}", value, best, "bool")
    above = code.binary(f"fcmp u{better}", value, best, "bool")
    return code.binary("and", above, mathematics.compare(code, "ord", best, best))


def _cumulative(combine: Combine, identity: Callable[[Kind], float | int | bool]) -> Whole:
    def write(writer: Writer, node: Node, memory: Memory) -> None:
        axis, size = node.parameters["axis"], node.shape[node.parameters["axis"]]
        first = start(writer, identity(node.kind), node.kind, node.varying)

        def line(prefix: tuple[str, ...]) -> None:
            def step(terms: tuple[str, ...], totals: list[Register]) -> list[Register]:
                position: Position = terms[0]
                if node.parameters["reverse"]:
                    position = writer.added(writer.times(terms[0], -1), str(size - 1))
                index: Index = (*prefix[:axis], position, *prefix[axis:])
                total = combine(writer.code, totals[0], writer.value(node.inputs[0], index))
                total = writer.code.spread(total) if node.varying else total
                writer.store(memory, node.shape, index, total)
                return [total]

            accumulated(writer, [size], [first], step)

        writer.nest((*node.shape[:axis], *node.shape[axis + 1 :]), line, unrolled=4)

    return write


REDUCTIONS: dict[str, Whole] = {
    "reduce_sum": _reduction(_sum, lambda kind: False if kind == "bool" else 0),
    "reduce_prod": _reduction(_product, lambda kind: True if kind == "bool" else 1),
    "reduce_max": _reduction(larger, _least),
    "reduce_min": _reduction(smaller, _largest),
    "reduce_and": _reduction(_bitwise("and"), lambda kind: True if kind == "bool" else -1),
    "reduce_or": _reduction(_bitwise("or"), lambda kind: False if kind == "bool" else 0),
    "reduce_xor": _reduction(_bitwise("xor"), lambda kind: False if kind == "bool" else 0),
    "argmax": _arg("gt"),
    "argmin": _arg("lt"),
}
"""Primitive to the code of all its elements."""

CUMULATIVE: dict[str, Whole] = {
    "cumsum": _cumulative(_sum, lambda kind: 0),
    "cumprod": _cumulative(_product, lambda kind: 1),
    "cummax": _cumulative(larger, _least),
    "cummin": _cumulative(smaller, _largest),
}
"""Primitive to the code of all its elements."""
