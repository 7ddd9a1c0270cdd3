"""LLVM code as text, written line by line: registers, memory, loops.

    Code.line("fadd float %v1, %v2")  ──►  "  %v3 = fadd float %v1, %v2"

A register holds an element of all lanes of a vector register (varying), or an element that all lanes share (uniform).
"""

import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import NamedTuple

import numpy as np

__all__ = ["APART", "CHUNK", "Code", "Kind", "Memory", "Register", "Scratch", "kind_of"]

Kind = str
"""Type of an element: "float" (32 bits), "int" and "uint" (32 bits), "bool"."""

TYPES: dict[Kind, str] = {"float": "float", "int": "i32", "uint": "i32", "bool": "i1"}
CHUNK = 4
"""Elements that a GPU's thread loads at once."""

APART = "n."
"""Prefix of the names within a function that is written apart."""

KINDS = {np.dtype(name): kind for name, kind in zip(("f4", "i4", "u4", "?"), TYPES, strict=True)}


@cache
def kind_of(dtype: object) -> Kind | None:
    """Return the kind of a dtype; None where it has no native code."""
    try:
        return KINDS.get(np.dtype(dtype))  # type: ignore[call-overload]
    except TypeError:  # The dtype of random keys is not NumPy's.
        return None


class Register(NamedTuple):
    """An element in a register."""

    text: str
    """LLVM's name of the register, or a constant."""
    kind: Kind
    vector: bool
    """True where the register holds an element for each lane."""


class Memory(NamedTuple):
    """An array in memory, row-major; a varying array has the lanes as its last axis."""

    pointer: str
    kind: Kind
    lanes: int
    """Length of the last axis in memory; 0 where all lanes share an element."""
    is_near: bool = False
    """True where a load costs less than a register: elements are loaded again for each use in a loop."""


