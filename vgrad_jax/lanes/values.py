"""Each operation's instructions: how a number of a node is computed, or read from memory."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from vgrad_jax.lanes import mathematics
from vgrad_jax.lanes.code import Code, Memory, Register
from vgrad_jax.lanes.dimensions import TURN, Index, has_loop
from vgrad_jax.lanes.elementwise import ELEMENTWISE_RULES, arithmetic, larger, smaller
from vgrad_jax.lanes.graph import Node, NotNativeError
from vgrad_jax.lanes.views import VIEWS

__all__ = ["OverwrittenError", "Turn", "Values", "indices"]


class OverwrittenError(Exception):
    """A leaf would be read from where something else was written before."""


class Turn(NamedTuple):
    """A turn of a loop that is being written."""

    number: str
    known: dict[Any, Any]
    """What is in registers for its length."""


class Values:
    """Numbers of nodes, as registers.

    Args:
        code: where what computes them is written.
        places: where the leaves are, by their numbers.
    """

    def __init__(self, code: Code, places: Mapping[int, Memory]) -> None:
        self.code = code
        self.memory = dict(places)
        """Where nodes are, by their numbers."""
        self.known: dict[tuple[int, Index], Register] = {}
        """Numbers that are in registers until the end."""
        self.turn: Turn | None = None
        """Where code is written now; None is outside of loops."""
        self._overwritten: dict[str, set[str]] = {place.pointer: set() for place in places.values()}

    @property
    def turn_number(self) -> str:
        """Of the loop that is being written."""
        assert self.turn is not None, "only a loop has turns"
        return self.turn.number

    def value(self, node: Node, index: Index) -> Register:
        """One number of a node.

        Raises:
            OverwrittenError: it is no longer where it was.
        """
        index = tuple(0 if size == 1 else place for size, place in zip(node.shape, index, strict=True))
        key = (node.number, index)
        if key in self.known:
            return self.known[key]
        if node.operation == "literal":
            return self._constant(node, index)
        if node.number in self.memory:
            return self._remembered(key, lambda: self._load(self.memory[node.number], self._element(node, index)))
        if self.turn is None:
            self.known[key] = self._compute(node, index)
            return self.known[key]
        if not has_loop(node):
            raise NotNativeError(f"{node.operation} is wanted before it is there")
        return self._remembered(key, lambda: self._compute(node, index))

    def store(self, node: Node, index: Index, memory: Memory) -> None:
        """Put a number of a node into an array of the node's shape."""
        element = self._element(node, index)
        self.code.store(memory, element, self.value(node, index))
        if self.holds_a_leaf(memory):
            self._overwritten[memory.pointer].add(element)

    def holds_a_leaf(self, memory: Memory) -> bool:
        """Whether leaves are read from there."""
        return memory.pointer in self._overwritten

    def check_not_overwritten(self, memory: Memory, element: str | None = None) -> None:
        """Raise `OverwrittenError` where an element, or any of them, is no longer the leaf's that it was."""
        written = self._overwritten.get(memory.pointer)
        constant = element is not None and element.isdigit()  # Else it is known when the code runs.
        if written and (not constant or element in written):
            raise OverwrittenError

    def _load(self, memory: Memory, element: str) -> Register:
        self.check_not_overwritten(memory, element)
        return self.code.load(memory, element)

    def _element(self, node: Node, index: Index) -> str:
        """The number of an element, row-major."""
        constant, stride, turn = 0, 1, "0"
        for size, place in zip(reversed(node.shape), reversed(index), strict=True):
            if place == TURN:
                turn = self._remembered(("turn", stride), partial(self.code.integer, "mul", self.turn_number, stride))
            else:
                constant += place * stride
            stride *= size
        return self.code.integer("add", turn, constant)

    def _remembered(self, key: Any, make: Callable[[], Any]) -> Any:
        if self.turn is None:
            return make()
        if key not in self.turn.known:
            self.turn.known[key] = make()
        return self.turn.known[key]

    def _compute(self, node: Node, index: Index) -> Register:
        if node.operation in ELEMENTWISE_RULES:
            numbers = [self.value(one, index if one.shape else ()) for one in node.inputs]
            return ELEMENTWISE_RULES[node.operation](self.code, node, *numbers)
        if node.operation in VIEWS:
            return self.value(*VIEWS[node.operation](node, index))
        return RULES[node.operation](self, node, index)

    def _constant(self, node: Node, index: Index) -> Register:
        if TURN in index:
            raise NotNativeError("a constant that is looped over")
        return self.code.constant(node.parameters["value"][index].item(), node.kind)

    def terms(self, node: Node, index: Index) -> Iterator[tuple[Register, ...]]:
        """What a reduction adds up: numbers, or pairs of factors."""
        if node.operation == "dot_general":
            (left, right), _ = node.parameters["dimension_numbers"]
            a, b = node.inputs
            free = len(a.shape) - 1
            for place in self._range(node, a, left[0]):
                first, second = list(index[:free]), list(index[free:])
                first.insert(left[0], place)
                second.insert(right[0], place)
                yield self.value(a, tuple(first)), self.value(b, tuple(second))
            return
        one, kept = node.inputs[0], node.kept
        ranges: list[Iterable[int]] = [
            (index[kept.index(axis)],) if axis in kept else self._range(node, one, axis)
            for axis in range(len(one.shape))
        ]
        for places in itertools.product(*ranges):
            yield (self.value(one, places),)

    def _range(self, node: Node, one: Node, axis: int) -> Iterable[int]:
        return (TURN,) if one.axes[axis] == node.loop and has_loop(one) else range(one.shape[axis])

    def accumulate(self, node: Node, total: Register, term: Sequence[Register]) -> Register:
        """A reduction's total with one term more."""
        code = self.code
        if node.operation == "dot_general":
            return mathematics.add(code, total, mathematics.multiply(code, *term))
        if node.operation in ("reduce_max", "reduce_min"):
            return (larger if node.operation == "reduce_max" else smaller)(code, total, term[0])
        instruction = {"reduce_and": "and", "reduce_or": "or"}.get(node.operation, arithmetic("add", node.kind))
        return code.binary(instruction, total, term[0])

    def neutral(self, node: Node) -> Register:
        """What a reduction's total over a loop begins with."""
        if node.operation == "argmax" or (node.operation in ("reduce_max", "reduce_min") and node.kind != "float"):
            raise NotNativeError(f"{node.operation} of {node.kind} over a loop")
        every_bit = True if node.kind == "bool" else -1
        values = {"reduce_max": float("-inf"), "reduce_min": float("inf"), "reduce_and": every_bit}
        value = values.get(node.operation, 0)
        constant = self.code.constant(value, node.kind)
        return self.code.spread(constant) if node.mapped else constant


