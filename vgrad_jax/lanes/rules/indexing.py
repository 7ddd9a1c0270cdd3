"""Primitives of indices: the index itself, and rows of a table."""

from vgrad_jax.lanes.code import Memory, Register
from vgrad_jax.lanes.errors import NotInLanesError
from vgrad_jax.lanes.graph import Node
from vgrad_jax.lanes.primitives import ITERATION, RESULT, Axes, Elements, Index, Primitive, Use, register
from vgrad_jax.lanes.rules.elementwise import larger, smaller

__all__: list[str] = []


def _iota(elements: Elements, node: Node, index: Index) -> Register:
    code, position = elements.code, index[node.parameters["dimension"]]
    if position != ITERATION:
        return code.constant(position, node.kind)
    number = Register(code.line(f"trunc i64 {elements.iteration} to i32"), "int", False)
    return code.cast("sitofp", number, "float") if node.kind == "float" else Register(number.text, node.kind, False)


def _gather(elements: Elements, node: Node, index: Index) -> Register:
    code, (table, rows) = elements.code, node.inputs
    memory = elements.memory.get(table.number)
    if memory is None or memory.lanes or memory.kind == "bool" or ITERATION in index[1:]:
        raise NotInLanesError("rows of a table that is not in memory, or not the same for all lanes")
    elements.check_not_overwritten(memory)
    row = elements.value(rows, (index[0], 0))
    column = 0
    for position, size in zip(index[1:], table.shape[1:], strict=True):
        column = column * size + position
    # The program promises rows of the table; a broken promise must not end the process.
    row = smaller(code, larger(code, row, code.constant(0, "int")), code.constant(table.shape[0] - 1, "int"))
    start = code.binary("mul", row, code.constant(table.size // table.shape[0], "int"))
    element = code.binary("add", start, code.constant(column, "int"))
    if not element.vector or code.width == 1:
        far = code.line(f"sext i32 {element.text} to i64")
        return code.load(memory, far)._replace(vector=element.vector)
    return _load_scattered(elements, memory, element)


def _load_scattered(elements: Elements, memory: Memory, element: Register) -> Register:
    """Load an element of its own for each lane."""
    code = elements.code
    type_, scalar = code.type_of(memory.kind, True), code.type_of(memory.kind, False)
    addresses = code.line(f"getelementptr {scalar}, ptr {memory.pointer}, {code.typed(element)}")
    suffix = "f32" if memory.kind == "float" else "i32"
    pointers, all_lanes = f"<{code.width} x ptr>", f"<{code.width} x i1>"
    name = f"@llvm.masked.gather.v{code.width}{suffix}.v{code.width}p0"
    code.declared[name] = f"declare {type_} {name}({pointers}, {all_lanes}, {type_})"
    call = f"call {type_} {name}({pointers} align 4 {addresses}, {all_lanes} splat (i1 true), {type_} poison)"
    return Register(code.line(call), memory.kind, True)


def _gather_axes(node: Node) -> Axes:
    columns = tuple((RESULT, axis) for axis in range(1, len(node.shape)))
    return Axes((((1, 0), (RESULT, 0)),), columns)


def _rows_only(use: Use) -> str | None:
    """Refuse all but `table[rows]` with a vector of rows that are promised to be in the table."""
    (table, rows), numbers = use.shapes, use.parameters["dimension_numbers"]
    takes_rows = (
        "PROMISE_IN_BOUNDS" in str(use.parameters["mode"])
        and tuple(numbers.collapsed_slice_dims) == tuple(numbers.start_index_map) == (0,)
        and not numbers.operand_batching_dims
        and tuple(use.parameters["slice_sizes"]) == (1, *table[1:])
        and tuple(numbers.offset_dims) == tuple(range(1, len(table)))
        and len(rows) == 2
    )
    return None if takes_rows else 'for other than rows of a table with mode="promise_in_bounds"'


register(Primitive("iota", _iota, lambda node: Axes()))
register(Primitive("gather", _gather, _gather_axes, refusal=_rows_only, tables=(0,)))
