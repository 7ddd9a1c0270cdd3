"""Code for nodes: which loops, what is kept in memory between them, and each operation's instructions."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from vgrad_jax.native import mathematics
from vgrad_jax.native.code import Code, Memory, Register, Scratch
from vgrad_jax.native.dimensions import TURN, Dimensions, Index, has_loop, leaves
from vgrad_jax.native.elementwise import ELEMENTWISE_RULES, arithmetic, larger, smaller
from vgrad_jax.native.graph import Node, NotNativeError
from vgrad_jax.native.machine import Machine
from vgrad_jax.native.parts import added_beside, divided, is_product, number_by_number, read_after, turns_together
from vgrad_jax.native.views import VIEWS

__all__ = ["Emitter", "OverwrittenError"]


class OverwrittenError(Exception):
    """A leaf would be read from where something else was written before."""


class Emitter:
    """Writes the code of one set of nodes.

    Args:
        code: where to.
        machine: what it is written for.
        scratch: for what is needed between loops.
        places: where the leaves are, by their numbers. What is computed may be wanted in a leaf's place.
    """

    def __init__(self, code: Code, machine: Machine, scratch: Scratch, places: Mapping[int, Memory]) -> None:
        self.code, self.machine, self.scratch = code, machine, scratch
        self.memory = dict(places)
        self._known: dict[tuple[int, Index], Register] = {}
        self._stored: set[int] = set()
        self._overwritten: dict[str, set[str]] = {place.pointer: set() for place in places.values()}
        self._scope: dict[Any, Any] | None = None
        self._turn = ""

    def emit(self, sinks: Sequence[tuple[Node, Memory]]) -> None:
        """Write what computes some nodes and puts them into memory.

        Raises:
            OverwrittenError: they cannot be put there.
        """
        self.dimensions = Dimensions([node for node, _ in sinks])
        nodes = self.dimensions.nodes
        loops = sorted({node.loop for node in nodes if node.loop is not None})
        stages = range(max((node.stage for node in nodes), default=0) + 1)
        over = {
            (loop, stage): [
                n for n in nodes if n.loop == loop and n.stage == stage + 1 and n.inputs and _over_a_loop(n)
            ]
            for loop in loops
            for stage in stages
        }
        beside = {node.number for some in over.values() for node in added_beside(some, self.machine)}
        kept = read_after(nodes, beside) | {node.number for node, _ in sinks if has_loop(node) and node.inputs}
        for stage in stages:
            here = [node for node in nodes if node.stage == stage and (node.inputs or node.operation == "iota")]
            self._emit_straight([node for node in here if not has_loop(node) and not _over_a_loop(node)], sinks)
            for loop in loops:
                here = [node for node in nodes if node.loop == loop and node.inputs]
                computed = [node for node in here if has_loop(node) and node.stage == stage]
                direct = [(n, m) for n, m in sinks if n.loop == loop and has_loop(n) and n.stage == stage]
                must = {node.number for node in computed if node.number in kept}
                self._emit_loop(loop, computed, must, over[loop, stage], beside, direct)
        for node, memory in sinks:
            if not has_loop(node) and node.number not in self._stored:
                for index in self.indices(node):
                    self._store(memory, self.element(node, index), self.value(node, index))

    def _emit_straight(self, nodes: Sequence[Node], sinks: Sequence[tuple[Node, Memory]]) -> None:
        """What does not loop: number by number where it can be, so that few of them wait in registers."""
        for group in number_by_number(nodes):
            wanted = [(node, memory) for node, memory in sinks if node in group]
            for index in self.indices(group[0]):
                for node in group:
                    self.value(node, index)
                for node, memory in wanted:
                    self._store(memory, self.element(node, index), self.value(node, index))
            self._stored.update(node.number for node, _ in wanted)

    def _emit_loop(
        self,
        loop: int,
        computed: Sequence[Node],
        must: set[int],
        over: Sequence[Node],
        beside: set[int],
        direct: Sequence[tuple[Node, Memory]],
    ) -> None:
        few = [node for node in over if node.number in beside]
        many = [node for node in over if node.number not in beside]
        sinks = list(direct)
        ends = must | {one.number for node in few for one in node.inputs}
        parts = divided(computed, must, ends, self.memory, self.machine.long)
        for part in parts:
            here = {node.number for node in part.computed}
            placed = {}
            for node in part.computed:
                if node.number in must or node.number in part.kept:
                    # Of what threads share none reads what it wrote: another may have gone on.
                    own = [m for one, m in direct if one is node and self._may_hold(m, node)]
                    placed[node.number] = own[0] if own else self.scratch.array(node.kind, node.size, node.mapped)
                    if not own:
                        sinks.append((node, placed[node.number]))
            now = [n for n in few if (part is parts[-1] if is_product(n) else n.inputs[0].number in here)]
            totals = [(node, index) for node in now for index in self.indices(node)]
            few = [node for node in few if node not in now]
            some = [sink for sink in sinks if sink[0].number in here]
            sinks = [sink for sink in sinks if sink[0].number not in here]
            if some or totals:
                self._turns(loop, part.computed, totals, some)
            self.memory.update(placed)
        left = [(node, index) for node in few for index in self.indices(node)]
        if left or sinks:  # Of what is in memory already.
            self._turns(loop, (), left, sinks)
        sums = [(node, index) for node in many for index in self.indices(node)]
        for start in range(0, len(sums), self.machine.sums):
            self._turns(loop, (), sums[start : start + self.machine.sums], ())

    def _may_hold(self, memory: Memory, node: Node) -> bool:
        return (memory.lanes > 0) == node.mapped and (node.mapped or self.scratch.lane is None)

    def _turns(
        self,
        loop: int,
        computed: Sequence[Node],
        totals: Sequence[tuple[Node, Index]],
        sinks: Sequence[tuple[Node, Memory]],
    ) -> None:
        if any(memory.pointer in self._overwritten for _, memory in sinks):
            raise OverwrittenError  # The next turn would read it.
        code, turns = self.code, self.dimensions.sizes[loop]
        together = turns_together(computed, turns)
        last = [self._neutral(node).text for node, _ in totals]
        whole, rest = divmod(turns, together)
        for first, repetitions, side_by_side in ((0, whole, together), (whole * together, 1, rest)):
            if not side_by_side:
                continue

            def body(number: str, carried: list[str], first: int = first, some: int = side_by_side) -> list[str]:
                start = code.integer("add", code.integer("mul", number, some), first)
                return self._side_by_side(
                    [code.integer("add", start, place) for place in range(some)], carried, computed, totals, sinks
                )

            types = [code.type_of(node.kind, node.mapped) for node, _ in totals]
            last = code.loop(repetitions, body, list(zip(types, last, strict=True)))
        for (node, index), name in zip(totals, last, strict=True):
            self._known[node.number, index] = Register(name, node.kind, node.mapped)

    def _side_by_side(
        self,
        turns: Sequence[str],
        carried: Sequence[str],
        computed: Sequence[Node],
        totals: Sequence[tuple[Node, Index]],
        sinks: Sequence[tuple[Node, Memory]],
    ) -> list[str]:
        """A few turns at a time: each number of all of them before the next one."""
        code = self.code
        scopes: list[tuple[str, dict[Any, Any]]] = [(turn, {}) for turn in turns]
        for node in computed:  # In order, so that none asks for one that asks for another and so on.
            for index in self.indices(node):
                for self._turn, self._scope in scopes:
                    self.value(node, index)
        for node, memory in sinks:
            for index in self.indices(node):
                for self._turn, self._scope in scopes:
                    code.store(memory, self.element(node, index), self.value(node, index))
        results = []
        for (node, index), name in zip(totals, carried, strict=True):
            total = Register(name, node.kind, node.mapped)
            for self._turn, self._scope in scopes:
                for term in self.terms(node, index):
                    total = self.accumulate(node, total, term)
            results.append((code.spread(total) if node.mapped else total).text)
        self._scope = None
        return results

    def _neutral(self, node: Node) -> Register:
        if node.operation == "argmax" or (node.operation in ("reduce_max", "reduce_min") and node.kind != "float"):
            raise NotNativeError(f"{node.operation} of {node.kind} over a loop")
        every_bit = True if node.kind == "bool" else -1
        values = {"reduce_max": float("-inf"), "reduce_min": float("inf"), "reduce_and": every_bit}
        value = values.get(node.operation, 0)
        constant = self.code.constant(value, node.kind)
        return self.code.spread(constant) if node.mapped else constant

    def indices(self, node: Node) -> Iterator[Index]:
        """All of a node's, with `TURN` for the axis that is looped over."""
        inside = has_loop(node)
        ranges = [
            (TURN,) if inside and axis == node.loop else range(size)
            for axis, size in zip(node.axes, node.shape, strict=True)
        ]
        return itertools.product(*ranges)

    def element(self, node: Node, index: Index) -> str:
        """The number of an element, row-major."""
        constant, stride, turn = 0, 1, "0"
        for size, place in zip(reversed(node.shape), reversed(index), strict=True):
            if place == TURN:
                turn = self._remembered(("turn", stride), partial(self.code.integer, "mul", self._turn, stride))
            else:
                constant += place * stride
            stride *= size
        return self.code.integer("add", turn, constant)

    def _remembered(self, key: Any, make: Callable[[], Any]) -> Any:
        if self._scope is None:
            return make()
        if key not in self._scope:
            self._scope[key] = make()
        return self._scope[key]

    def value(self, node: Node, index: Index) -> Register:
        """One number of a node."""
        index = tuple(0 if size == 1 else place for size, place in zip(node.shape, index, strict=True))
        key = (node.number, index)
        if key in self._known:
            return self._known[key]
        if node.operation == "literal":
            return self._constant(node, index)
        if node.number in self.memory:
            return self._remembered(key, lambda: self._load(self.memory[node.number], self.element(node, index)))
        if self._scope is None:
            self._known[key] = self._compute(node, index)
            return self._known[key]
        if not has_loop(node):
            raise NotNativeError(f"{node.operation} is wanted before it is there")
        return self._remembered(key, lambda: self._compute(node, index))

    def _load(self, memory: Memory, element: str) -> Register:
        self.still_there(memory, element)
        return self.code.load(memory, element)

    def still_there(self, memory: Memory, element: str) -> None:
        """Raise `OverwrittenError` where an element, which may be an index, is no longer a leaf's."""
        written = self._overwritten.get(memory.pointer)
        if written and (element in written or not element.isdigit()):
            raise OverwrittenError

    def _store(self, memory: Memory, element: str, register: Register) -> None:
        self.code.store(memory, element, register)
        if memory.pointer in self._overwritten:
            self._overwritten[memory.pointer].add(element)

    def _compute(self, node: Node, index: Index) -> Register:
        if node.operation in ELEMENTWISE_RULES:
            numbers = [self.value(one, index if one.shape else ()) for one in node.inputs]
            return ELEMENTWISE_RULES[node.operation](self.code, node, *numbers)
        if node.operation in VIEWS:
            return self.value(*VIEWS[node.operation](node, index))
        return RULES[node.operation](self, node, index)

    def _constant(self, node: Node, index: Index) -> Register:
        if TURN in index:
            raise NotNativeError("a constant that is looped over")
        return self.code.constant(node.parameters["value"][index].item(), node.kind)

    def terms(self, node: Node, index: Index) -> Iterator[tuple[Register, ...]]:
        """What a reduction adds up: numbers, or pairs of factors."""
        if node.operation == "dot_general":
            (left, right), _ = node.parameters["dimension_numbers"]
            a, b = node.inputs
            free = len(a.shape) - 1
            for place in self._range(node, a, left[0]):
                first, second = list(index[:free]), list(index[free:])
                first.insert(left[0], place)
                second.insert(right[0], place)
                yield self.value(a, tuple(first)), self.value(b, tuple(second))
            return
        one, kept = node.inputs[0], node.kept
        ranges: list[Iterable[int]] = [
            (index[kept.index(axis)],) if axis in kept else self._range(node, one, axis)
            for axis in range(len(one.shape))
        ]
        for places in itertools.product(*ranges):
            yield (self.value(one, places),)

    def _range(self, node: Node, one: Node, axis: int) -> Iterable[int]:
        return (TURN,) if one.axes[axis] == node.loop and has_loop(one) else range(one.shape[axis])

    def accumulate(self, node: Node, total: Register, term: Sequence[Register]) -> Register:
        """A reduction's total with one term more."""
        code = self.code
        if node.operation == "dot_general":
            return mathematics.add(code, total, mathematics.multiply(code, *term))
        if node.operation in ("reduce_max", "reduce_min"):
            return (larger if node.operation == "reduce_max" else smaller)(code, total, term[0])
        instruction = {"reduce_and": "and", "reduce_or": "or"}.get(node.operation, arithmetic("add", node.kind))
        return code.binary(instruction, total, term[0])


