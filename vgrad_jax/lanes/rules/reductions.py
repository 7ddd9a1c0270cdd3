"""Reductions over axes of one input."""

import itertools
from collections.abc import Callable, Iterable, Iterator

from vgrad_jax.lanes import mathematics
from vgrad_jax.lanes.code import Code, Kind, Register
from vgrad_jax.lanes.graph import Node
from vgrad_jax.lanes.primitives import (
    FEW,
    PRIMITIVES,
    RESULT,
    Axes,
    AxisRef,
    Elements,
    Index,
    Primitive,
    Reduction,
    Use,
    register,
)
from vgrad_jax.lanes.rules.elementwise import arithmetic, larger, smaller

__all__ = ["reduced", "reduction"]


def reduction(
    name: str,
    combine: Callable[[Code, Register, Register], Register],
    identity: Callable[[Kind], float | int | bool | None],
    refusal: Callable[[Use], str | None] = lambda use: None,
    commutes: bool = True,
) -> None:
    """Register a reduction over the axes that the equation's parameter `axes` names.

    Args:
        name: the primitive's.
        combine: writes the total of a total and an element.
        identity: gives the element of a kind that changes no total; None where there is no code.
        refusal: why a use has no native code.
        commutes: whether a total has the same bits in either order of its terms.
    """
    rule = Reduction(_terms, combine, identity, commutes=commutes)
    register(Primitive(name, reduced, _kept_axes, "reduction", refusal, over=_over, reduction=rule))


def reduced(elements: Elements, node: Node, index: Index) -> Register:
    """Write an element of a reduction whose terms are all at hand."""
    rule = _rule_of(node)
    terms = rule.terms(elements, node, index)
    total = rule.value(elements.code, *next(terms))
    for term in terms:
        total = rule.accumulate(elements.code, total, term)
    return total


def _rule_of(node: Node) -> Reduction:
    rule = PRIMITIVES[node.operation].reduction
    assert rule is not None, node.operation
    return rule


def _over(node: Node) -> tuple[AxisRef, ...]:
    return tuple((0, int(axis)) for axis in node.parameters["axes"])


def _kept(node: Node) -> list[int]:
    """Return the input's axes that are the result's."""
    return [axis for axis in range(len(node.inputs[0].shape)) if axis not in node.parameters["axes"]]


def _kept_axes(node: Node) -> Axes:
    return Axes(tuple(((0, axis), (RESULT, result)) for result, axis in enumerate(_kept(node))))


def _terms(elements: Elements, node: Node, index: Index) -> Iterator[tuple[Register, ...]]:
    operand, kept = node.inputs[0], _kept(node)
    ranges: list[Iterable[int]] = [
        (index[kept.index(axis)],) if axis in kept else elements.range(node, operand, axis)
        for axis in range(len(operand.shape))
    ]
    for position in itertools.product(*ranges):
        yield (elements.value(operand, position),)


def _sum(code: Code, total: Register, term: Register) -> Register:
    return code.binary(arithmetic("add", total.kind), total, term)


def _bitwise(instruction: str) -> Callable[[Code, Register, Register], Register]:
    return lambda code, total, term: code.binary(instruction, total, term)


def _of_one_device(use: Use) -> str | None:
    groups, axes = use.parameters["axis_index_groups"], use.parameters["axes"]
    local = groups is None and all(isinstance(axis, int) for axis in axes) and len(use.shapes) == 1
    return None if local else "over devices"


def _argmax(elements: Elements, node: Node, index: Index) -> Register:
    """Write the position of the first of the largest elements, or of the first NaN."""
    code = elements.code
    values = [term[0] for term in _terms(elements, node, index)]
    largest, position = values[0], code.constant(0, node.kind)
    for number, value in enumerate(values[1:], 1):
        above = code.binary("fcmp ugt", value, largest, "bool")
        ordered = mathematics.compare(code, "ord", largest, largest)
        better = code.binary("and", above, ordered)
        largest = code.select(better, value, largest)
        position = code.select(better, code.constant(number, node.kind), position)
    return position


def _argmax_axes(node: Node) -> Axes:
    return Axes(_kept_axes(node).same, _over(node))


def _few_floats_only(use: Use) -> str | None:
    axes = use.parameters["axes"]
    if use.kinds[0] != "float":
        return f"for operands of kind {use.kinds[0]}"
    return None if len(axes) == 1 and use.shapes[0][axes[0]] <= FEW else f"over more than {FEW} elements"


reduction("reduce_sum", _sum, lambda kind: 0)
reduction("psum", _sum, lambda kind: 0, _of_one_device)
# The larger of 0 and -0 is the second.
reduction("reduce_max", larger, lambda kind: float("-inf") if kind == "float" else None, commutes=False)
reduction("reduce_min", smaller, lambda kind: float("inf") if kind == "float" else None, commutes=False)
reduction("reduce_and", _bitwise("and"), lambda kind: True if kind == "bool" else -1)
reduction("reduce_or", _bitwise("or"), lambda kind: 0)
register(Primitive("argmax", _argmax, _argmax_axes, "reduction", _few_floats_only, over=_over))
