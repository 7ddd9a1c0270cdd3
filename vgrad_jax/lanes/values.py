"""Elements of nodes as registers: computed, or loaded from memory, once each."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, NamedTuple

from vgrad_jax.lanes.code import CHUNK, Code, Memory, Register
from vgrad_jax.lanes.dimensions import Dimensions
from vgrad_jax.lanes.errors import NotInLanesError
from vgrad_jax.lanes.graph import Node
from vgrad_jax.lanes.primitives import ITERATION, PRIMITIVES, Elements, Index

__all__ = ["Iteration", "OverwrittenError", "Values"]


class OverwrittenError(Exception):
    """A leaf's elements are read after others were stored in their place."""


class Iteration(NamedTuple):
    """An iteration of a loop whose code is written."""

    number: str
    """A register, or a number."""
    known: dict[Any, Any]
    """Registers that hold for this iteration."""


class Values(Elements):
    """Elements of nodes, as registers.

    Args:
        code: where their code is written.
        dimensions: of the graph.
        arrays: the leaves' memory, by their numbers.
    """

    def __init__(self, code: Code, dimensions: Dimensions, arrays: Mapping[int, Memory]) -> None:
        self.code, self.dimensions = code, dimensions
        self.memory = dict(arrays)
        """Arrays of nodes that are in memory, by the nodes' numbers."""
        self.known: dict[tuple[int, Index], Register] = {}
        """Registers that hold until the end."""
        self.current: Iteration | None = None
        """The iteration whose code is written; None outside of loops."""
        self._briefly: dict[tuple[str, int], list[Register]] = {}
        """Registers that hold for the node that is computed: chunks of arrays that are near."""
        self._overwritten: dict[str, set[str]] = {memory.pointer: set() for memory in arrays.values()}

    @property
    def iteration(self) -> str:
        """The number of the iteration whose code is written."""
        assert self.current is not None, "only a loop has iterations"
        return self.current.number

    def value(self, node: Node, index: Index) -> Register:
        """Return an element of a node.

        Raises:
            OverwrittenError: the element was a leaf's and is overwritten.
        """
        index = tuple(0 if size == 1 else entry for size, entry in zip(node.shape, index, strict=True))
        key = (node.number, index)
        if key in self.known:
            return self.known[key]
        if node.operation == "literal":
            return self._constant(node, index)
        if node.number in self.memory:
            memory = self.memory[node.number]
            if self.current is not None and memory.is_near and ITERATION not in index and node.kind != "bool":
                return self._near(memory, int(self._element(node, index)))
            return self._remembered(key, lambda: self._load(self.memory[node.number], self._element(node, index)))
        compute = partial(PRIMITIVES[node.operation].code, self, node, index)
        if self.current is None:
            self.known[key] = compute()
            return self.known[key]
        if not self.dimensions.in_loop(node):
            raise NotInLanesError(f"{node.operation} is needed in a loop before it is computed")
        return self._remembered(key, compute)

    def begin_node(self) -> None:
        """Begin the next node of the interleaved iterations: what is near is loaded again."""
        self._briefly.clear()

    def range(self, node: Node, operand: Node, axis: int) -> Iterable[int]:
        """Return the entries of an index along an operand's axis that a reduction goes over."""
        loop = self.dimensions.loops[node.number]
        looped = self.dimensions.axes[operand.number][axis] == loop and self.dimensions.in_loop(operand)
        return (ITERATION,) if looped else range(operand.shape[axis])

    def store(self, node: Node, index: Index, memory: Memory) -> None:
        """Store an element of a node in an array of the node's shape."""
        element = self._element(node, index)
        self.code.store(memory, element, self.value(node, index))
        if self.holds_a_leaf(memory):
            self._overwritten[memory.pointer].add(element)

    def holds_a_leaf(self, memory: Memory) -> bool:
        """Return whether leaves are read from an array."""
        return memory.pointer in self._overwritten

    def check_not_overwritten(self, memory: Memory, element: str | None = None) -> None:
        """Raise `OverwrittenError` where an element, or any of them, is no longer the leaf's."""
        written = self._overwritten.get(memory.pointer)
        # The number of an element in a loop is known when the code runs.
        constant = element is not None and element.isdigit()
        if written and (not constant or element in written):
            raise OverwrittenError

    def _load(self, memory: Memory, element: str) -> Register:
        self.check_not_overwritten(memory, element)
        return self.code.load(memory, element)

    def _near(self, memory: Memory, element: int) -> Register:
        self.check_not_overwritten(memory, str(element))
        chunk = memory.pointer, element // CHUNK
        if chunk not in self._briefly:
            self._briefly[chunk] = self.code.load_chunk(memory, element // CHUNK)
        return self._briefly[chunk][element % CHUNK]

    def _element(self, node: Node, index: Index) -> str:
        """Return the number of an element, row-major."""
        constant, stride, moved = 0, 1, "0"
        for size, entry in zip(reversed(node.shape), reversed(index), strict=True):
            if entry == ITERATION:
                multiply = partial(self.code.integer, "mul", self.iteration, stride)
                moved = self._remembered(("iteration", stride), multiply)
            else:
                constant += entry * stride
            stride *= size
        return self.code.integer("add", moved, constant)

    def _remembered(self, key: Any, make: Callable[[], Any]) -> Any:
        if self.current is None:
            return make()
        if key not in self.current.known:
            self.current.known[key] = make()
        return self.current.known[key]

    def _constant(self, node: Node, index: Index) -> Register:
        if ITERATION in index:
            raise NotInLanesError("a constant that is looped over")
        return self.code.constant(node.parameters["value"][index].item(), node.kind)
