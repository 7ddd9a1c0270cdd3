"""Emission: a schedule's steps become code."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from vgrad_jax.lanes.code import Code, Memory, Register, Scratch
from vgrad_jax.lanes.errors import NotInLanesError
from vgrad_jax.lanes.graph import Node
from vgrad_jax.lanes.machine import Machine
from vgrad_jax.lanes.primitives import PRIMITIVES, Index, Reduction
from vgrad_jax.lanes.schedule import Loop, Schedule, Sink, Store, Straight, make_schedule
from vgrad_jax.lanes.team import MEMBER, combined, wait
from vgrad_jax.lanes.values import Iteration, OverwrittenError, Values

__all__ = ["Target", "emit"]


class Target(NamedTuple):
    """A function that is written."""

    code: Code
    machine: Machine
    """The machine that the code is written for."""
    scratch: Scratch
    """Memory for arrays between loops."""


def emit(target: Target, arrays: Mapping[int, Memory], wanted: Sequence[tuple[Node, Memory]]) -> None:
    """Write the code that computes some nodes and stores them.

    Args:
        target: where the code is written.
        arrays: the leaves' memory, by their numbers.
        wanted: the nodes and their arrays, which may be leaves' arrays.

    Raises:
        NotInLanesError: some operation has no native code here.
        OverwrittenError: an element would be stored where a leaf is read later.
    """
    sinks = [Sink(node, _is_readable(memory, node, target.scratch)) for node, memory in wanted]
    schedule = make_schedule(sinks, target.machine)
    _Emitter(target, arrays, schedule, [memory for _, memory in wanted]).run()


def _is_readable(memory: Memory, node: Node, scratch: Scratch) -> bool:
    """Return whether an array may be read after a node was stored in it.

    A GPU's threads run at their own pace: where they share an array, its elements may be a later iteration's.
    """
    return (memory.lanes > 0) == node.varying and (node.varying or not scratch.is_own)


class _Emitter:
    """Writes the code of one schedule."""

    def __init__(
        self, target: Target, arrays: Mapping[int, Memory], schedule: Schedule, sinks: Sequence[Memory]
    ) -> None:
        self.code, self.scratch, self.schedule, self.sinks = target.code, target.scratch, schedule, sinks
        self.team = target.machine.team
        self.values = Values(target.code, schedule.dimensions, arrays)

    def run(self) -> None:
        for step in self.schedule.steps:
            if isinstance(step, Straight):
                self._straight(step)
            else:
                self._loop(step)
        for node, memory in self._stores(self.schedule.last, {}):
            for index in self.schedule.dimensions.indices(node):
                self.values.store(node, index, memory)

    def _stores(self, stores: Sequence[Store], own: Mapping[int, Memory]) -> list[tuple[Node, Memory]]:
        return [(node, own[node.number] if sink is None else self.sinks[sink]) for node, sink in stores]

    def _straight(self, step: Straight) -> None:
        for group in step.groups:
            stores = self._stores(group.stores, {})
            for index in self.schedule.dimensions.indices(group.nodes[0]):
                for node in group.nodes:
                    self.values.value(node, index)
                for node, memory in stores:
                    self.values.store(node, index, memory)

    def _loop(self, step: Loop) -> None:
        own = {
            node.number: self.scratch.array(node.kind, node.size, node.varying)
            for node, sink in step.materialised
            if sink is None
        }
        stores = self._stores(step.stores, own)
        if any(self.values.holds_a_leaf(memory) for _, memory in stores):
            raise OverwrittenError  # Another iteration might read the leaf.
        starts = [_reduction(node).start(self.code, node).text for node, _ in step.totals]
        totals = self._iterations(step, stores, starts)
        for (node, index), name in zip(step.totals, totals, strict=True):
            self.values.known[node.number, index] = self._total(node, Register(name, node.kind, node.varying))
        if self.team > 1 and stores:
            wait(self.code)
        self.values.memory.update((node.number, memory) for node, memory in self._stores(step.materialised, own))

    def _total(self, node: Node, total: Register) -> Register:
        """Return the total of all members of a team."""
        return total if self.team == 1 else combined(self.code, total, _reduction(node), self.team)

    def _iterations(self, step: Loop, stores: Sequence[tuple[Node, Memory]], totals: list[str]) -> list[str]:
        """Write the loop over groups of interleaved iterations, and the iterations that are left."""
        code, team = self.code, self.team
        types = [code.type_of(node.kind, node.varying) for node, _ in step.totals]
        groups, left = divmod(step.iterations, team * step.interleaved)
        rest, last = divmod(left, team)
        for first, repetitions, beside in ((0, groups, step.interleaved), (step.iterations - left, 1, rest)):
            if not (repetitions and beside):
                continue

            def body(number: str, carried: list[str], first: int = first, beside: int = beside) -> list[str]:
                if team > 1:
                    wait(code)  # Else numbers that iterations share are loaded before the loop, and spilled.
                start = code.integer("add", code.integer("mul", number, beside * team), first)
                return self._interleaved(step, self._of_member(start, beside), carried, stores)

            totals = code.loop(repetitions, body, list(zip(types, totals, strict=True)))
        if last:
            has_one = code.line(f"icmp ult i64 {MEMBER}, {last}")
            numbers = self._of_member(str(step.iterations - last), 1)
            start = list(zip(types, totals, strict=True))
            totals = code.when(has_one, lambda: self._interleaved(step, numbers, totals, stores), start)
        return totals

    def _of_member(self, start: str, beside: int) -> list[str]:
        """Return the numbers of a member's iterations among those that a team goes through together."""
        if self.team > 1:
            start = self.code.line(f"add i64 {self.code.integer('mul', MEMBER, beside)}, {start}")
        return [self.code.integer("add", start, offset) for offset in range(beside)]

    def _interleaved(
        self, step: Loop, numbers: Sequence[str], totals: Sequence[str], stores: Sequence[tuple[Node, Memory]]
    ) -> list[str]:
        """Write some iterations: each element of all of them before the next element."""
        values, iterations = self.values, [Iteration(number, {}) for number in numbers]
        indices = self.schedule.dimensions.indices
        # In order, so that no element is computed by a recursion through all that it needs.
        for node in step.computed:
            values.begin_node()
            for index in indices(node):
                for values.current in iterations:
                    values.value(node, index)
        for node, memory in stores:
            for index in indices(node):
                for values.current in iterations:
                    values.store(node, index, memory)
        results = []
        for (node, index), name in zip(step.totals, totals, strict=True):
            total = self._added(node, index, Register(name, node.kind, node.varying), iterations)
            results.append((self.code.spread(total) if node.varying else total).text)
        values.current = None
        return results

    def _added(self, node: Node, index: Index, total: Register, iterations: Sequence[Iteration]) -> Register:
        reduction = _reduction(node)
        for self.values.current in iterations:
            for term in reduction.terms(self.values, node, index):
                total = reduction.accumulate(self.code, total, term)
        return total


def _reduction(node: Node) -> Reduction:
    reduction = PRIMITIVES[node.operation].reduction
    if reduction is None:
        raise NotInLanesError(f"{node.operation} over a loop")
    return reduction
