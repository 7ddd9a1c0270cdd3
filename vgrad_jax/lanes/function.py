"""A native function of equations: one loop, or what does not loop, for all lanes."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.extend.core import Jaxpr, JaxprEqn, Literal

from vgrad_jax.jaxprs import scan_sizes
from vgrad_jax.lanes.code import Code, Kind, Memory, Scratch, kind_of
from vgrad_jax.lanes.emit import Emitter
from vgrad_jax.lanes.gpu import LANE, THREADS, on_gpu
from vgrad_jax.lanes.graph import Node, NotNativeError, flatten, leaf, mapped_results, nodes_of, not_native, read
from vgrad_jax.lanes.machine import Machine, local_machine
from vgrad_jax.lanes.processor import on_processor
from vgrad_jax.lanes.values import OverwrittenError

__all__ = ["Argument", "native_call"]


class Argument(NamedTuple):
    """What goes in or comes out."""

    shape: tuple[int, ...]
    """Without the lanes."""
    dtype: Any
    mapped: bool
    """The lanes are its last axis."""


def native_call(
    equations: Sequence[JaxprEqn],
    inputs: Mapping[Any, Argument],
    outputs: Mapping[Any, Argument],
    lanes: int,
) -> Callable[..., list[jax.Array]]:
    """Equations as a function of arrays, for `jax.jit`.

    Args:
        equations: one scan, or operations that do not loop.
        inputs: the variables that they read, in the order of the function's arguments.
        outputs: those of their results that are wanted, in the order of the function's.
        lanes: how long the last axis of a mapped array is; a multiple of a register's lanes.

    Raises:
        NotNativeError: there is no code for something.
    """
    processor = local_machine()
    if processor is None:
        raise NotNativeError(f"no code for {jax.default_backend()}")
    least = THREADS if processor.platform == "gpu" else processor.width
    if lanes % least:
        raise NotNativeError(f"{lanes} lanes do not fill registers, or blocks of threads, of {least}")
    for equation in equations:
        reason = not_native(equation)
        if reason is not None:
            raise NotNativeError(reason)
    into, out = [f"%in{n}" for n in range(len(inputs))], [f"%out{n}" for n in range(len(outputs))]

    def write(code: Code, scratch: Scratch, lane: str) -> None:
        memory = [
            _memory(code, pointer, lane, argument, lanes)
            for pointer, argument in zip([*into, *out], [*inputs.values(), *outputs.values()], strict=True)
        ]
        given = dict(zip(inputs, memory, strict=False))
        wanted = dict(zip(outputs, memory[len(inputs) :], strict=True))
        if equations[0].primitive.name != "scan":
            _write_straight(code, processor, scratch, equations, given, wanted)
            return
        begun, taken = code.here(), scratch.bytes
        try:
            _write_scan(code, processor, scratch, equations[0], given, wanted, in_place=True)
        except OverwrittenError:
            code.back_to(begun)
            scratch.bytes = taken
            _write_scan(code, processor, scratch, equations[0], given, wanted, in_place=False)

    name, taken = _compiled(processor, write, into, out, lanes)
    shapes = [
        jax.ShapeDtypeStruct((*one.shape, *((lanes,) if one.mapped else ())), one.dtype) for one in outputs.values()
    ]
    # XLA gives every call memory of its own; calls of a processor's threads need not share any.
    call = jax.ffi.ffi_call(name, [*shapes, jax.ShapeDtypeStruct((max(taken, 4) // 4,), jnp.float32)])
    return lambda *arrays: list(call(*arrays))[:-1]


def _compiled(
    processor: Machine, write: Callable[[Code, Scratch, str], None], into: list[str], out: list[str], lanes: int
) -> tuple[str, int]:
    """What `write` writes for a register's lanes, for all of them: its name, and the bytes that it takes."""
    code = Code(processor.width)
    if processor.platform == "gpu":
        scratch = Scratch(code, "%scratch", lanes, LANE)
        write(code, scratch, LANE)
        return on_gpu(code, into, [*out, "%scratch"], lanes), scratch.bytes
    scratch = Scratch(code, "%scratch", processor.width)

    def one_register(turn: str, _: list[str]) -> list[str]:
        write(code, scratch, code.integer("mul", turn, processor.width))
        return []

    code.loop(lanes // processor.width, one_register)
    return on_processor(code, into, [*out, "%scratch"]), scratch.bytes


def _memory(code: Code, pointer: str, lane: str, argument: Argument, lanes: int) -> Memory:
    kind = _kind(argument.dtype)
    if not argument.mapped:
        return Memory(pointer, kind, 0)
    return Memory(code.offset(pointer, lane, kind), kind, lanes)


def _leaf(variable: Any, memory: Memory) -> Node:
    return leaf(variable.aval, memory.lanes > 0)


def _write_straight(
    code: Code,
    processor: Machine,
    scratch: Scratch,
    equations: Sequence[JaxprEqn],
    given: Mapping[Any, Memory],
    wanted: Mapping[Any, Memory],
) -> None:
    known = {v: _leaf(v, memory) for v, memory in given.items()}
    places = {known[v].number: memory for v, memory in given.items()}
    for equation in equations:
        known.update(zip(equation.outvars, nodes_of(equation, known), strict=True))
    Emitter(code, processor, scratch, places).emit([(known[v], memory) for v, memory in wanted.items()])


class _State:
    """What a scan carries from turn to turn and reads.

    Args:
        scratch: where its memory is.
        variables: place among the scan's arguments to the variable, and whether it differs from lane to lane.
        in_place: it is written to where it is read from; else there are two copies, of which one is written while the
            other is read.
    """

    def __init__(self, code: Code, scratch: Scratch, variables: Mapping[int, tuple[Any, bool]], in_place: bool) -> None:
        self.scratch, begin = scratch, scratch.bytes
        self._places = {}
        for place, (variable, mapped) in variables.items():
            kind = _kind(variable.aval.dtype)
            self._places[place] = scratch.room(_size(variable), mapped) - begin, kind, mapped
        self.copies = [code.bytes_on(scratch.pointer, begin)]
        if not in_place:
            self.copies.append(code.bytes_on(scratch.pointer, scratch.bytes))
            scratch.bytes += scratch.bytes - begin

    def within(self, copy: str) -> dict[int, Memory]:
        """The arrays of the copy that a pointer points to."""
        return {place: self.scratch.within(copy, *where) for place, where in self._places.items()}


def _write_scan(
    code: Code,
    processor: Machine,
    scratch: Scratch,
    equation: JaxprEqn,
    given: Mapping[Any, Memory],
    wanted: Mapping[Any, Memory],
    *,
    in_place: bool,
) -> None:
    parameters, jaxpr = equation.params, equation.params["jaxpr"].jaxpr
    length, (start, carries) = parameters["length"], scan_sizes(equation)
    stop = start + carries
    flags = [not isinstance(v, Literal) and given[v].lanes > 0 for v in equation.invars]
    flags[start:stop] = mapped_results(equation, flags)[: stop - start]
    # What no turn reads needs no place of its own: each turn writes it to where the last one's is wanted.
    carried = {p: (jaxpr.invars[p], flags[p]) for p in range(start, stop) if _is_read(jaxpr, jaxpr.invars[p])}
    state = _State(code, scratch, carried, in_place)
    for place, memory in state.within(state.copies[0]).items():
        outer = equation.invars[place]
        _copy(code, read({}, outer) if isinstance(outer, Literal) else given[outer], memory, _size(outer))
    taken = scratch.bytes

    def body(turn: str, copies: list[str]) -> list[str]:
        scratch.bytes = taken
        if parameters["reverse"]:
            turn = code.line(f"sub i64 {length - 1}, {turn}")
        before = state.within(copies[0])
        after = before if in_place else state.within(copies[1])
        nodes, places = [], {}
        for place, (variable, outer) in enumerate(zip(jaxpr.invars, equation.invars, strict=True)):
            is_state = start <= place < stop
            if isinstance(outer, Literal) and not is_state:
                nodes.append(read({}, outer))
                continue
            nodes.append(leaf(variable.aval, flags[place]))
            if not is_state:
                memory = given[outer]
                places[nodes[-1].number] = memory if place < start else _row(code, memory, turn, _size(variable))
            elif place in before:
                places[nodes[-1].number] = before[place]
        sinks = []
        results = flatten(jaxpr, parameters["jaxpr"].consts, nodes)
        for place, (variable, node) in enumerate(zip(equation.outvars, results, strict=True), start):
            if place in after:
                sinks.append((node, after[place]))
            elif variable in wanted:
                memory = wanted[variable]
                sinks.append((node, memory if place < stop else _row(code, memory, turn, node.size)))
        Emitter(code, processor, scratch, places).emit(sinks)
        return copies[::-1]

    last = code.loop(length, body, [("ptr", copy) for copy in state.copies])
    for place, memory in state.within(last[0]).items():
        variable = equation.outvars[place - start]
        if variable in wanted:
            _copy(code, memory, wanted[variable], _size(variable))


def _is_read(jaxpr: Jaxpr, variable: Any) -> bool:
    return any(variable is v for one in jaxpr.eqns for v in one.invars) or any(variable is v for v in jaxpr.outvars)


def _size(variable: Any) -> int:
    return math.prod(variable.aval.shape)


def _kind(dtype: Any) -> Kind:
    kind = kind_of(dtype)
    if kind is None:
        raise NotNativeError(f"an array of dtype {dtype}")
    return kind


def _row(code: Code, memory: Memory, turn: str, size: int) -> Memory:
    """What a turn of a scan reads of a sequence, or writes to one."""
    moved = code.integer("mul", turn, size * max(memory.lanes, 1))
    return memory._replace(pointer=code.offset(memory.pointer, moved, memory.kind))


def _copy(code: Code, source: Memory | Node, target: Memory, numbers: int) -> None:
    def one(turn: str, _: list[str]) -> list[str]:
        if isinstance(source, Memory):
            register_ = code.load(source, turn)
        else:
            register_ = code.constant(source.parameters["value"].item(), target.kind)
        code.store(target, turn, register_)
        return []

    code.loop(numbers, one)
