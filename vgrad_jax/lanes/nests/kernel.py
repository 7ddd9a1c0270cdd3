"""A native function of a whole program: examples become lanes, groups of lanes are divided among threads.

    arrays (examples, ...) ──► lanes of a group ──► the program's code ──► arrays (examples, ...)

The last group of lanes repeats the last example, so that any number of examples will do.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import jax

from vgrad_jax.jaxprs import ClosedJaxpr
from vgrad_jax.lanes.code import TYPES, Code, Memory
from vgrad_jax.lanes.ffi import register
from vgrad_jax.lanes.graph import Node, kind_of_array
from vgrad_jax.lanes.nests.blocks import Blocks
from vgrad_jax.lanes.nests.frame import Frame
from vgrad_jax.lanes.nests.graph import block_of
from vgrad_jax.lanes.nests.records import OPERATIONS, RULES, WHOLE
from vgrad_jax.lanes.nests.threads import module_text
from vgrad_jax.lanes.nests.writer import Writer
from vgrad_jax.lanes.toolchain import compile_code

__all__ = ["Kernel", "make_kernel"]

LONG = 600_000
"""Characters of a module from which on LLVM's first level of optimisation takes seconds."""


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
    writer = Writer(code, frame, RULES)
    avals: list[Any] = [variable.aval for variable in closed.jaxpr.invars]
    arguments = []
    for number, (aval, flag) in enumerate(zip(avals, varying, strict=True)):
        node = Node("leaf", (), tuple(aval.shape), kind_of_array(aval.dtype), flag, {})
        arguments.append(node)
        writer.memory[node.number] = (
            _fetched(writer, f"%in{number}", node) if flag else Memory(f"%in{number}", node.kind, 0)
        )
    block = block_of(closed, arguments)
    Blocks(writer, WHOLE, OPERATIONS).write(block)
    results = []
    for number, (node, variable) in enumerate(zip(block.results, closed.jaxpr.outvars, strict=True)):
        result: Any = variable.aval
        results.append(jax.ShapeDtypeStruct((examples, *result.shape) if node.varying else result.shape, result.dtype))
        _give(writer, f"%out{number}", node)
    names = [*(f"%in{n}" for n in range(len(arguments))), *(f"%out{n}" for n in range(len(results)))]
    text = module_text(code, frame, names, len(arguments), examples)
    return Kernel(register(text, "cpu", partial(compile_code, quickly=len(text) > LONG)), tuple(results))


def _fetched(writer: Writer, pointer: str, node: Node) -> Memory:
    """Write the transposition of an argument: its elements become registers of lanes."""
    code, memory = writer.code, writer.frame.array(node.kind, node.size, True)

    def move(index: tuple[str, ...]) -> None:
        text = _address(writer, pointer, node, index)
        scalar, width = "i8" if node.kind == "bool" else TYPES[node.kind], code.width
        type_, mask, pointers = f"<{width} x {scalar}>", f"<{width} x i1>", f"<{width} x ptr>"
        suffix = {"float": "f32", "i32": "i32", "i8": "i8"}[scalar]
        name = f"@llvm.masked.gather.v{width}{suffix}.v{width}p0"
        code.declared[name] = f"declare {type_} {name}({pointers}, {mask}, {type_})"
        align = 1 if scalar == "i8" else 4
        loaded = code.line(
            f"call {type_} {name}({pointers} align {align} {text}, {mask} splat (i1 true), {type_} poison)"
        )
        target = code.offset(memory.pointer, code.integer("mul", _number(writer, node, index), memory.lanes), node.kind)
        code.lines.append(f"  store {type_} {loaded}, ptr {target}, align {align}")

    with writer.scope():
        writer.nest(node.shape, move)
    return memory


def _number(writer: Writer, node: Node, index: tuple[str, ...]) -> str:
    element = writer.element(node.shape, index)
    assert isinstance(element, str)
    return element


def _address(writer: Writer, pointer: str, node: Node, index: tuple[str, ...]) -> str:
    """Return the address of an element in each example of the group."""
    code = writer.code
    scalar = "i8" if node.kind == "bool" else TYPES[node.kind]
    start = code.offset(pointer, _number(writer, node, index), node.kind)
    rows = code.line(f"mul <{code.width} x i64> %rows, splat (i64 {node.size})") if node.size > 1 else "%rows"
    return code.line(f"getelementptr {scalar}, ptr {start}, <{code.width} x i64> {rows}")


def _give(writer: Writer, pointer: str, node: Node) -> None:
    """Write the transposition of a result."""
    code = writer.code

    def move(index: tuple[str, ...]) -> None:
        element = writer.value(node, index)
        if not node.varying:
            code.store(Memory(pointer, node.kind, 0), _number(writer, node, index), element)
            return
        text = _address(writer, pointer, node, index)
        element = code.spread(element)
        value, scalar, width = element.text, TYPES[node.kind], code.width
        if node.kind == "bool":
            scalar, value = "i8", code.line(f"zext {code.typed(element)} to <{width} x i8>")
        type_, mask, pointers = f"<{width} x {scalar}>", f"<{width} x i1>", f"<{width} x ptr>"
        suffix = {"float": "f32", "i32": "i32", "i8": "i8"}[scalar]
        name = f"@llvm.masked.scatter.v{width}{suffix}.v{width}p0"
        code.declared[name] = f"declare void {name}({type_}, {pointers}, {mask})"
        align = 1 if scalar == "i8" else 4
        code.lines.append(
            f"  call void {name}({type_} {value}, {pointers} align {align} {text}, {mask} splat (i1 true))"
        )

    with writer.scope():
        writer.nest(node.shape, move)
