"""A program carried out operation by operation, with facts of every value: is it finite, is it zero, where is it from?

    x ──► log ──► mul ──► reduce_sum          each value is a node that knows its operation and its parents
    0      -inf    nan      nan

Facts are computed on the device, and read when they are asked for. A loop is run as it stands. It is entered only when
one of its results is asked for: at the iteration in which this result stopped being finite.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from vgrad_jax.jaxprs import (
    ClosedJaxpr,
    SourceLine,
    branches,
    called,
    carry_out,
    evaluate,
    is_library_function,
    source_line,
)

__all__ = ["LOOPS", "Node", "Program", "facts_of"]

LOOPS = ("scan", "while")
"""Primitives that repeat an inner program."""
FACTS = ("nan", "positive_infinity", "negative_infinity", "zero", "negative")
"""Facts of a value, each true where any element is so."""


@jax.jit
def _facts(value: Array) -> Float[Array, "6"]:
    number = jnp.abs(value) if jnp.iscomplexobj(value) else value
    finite = jnp.isfinite(number)
    largest = jnp.max(jnp.where(finite, jnp.abs(number), 0), initial=0)
    tests = (jnp.isnan(number), number == jnp.inf, number == -jnp.inf, number == 0, number < 0)
    return jnp.stack([*(test.any().astype(jnp.float32) for test in tests), largest.astype(jnp.float32)])


def facts_of(value: Any) -> Float[Array, "6"] | None:
    """Return the facts of a floating-point value, then its largest magnitude; None for any other."""
    dtype = getattr(value, "dtype", None)
    if dtype is None or not jnp.issubdtype(dtype, jnp.inexact):
        return None
    return _facts(value)


@dataclass(eq=False)
class Node:
    """A value of the program, without its elements."""

    known: Any
    """Facts of the value; None where it is no floating-point number."""
    role: str
    """Kind of value: "parameter", "batch", "constant", "carry", or "operation"."""
    name: str = ""
    """Path of a parameter or of a leaf of the batch."""
    equation: Any = None
    number: int = 0
    """Index among the equation's results."""
    parents: Sequence["Node"] = ()
    values: Sequence[Any] | None = None
    """Values of the atoms of a loop, with which it is entered."""
    caller: Any = None
    """Equation that calls the library's function in which the operation stands."""
    loop: tuple["Node", int, int] | None = None
    """Result of the loop, index of the carry and iteration, for a value that a loop carries."""

    @cached_property
    def facts(self) -> dict[str, bool]:
        """The facts by name."""
        known = np.zeros(6) if self.known is None else np.asarray(self.known)
        return {name: bool(known[index]) for index, name in enumerate(FACTS)}

    @cached_property
    def line(self) -> SourceLine | None:
        """The user's line of the operation."""
        equation = self.equation if self.caller is None else self.caller
        return None if equation is None else source_line(equation)

    @property
    def primitive(self) -> str:
        """Name of the operation; empty for an input."""
        return "" if self.equation is None else self.equation.primitive.name

    @property
    def is_nan(self) -> bool:
        """True where an element is NaN."""
        return self.facts["nan"]

    @property
    def is_infinite(self) -> bool:
        """True where an element is infinite."""
        return self.facts["positive_infinity"] or self.facts["negative_infinity"]

    @property
    def is_zero(self) -> bool:
        """True where all elements are zero."""
        return self.known is not None and self.is_finite and float(np.asarray(self.known)[5]) == 0

    @property
    def is_finite(self) -> bool:
        """True where all elements are finite."""
        return not self.is_nan and not self.is_infinite


@dataclass
class Program:
    """Nodes of all operations that were carried out."""

    nodes: list[Node] = field(default_factory=list)

    def run(
        self, closed: ClosedJaxpr, arguments: Sequence[tuple[Any, Node]], caller: Any = None
    ) -> list[tuple[Any, Node]]:
        """Carry out a program on values with their nodes; `caller` is the equation that calls it from a user's line."""
        step = partial(self._step, caller)
        return evaluate(closed, arguments, step, lambda value: (value, Node(facts_of(value), "constant")))

    def _step(self, caller: Any, equation: Any, arguments: list[tuple[Any, Node]]) -> list[tuple[Any, Node]]:
        if (inner := called(equation)) is not None:
            by_library = is_library_function(inner)
            return self.run(inner, arguments, (caller or equation) if by_library else None)
        values, parents = [value for value, _ in arguments], [node for _, node in arguments]
        name = equation.primitive.name
        if name == "cond":
            choices = branches(equation)
            return self.run(choices[int(np.clip(int(values[0]), 0, len(choices) - 1))], arguments[1:], caller)
        outputs = carry_out(equation, values)
        kept = values if name in LOOPS else None
        if name == "select_n":
            parents = _chosen(values, parents)
        nodes = [
            Node(facts_of(output), "operation", "", equation, number, parents, kept, caller)
            for number, output in enumerate(outputs)
        ]
        self.nodes += nodes
        return list(zip(outputs, nodes, strict=True))


def _chosen(values: Sequence[Any], parents: Sequence[Node]) -> list[Node]:
    """Return the cases of a selection with the facts of the elements that were chosen."""
    which, *cases = values
    if facts_of(cases[0]) is None:
        return list(parents)
    masked = [
        Node(_facts_where(which, index, case), "operation", parents=[parent])
        for index, (case, parent) in enumerate(zip(cases, parents[1:], strict=True))
    ]
    return [parents[0], *masked]


@partial(jax.jit, static_argnums=1)
def _facts_where(which: Array, index: int, case: Array) -> Float[Array, "6"]:
    chosen = jnp.broadcast_to(which.astype(jnp.int32) == index, case.shape)
    return _facts(jnp.where(chosen, case, jnp.ones_like(case)))


def run_plainly(closed: ClosedJaxpr) -> Callable[..., list[Any]]:
    """Return a program as a function of arrays."""
    return lambda *arguments: jax.core.eval_jaxpr(closed.jaxpr, closed.consts, *arguments)
