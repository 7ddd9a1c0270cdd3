"""A scan as a loop of one native function.

The carry has memory of its own. The code is first written so that an iteration overwrites the carry in place. If the
code then reads an element that it has overwritten, it is rolled back and written again for two copies of the carry:

    iteration 0   copy 0 ──► copy 1
    iteration 1   copy 1 ──► copy 0
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from vgrad_jax.jaxprs import JaxprEqn, is_literal, is_read, literal_value, scan_of
from vgrad_jax.lanes.code import Code, Memory, Scratch
from vgrad_jax.lanes.copies import copied, copy
from vgrad_jax.lanes.emit import Target, emit
from vgrad_jax.lanes.graph import Node, kind_of_array, leaf, literal, nodes_of
from vgrad_jax.lanes.team import wait
from vgrad_jax.lanes.values import OverwrittenError
from vgrad_jax.lanes.varying import varying_results

__all__ = ["write_scan"]


def write_scan(target: Target, equation: JaxprEqn, given: Mapping[Any, Memory], wanted: Mapping[Any, Memory]) -> None:
    """Write the code of a scan.

    Args:
        target: where the code is written.
        equation: the scan.
        given: the arrays of the variables that it reads.
        wanted: the arrays of those of its results that are needed.

    Raises:
        NotInLanesError: some operation has no native code.
    """
    if target.machine.team > 1:
        # A member would overwrite what another has not read yet.
        _write(target, equation, given, wanted, in_place=False)
        return
    begun, taken = target.code.here(), target.scratch.bytes
    try:
        _write(target, equation, given, wanted, in_place=True)
    except OverwrittenError:
        target.code.back_to(begun)
        target.scratch.bytes = taken
        _write(target, equation, given, wanted, in_place=False)


def _write(
    target: Target,
    equation: JaxprEqn,
    given: Mapping[Any, Memory],
    wanted: Mapping[Any, Memory],
    *,
    in_place: bool,
) -> None:
    _ScanWriter(target, equation, given, wanted, in_place).write()


NEAR_ROW = 1024
"""Largest row, in bytes, that a team copies to its scratch memory."""


class _Carry:
    """The carry's memory.

    Args:
        scratch: where the memory is.
        variables: position among the scan's atoms to the body's variable and whether it varies.
        in_place: whether there is one copy; else there are two.
    """

    def __init__(self, scratch: Scratch, variables: Mapping[int, tuple[Any, bool]], in_place: bool) -> None:
        self.scratch, begin = scratch, scratch.bytes
        self._arrays = {}
        for position, (variable, varying) in variables.items():
            kind = kind_of_array(variable.aval.dtype)
            self._arrays[position] = scratch.room(_size(variable), varying) - begin, kind, varying
        self.copies = [scratch.code.bytes_on(scratch.pointer, begin)]
        """Pointers to the copies."""
        if not in_place:
            self.copies.append(scratch.code.bytes_on(scratch.pointer, scratch.bytes))
            scratch.bytes += scratch.bytes - begin

    def within(self, copy: str) -> dict[int, Memory]:
        """Return the arrays of a copy, by their positions."""
        return {position: self.scratch.within(copy, *array) for position, array in self._arrays.items()}


class _ScanWriter:
    """Writes the code of one scan. Positions are those among the equation's atoms."""

    def __init__(
        self,
        target: Target,
        equation: JaxprEqn,
        given: Mapping[Any, Memory],
        wanted: Mapping[Any, Memory],
        in_place: bool,
    ) -> None:
        self.target, self.equation, self.given, self.wanted = target, equation, given, wanted
        self.in_place, self.scan = in_place, scan_of(equation)
        self.start = self.scan.num_consts
        self.stop = self.start + self.scan.num_carry
        atoms = equation.invars
        self.varying = [not is_literal(atom) and given[atom].lanes > 0 for atom in atoms]
        self.varying[self.start : self.stop] = varying_results(equation, self.varying)[: self.scan.num_carry]
        # A carry that no iteration reads needs no memory: each iteration stores it where the last one's is wanted.
        jaxpr = self.scan.body.jaxpr
        read = [p for p in range(self.start, self.stop) if is_read(jaxpr, jaxpr.invars[p])]
        self.carry = _Carry(target.scratch, {p: (jaxpr.invars[p], self.varying[p]) for p in read}, in_place)

    def write(self) -> None:
        scratch = self.target.scratch
        for position, memory in self.carry.within(self.carry.copies[0]).items():
            self._copy_in(self.equation.invars[position], memory)
        taken = scratch.bytes
        self._wait()

        def body(number: str, copies: list[str]) -> list[str]:
            scratch.bytes = taken  # Iterations share the scratch memory of the body.
            self._write_iteration(number, copies)
            self._wait()
            return copies[::-1]

        copies = [("ptr", copy) for copy in self.carry.copies]
        last = self.target.code.loop(self.scan.length, body, copies)
        for position, memory in self.carry.within(last[0]).items():
            variable = self.equation.outvars[position - self.start]
            if variable in self.wanted:
                copy(self.target, memory, self.wanted[variable], _size(variable))

    def _wait(self) -> None:
        if self.target.machine.team > 1:
            wait(self.target.code)

    def _copy_in(self, atom: Any, memory: Memory) -> None:
        source = literal(literal_value(atom)) if is_literal(atom) else self.given[atom]
        copy(self.target, source, memory, _size(atom))

    def _write_iteration(self, number: str, copies: Sequence[str]) -> None:
        if self.scan.reverse:
            number = self.target.code.line(f"sub i64 {self.scan.length - 1}, {number}")
        before = self.carry.within(copies[0])
        after = before if self.in_place else self.carry.within(copies[1])
        nodes, arrays = self._arguments(number, before)
        self._wait()
        results = nodes_of(self.scan.body, nodes)
        emit(self.target, arrays, self._sinks(number, results, after))

    def _arguments(self, number: str, carry: Mapping[int, Memory]) -> tuple[list[Node], dict[int, Memory]]:
        """Return the nodes of the body's inputs, and the memory of those that have any."""
        nodes, arrays = [], {}
        variables = zip(self.scan.body.jaxpr.invars, self.equation.invars, strict=True)
        for position, (variable, outer) in enumerate(variables):
            is_carry = self.start <= position < self.stop
            if is_literal(outer) and not is_carry:
                nodes.append(literal(literal_value(outer)))
                continue
            nodes.append(leaf(variable.aval, self.varying[position]))
            if position in carry:
                arrays[nodes[-1].number] = carry[position]
            elif position < self.start:
                arrays[nodes[-1].number] = self.given[outer]
            elif not is_carry:
                arrays[nodes[-1].number] = self._read_row(self.given[outer], number, _size(variable))
        return nodes, arrays

    def _read_row(self, memory: Memory, number: str, size: int) -> Memory:
        """Return the row of a sequence that an iteration reads.

        A team copies it to its scratch memory first, since it then waits for the GPU's memory once.
        """
        row = _row(self.target.code, memory, number, size)
        if self.target.machine.team > 1 and memory.lanes and 4 * size <= NEAR_ROW:
            return copied(self.target, row, size)
        return row

    def _sinks(self, number: str, results: Sequence[Node], after: Mapping[int, Memory]) -> list[tuple[Node, Memory]]:
        """Return the body's results and their arrays."""
        sinks = []
        for position, (variable, node) in enumerate(zip(self.equation.outvars, results, strict=True), self.start):
            if position in after:
                sinks.append((node, after[position]))
            elif variable in self.wanted and position < self.stop:
                sinks.append((node, self.wanted[variable]))
            elif variable in self.wanted:
                sinks.append((node, _row(self.target.code, self.wanted[variable], number, node.size)))
        return sinks


def _size(variable: Any) -> int:
    return math.prod(variable.aval.shape)


def _row(code: Code, memory: Memory, number: str, size: int) -> Memory:
    """Return the row of a sequence that an iteration reads or writes."""
    moved = code.integer("mul", number, size * max(memory.lanes, 1))
    return memory._replace(pointer=code.offset(memory.pointer, moved, memory.kind))
