"""A native function of equations: one loop, or what does not loop, for all lanes."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.extend.core import JaxprEqn, Literal

from vgrad_jax.native.code import Code, Kind, Memory, Scratch, kind_of
from vgrad_jax.native.emit import Emitter
from vgrad_jax.native.graph import Node, NotNativeError, flatten, leaf, mapped_results, nodes_of, not_native, read
from vgrad_jax.native.machine import machine, register

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
    width = machine().width
    if lanes % width:
        raise NotNativeError(f"{lanes} lanes do not fill registers of {width}")
    for equation in equations:
        reason = not_native(equation)
        if reason is not None:
            raise NotNativeError(reason)
    code = Code(width)
    scratch = Scratch(code, "%scratch")
    into, out = [f"%in{n}" for n in range(len(inputs))], [f"%out{n}" for n in range(len(outputs))]

    def one_register(turn: str, _: list[str]) -> list[str]:
        moved = code.integer("mul", turn, width)
        memory = [
            _memory(code, pointer, moved, argument, lanes)
            for pointer, argument in zip([*into, *out], [*inputs.values(), *outputs.values()], strict=True)
        ]
        given = dict(zip(inputs, memory, strict=False))
        wanted = dict(zip(outputs, memory[len(inputs) :], strict=True))
        if equations[0].primitive.name == "scan":
            _write_scan(code, scratch, equations[0], given, wanted)
        else:
            _write_straight(code, scratch, equations, given, wanted)
        return []

    code.loop(lanes // width, one_register)
    name = register(code, into, [*out, "%scratch"])
    shapes = [
        jax.ShapeDtypeStruct((*one.shape, *((lanes,) if one.mapped else ())), one.dtype) for one in outputs.values()
    ]
    # XLA gives every call memory of its own; calls of several threads need not share any.
    call = jax.ffi.ffi_call(name, [*shapes, jax.ShapeDtypeStruct((max(scratch.bytes, 4) // 4,), jnp.float32)])
    return lambda *arrays: list(call(*arrays))[:-1]


def _memory(code: Code, pointer: str, moved: str, argument: Argument, lanes: int) -> Memory:
    kind = _kind(argument.dtype)
    if not argument.mapped:
        return Memory(pointer, kind, 0)
    return Memory(code.offset(pointer, moved, kind), kind, lanes)


def _leaf(variable: Any, memory: Memory) -> Node:
    return leaf(variable.aval, memory.lanes > 0)


def _write_straight(
    code: Code,
    scratch: Scratch,
    equations: Sequence[JaxprEqn],
    given: Mapping[Any, Memory],
    wanted: Mapping[Any, Memory],
) -> None:
    known = {v: _leaf(v, memory) for v, memory in given.items()}
    places = {known[v].number: memory for v, memory in given.items()}
    for equation in equations:
        known.update(zip(equation.outvars, nodes_of(equation, known), strict=True))
    Emitter(code, scratch, places, machine().sums).emit([(known[v], memory) for v, memory in wanted.items()])


def _write_scan(
    code: Code, scratch: Scratch, equation: JaxprEqn, given: Mapping[Any, Memory], wanted: Mapping[Any, Memory]
) -> None:
    parameters = equation.params
    length, closed = parameters["length"], parameters["jaxpr"]
    start = parameters["num_consts"]
    stop = start + parameters["num_carry"]
    flags = [not isinstance(v, Literal) and given[v].lanes > 0 for v in equation.invars]
    flags[start:stop] = mapped_results(equation, flags)[: stop - start]
    # The state of a turn is read from one place and written to the other.
    one, other = (
        [
            scratch.array(_kind(v.aval.dtype), _size(v), flag)
            for v, flag in zip(closed.jaxpr.invars[start:stop], flags[start:stop], strict=True)
        ]
        for _ in range(2)
    )
    for variable, outer, memory in zip(closed.jaxpr.invars[start:stop], equation.invars[start:stop], one, strict=True):
        source = read({}, outer) if isinstance(outer, Literal) else given[outer]
        _copy(code, source, memory, _size(variable))
    taken = scratch.bytes

    def body(turn: str, pointers: list[str]) -> list[str]:
        scratch.bytes = taken
        if parameters["reverse"]:
            turn = code.line(f"sub i64 {length - 1}, {turn}")
        nodes, places = [], {}
        state, after = pointers[: len(one)], pointers[len(one) :]
        for place, (variable, outer) in enumerate(zip(closed.jaxpr.invars, equation.invars, strict=True)):
            if start <= place < stop:
                memory = one[place - start]._replace(pointer=state[place - start])
            elif isinstance(outer, Literal):
                nodes.append(read({}, outer))
                continue
            else:
                memory = given[outer]
                if place >= stop:
                    memory = _row(code, memory, turn, _size(variable))
            nodes.append(_leaf(variable, memory))
            places[nodes[-1].number] = memory
        results = flatten(closed.jaxpr, closed.consts, nodes)
        sinks = [
            (node, memory._replace(pointer=pointer))
            for node, memory, pointer in zip(results[: len(one)], one, after, strict=True)
        ]
        sinks += [
            (node, _row(code, wanted[v], turn, node.size))
            for v, node in zip(equation.outvars[len(one) :], results[len(one) :], strict=True)
            if v in wanted
        ]
        Emitter(code, scratch, places, machine().sums).emit(sinks)
        return [*after, *state]

    pointers = [("ptr", memory.pointer) for memory in (*one, *other)]
    last = code.loop(length, body, pointers)
    for variable, memory, pointer in zip(equation.outvars, one, last, strict=False):
        if variable in wanted:
            _copy(code, memory._replace(pointer=pointer), wanted[variable], _size(variable))


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
