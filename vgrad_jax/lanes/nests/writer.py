"""Elements of nodes as registers, loops over indices, and the scopes in which registers hold.

An index has a position for each axis: a number or the name of a 64-bit integer, as text. A register of integers is a
position for each lane.
"""

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from vgrad_jax.lanes.code import Code, Memory, Register
from vgrad_jax.lanes.errors import NotInLanesError
from vgrad_jax.lanes.graph import Node
from vgrad_jax.lanes.nests.frame import Frame
from vgrad_jax.lanes.nests.functions import Functions
from vgrad_jax.lanes.primitives import PRIMITIVES, Elements

__all__ = ["Body", "Index", "Position", "Rule", "Writer", "indices"]

Position = str | Register
Index = tuple[Position, ...]
Body = Callable[[tuple[str, ...]], None]
Rule = Callable[["Writer", Node, Index], Register]
"""Writes an element of a node."""

UNROLLED = 16
"""Elements up to which a nest of loops is written out, and its arrays become registers."""
STEPS = 4
"""Elements of an innermost loop's iteration, at the most, where an array has more than `UNROLLED`."""
LONG_ELEMENT = 12.0
"""Instructions of an element from which on an iteration has one element."""


def indices(shape: Sequence[int]) -> Iterator[tuple[str, ...]]:
    """Yield all indices of an array, row-major."""
    return itertools.product(*(map(str, range(size)) for size in shape))


