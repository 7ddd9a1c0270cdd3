"""Code for sets of nodes: which loops there are, and what is kept in memory between them."""

from collections.abc import Mapping, Sequence

from vgrad_jax.lanes.code import Code, Memory, Register, Scratch
from vgrad_jax.lanes.dimensions import Dimensions, Index, has_loop, leaves
from vgrad_jax.lanes.graph import Node
from vgrad_jax.lanes.machine import Machine
from vgrad_jax.lanes.parts import added_beside, divided, is_product, number_by_number, read_after, turns_together
from vgrad_jax.lanes.values import OverwrittenError, Turn, Values, indices

__all__ = ["Emitter"]


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
        self.values = Values(code, places)
        self._stored: set[int] = set()

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
                for index in indices(node):
                    self.values.store(node, index, memory)

    def _emit_straight(self, nodes: Sequence[Node], sinks: Sequence[tuple[Node, Memory]]) -> None:
        """What does not loop: number by number where it can be, so that few of them wait in registers."""
        for group in number_by_number(nodes):
            wanted = [(node, memory) for node, memory in sinks if node in group]
            for index in indices(group[0]):
                for node in group:
                    self.values.value(node, index)
                for node, memory in wanted:
                    self.values.store(node, index, memory)
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
        parts = divided(computed, must, ends, self.values.memory, self.machine.long)
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
            totals = [(node, index) for node in now for index in indices(node)]
            few = [node for node in few if node not in now]
            some = [sink for sink in sinks if sink[0].number in here]
            sinks = [sink for sink in sinks if sink[0].number not in here]
            if some or totals:
                self._turns(loop, part.computed, totals, some)
            self.values.memory.update(placed)
        left = [(node, index) for node in few for index in indices(node)]
        if left or sinks:  # Of what is in memory already.
            self._turns(loop, (), left, sinks)
        sums = [(node, index) for node in many for index in indices(node)]
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
        if any(self.values.holds_a_leaf(memory) for _, memory in sinks):
            raise OverwrittenError  # Another turn might read it.
        code, turns = self.code, self.dimensions.sizes[loop]
        together = turns_together(computed, turns)
        last = [self.values.neutral(node).text for node, _ in totals]
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
            self.values.known[node.number, index] = Register(name, node.kind, node.mapped)

    def _side_by_side(
        self,
        turns: Sequence[str],
        carried: Sequence[str],
        computed: Sequence[Node],
        totals: Sequence[tuple[Node, Index]],
        sinks: Sequence[tuple[Node, Memory]],
    ) -> list[str]:
        """A few turns at a time: each number of all of them before the next one."""
        values, each = self.values, [Turn(turn, {}) for turn in turns]
        for node in computed:  # In order, so that none asks for one that asks for another and so on.
            for index in indices(node):
                for values.turn in each:
                    values.value(node, index)
        for node, memory in sinks:
            for index in indices(node):
                for values.turn in each:
                    values.store(node, index, memory)
        results = []
        for (node, index), name in zip(totals, carried, strict=True):
            total = Register(name, node.kind, node.mapped)
            for values.turn in each:
                for term in values.terms(node, index):
                    total = values.accumulate(node, total, term)
            results.append((self.code.spread(total) if node.mapped else total).text)
        values.turn = None
        return results


def _over_a_loop(node: Node) -> bool:
    return any(leaves(one, node) for one in node.inputs)
