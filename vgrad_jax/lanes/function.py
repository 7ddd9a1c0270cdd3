"""A native function of equations, for all lanes: a scan, or operations without a loop.

for each register of lanes (on a GPU: for each thread)
    for each iteration of the scan
        the schedule's steps
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from vgrad_jax.jaxprs import JaxprEqn, is_literal, literal_value
from vgrad_jax.lanes.code import Code, Memory, Scratch
from vgrad_jax.lanes.copies import copied
from vgrad_jax.lanes.cpu import link_cpu
from vgrad_jax.lanes.emit import Target, emit
from vgrad_jax.lanes.errors import NotInLanesError
from vgrad_jax.lanes.gpu import BASE, LANE, fits_in_shared, link_gpu, stride
from vgrad_jax.lanes.graph import Node, kind_of_array, leaf, literal, nodes_of_equation
from vgrad_jax.lanes.machine import Machine
from vgrad_jax.lanes.primitives import FEW
from vgrad_jax.lanes.scan import write_scan
from vgrad_jax.lanes.support import refusal
from vgrad_jax.lanes.team import wait

__all__ = ["Argument", "native_call"]

SCRATCH = "%scratch"
"""The name of the pointer to scratch memory."""

UNLINKED = "not_linked"
"""The name of a function that was written but not compiled."""


class Argument(NamedTuple):
    """An argument or result of a native function."""

    shape: tuple[int, ...]
    """Without the lanes."""
    dtype: Any
    varying: bool
    """True where the lanes are the last axis; else all lanes share the array."""


def native_call(
    equations: Sequence[JaxprEqn],
    inputs: Mapping[Any, Argument],
    outputs: Mapping[Any, Argument],
    lanes: int,
    machine: Machine,
    *,
    link: bool = True,
) -> Callable[..., list[jax.Array]]:
    """Compile equations to a function of arrays, for `jax.jit`.

    Args:
        equations: one scan, or operations without a loop.
        inputs: the variables that they read, in the order of the function's arguments.
        outputs: the variables that are wanted, in the order of the function's results.
        lanes: length of a varying array's last axis.
        machine: what the code is written for.
        link: whether the code is compiled; else the function can be traced but not run.

    Raises:
        NotInLanesError: there is no native code for an equation, or the compiler fails.
    """
    if lanes % machine.group:
        raise NotInLanesError(f"{lanes} lanes do not fill registers, or blocks of threads, of {machine.group}")
    for reason in (refusal(equation, machine) for equation in equations):
        if reason is not None:
            raise NotInLanesError(reason)
    into, out = [f"%in{n}" for n in range(len(inputs))], [f"%out{n}" for n in range(len(outputs))]

    def write(target: Target, lane: str) -> None:
        memory = [
            _memory(target.code, pointer, lane, argument, lanes)
            for pointer, argument in zip([*into, *out], [*inputs.values(), *outputs.values()], strict=True)
        ]
        given = dict(zip(inputs, memory, strict=False))
        wanted = dict(zip(outputs, memory[len(inputs) :], strict=True))
        if equations[0].primitive.name == "scan":
            write_scan(target, equations[0], given, wanted)
        else:
            _write_straight(target, equations, given, wanted)

    with _failures_as_refusals(equations):
        code, scratch_bytes = _written(machine, write, lanes)
        if not link:
            name = UNLINKED
        elif machine.platform == "gpu":
            name = link_gpu(code, into, [*out, SCRATCH], machine, lanes // machine.group, scratch_bytes)
        else:
            name = link_cpu(code, into, [*out, SCRATCH])
    if machine.platform == "gpu":
        scratch_bytes = 0 if fits_in_shared(machine, scratch_bytes) else stride(scratch_bytes) * lanes
    return _caller(name, list(outputs.values()), scratch_bytes, lanes)


@contextmanager
def _failures_as_refusals(equations: Sequence[JaxprEqn]) -> Iterator[None]:
    """Turn a failure of the compiler, which is a defect of it, into a refusal: the function still runs by `vmap`."""
    try:
        yield
    except (NotInLanesError, MemoryError):
        raise
    except Exception as error:
        names = ", ".join(sorted({equation.primitive.name for equation in equations}))
        message = f"the compiler of lanes fails on {names}: {type(error).__name__}: {error}"
        raise NotInLanesError(message) from error


def _written(machine: Machine, write: Callable[[Target, str], None], lanes: int) -> tuple[Code, int]:
    """Return the code of all lanes, and the bytes of scratch memory that it takes; a lane's on a GPU."""
    code = Code(machine.width, has_exp2=machine.has_exp2)
    if machine.platform == "gpu":
        scratch = Scratch(code, BASE, 1, is_own=True)
        write(Target(code, machine, scratch), LANE)
        return code, scratch.bytes
    scratch = Scratch(code, SCRATCH, machine.width)

    def register_of_lanes(number: str, _: list[str]) -> list[str]:
        write(Target(code, machine, scratch), code.integer("mul", number, machine.width))
        return []

    code.loop(lanes // machine.width, register_of_lanes)
    return code, scratch.bytes


def _caller(name: str, outputs: Sequence[Argument], scratch_bytes: int, lanes: int) -> Callable[..., list[jax.Array]]:
    shapes = [jax.ShapeDtypeStruct((*o.shape, *((lanes,) if o.varying else ())), o.dtype) for o in outputs]
    # XLA allocates scratch memory as one more result, so that calls of several threads share none.
    scratch = jax.ShapeDtypeStruct((max(scratch_bytes, 4) // 4,), jnp.float32)
    call = jax.ffi.ffi_call(name, [*shapes, scratch])
    return lambda *arrays: list(call(*arrays))[:-1]


def _memory(code: Code, pointer: str, lane: str, argument: Argument, lanes: int) -> Memory:
    kind = kind_of_array(argument.dtype)
    if not argument.varying:
        return Memory(pointer, kind, 0)
    return Memory(code.offset(pointer, lane, kind), kind, lanes)


def _near(target: Target, given: Mapping[Any, Memory]) -> dict[Any, Memory]:
    """Copy small arrays into scratch memory, where a loop loads them again and again."""
    near = {
        variable: copied(target, memory, variable.aval.size) if memory.lanes and variable.aval.size <= FEW else memory
        for variable, memory in given.items()
    }
    wait(target.code)
    return near


def _write_straight(
    target: Target, equations: Sequence[JaxprEqn], given: Mapping[Any, Memory], wanted: Mapping[Any, Memory]
) -> None:
    known = {variable: leaf(variable.aval, memory.lanes > 0) for variable, memory in given.items()}
    if target.machine.team > 1:
        given = _near(target, given)
    arrays = {known[variable].number: memory for variable, memory in given.items()}

    def read(atom: Any) -> Node:
        return literal(literal_value(atom)) if is_literal(atom) else known[atom]

    for equation in equations:
        nodes = nodes_of_equation(equation, list(map(read, equation.invars)))
        known.update(zip(equation.outvars, nodes, strict=True))
    emit(target, arrays, [(known[variable], memory) for variable, memory in wanted.items()])