class Code:
    """Lines of one function.

    Args:
        width: lanes of a register.
        has_exp2: whether the processor has instructions for 2^x and 1/x.
    """

    def __init__(self, width: int, *, has_exp2: bool = False) -> None:
        self.width, self.has_exp2 = width, has_exp2
        self.lines: list[str] = []
        self.declared: dict[str, str] = {}
        """Name of a function of LLVM that is called to its declaration."""
        self.block = "entry"
        """Name of the basic block that the next line belongs to."""
        self._count = 0
        self._prefix = "v"

    def name(self) -> str:
        """Return a new name of a register."""
        self._count += 1
        return f"%{self._prefix}{self._count}"

    @contextmanager
    def apart(self) -> Iterator[list[str]]:
        """Write the body of another function, whose lines are yielded; its names are those of no other function."""
        own = self.lines, self.block, self._count, self._prefix
        self.lines, self.block, self._count, self._prefix = [], "entry", 0, APART
        try:
            yield self.lines
        finally:
            self.lines, self.block, self._count, self._prefix = own

    def here(self) -> tuple[int, str]:
        """Return the end of the code, for `back_to`."""
        return len(self.lines), self.block

    def back_to(self, here: tuple[int, str]) -> None:
        """Roll back all lines that were written since."""
        length, self.block = here
        del self.lines[length:]

    def type_of(self, kind: Kind, vector: bool) -> str:
        """Return LLVM's type of a register."""
        return self._lanes_of(TYPES[kind], vector)

    def _lanes_of(self, type_: str, vector: bool) -> str:
        return f"<{self.width} x {type_}>" if vector and self.width > 1 else type_

    def _suffix(self, vector: bool) -> str:
        """Return the part of a function's name that tells the lanes."""
        return f"v{self.width}" if vector and self.width > 1 else ""

    def typed(self, register: Register) -> str:
        """Return a register after its type."""
        return f"{self.type_of(register.kind, register.vector)} {register.text}"

    def line(self, text: str) -> str:
        """Write an instruction and return the name of its result."""
        name = self.name()
        self.lines.append(f"  {name} = {text}")
        return name

    def constant(self, value: float | int, kind: Kind) -> Register:
        """Return a constant, the same for all lanes."""
        if kind == "float":
            bits = struct.unpack("<Q", struct.pack("<d", float(np.float32(value))))[0]
            return Register(f"0x{bits:016X}", kind, False)
        return Register(str(int(value)) if kind != "bool" else str(bool(value)).lower(), kind, False)

    def spread(self, register: Register) -> Register:
        """Return a register with the element in each lane."""
        if register.vector or self.width == 1:
            return register._replace(vector=True)
        type_, scalar = self.type_of(register.kind, True), self.typed(register)
        if not register.text.startswith("%"):
            return Register(f"splat ({scalar})", register.kind, True)
        first = self.line(f"insertelement {type_} poison, {scalar}, i64 0")
        zeros = f"<{self.width} x i32> zeroinitializer"
        return Register(self.line(f"shufflevector {type_} {first}, {type_} poison, {zeros}"), register.kind, True)

    def same_form(self, registers: Sequence[Register]) -> list[Register]:
        """Return all registers as vectors if any of them is a vector."""
        return [self.spread(r) for r in registers] if any(r.vector for r in registers) else list(registers)

    def binary(self, instruction: str, a: Register, b: Register, kind: Kind | None = None) -> Register:
        """Write an instruction of two registers of one kind."""
        a, b = self.same_form((a, b))
        text = self.line(f"{instruction} {self.typed(a)}, {b.text}")
        return Register(text, kind or a.kind, a.vector)

    def unary(self, instruction: str, a: Register) -> Register:
        """Write an instruction of one register."""
        return Register(self.line(f"{instruction} {self.typed(a)}"), a.kind, a.vector)

    def cast(self, instruction: str, a: Register, kind: Kind) -> Register:
        """Write an instruction that changes the type."""
        return Register(self.line(f"{instruction} {self.typed(a)} to {self.type_of(kind, a.vector)}"), kind, a.vector)

    def saturated(self, a: Register, kind: Kind) -> Register:
        """Write the conversion of a float to an integer: the nearest integer of the kind, or zero for NaN."""
        type_, source = self.type_of(kind, a.vector), self.type_of(a.kind, a.vector)
        lanes = self._suffix(a.vector)
        name = f"@llvm.fpto{'si' if kind == 'int' else 'ui'}.sat.{lanes}i32.{lanes}f32"
        self.declared[name] = f"declare {type_} {name}({source})"
        return Register(self.line(f"call {type_} {name}({self.typed(a)})"), kind, a.vector)

    def select(self, condition: Register, yes: Register, no: Register) -> Register:
        """Write the choice of `yes` where the condition holds, else `no`."""
        yes, no = self.same_form((yes, no))
        if condition.vector:
            yes, no = self.spread(yes), self.spread(no)
        text = self.line(f"select {self.typed(condition)}, {self.typed(yes)}, {self.typed(no)}")
        return Register(text, yes.kind, yes.vector)

    def intrinsic(self, name: str, *arguments: Register) -> Register:
        """Write a call of a function of LLVM whose arguments and result have the same type."""
        same = self.same_form(arguments)
        type_ = self.type_of(same[0].kind, same[0].vector)
        suffix = {"float": "f32"}.get(same[0].kind, "i32")
        full = f"@llvm.{name}.{self._suffix(same[0].vector)}{suffix}"
        self.declared[full] = f"declare {type_} {full}({', '.join([type_] * len(same))})"
        text = self.line(f"call {type_} {full}({', '.join(map(self.typed, same))})")
        return Register(text, same[0].kind, same[0].vector)

    def instruction(self, name: str, *arguments: Register) -> Register:
        """Write an instruction that NVIDIA's GPUs have, from floats to a float."""
        full = f"@llvm.nvvm.{name}"
        self.declared[full] = f"declare float {full}({', '.join(['float'] * len(arguments))})"
        text = self.line(f"call float {full}({', '.join(map(self.typed, arguments))})")
        return Register(text, "float", any(argument.vector for argument in arguments))

    def integer(self, instruction: str, a: str, b: int) -> str:
        """Return an index after arithmetic with a constant; a line is written only if the index is not a number."""
        if (instruction == "add" and b == 0) or (instruction == "mul" and b == 1):
            return a
        if a.lstrip("-").isdigit():
            return str(int(a) + b if instruction == "add" else int(a) * b)
        return self.line(f"{instruction} i64 {a}, {b}")

    def offset(self, pointer: str, elements: str, kind: Kind) -> str:
        """Return a pointer that is some elements further on."""
        if elements == "0":
            return pointer
        return self.line(f"getelementptr {'i8' if kind == 'bool' else TYPES[kind]}, ptr {pointer}, i64 {elements}")

    def bytes_on(self, pointer: str, count: int) -> str:
        """Return a pointer that is some bytes further on."""
        return self.offset(pointer, str(count), "bool")

    def load(self, memory: Memory, element: str) -> Register:
        """Load an element of an array, by its number: a register's name or a constant."""
        vector = memory.lanes > 0
        address = self.offset(memory.pointer, self.integer("mul", element, max(memory.lanes, 1)), memory.kind)
        if memory.kind == "bool":
            type_ = self._lanes_of("i8", vector)
            byte = self.line(f"load {type_}, ptr {address}, align 1")
            zero = "0" if type_ == "i8" else "zeroinitializer"
            return Register(self.line(f"icmp ne {type_} {byte}, {zero}"), "bool", vector)
        text = self.line(f"load {self.type_of(memory.kind, vector)}, ptr {address}, align 4")
        return Register(text, memory.kind, vector)

    def load_chunk(self, memory: Memory, chunk: int) -> list[Register]:
        """Load `CHUNK` elements at once, though registers may hold them; not of kind "bool"."""
        type_ = f"<{CHUNK} x {TYPES[memory.kind]}>"
        address = self.offset(memory.pointer, str(CHUNK * chunk), memory.kind)
        loaded = self.line(f"load volatile {type_}, ptr {address}, align {4 * CHUNK}")
        elements = (self.line(f"extractelement {type_} {loaded}, i64 {number}") for number in range(CHUNK))
        return [Register(element, memory.kind, memory.lanes > 0) for element in elements]

    def store(self, memory: Memory, element: str, register: Register) -> None:
        """Store an element in an array."""
        if memory.lanes:
            register = self.spread(register)
        address = self.offset(memory.pointer, self.integer("mul", element, max(memory.lanes, 1)), memory.kind)
        text, align = self.typed(register), 4
        if memory.kind == "bool":
            type_ = self._lanes_of("i8", register.vector)
            text, align = f"{type_} {self.line(f'zext {text} to {type_}')}", 1
        self.lines.append(f"  store {text}, ptr {address}, align {align}")

    def loop(
        self,
        iterations: int,
        body: Callable[[str, list[str]], list[str]],
        start: Sequence[tuple[str, str]] = (),
    ) -> list[str]:
        """Write a loop of at least one iteration.

        Args:
            iterations: how many.
            body: writes an iteration from its number and the carried registers, and returns the next registers.
            start: type and first value of each carried register.

        Returns:
            The carried registers after the last iteration.
        """
        before, label = self.block, f"loop{self.name()[1:]}"
        self.lines.append(f"  br label %{label}")
        self.lines.append(f"{label}:")
        self.block = label
        index, following = self.name(), self.name()
        # A loop's head names the registers that the end of its body gives: its lines are written last.
        heads = [len(self.lines) + number for number in range(len(start) + 1)]
        names = [self.name() for _ in start]
        self.lines += [""] * (len(start) + 1)
        results = body(index, names)
        last = self.block
        self.lines.append(f"  {following} = add nuw nsw i64 {index}, 1")
        self.lines[heads[0]] = f"  {index} = phi i64 [ 0, %{before} ], [ {following}, %{last} ]"
        for head, name, (type_, first), result in zip(heads[1:], names, start, results, strict=True):
            self.lines[head] = f"  {name} = phi {type_} [ {first}, %{before} ], [ {result}, %{last} ]"
        done = self.line(f"icmp eq i64 {following}, {iterations}")
        out = f"after{label}"
        self.lines.append(f"  br i1 {done}, label %{out}, label %{label}")
        self.lines.append(f"{out}:")
        self.block = out
        return results

    def when(self, condition: str, body: Callable[[], list[str]], start: Sequence[tuple[str, str]] = ()) -> list[str]:
        """Write code that runs where a condition holds.

        Args:
            condition: a register of one bit, each thread's own; where vectors hold the lanes, the same for all of them.
            body: writes the code and returns registers.
            start: type and value of each register where the condition does not hold.

        Returns:
            The registers after it.
        """
        before, label = self.block, f"when{self.name()[1:]}"
        out = f"after{label}"
        self.lines += [f"  br i1 {condition}, label %{label}, label %{out}", f"{label}:"]
        self.block = label
        results = body()
        self.lines += [f"  br label %{out}", f"{out}:"]
        last, self.block = self.block, out
        return [
            self.line(f"phi {type_} [ {first}, %{before} ], [ {result}, %{last} ]")
            for (type_, first), result in zip(start, results, strict=True)
        ]


