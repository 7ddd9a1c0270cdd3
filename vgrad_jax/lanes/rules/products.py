"""Products of matrices: sums of products over one axis of each input."""

from collections.abc import Iterator

from vgrad_jax.lanes import mathematics
from vgrad_jax.lanes.code import Register
from vgrad_jax.lanes.graph import Node
from vgrad_jax.lanes.primitives import RESULT, Axes, AxisRef, Elements, Index, Primitive, Reduction, Use, register
from vgrad_jax.lanes.rules.reductions import reduced

__all__ = ["contracted"]


def contracted(node: Node) -> tuple[int, int]:
    """Return the axis of each input that a product sums over."""
    (left, right), _ = node.parameters["dimension_numbers"]
    return int(left[0]), int(right[0])


def _free(node: Node) -> list[AxisRef]:
    """Return the inputs' axes that are the result's, in the result's order."""
    axes = contracted(node)
    inputs = enumerate(node.inputs)
    return [(n, axis) for n, operand in inputs for axis in range(len(operand.shape)) if axis != axes[n]]


def _axes(node: Node) -> Axes:
    left, right = contracted(node)
    free = tuple((ref, (RESULT, axis)) for axis, ref in enumerate(_free(node)))
    return Axes((*free, ((0, left), (1, right))))


def _refusal(use: Use) -> str | None:
    (left, _), (batch, _) = use.parameters["dimension_numbers"]
    if batch:
        return "for batched products"
    if len(left) != 1:
        return "for products over several axes"
    return None if set(use.kinds) == {"float"} else "for products of other than floats"


def _terms(elements: Elements, node: Node, index: Index) -> Iterator[tuple[Register, ...]]:
    left, right = contracted(node)
    a, b = node.inputs
    free = len(a.shape) - 1
    for position in elements.range(node, a, left):
        first, second = list(index[:free]), list(index[free:])
        first.insert(left, position)
        second.insert(right, position)
        yield elements.value(a, tuple(first)), elements.value(b, tuple(second))


def _over(node: Node) -> tuple[AxisRef, ...]:
    return ((0, contracted(node)[0]),)


def _length(node: Node) -> float:
    return float(node.inputs[0].shape[contracted(node)[0]])


register(
    Primitive(
        "dot_general",
        reduced,
        _axes,
        "reduction",
        _refusal,
        _length,
        _over,
        Reduction(_terms, mathematics.add, lambda kind: 0, mathematics.multiply),
    )
)
