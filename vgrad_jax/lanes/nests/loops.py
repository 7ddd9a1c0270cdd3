"""Loops of scans, and loops with a condition that may differ from lane to lane."""

from collections.abc import Sequence
from typing import Any

from vgrad_jax.jaxprs import Jaxpr, scan_of, while_of
from vgrad_jax.lanes.code import Memory, Register
from vgrad_jax.lanes.graph import Node, kind_of_array
from vgrad_jax.lanes.nests.blocks import Blocks
from vgrad_jax.lanes.nests.graph import Operation, block_of
from vgrad_jax.lanes.nests.writer import Writer, indices

__all__ = ["write_scan", "write_while"]


def leaf_of(writer: Writer, aval: Any, varying: bool, memory: Memory) -> Node:
    """Return the node of an array in memory."""
    node = Node("leaf", (), tuple(aval.shape), kind_of_array(aval.dtype), varying, {})
    writer.memory[node.number] = memory
    return node


class _Carry:
    """Arrays that a loop passes from an iteration to the next.

    Small arrays are replaced when all of the next ones are computed; LLVM keeps them in registers. A large array is
    overwritten in place where nothing reads it afterwards, and else has two copies, which take turns.
    """

    def __init__(
        self, blocks: Blocks, inputs: Sequence[Node], outputs: Sequence[Node], body: Jaxpr, first: int
    ) -> None:
        self.blocks, self.outputs = blocks, outputs
        befores, afters = body.invars[first : first + len(outputs)], body.outvars[: len(outputs)]
        self.same = {n for n, (a, b) in enumerate(zip(befores, afters, strict=True)) if a is b}
        """Positions of what no iteration changes."""
        self.in_place: set[int] = set()
        """Positions of what an iteration overwrites."""
        frame, unrolled = blocks.writer.frame, blocks.writer.unrolled
        self.memory = [frame.array(node.kind, node.size, node.varying) for node in outputs]
        self.large = [n for n, node in enumerate(outputs) if node.size > unrolled and n not in self.same]
        others = [frame.array(outputs[n].kind, outputs[n].size, outputs[n].varying) for n in self.large]
        self.start = [self.memory[n].pointer for n in self.large] + [memory.pointer for memory in others]
        """Pointers to the first and to the second copies."""
        for node, memory in zip(inputs, self.memory, strict=True):
            blocks.writer.copy(node, memory)

    def within(self, pointers: Sequence[str]) -> list[Memory]:
        """Return the arrays, where the first half of the pointers is that of the copies to read."""
        memory = list(self.memory)
        for position, pointer in zip(self.large, pointers, strict=False):
            memory[position] = memory[position]._replace(pointer=pointer)
        return memory

    def arguments(self, avals: Sequence[Any], pointers: Sequence[str]) -> list[Node]:
        """Return the nodes of the arrays in an iteration."""
        arrays = zip(avals, self.outputs, self.within(pointers), strict=True)
        return [leaf_of(self.blocks.writer, aval, node.varying, memory) for aval, node, memory in arrays]

    def next_arrays(self, results: Sequence[Node], pointers: Sequence[str]) -> dict[int, Memory]:
        """Return where the large results are stored, by their numbers."""
        after = self.within(self.swapped(pointers))
        known = self.blocks.writer.memory
        return {results[n].number: after[n] for n in self.large if results[n].inputs and results[n].number not in known}

    def following(self, arguments: Sequence[Node], results: Sequence[Node]) -> dict[int, int]:
        """Return the number of each large result to that of the argument that it follows."""
        known = self.blocks.writer.memory
        # A result of two positions has two arrays.
        numbers = [node.number for node in results]
        return {
            results[n].number: arguments[n].number
            for n in self.large
            if results[n].inputs and results[n].number not in known and numbers.count(results[n].number) == 1
        }

    def note(self, in_place: set[int], results: Sequence[Node]) -> None:
        """Note which results were stored in place."""
        self.in_place = {n for n in self.large if results[n].number in in_place}

    def swapped(self, pointers: Sequence[str]) -> list[str]:
        """Return the pointers for the next iteration."""
        half = len(pointers) // 2
        pairs = list(zip(pointers[:half], pointers[half:], strict=True))
        pairs = [pair if n in self.in_place else (pair[1], pair[0]) for n, pair in zip(self.large, pairs, strict=True)]
        return [*(first for first, _ in pairs), *(second for _, second in pairs)]

    def replace(self, results: Sequence[Node], pointers: Sequence[str]) -> None:
        """Write the end of an iteration: the next ones take the place of the old ones."""
        writer, after = self.blocks.writer, self.within(self.swapped(pointers))
        small = [n for n in range(len(results)) if n not in self.large and n not in self.same]
        registers = self.blocks.registers([results[n] for n in small])
        for n in self.large:
            if writer.memory.get(results[n].number) != after[n]:
                writer.copy(results[n], after[n])
        for n, elements in zip(small, registers, strict=True):
            for index, register in zip(indices(results[n].shape), elements, strict=True):
                writer.store(after[n], results[n].shape, index, register)

    def finish(self, pointers: Sequence[str]) -> None:
        """Give the loop's outputs their arrays."""
        arrays = zip(self.outputs, self.within(pointers), strict=True)
        self.blocks.writer.memory.update((node.number, memory) for node, memory in arrays)