class Scratch:
    """Memory for arrays between loops; arrays begin at cache lines.

    Args:
        code: where the code of pointers is written.
        pointer: to the memory.
        lanes: the number of lanes that share the memory.
        is_own: whether each lane has memory of its own, on a GPU. Threads do not wait for each other and share no
            array with other lanes: a uniform array has a copy for each of them.
    """

    def __init__(self, code: Code, pointer: str, lanes: int, *, is_own: bool = False) -> None:
        self.code, self.pointer, self.lanes, self.is_own, self.bytes = code, pointer, lanes, is_own, 0

    def array(self, kind: Kind, numbers: int, varying: bool) -> Memory:
        """Return a new array."""
        return self.within(self.pointer, self.room(numbers, varying), kind, varying)

    def room(self, numbers: int, varying: bool) -> int:
        """Reserve an array and return the bytes from the start of the memory to it."""
        begin, line = self.bytes, 4 * CHUNK if self.is_own else 64
        self.bytes += -(-4 * numbers * (self.lanes if varying else 1) // line) * line
        return begin

    def within(self, pointer: str, begin: int, kind: Kind, varying: bool) -> Memory:
        """Return the array that begins some bytes after a pointer."""
        start = self.code.bytes_on(pointer, begin)
        return Memory(start, kind, self.lanes if varying or self.is_own else 0, self.is_own)
