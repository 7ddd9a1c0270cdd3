"""The schedule: all that is decided before code is written, as a frozen value.

    graph ──► dimensions ──► stages, loops ──► fusion, fission ──► interleaving ──► steps
             (dimensions.py)                    (fission.py)       (latency.py)

A step is straight code or one loop. Nodes of stage 0 come first, loop by loop. A reduction is fused into the loop
that computes its terms if its totals fit into registers. Else it gets a loop of its own over terms in memory.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import compress
from typing import NamedTuple, TypeVar

from vgrad_jax.lanes.dimensions import Dimensions, analyse
from vgrad_jax.lanes.fission import Part, base, split
from vgrad_jax.lanes.graph import Node
from vgrad_jax.lanes.latency import element_groups, interleaved
from vgrad_jax.lanes.machine import Machine
from vgrad_jax.lanes.primitives import PRIMITIVES, Index

__all__ = ["Group", "Loop", "Schedule", "Sink", "Store", "Straight", "make_schedule"]


class Sink(NamedTuple):
    """A wanted node and its array."""

    node: Node
    readable: bool
    """True where later steps may read the node from the array."""


class Store(NamedTuple):
    """Elements of a node go into an array."""

    node: Node
    sink: int | None
    """The array's position among the sinks; None is the node's own scratch array."""


class Group(NamedTuple):
    """Nodes of one shape, computed element by element."""

    nodes: tuple[Node, ...]
    stores: tuple[Store, ...]


class Straight(NamedTuple):
    """Code without a loop."""

    groups: tuple[Group, ...]


class Loop(NamedTuple):
    """A loop over one dimension."""

    iterations: int
    interleaved: int
    """Iterations whose instructions alternate."""
    computed: tuple[Node, ...]
    """Nodes in the order of computation."""
    totals: tuple[tuple[Node, Index], ...]
    """Elements of reductions whose terms the loop goes over."""
    stores: tuple[Store, ...]
    materialised: tuple[Store, ...]
    """Arrays from which later steps read nodes of this loop."""


@dataclass(frozen=True)
class Schedule:
    """The steps of a graph's code."""

    dimensions: Dimensions
    steps: tuple[Straight | Loop, ...]
    last: tuple[Store, ...]
    """Stores of nodes that no loop and no group stores."""


def make_schedule(sinks: Sequence[Sink], machine: Machine) -> Schedule:
    """Decide on the code that computes some nodes.

    Args:
        sinks: the wanted nodes.
        machine: what the code is written for.

    Raises:
        NotInLanesError: the code would be too long, or need nested loops.
    """
    dimensions = analyse([sink.node for sink in sinks])
    scheduler = _Scheduler(dimensions, sinks, machine)
    for stage in range(max(dimensions.stages.values(), default=0) + 1):
        scheduler.add_stage(stage)
    return Schedule(dimensions, tuple(scheduler.steps), scheduler.unstored())