def _over_a_loop(node: Node) -> bool:
    return any(leaves(one, node) for one in node.inputs)


Rule = Callable[[Emitter, Node, Index], Register]


def _iota(emitter: Emitter, node: Node, index: Index) -> Register:
    code, place = emitter.code, index[node.parameters["dimension"]]
    if place != TURN:
        return code.constant(place, node.kind)
    whole = Register(code.line(f"trunc i64 {emitter._turn} to i32"), "int", False)
    return code.cast("sitofp", whole, "float") if node.kind == "float" else Register(whole.text, node.kind, False)


def _reduced(emitter: Emitter, node: Node, index: Index) -> Register:
    terms = emitter.terms(node, index)
    first = next(terms)
    total = mathematics.multiply(emitter.code, *first) if len(first) == 2 else first[0]
    for term in terms:
        total = emitter.accumulate(node, total, term)
    return total


def _argmax(emitter: Emitter, node: Node, index: Index) -> Register:
    """The first of the largest; the first NaN, where there are any."""
    code = emitter.code
    numbers = [term[0] for term in emitter.terms(node, index)]
    best, place = numbers[0], code.constant(0, node.kind)
    for number, one in enumerate(numbers[1:], 1):
        above = code.binary("fcmp ugt", one, best, "bool")
        ordered = mathematics.compare(code, "ord", best, best)
        better = code.binary("and", above, ordered)
        best, place = code.select(better, one, best), code.select(better, code.constant(number, node.kind), place)
    return place


