"""The graph of a block: nodes for operations of one result, and operations with loops or several results.

A block is a jaxpr without calls: a whole function, or the body of a loop or of a branch.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from vgrad_jax.jaxprs import ClosedJaxpr, JaxprEqn, evaluate, scan_of
from vgrad_jax.lanes.graph import Node, kind_of_array, literal
from vgrad_jax.lanes.varying import varying_results

__all__ = ["FREE", "OPERATIONS", "Block", "Operation", "block_of", "is_given"]

OPERATIONS = ("cond", "scan", "sort", "while")
"""Primitives with loops of their own or with several results."""
FREE = ("leaf", "literal", "result")
"""Operations of nodes that no code computes."""


@dataclass(frozen=True, eq=False)
class Operation:
    """An equation that is written as a whole."""

    equation: JaxprEqn
    inputs: tuple[Node, ...]
    outputs: tuple[Node, ...]

    @property
    def name(self) -> str:
        """The primitive's name."""
        return self.equation.primitive.name

    def read_by_rows(self) -> tuple[Node, ...]:
        """Return the inputs of which each iteration reads a row."""
        if self.name != "scan":
            return ()
        scan = scan_of(self.equation)
        return self.inputs[scan.num_consts + scan.num_carry :]


class Block(NamedTuple):
    """A jaxpr as nodes."""

    results: list[Node]
    made_by: dict[int, Operation]
    """Number of an operation's output to the operation."""


def is_given(node: Node) -> bool:
    """Return whether a node is an array in memory or a constant."""
    return node.operation in FREE


def block_of(closed: ClosedJaxpr, arguments: Sequence[Node]) -> Block:
    """Return the block of a jaxpr whose calls are inlined.

    Raises:
        NotInLanesError: a dtype has no native code.
    """
    made_by: dict[int, Operation] = {}

    def rule(equation: JaxprEqn, inputs: list[Node]) -> list[Node]:
        varying = varying_results(equation, [node.varying for node in inputs])
        name = equation.primitive.name
        single = name not in OPERATIONS
        avals: list[Any] = [variable.aval for variable in equation.outvars]
        outputs = tuple(
            Node(
                name if single else "result",
                tuple(inputs) if single else (),
                tuple(aval.shape),
                kind_of_array(aval.dtype, f"a result of {name}"),
                flag,
                equation.params if single else {},
            )
            for aval, flag in zip(avals, varying, strict=True)
        )
        if not single:
            operation = Operation(equation, tuple(inputs), outputs)
            made_by.update((node.number, operation) for node in outputs)
        return list(outputs)

    return Block(evaluate(closed, list(arguments), rule, literal), made_by)