class _Scheduler:
    """The steps so far."""

    def __init__(self, dimensions: Dimensions, sinks: Sequence[Sink], machine: Machine) -> None:
        self.dimensions, self.sinks, self.machine = dimensions, sinks, machine
        self.steps: list[Straight | Loop] = []
        self._memory: set[int] = set()
        """Numbers of the nodes that are in memory."""
        self._stored: set[int] = set()
        self._loops = sorted({loop for loop in dimensions.loops.values() if loop is not None})
        self._fused = {
            node.number
            for loop in self._loops
            for stage in set(dimensions.stages.values())
            for node in _fused(self._reductions(loop, stage), machine)
        }
        wanted = {sink.node.number for sink in sinks if dimensions.in_loop(sink.node) and sink.node.inputs}
        self._kept = self._read_after_their_loop() | wanted
        self._straight_stages = _latest_stages(dimensions) if machine.team > 1 else dimensions.stages

    def add_stage(self, stage: int) -> None:
        """Add the steps of a stage: straight code, then each loop."""
        in_loop, computed = self.dimensions.in_loop, list(filter(_is_computed, self.dimensions.nodes))
        straight = [node for node in computed if self._straight_stages[node.number] == stage]
        self._add_straight([node for node in straight if not in_loop(node) and not self.dimensions.reduces_loop(node)])
        here = [node for node in computed if self.dimensions.stages[node.number] == stage]
        for loop in self._loops:
            nodes = [node for node in here if node.inputs and self.dimensions.loops[node.number] == loop]
            self._add_loops(loop, stage, [node for node in nodes if in_loop(node)])

    def unstored(self) -> tuple[Store, ...]:
        """Return the stores that are left for the end."""
        sinks = enumerate(self.sinks)
        left = [(n, s) for n, (s, _) in sinks if not self.dimensions.in_loop(s) and s.number not in self._stored]
        return tuple(Store(node, number) for number, node in left)

    def _reductions(self, loop: int, stage: int) -> list[Node]:
        """Return the reductions over a loop whose terms belong to a stage."""
        d = self.dimensions
        after = [n for n in d.nodes if d.loops[n.number] == loop and d.stages[n.number] == stage + 1 and n.inputs]
        return list(filter(d.reduces_loop, after))

    def _read_after_their_loop(self) -> set[int]:
        numbers, stages = set(), self.dimensions.stages
        for node in self.dimensions.nodes:
            # A fused reduction reads its terms from registers.
            first = stages[node.number] - (node.number in self._fused)
            for operand in node.inputs:
                if self.dimensions.in_loop(operand) and stages[operand.number] < first:
                    origin = base(self.dimensions, operand)
                    if origin.inputs:
                        numbers.add(origin.number)
        return numbers

    def _add_straight(self, nodes: Sequence[Node]) -> None:
        groups = []
        for group in element_groups(nodes):
            stores = tuple(Store(node, number) for number, (node, _) in enumerate(self.sinks) if node in group)
            groups.append(Group(tuple(group), stores))
            self._stored.update(store.node.number for store in stores)
        self.steps.append(Straight(tuple(groups)))

    def _add_loops(self, loop: int, stage: int, computed: Sequence[Node]) -> None:
        """Add the loops over a dimension in a stage: parts of what is computed, then reductions from memory."""
        reductions, stores = self._reductions(loop, stage), self._stores_in(loop, stage)
        fused = [node for node in reductions if node.number in self._fused]
        must = {node.number for node in computed if node.number in self._kept}
        ends = must | {operand.number for node in fused for operand in node.inputs}
        parts = split(self.dimensions, computed, must=must, ends=ends, memory=self._memory, long=self.machine.long)
        for part in parts:
            here = {node.number for node in part.computed}
            materialised = self._materialised(part, must, stores)
            stores += [store for store in materialised if store.sink is None]
            # Only the last part has all factors of a product's terms.
            now, fused = _divide(fused, lambda n: part is parts[-1] if _is_product(n) else n.inputs[0].number in here)  # noqa: B023
            ready, stores = _divide(stores, lambda store: store.node.number in here)  # noqa: B023
            self._add_loop(loop, part.computed, now, ready, materialised)
        self._add_loop(loop, (), fused, stores)  # Terms and elements that are in memory already.
        self._add_sums(loop, [node for node in reductions if node.number not in self._fused])

    def _stores_in(self, loop: int, stage: int) -> list[Store]:
        """Return the stores of wanted nodes that a loop of a stage computes."""
        d, sinks = self.dimensions, enumerate(self.sinks)
        in_loop = [(n, s) for n, (s, _) in sinks if d.in_loop(s) and d.loops[s.number] == loop]
        return [Store(node, number) for number, node in in_loop if d.stages[node.number] == stage]

    def _materialised(self, part: Part, must: set[int], stores: Sequence[Store]) -> tuple[Store, ...]:
        """Return where later steps read the nodes of a part."""
        materialised = []
        for node in part.computed:
            if node.number in must or node.number in part.kept:
                readable = [s for s in stores if s.node is node and s.sink is not None and self.sinks[s.sink].readable]
                materialised.append(readable[0] if readable else Store(node, None))
        self._memory.update(store.node.number for store in materialised)
        return tuple(materialised)

    def _add_sums(self, loop: int, nodes: Sequence[Node]) -> None:
        """Add loops over terms in memory, each with as many totals as registers hold."""
        totals = [(node, index) for node in nodes for index in self.dimensions.indices(node)]
        for start in range(0, len(totals), self.machine.sums):
            self._add_totals(loop, (), totals[start : start + self.machine.sums], (), ())

    def _add_loop(
        self,
        loop: int,
        computed: Sequence[Node],
        reductions: Sequence[Node],
        stores: Sequence[Store],
        materialised: Sequence[Store] = (),
    ) -> None:
        totals = [(node, index) for node in reductions for index in self.dimensions.indices(node)]
        if stores or totals:
            self._add_totals(loop, computed, totals, stores, materialised)

    def _add_totals(
        self,
        loop: int,
        computed: Sequence[Node],
        totals: Sequence[tuple[Node, Index]],
        stores: Sequence[Store],
        materialised: Sequence[Store],
    ) -> None:
        iterations = self.dimensions.sizes[loop]
        beside = interleaved(self.dimensions, computed, iterations)
        # Interleaved iterations share what they load, if registers are left for them.
        if len(totals) <= self.machine.sums:
            beside = max(beside, self.machine.fewest_beside)
        beside = min(beside, max(iterations // self.machine.team, 1))
        self.steps.append(Loop(iterations, beside, tuple(computed), tuple(totals), tuple(stores), tuple(materialised)))


def _latest_stages(dimensions: Dimensions) -> dict[int, int]:
    """Return the last stage in which each node can be computed without a loop.

    No register holds a number through a loop that does not need it.
    """
    latest: dict[int, int] = {}
    for node in reversed(dimensions.nodes):
        own = dimensions.stages[node.number]
        stage = own if dimensions.in_loop(node) else max(own, latest.get(node.number, own))
        for operand in node.inputs:
            # The loop that computes a reduction's terms belongs to the stage before.
            until = stage - dimensions.reduces_loop(node)
            latest[operand.number] = min(latest.get(operand.number, until), until)
        latest[node.number] = stage
    return latest


Item = TypeVar("Item")


def _divide(items: Sequence[Item], condition: Callable[[Item], bool]) -> tuple[list[Item], list[Item]]:
    """Return the items for which a condition holds, and the others, in their order."""
    flags = [condition(item) for item in items]
    return list(compress(items, flags)), [item for item, flag in zip(items, flags, strict=True) if not flag]


def _is_computed(node: Node) -> bool:
    return node.operation in PRIMITIVES


def _is_product(node: Node) -> bool:
    """Return whether a reduction's terms are products of elements of several inputs."""
    return len(node.inputs) > 1


def _fused(reductions: Sequence[Node], machine: Machine) -> list[Node]:
    """Return the reductions over a loop that are fused into the loop that computes their terms."""
    fused: list[Node] = []
    for node in reductions:
        room = sum(other.size for other in fused) + node.size <= machine.sums_beside
        if room and (machine.products_beside or not _is_product(node)):
            fused.append(node)
    return fused