class Writer(Elements):
    """Writes elements of nodes.

    Args:
        code: the function's lines.
        frame: the function's arrays.
        rules: primitives whose elements this compiler writes in its own way.
        unrolled: elements up to which a nest of loops is written out.
    """

    def __init__(self, code: Code, frame: Frame, rules: Mapping[str, Rule], unrolled: int = UNROLLED) -> None:
        self.code, self.frame, self.rules, self.unrolled = code, frame, rules, unrolled
        self.memory: dict[int, Memory] = {}
        """Arrays of nodes, by the nodes' numbers."""
        self._scopes: list[dict[Any, Register]] = [{}]
        self.functions = Functions(code, frame)
        self._is_apart = False
        self._constants: dict[str, tuple[str, int]] = {}
        """A number's name to that of another and a constant, whose sum it is."""
        self._own: set[str] = set()
        """Names in `_constants` of the function that is written apart."""

    @property
    def iteration(self) -> str:
        """Refuse: a nest has a number for each of its loops."""
        raise NotInLanesError("an operation that asks for the single loop's number")

    def range(self, node: Node, operand: Node, axis: int) -> range:
        """Return the positions along an operand's axis."""
        return range(operand.shape[axis])

    def check_not_overwritten(self, memory: Memory, element: str | None = None) -> None:
        """Do nothing: no array is overwritten before its last use."""

    @contextmanager
    def scope(self) -> Iterator[None]:
        """Forget the context's registers after it: they hold in one basic block and those that it dominates."""
        self._scopes.append({})
        try:
            yield
        finally:
            self._scopes.pop()

    @contextmanager
    def function(self, size: int | float) -> Iterator[None]:
        """Write code that leaves nothing but stored elements; long code is a function of its own.

        Args:
            size: elements of the largest array, or fewer where an element costs little.
        """
        if self._is_apart or size <= self.unrolled:
            with self.scope():
                yield
            return
        self._is_apart = True
        try:
            with self.scope(), self.code.apart() as lines:
                yield
        finally:
            self._is_apart = False
            # The next function has the same names for other numbers.
            for name in self._own:
                del self._constants[name]
            self._own.clear()
        self.functions.call(lines)

    def value(self, node: Node, index: Any) -> Register:
        """Return an element of a node."""
        index = tuple("0" if size == 1 else position for size, position in zip(node.shape, index, strict=True))
        key = (node.number, index)
        for scope in reversed(self._scopes):
            if key in scope:
                return scope[key]
        register = self._written(node, index)
        self._scopes[-1][key] = register
        return register

    def _written(self, node: Node, index: Index) -> Register:
        if node.operation == "literal":
            if all(isinstance(position, str) and position.isdigit() for position in index):
                return self.code.constant(node.parameters["value"][tuple(map(int, index))].item(), node.kind)  # type: ignore[arg-type]
            self.keep_constant(node)
        if node.number in self.memory:
            return self.load(self.memory[node.number], node.shape, index)
        if node.operation in self.rules:
            return self.rules[node.operation](self, node, index)
        return PRIMITIVES[node.operation].code(self, node, index)  # type: ignore[arg-type]

    def keep_constant(self, node: Node) -> None:
        """Give a constant an array of the module."""
        if node.number not in self.memory:
            elements = [self.code.constant(value.item(), node.kind).text for value in node.parameters["value"].flat]
            if node.kind == "bool":
                elements = ["1" if element == "true" else "0" for element in elements]
            self.memory[node.number] = self.frame.constant(elements, node.kind)

    def remember(self, node: Node, index: tuple[str, ...], register: Register) -> None:
        """Let later reads in this scope take a register."""
        self._scopes[-1][node.number, tuple("0" if n == 1 else p for n, p in zip(node.shape, index, strict=True))] = (
            register
        )

    def number(self, position: str) -> Register:
        """Return a position as an element of kind int."""
        if position.lstrip("-").isdigit():
            return self.code.constant(int(position), "int")
        return Register(self.code.line(f"trunc i64 {position} to i32"), "int", False)

    def position(self, register: Register) -> Position:
        """Return an element of kind int as a position."""
        if register.vector:
            return register
        if register.text.lstrip("-").isdigit():
            return register.text
        return self.code.line(f"sext i32 {register.text} to i64")

    def added(self, a: Position, b: Position) -> Position:
        """Return the sum of two positions."""
        if isinstance(a, str) and isinstance(b, str):
            (first, before), (second, after) = self._divided(a), self._divided(b)
            return self._sum([name for name in (first, second) if name], before + after)
        first_register, second_register = (self.number(p) if isinstance(p, str) else p for p in (a, b))
        return self.code.binary("add", first_register, second_register)

    def _divided(self, position: str) -> tuple[str, int]:
        """Return a position as the name of a number, empty for none, and a constant."""
        if position.lstrip("-").isdigit():
            return "", int(position)
        return self._constants.get(position, (position, 0))

    def _sum(self, names: Sequence[str], constant: int) -> str:
        """Return a sum of numbers and a constant, computed once in a scope."""
        total = ""
        for name in sorted(names):
            total = self._once(("sum", total, name), partial(self._plus, total, name)) if total else name
        if not total or not constant:
            return total or str(constant)
        result = self._once(("sum", total, constant), lambda: self.code.integer("add", total, constant))
        self._constants[result] = total, constant
        if self._is_apart:
            self._own.add(result)
        return result

    def _plus(self, a: str, b: str) -> str:
        return self.code.line(f"add i64 {a}, {b}")

    def _once(self, key: Any, make: Callable[[], str]) -> str:
        """Return a name that is made once in a scope."""
        for scope in reversed(self._scopes):
            if key in scope:
                return scope[key].text
        name = make()
        self._scopes[-1][key] = Register(name, "int", False)
        return name

    def offset(self, position: str, constant: int) -> str:
        """Return a position some steps further on."""
        name, before = self._divided(position)
        return self._sum([name] if name else [], before + constant)

    def times(self, position: str, factor: int) -> str:
        """Return a multiple of a position, computed once in a scope."""
        name, constant = self._divided(position)
        if not name:
            return str(constant * factor)
        if factor != 1:
            name = self._once(("times", name, factor), lambda: self.code.integer("mul", name, factor))
        return self._sum([name], constant * factor)

    def element(self, shape: Sequence[int], index: Index) -> Position:
        """Return the number of an element of an array, row-major."""
        total: Position = "0"
        stride = 1
        for size, position in zip(reversed(shape), reversed(index), strict=True):
            if isinstance(position, str):
                total = self.added(total, self.times(position, stride))
            else:
                scaled = self.code.binary("mul", position, self.code.constant(stride, "int"))
                total = self.added(total, scaled if stride > 1 else position)
            stride *= size
        return total

    def _near(self, memory: Memory, element: str) -> tuple[Memory, str]:
        """Return an array and a constant position in it that are an element: addresses differ by constants then."""
        name, constant = self._divided(element)
        if not name:
            return memory, element
        moved = self.times(name, max(memory.lanes, 1))
        address = self._once(
            ("address", memory.pointer, name), lambda: self.code.offset(memory.pointer, moved, memory.kind)
        )
        return memory._replace(pointer=address), str(constant)

    def load(self, memory: Memory, shape: Sequence[int], index: Index) -> Register:
        """Load an element of an array."""
        element = self.element(shape, index)
        if isinstance(element, str):
            return self.code.load(*self._near(memory, element))
        return self._load_apart(memory, element)

    def store(self, memory: Memory, shape: Sequence[int], index: Index, register: Register) -> None:
        """Store an element in an array."""
        element = self.element(shape, index)
        if isinstance(element, str):
            self.code.store(*self._near(memory, element), register)
        else:
            self._store_apart(memory, element, register)

    def _addresses(self, memory: Memory, element: Register) -> str:
        """Return a pointer for each lane."""
        code = self.code
        if memory.lanes:
            lanes = Register(f"<{', '.join(f'i32 {n}' for n in range(code.width))}>", "int", True)
            scaled = code.binary("mul", element, code.constant(memory.lanes, "int"))
            element = code.binary("add", scaled, lanes)
        scalar = "i8" if memory.kind == "bool" else code.type_of(memory.kind, False)
        return code.line(f"getelementptr {scalar}, ptr {memory.pointer}, {code.typed(element)}")

    def _load_apart(self, memory: Memory, element: Register) -> Register:
        """Load an element of its own for each lane."""
        code, width = self.code, self.code.width
        addresses = self._addresses(memory, element)
        scalar = "i8" if memory.kind == "bool" else code.type_of(memory.kind, False)
        type_, pointers, mask = f"<{width} x {scalar}>", f"<{width} x ptr>", f"<{width} x i1>"
        suffix = {"float": "f32", "i32": "i32", "i8": "i8"}[scalar]
        name = f"@llvm.masked.gather.v{width}{suffix}.v{width}p0"
        code.declared[name] = f"declare {type_} {name}({pointers}, {mask}, {type_})"
        align = 1 if memory.kind == "bool" else 4
        text = code.line(
            f"call {type_} {name}({pointers} align {align} {addresses}, {mask} splat (i1 true), {type_} poison)"
        )
        if memory.kind == "bool":
            return Register(code.line(f"icmp ne {type_} {text}, zeroinitializer"), "bool", True)
        return Register(text, memory.kind, True)

    def _store_apart(self, memory: Memory, element: Register, register: Register) -> None:
        """Store an element of its own for each lane."""
        code, width = self.code, self.code.width
        if not memory.lanes:
            raise NotInLanesError("an array of all lanes changed by one lane")
        addresses, register = self._addresses(memory, element), code.spread(register)
        scalar, text = code.type_of(memory.kind, False), register.text
        if memory.kind == "bool":
            scalar, text = "i8", code.line(f"zext {code.typed(register)} to <{width} x i8>")
        type_, pointers, mask = f"<{width} x {scalar}>", f"<{width} x ptr>", f"<{width} x i1>"
        suffix = {"float": "f32", "i32": "i32", "i8": "i8"}[scalar]
        name = f"@llvm.masked.scatter.v{width}{suffix}.v{width}p0"
        code.declared[name] = f"declare void {name}({type_}, {pointers}, {mask})"
        align = 1 if memory.kind == "bool" else 4
        code.lines.append(
            f"  call void {name}({type_} {text}, {pointers} align {align} {addresses}, {mask} splat (i1 true))"
        )

    def nest(self, shape: Sequence[int], body: Body, *, unrolled: int | None = None, cost: float = 1.0) -> None:
        """Write a nest of loops over all indices of an array; few of them are written out.

        Args:
            shape: the array's.
            body: writes the code of an index.
            unrolled: indices that are written out, at the most; by default the writer's number.
            cost: instructions of an index, about.
        """
        if math.prod(shape) <= (self.unrolled if unrolled is None else unrolled):
            for index in indices(shape):
                body(index)
            return
        with self.function(math.prod(shape)):
            self._nest(tuple(shape), (), body, STEPS if cost < LONG_ELEMENT else 1)

    def _nest(self, shape: tuple[int, ...], prefix: tuple[str, ...], body: Body, steps: int) -> None:
        first, *rest = shape
        inner = math.prod(rest)
        if inner * first <= steps:
            for index in indices(shape):
                body((*prefix, *index))
            return
        together = max(n for n in range(1, max(steps // inner, 1) + 1) if first % n == 0)

        def iteration(number: str, _: list[str]) -> list[str]:
            with self.scope():
                start = self.times(number, together)
                for step in range(together):
                    position = self.offset(start, step)
                    if inner <= max(steps, 2):
                        for index in indices(rest):
                            body((*prefix, position, *index))
                    else:
                        self._nest(tuple(rest), (*prefix, position), body, steps)
            return []

        if first == together:
            iteration("0", [])
        else:
            self.code.loop(first // together, iteration)

    def copy(self, node: Node, memory: Memory) -> None:
        """Store all elements of a node in an array."""
        self.nest(node.shape, lambda index: self.store(memory, node.shape, index, self.value(node, index)))
