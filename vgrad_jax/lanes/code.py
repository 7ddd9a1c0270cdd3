"""LLVM code that is written line by line: values, memory, loops."""

import struct
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

__all__ = ["Code", "Kind", "Memory", "Register", "Scratch", "kind_of"]

Kind = str
"""What a register or memory holds: "float" (32 bits), "int" and "uint" (32 bits), "bool"."""

TYPES: dict[Kind, str] = {"float": "float", "int": "i32", "uint": "i32", "bool": "i1"}
KINDS = {np.dtype(name): kind for name, kind in zip(("f4", "i4", "u4", "?"), TYPES, strict=True)}


def kind_of(dtype: object) -> Kind | None:
    """The kind of a dtype; None for those that have no code."""
    try:
        return KINDS.get(np.dtype(dtype))  # type: ignore[call-overload]
    except TypeError:  # A key's.
        return None


class Register(NamedTuple):
    """A value: one for all lanes, or one for each."""

    text: str
    kind: Kind
    vector: bool


class Memory(NamedTuple):
    """An array in memory, row-major; what differs between lanes has them as its last axis."""

    pointer: str
    kind: Kind
    lanes: int
    """Length of the last axis in memory; 0 where all lanes share a number."""


class Code:
    """Lines of one function.

    Args:
        width: lanes of a register.
    """

    def __init__(self, width: int) -> None:
        self.width = width
        self.lines: list[str] = []
        self.declared: dict[str, str] = {}
        """Declarations of LLVM's functions that are called, by their names."""
        self.block = "entry"
        self._count = 0

    def name(self) -> str:
        """A name that is new."""
        self._count += 1
        return f"%v{self._count}"

    def here(self) -> tuple[int, str]:
        """Where the code ends, for `back_to`."""
        return len(self.lines), self.block

    def back_to(self, here: tuple[int, str]) -> None:
        """Take back what was written since."""
        length, self.block = here
        del self.lines[length:]

    def type_of(self, kind: Kind, vector: bool) -> str:
        """The type of a register."""
        return self._lanes_of(TYPES[kind], vector)

    def _lanes_of(self, type_: str, vector: bool) -> str:
        return f"<{self.width} x {type_}>" if vector and self.width > 1 else type_

    def _suffix(self, vector: bool) -> str:
        """What LLVM's functions of vectors have in their names."""
        return f"v{self.width}" if vector and self.width > 1 else ""

    def typed(self, register: Register) -> str:
        """The register after its type."""
        return f"{self.type_of(register.kind, register.vector)} {register.text}"

    def line(self, text: str) -> str:
        """An instruction, and the name of its result."""
        name = self.name()
        self.lines.append(f"  {name} = {text}")
        return name

    def constant(self, value: float | int, kind: Kind) -> Register:
        """The same number for all lanes."""
        if kind == "float":
            bits = struct.unpack("<Q", struct.pack("<d", float(np.float32(value))))[0]
            return Register(f"0x{bits:016X}", kind, False)
        return Register(str(int(value)) if kind != "bool" else str(bool(value)).lower(), kind, False)

    def spread(self, register: Register) -> Register:
        """One for each lane."""
        if register.vector or self.width == 1:
            return register._replace(vector=True)
        type_, scalar = self.type_of(register.kind, True), self.typed(register)
        if not register.text.startswith("%"):
            return Register(f"splat ({scalar})", register.kind, True)
        first = self.line(f"insertelement {type_} poison, {scalar}, i64 0")
        zeros = f"<{self.width} x i32> zeroinitializer"
        return Register(self.line(f"shufflevector {type_} {first}, {type_} poison, {zeros}"), register.kind, True)

    def same_form(self, registers: Sequence[Register]) -> list[Register]:
        """All of them one for each lane, if one of them is."""
        return [self.spread(r) for r in registers] if any(r.vector for r in registers) else list(registers)

    def binary(self, instruction: str, a: Register, b: Register, kind: Kind | None = None) -> Register:
        """An instruction of two registers of one kind."""
        a, b = self.same_form((a, b))
        text = self.line(f"{instruction} {self.typed(a)}, {b.text}")
        return Register(text, kind or a.kind, a.vector)

    def unary(self, instruction: str, a: Register) -> Register:
        """An instruction of one register."""
        return Register(self.line(f"{instruction} {self.typed(a)}"), a.kind, a.vector)

    def cast(self, instruction: str, a: Register, kind: Kind) -> Register:
        """An instruction that changes the type."""
        return Register(self.line(f"{instruction} {self.typed(a)} to {self.type_of(kind, a.vector)}"), kind, a.vector)

    def saturated(self, a: Register, kind: Kind) -> Register:
        """A float as a whole number: the nearest one where it is outside, zero where it is NaN."""
        type_, source = self.type_of(kind, a.vector), self.type_of(a.kind, a.vector)
        lanes = self._suffix(a.vector)
        name = f"@llvm.fpto{'si' if kind == 'int' else 'ui'}.sat.{lanes}i32.{lanes}f32"
        self.declared[name] = f"declare {type_} {name}({source})"
        return Register(self.line(f"call {type_} {name}({self.typed(a)})"), kind, a.vector)

    def select(self, condition: Register, yes: Register, no: Register) -> Register:
        """`yes` where the condition holds, else `no`."""
        yes, no = self.same_form((yes, no))
        if condition.vector:
            yes, no = self.spread(yes), self.spread(no)
        text = self.line(f"select {self.typed(condition)}, {self.typed(yes)}, {self.typed(no)}")
        return Register(text, yes.kind, yes.vector)

    def intrinsic(self, name: str, *arguments: Register) -> Register:
        """A function of LLVM's that takes and gives one type."""
        same = self.same_form(arguments)
        type_ = self.type_of(same[0].kind, same[0].vector)
        suffix = {"float": "f32"}.get(same[0].kind, "i32")
        full = f"@llvm.{name}.{self._suffix(same[0].vector)}{suffix}"
        self.declared[full] = f"declare {type_} {full}({', '.join([type_] * len(same))})"
        text = self.line(f"call {type_} {full}({', '.join(map(self.typed, same))})")
        return Register(text, same[0].kind, same[0].vector)

    def integer(self, instruction: str, a: str, b: int) -> str:
        """Arithmetic of an index and a constant; nothing is written where it changes nothing."""
        if (instruction == "add" and b == 0) or (instruction == "mul" and b == 1):
            return a
        if a.lstrip("-").isdigit():
            return str(int(a) + b if instruction == "add" else int(a) * b)
        return self.line(f"{instruction} i64 {a}, {b}")

    def offset(self, pointer: str, elements: str, kind: Kind) -> str:
        """A pointer further on."""
        if elements == "0":
            return pointer
        return self.line(f"getelementptr {'i8' if kind == 'bool' else TYPES[kind]}, ptr {pointer}, i64 {elements}")

    def bytes_on(self, pointer: str, count: int) -> str:
        """A pointer so many bytes further on."""
        return self.offset(pointer, str(count), "bool")

    def load(self, memory: Memory, element: str) -> Register:
        """Element number `element` of an array, an index or a constant."""
        vector = memory.lanes > 0
        place = self.offset(memory.pointer, self.integer("mul", element, max(memory.lanes, 1)), memory.kind)
        if memory.kind == "bool":
            type_ = self._lanes_of("i8", vector)
            byte = self.line(f"load {type_}, ptr {place}, align 1")
            zero = "0" if type_ == "i8" else "zeroinitializer"
            return Register(self.line(f"icmp ne {type_} {byte}, {zero}"), "bool", vector)
        text = self.line(f"load {self.type_of(memory.kind, vector)}, ptr {place}, align 4")
        return Register(text, memory.kind, vector)

    def store(self, memory: Memory, element: str, register: Register) -> None:
        """Write an element."""
        if memory.lanes:
            register = self.spread(register)
        place = self.offset(memory.pointer, self.integer("mul", element, max(memory.lanes, 1)), memory.kind)
        text, align = self.typed(register), 4
        if memory.kind == "bool":
            type_ = self._lanes_of("i8", register.vector)
            text, align = f"{type_} {self.line(f'zext {text} to {type_}')}", 1
        self.lines.append(f"  store {text}, ptr {place}, align {align}")

    def loop(
        self,
        turns: int,
        body: Callable[[str, list[str]], list[str]],
        start: Sequence[tuple[str, str]] = (),
    ) -> list[str]:
        """A loop of at least one turn.

        Args:
            turns: how many.
            body: gets the turn's number and the carried values, and writes the turn and gives the next values.
            start: type and first value of what is carried.

        Returns:
            The carried values after the last turn.
        """
        before, label = self.block, f"loop{self.name()[1:]}"
        self.lines.append(f"  br label %{label}")
        self.lines.append(f"{label}:")
        self.block = label
        index, following = self.name(), self.name()
        places = [len(self.lines) + number for number in range(len(start) + 1)]
        names = [self.name() for _ in start]
        self.lines += [""] * (len(start) + 1)
        results = body(index, names)
        last = self.block
        self.lines.append(f"  {following} = add nuw nsw i64 {index}, 1")
        self.lines[places[0]] = f"  {index} = phi i64 [ 0, %{before} ], [ {following}, %{last} ]"
        for place, name, (type_, first), result in zip(places[1:], names, start, results, strict=True):
            self.lines[place] = f"  {name} = phi {type_} [ {first}, %{before} ], [ {result}, %{last} ]"
        done = self.line(f"icmp eq i64 {following}, {turns}")
        out = f"after{label}"
        self.lines.append(f"  br i1 {done}, label %{out}, label %{label}")
        self.lines.append(f"{out}:")
        self.block = out
        return results