def write_scan(blocks: Blocks, operation: Operation) -> None:
    """Write a scan."""
    scan, writer = scan_of(operation.equation), blocks.writer
    stop = scan.num_consts + scan.num_carry
    inputs, outputs = operation.inputs[scan.num_consts : stop], operation.outputs[: scan.num_carry]
    carry = _Carry(blocks, inputs, outputs, scan.body.jaxpr, scan.num_consts)
    stacked = operation.outputs[scan.num_carry :]
    for node in stacked:
        writer.memory[node.number] = writer.frame.array(node.kind, node.size, node.varying)
    for node in operation.inputs[stop:]:
        if node.operation == "literal":
            writer.keep_constant(node)
    variables = scan.body.jaxpr.invars

    def iteration(number: str, pointers: list[str]) -> list[str]:
        with writer.scope():
            if scan.reverse:
                number = writer.code.line(f"sub i64 {scan.length - 1}, {number}")
            carried = carry.arguments([v.aval for v in variables[scan.num_consts : stop]], pointers)
            arguments = [*operation.inputs[: scan.num_consts], *carried]
            for variable, node in zip(variables[stop:], operation.inputs[stop:], strict=True):
                row = _row(writer, writer.memory[node.number], number, node.size // scan.length)
                arguments.append(leaf_of(writer, variable.aval, node.varying, row))
            block = block_of(scan.body, arguments)
            rows = [_row(writer, writer.memory[n.number], number, n.size // scan.length) for n in stacked]
            results = block.results[scan.num_carry :]
            arrays = {
                n.number: row
                for n, row in zip(results, rows, strict=True)
                if n.inputs and n.number not in writer.memory
            }
            of_rows = {node.number for node in results}
            arrays |= carry.next_arrays(block.results[: scan.num_carry], pointers)
            after = block.results[: scan.num_carry]
            following = {n: leaf for n, leaf in carry.following(carried, after).items() if n not in of_rows}
            carry.note(blocks.write(block, arrays, following), after)
            for node, row in zip(results, rows, strict=True):
                if writer.memory.get(node.number) != row:
                    writer.copy(node, row)
            carry.replace(block.results[: scan.num_carry], pointers)
        return carry.swapped(pointers)

    last = writer.code.loop(scan.length, iteration, [("ptr", pointer) for pointer in carry.start])
    carry.finish(last)


def _row(writer: Writer, memory: Memory, number: str, size: int) -> Memory:
    moved = writer.code.integer("mul", number, size * max(memory.lanes, 1))
    return memory._replace(pointer=writer.code.offset(memory.pointer, moved, memory.kind))


def write_while(blocks: Blocks, operation: Operation) -> None:
    """Write a loop with a condition; a lane whose condition is false keeps what it has until the last lane ends."""
    loop, writer, code = while_of(operation.equation), blocks.writer, blocks.writer.code
    start = loop.condition_consts + loop.body_consts
    conditions, consts = operation.inputs[: loop.condition_consts], operation.inputs[loop.condition_consts : start]
    carry = _Carry(blocks, operation.inputs[start:], operation.outputs, loop.body.jaxpr, loop.body_consts)
    label, before = f"while{code.name()[1:]}", code.block
    code.lines += [f"  br label %{label}", f"{label}:"]
    code.block = label
    heads = range(len(code.lines), len(code.lines) + len(carry.start))
    pointers = [code.name() for _ in carry.start]
    code.lines += [""] * len(pointers)
    avals = [variable.aval for variable in loop.body.jaxpr.invars[loop.body_consts :]]
    with writer.scope():
        block = block_of(loop.condition, [*conditions, *carry.arguments(avals, pointers)])
        blocks.write(block)
        condition = writer.value(block.results[0], ())
        code.lines.append(f"  br i1 {any_lane(writer, condition)}, label %body{label}, label %after{label}")
        code.lines.append(f"body{label}:")
        code.block = f"body{label}"
        with writer.scope():
            arguments = carry.arguments(avals, pointers)
            block = block_of(loop.body, [*consts, *arguments])
            results = block.results
            if condition.vector:
                results = [_kept(writer, condition, *pair) for pair in zip(arguments, results, strict=True)]
                block = block._replace(results=results)
            arrays = carry.next_arrays(results, pointers)
            carry.note(blocks.write(block, arrays, carry.following(arguments, results)), results)
            carry.replace(results, pointers)
        code.lines.append(f"  br label %{label}")
    after = carry.swapped(pointers)
    for head, name, first, following in zip(heads, pointers, carry.start, after, strict=True):
        code.lines[head] = f"  {name} = phi ptr [ {first}, %{before} ], [ {following}, %{code.block} ]"
    code.lines.append(f"after{label}:")
    code.block = f"after{label}"
    carry.finish(pointers)


def _kept(writer: Writer, condition: Register, old: Node, new: Node) -> Node:
    """Return the node of what a lane has after an iteration."""
    mask = Node("result", (), (), "bool", True, {})
    writer.remember(mask, (), condition)
    writer.memory[mask.number] = Memory("undefined", "bool", writer.code.width)
    return Node("select_n", (mask, old, new), old.shape, old.kind, True, {})


def any_lane(writer: Writer, condition: Register) -> str:
    """Return the name of a bool: whether a condition holds in any lane."""
    if not condition.vector or writer.code.width == 1:
        return condition.text
    width = writer.code.width
    name = f"@llvm.vector.reduce.or.v{width}i1"
    writer.code.declared[name] = f"declare i1 {name}(<{width} x i1>)"
    return writer.code.line(f"call i1 {name}({writer.code.typed(condition)})")