def _gather(emitter: Emitter, node: Node, index: Index) -> Register:
    code, (table, rows) = emitter.code, node.inputs
    memory = emitter.memory.get(table.number)
    if memory is None or memory.lanes or memory.kind == "bool" or TURN in index[1:]:
        raise NotNativeError("rows of a table that is not in memory, the same for all lanes")
    emitter.still_there(memory, "any")
    row = emitter.value(rows, (index[0], 0))
    width = table.size // table.shape[0]
    column = 0
    for place, size in zip(index[1:], table.shape[1:], strict=True):
        column = column * size + place
    # Promised to be inside of it; a promise that is broken must not end the process.
    row = smaller(code, larger(code, row, code.constant(0, "int")), code.constant(table.shape[0] - 1, "int"))
    element = code.binary("add", code.binary("mul", row, code.constant(width, "int")), code.constant(column, "int"))
    type_, scalar = code.type_of(table.kind, True), code.type_of(table.kind, False)
    if not element.vector or code.width == 1:
        far = code.line(f"sext i32 {element.text} to i64")
        return code.load(memory, far)._replace(vector=element.vector)
    places = code.line(f"getelementptr {scalar}, ptr {memory.pointer}, {code.typed(element)}")
    suffix = "f32" if table.kind == "float" else "i32"
    pointers, all_lanes = f"<{code.width} x ptr>", f"<{code.width} x i1>"
    name = f"@llvm.masked.gather.v{code.width}{suffix}.v{code.width}p0"
    code.declared[name] = f"declare {type_} {name}({pointers}, {all_lanes}, {type_})"
    call = f"call {type_} {name}({pointers} align 4 {places}, {all_lanes} splat (i1 true), {type_} poison)"
    return Register(code.line(call), table.kind, True)


RULES: dict[str, Rule] = {
    "argmax": _argmax,
    "gather": _gather,
    "iota": _iota,
    **dict.fromkeys(
        ("dot_general", "psum", "reduce_and", "reduce_max", "reduce_min", "reduce_or", "reduce_sum"), _reduced
    ),
}
"""How a number of each other operation's result is computed."""