def indices(node: Node) -> Iterator[Index]:
    """All of a node's, with `TURN` for the axis that is looped over."""
    inside = has_loop(node)
    ranges = [
        (TURN,) if inside and axis == node.loop else range(size)
        for axis, size in zip(node.axes, node.shape, strict=True)
    ]
    return itertools.product(*ranges)


Rule = Callable[[Values, Node, Index], Register]


def _iota(values: Values, node: Node, index: Index) -> Register:
    code, place = values.code, index[node.parameters["dimension"]]
    if place != TURN:
        return code.constant(place, node.kind)
    whole = Register(code.line(f"trunc i64 {values.turn_number} to i32"), "int", False)
    return code.cast("sitofp", whole, "float") if node.kind == "float" else Register(whole.text, node.kind, False)


def _reduced(values: Values, node: Node, index: Index) -> Register:
    terms = values.terms(node, index)
    first = next(terms)
    total = mathematics.multiply(values.code, *first) if len(first) == 2 else first[0]
    for term in terms:
        total = values.accumulate(node, total, term)
    return total


def _argmax(values: Values, node: Node, index: Index) -> Register:
    """The first of the largest; the first NaN, where there are any."""
    code = values.code
    numbers = [term[0] for term in values.terms(node, index)]
    best, place = numbers[0], code.constant(0, node.kind)
    for number, one in enumerate(numbers[1:], 1):
        above = code.binary("fcmp ugt", one, best, "bool")
        ordered = mathematics.compare(code, "ord", best, best)
        better = code.binary("and", above, ordered)
        best, place = code.select(better, one, best), code.select(better, code.constant(number, node.kind), place)
    return place


def _gather(values: Values, node: Node, index: Index) -> Register:
    code, (table, rows) = values.code, node.inputs
    memory = values.memory.get(table.number)
    if memory is None or memory.lanes or memory.kind == "bool" or TURN in index[1:]:
        raise NotNativeError("rows of a table that is not in memory, the same for all lanes")
    values.check_not_overwritten(memory)
    row = values.value(rows, (index[0], 0))
    width = table.size // table.shape[0]
    column = 0
    for place, size in zip(index[1:], table.shape[1:], strict=True):
        column = column * size + place
    # Promised to be inside of it; a promise that is broken must not end the process.
    row = smaller(code, larger(code, row, code.constant(0, "int")), code.constant(table.shape[0] - 1, "int"))
    element = code.binary("add", code.binary("mul", row, code.constant(width, "int")), code.constant(column, "int"))
    type_, scalar = code.type_of(table.kind, True), code.type_of(table.kind, False)
    if not element.vector or code.width == 1:
        far = code.line(f"sext i32 {element.text} to i64")
        return code.load(memory, far)._replace(vector=element.vector)
    places = code.line(f"getelementptr {scalar}, ptr {memory.pointer}, {code.typed(element)}")
    suffix = "f32" if table.kind == "float" else "i32"
    pointers, all_lanes = f"<{code.width} x ptr>", f"<{code.width} x i1>"
    name = f"@llvm.masked.gather.v{code.width}{suffix}.v{code.width}p0"
    code.declared[name] = f"declare {type_} {name}({pointers}, {all_lanes}, {type_})"
    call = f"call {type_} {name}({pointers} align 4 {places}, {all_lanes} splat (i1 true), {type_} poison)"
    return Register(code.line(call), table.kind, True)


RULES: dict[str, Rule] = {
    "argmax": _argmax,
    "gather": _gather,
    "iota": _iota,
    **dict.fromkeys(
        ("dot_general", "psum", "reduce_and", "reduce_max", "reduce_min", "reduce_or", "reduce_sum"), _reduced
    ),
}
"""How a number of each other operation's result is computed."""
