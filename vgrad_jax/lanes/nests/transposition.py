"""Arguments become registers of lanes, and lanes become results: transpositions of blocks of an array.

    example 0:  a b c d ...          element a:  0 1 2 ... 15
    example 1:  a b c d ...   ──►    element b:  0 1 2 ... 15

A square block is transposed by exchanging halves, quarters, and so on, of pairs of registers. What is left over is
fetched element by element.
"""

from collections.abc import Callable, Sequence

from vgrad_jax.lanes.code import TYPES, Memory
from vgrad_jax.lanes.graph import Node
from vgrad_jax.lanes.nests.writer import Writer

__all__ = ["fetched", "give"]


def fetched(writer: Writer, pointer: str, node: Node) -> Memory:
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

    with writer.function(node.size):
        rest = _blocks(writer, node, lambda rows, start: _fetch_block(writer, node, pointer, memory, rows, start))
        _one_by_one(writer, node, rest, move)
    return memory


def _blocks(writer: Writer, node: Node, block: Callable[[list[str], str], None]) -> int:
    """Write a loop over the square blocks of an array; return the number of the first element that is left over."""
    code, width = writer.code, writer.code.width
    count = node.size // width
    if node.kind == "bool" or count == 0 or width == 1:
        return 0
    numbers = [code.line(f"extractelement <{width} x i64> %rows, i64 {lane}") for lane in range(width)]
    rows = [code.integer("mul", number, node.size) for number in numbers]

    def iteration(number: str, _: list[str]) -> list[str]:
        with writer.scope():
            block(rows, writer.times(number, width))
        return []

    code.loop(count, iteration)
    return count * width


def _one_by_one(writer: Writer, node: Node, start: int, move: Callable[[tuple[str, ...]], None]) -> None:
    """Write the elements from a number on."""
    if start == 0:
        writer.nest(node.shape, move)
        return
    for number in range(start, node.size):
        index = []
        for size in reversed(node.shape):
            number, position = divmod(number, size)
            index.append(str(position))
        move(tuple(reversed(index)))


def _transposed(writer: Writer, registers: Sequence[str], type_: str) -> list[str]:
    """Return the registers of a square block's columns."""
    code, width, current = writer.code, writer.code.width, list(registers)
    distance = 1
    while distance < width:
        masks = []
        for upper in (0, distance):
            lanes = range(width)
            chosen = [lane + upper if not lane & distance else width + lane - distance + upper for lane in lanes]
            masks.append(f"<{width} x i32> <{', '.join(f'i32 {lane}' for lane in chosen)}>")
        for first in range(width):
            if not first & distance:
                a, b = current[first], current[first + distance]
                pair = [code.line(f"shufflevector {type_} {a}, {type_} {b}, {mask}") for mask in masks]
                current[first], current[first + distance] = pair
        distance *= 2
    return current


def _row(writer: Writer, node: Node, pointer: str, row: str, start: str) -> str:
    """Return the address of an element of an example."""
    code = writer.code
    return code.offset(code.offset(pointer, row, node.kind), start, node.kind)


def _fetch_block(writer: Writer, node: Node, pointer: str, memory: Memory, rows: Sequence[str], start: str) -> None:
    code, width = writer.code, writer.code.width
    type_ = f"<{width} x {TYPES[node.kind]}>"
    loaded = [code.line(f"load {type_}, ptr {_row(writer, node, pointer, row, start)}, align 4") for row in rows]
    target = code.offset(memory.pointer, code.integer("mul", start, memory.lanes), node.kind)
    for number, column in enumerate(_transposed(writer, loaded, type_)):
        address = code.offset(target, str(number * memory.lanes), node.kind)
        code.lines.append(f"  store {type_} {column}, ptr {address}, align 4")


def _give_block(writer: Writer, node: Node, pointer: str, memory: Memory, rows: Sequence[str], start: str) -> None:
    code, width = writer.code, writer.code.width
    type_ = f"<{width} x {TYPES[node.kind]}>"
    source = code.offset(memory.pointer, code.integer("mul", start, memory.lanes), node.kind)
    loaded = []
    for number in range(width):
        address = code.offset(source, str(number * memory.lanes), node.kind)
        loaded.append(code.line(f"load {type_}, ptr {address}, align 4"))
    for row, column in zip(rows, _transposed(writer, loaded, type_), strict=True):
        code.lines.append(f"  store {type_} {column}, ptr {_row(writer, node, pointer, row, start)}, align 4")


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


def give(writer: Writer, pointer: str, node: Node) -> None:
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

    with writer.function(node.size):
        memory, rest = writer.memory.get(node.number), 0
        if node.varying and memory is not None and memory.lanes:
            rest = _blocks(writer, node, lambda rows, start: _give_block(writer, node, pointer, memory, rows, start))
        _one_by_one(writer, node, rest, move)
