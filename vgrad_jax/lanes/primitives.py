"""The registry: one record for each primitive that has native code.

A record holds all that the compiler knows of a primitive:

    refusal      uses without native code       axes   axes that are one dimension
    cost         instructions of an element     code   the code of an element

Records stand beside their code in `vgrad_jax/lanes/rules/`, where helpers make the records of a family (elementwise,
view, reduction). A new primitive is a record there; no other file changes.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from vgrad_jax.jaxprs import JaxprEqn
from vgrad_jax.lanes.code import Code, Kind, Memory, Register, kind_of
from vgrad_jax.lanes.errors import NotInLanesError
from vgrad_jax.lanes.graph import Node

__all__ = [
    "FEW",
    "ITERATION",
    "PRIMITIVES",
    "RESULT",
    "Axes",
    "AxisRef",
    "Elements",
    "Index",
    "Primitive",
    "Reduction",
    "Use",
    "is_elementwise",
    "is_view",
    "register",
]

FEW = 64
"""Elements up to which an array is unrolled completely, and may be cut and reshaped in any way."""

Index = tuple[int, ...]
"""An element's position, an entry for each axis."""
ITERATION = -1
"""The entry of an index that is the number of the loop's iteration."""

AxisRef = tuple[int, int]
"""An operand and an axis of it; the operand is an input's position or `RESULT`."""
RESULT = -1


class Use(NamedTuple):
    """An equation as a record judges it, without the lanes."""

    shapes: tuple[tuple[int, ...], ...]
    """Shapes of the atoms."""
    kinds: tuple[Kind | None, ...]
    result: tuple[int, ...]
    """Shape of the result."""
    parameters: Any
    few: bool
    """True where each array has at most `FEW` elements."""

    @classmethod
    def of(cls, equation: JaxprEqn) -> "Use":
        """Return the use that an equation with one result makes of its primitive."""
        avals: list[Any] = [atom.aval for atom in equation.invars]
        result: Any = equation.outvars[0].aval
        return cls(
            tuple(tuple(aval.shape) for aval in avals),
            tuple(kind_of(aval.dtype) for aval in avals),
            tuple(result.shape),
            equation.params,
            all(aval.size <= FEW for aval in (*avals, result)),
        )


class Axes(NamedTuple):
    """Relations of a node's axes."""

    same: tuple[tuple[AxisRef, AxisRef], ...] = ()
    """Pairs that are one dimension: equal indices belong together."""
    unlooped: tuple[AxisRef, ...] = ()
    """Axes whose index must be a number when the code is written: no loop goes over them."""


class Elements(ABC):
    """The services of the emitter to a record's code: elements of other nodes, as registers."""

    code: Code
    memory: dict[int, Memory]
    """Arrays of nodes that are in memory, by the nodes' numbers."""

    @property
    @abstractmethod
    def iteration(self) -> str:
        """The number of the iteration whose code is written."""

    @abstractmethod
    def value(self, node: Node, index: Index) -> Register:
        """Return an element of a node."""

    @abstractmethod
    def range(self, node: Node, operand: Node, axis: int) -> Iterable[int]:
        """Return the entries of an index along an operand's axis that a reduction goes over."""

    @abstractmethod
    def check_not_overwritten(self, memory: Memory, element: str | None = None) -> None:
        """Raise an error where an element of a leaf, or any of them, was overwritten."""


@dataclass(frozen=True)
class Reduction:
    """A reduction of terms to one element; a loop may go over the terms."""

    terms: Callable[[Elements, Node, Index], Iterator[tuple[Register, ...]]]
    """Yield the terms of an element, each as registers of the inputs' elements."""
    combine: Callable[[Code, Register, Register], Register]
    """Write the total of a total and a term's value."""
    identity: Callable[[Kind], float | int | bool | None]
    """The number that changes no total; None where a loop over the terms has no code for the kind."""
    value: Callable[..., Register] = lambda code, term: term
    """Write a term's value from its registers."""
    commutes: bool = True
    """True where the total has the same bits in either order of its two terms."""

    def accumulate(self, code: Code, total: Register, term: tuple[Register, ...]) -> Register:
        """Return the total with one term more."""
        return self.combine(code, total, self.value(code, *term))

    def start(self, code: Code, node: Node) -> Register:
        """Return the total before the first iteration of a loop over the terms.

        Raises:
            NotInLanesError: a loop over the terms has no code for the kind.
        """
        identity = self.identity(node.kind)
        if identity is None:
            raise NotInLanesError(f"{node.operation} of {node.kind} over a loop")
        constant = code.constant(identity, node.kind)
        return code.spread(constant) if node.varying else constant


Family = Literal["elementwise", "view", "reduction", "other"]


@dataclass(frozen=True)
class Primitive:
    """The record of a primitive."""

    name: str
    code: Callable[[Any, Node, Index], Register]
    """Write the code of an element; the first argument is `Elements`."""
    axes: Callable[[Node], Axes]
    family: Family = "other"
    """elementwise: an element needs the inputs' elements of the same index. view: an element is an input's element."""
    refusal: Callable[[Use], str | None] = lambda use: None
    """Why a use has no native code, as the end of the sentence "... has no native code"."""
    cost: float | Callable[[Node], float] = 1.0
    """Instructions of an element, about."""
    over: Callable[[Node], tuple[AxisRef, ...]] = lambda node: ()
    """Axes of inputs that an element sums, or compares, over."""
    reduction: Reduction | None = None
    """None where no loop goes over `over`."""
    tables: tuple[int, ...] = ()
    """Inputs that are read from memory at a computed index, whatever loop computed them."""
    gpu: bool = True
    """True where a GPU's threads have exact code for it."""

    def instructions(self, node: Node) -> float:
        """Return the instructions of an element of a node, about."""
        return self.cost(node) if callable(self.cost) else self.cost


PRIMITIVES: dict[str, Primitive] = {}
"""Name to record."""


def register(record: Primitive) -> None:
    """Add a record to the registry."""
    assert record.name not in PRIMITIVES, f"{record.name} has two records"
    PRIMITIVES[record.name] = record


def is_elementwise(node: Node) -> bool:
    """Return whether a node's elements need elements of the same index only."""
    return node.operation in PRIMITIVES and PRIMITIVES[node.operation].family == "elementwise"


def is_view(node: Node) -> bool:
    """Return whether a node's elements are elements of its inputs."""
    return node.operation in PRIMITIVES and PRIMITIVES[node.operation].family == "view"
