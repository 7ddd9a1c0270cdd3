"""A native function of a whole program: examples become lanes, groups of lanes are divided among threads.

    arrays (examples, ...) ──► lanes of a group ──► the program's code ──► arrays (examples, ...)

The last group of lanes repeats the last example, so that any number of examples will do.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import jax

from vgrad_jax.jaxprs import ClosedJaxpr, equations_inside
from vgrad_jax.lanes.code import Code, Memory
from vgrad_jax.lanes.ffi import register
from vgrad_jax.lanes.graph import Node, kind_of_array
from vgrad_jax.lanes.nests.blocks import Blocks
from vgrad_jax.lanes.nests.frame import Frame
from vgrad_jax.lanes.nests.graph import block_of
from vgrad_jax.lanes.nests.records import OPERATIONS, RULES, WHOLE
from vgrad_jax.lanes.nests.threads import module_text
from vgrad_jax.lanes.nests.transposition import fetched, give
from vgrad_jax.lanes.nests.writer import UNROLLED, Writer
from vgrad_jax.lanes.toolchain import compile_code

__all__ = ["Kernel", "make_kernel"]

LONG_MODULE = 600_000
"""Characters of a module from which on LLVM's first level of optimisation takes seconds."""

MANY = 1000
"""Equations of a program from which on no array is written out: LLVM would hold most of its registers on the stack."""


class Kernel(NamedTuple):
    """A native function that XLA knows."""

    name: str
    results: tuple[jax.ShapeDtypeStruct, ...]

    def __call__(self, *arrays: Any) -> list[jax.Array]:
        """Call the function inside of `jax.jit`."""
        return list(jax.ffi.ffi_call(self.name, self.results)(*arrays))


def make_kernel(closed: ClosedJaxpr, varying: Sequence[bool], examples: int, width: int) -> Kernel:
    """Compile a jaxpr of one example.

    Args:
        closed: without calls, and native throughout.
        varying: which arguments have an axis of examples, the first.
        examples: how many.
        width: lanes of a group.

    Raises:
        NotInLanesError: an operation has no native code, or LLVM or XLA refuses it.
    """
    code = Code(width)
    frame = Frame(code)
    equations = sum(1 + len(list(equations_inside(equation))) for equation in closed.jaxpr.eqns)
    writer = Writer(code, frame, RULES, UNROLLED if equations < MANY else 1)
    avals: list[Any] = [variable.aval for variable in closed.jaxpr.invars]
    arguments = []
    for number, (aval, flag) in enumerate(zip(avals, varying, strict=True)):
        node = Node("leaf", (), tuple(aval.shape), kind_of_array(aval.dtype), flag, {})
        arguments.append(node)
        writer.memory[node.number] = (
            fetched(writer, f"%in{number}", node) if flag else Memory(f"%in{number}", node.kind, 0)
        )
    block = block_of(closed, arguments)
    Blocks(writer, WHOLE, OPERATIONS).write(block)
    results = []
    for number, (node, variable) in enumerate(zip(block.results, closed.jaxpr.outvars, strict=True)):
        result: Any = variable.aval
        results.append(jax.ShapeDtypeStruct((examples, *result.shape) if node.varying else result.shape, result.dtype))
        give(writer, f"%out{number}", node)
    names = [*(f"%in{n}" for n in range(len(arguments))), *(f"%out{n}" for n in range(len(results)))]
    text = module_text(code, frame, writer.functions, names, len(arguments), examples)
    return Kernel(register(text, "cpu", partial(compile_code, quickly=len(text) > LONG_MODULE)), tuple(results))