class Scratch:
    """Memory for what is needed between loops; arrays begin at cache lines.

    Args:
        code: where pointers are written.
        pointer: to the memory.
        lanes: that share it.
        lane: of the thread, where every lane is one. Threads wait for no other, so nothing is shared among them:
            what is the same for all lanes has a place for each, too.
    """

    def __init__(self, code: Code, pointer: str, lanes: int, lane: str | None = None) -> None:
        self.code, self.pointer, self.lanes, self.lane, self.bytes = code, pointer, lanes, lane, 0

    def array(self, kind: Kind, numbers: int, mapped: bool) -> Memory:
        """Room for an array."""
        return self.within(self.pointer, self.room(numbers, mapped), kind, mapped)

    def room(self, numbers: int, mapped: bool) -> int:
        """Where so many bytes from the start an array is to begin."""
        place = self.bytes
        self.bytes += -(-4 * numbers * (self.lanes if mapped or self.lane else 1) // 64) * 64
        return place

    def within(self, pointer: str, place: int, kind: Kind, mapped: bool) -> Memory:
        """An array that begins so many bytes after a pointer."""
        start = self.code.bytes_on(pointer, place)
        if self.lane:
            return Memory(self.code.offset(start, self.lane, kind), kind, self.lanes)
        return Memory(start, kind, self.lanes if mapped else 0)
