"""Views: primitives whose elements are elements of their inputs, at another index."""

from collections.abc import Callable

from vgrad_jax.lanes.code import Register
from vgrad_jax.lanes.errors import NotInLanesError
from vgrad_jax.lanes.graph import Node
from vgrad_jax.lanes.primitives import ITERATION, RESULT, Axes, AxisRef, Elements, Index, Primitive, Use, register

__all__ = ["view"]

Source = tuple[Node, Index]
"""An input and an index in it."""


def view(
    name: str,
    source: Callable[[Node, Index], Source],
    axes: Callable[[Node], Axes],
    refusal: Callable[[Use], str | None] = lambda use: None,
) -> None:
    """Register a view.

    Args:
        name: the primitive's.
        source: finds an element of the result in an input.
        axes: relates the input's axes and the result's.
        refusal: why a use has no native code.
    """

    def code(elements: Elements, node: Node, index: Index) -> Register:
        return elements.value(*source(node, index))

    register(Primitive(name, code, axes, "view", refusal, cost=0.0))


def _unlooped(position: int) -> int:
    """Return a position on an axis that no loop goes over."""
    if position == ITERATION:
        raise NotInLanesError("a part of an axis that is looped over")
    return position


def _all_axes(node: Node) -> tuple[AxisRef, ...]:
    nodes = [(RESULT, node), *enumerate(node.inputs)]
    return tuple((operand, axis) for operand, some in nodes for axis in range(len(some.shape)))


def _broadcast(node: Node, index: Index) -> Source:
    return node.inputs[0], tuple(index[axis] for axis in node.parameters["broadcast_dimensions"])


def _broadcast_axes(node: Node) -> Axes:
    results = map(int, node.parameters["broadcast_dimensions"])  # Some are NumPy's.
    return Axes(tuple(((0, axis), (RESULT, result)) for axis, result in enumerate(results)))


def _static_shape_only(use: Use) -> str | None:
    return None if len(use.shapes) == 1 else "for shapes that are computed"


def _transposed(node: Node, index: Index) -> Source:
    source = [0] * len(index)
    for position, axis in zip(index, node.parameters["permutation"], strict=True):
        source[axis] = position
    return node.inputs[0], tuple(source)


def _transposed_axes(node: Node) -> Axes:
    axes = map(int, node.parameters["permutation"])  # Some are NumPy's.
    return Axes(tuple(((0, axis), (RESULT, result)) for result, axis in enumerate(axes)))


def _longer(shape: tuple[int, ...]) -> list[int]:
    """Return the axes of more than one element."""
    return [axis for axis, size in enumerate(shape) if size > 1]


def _keeps_axes(before: tuple[int, ...], after: tuple[int, ...]) -> bool:
    """Return whether a reshape only adds or removes axes of one element."""
    return [size for size in before if size > 1] == [size for size in after if size > 1]


def _reshaped(node: Node, index: Index) -> Source:
    operand = node.inputs[0]
    if _keeps_axes(operand.shape, node.shape):
        rest = iter([index[axis] for axis in _longer(node.shape)])
        return operand, tuple(next(rest) if size > 1 else 0 for size in operand.shape)
    element = 0
    for position, size in zip(map(_unlooped, index), node.shape, strict=True):
        element = element * size + position
    source = []
    for size in reversed(operand.shape):
        element, position = divmod(element, size)
        source.append(position)
    return operand, tuple(reversed(source))


def _reshaped_axes(node: Node) -> Axes:
    before, after = node.inputs[0].shape, node.shape
    if not _keeps_axes(before, after):
        return Axes(unlooped=_all_axes(node))
    pairs = zip(_longer(before), _longer(after), strict=True)
    return Axes(tuple(((0, axis), (RESULT, result)) for axis, result in pairs))


def _known_order_only(use: Use) -> str | None:
    if use.parameters["dimensions"] is not None:
        return "for another order of elements"
    return None if use.few or _keeps_axes(use.shapes[0], use.result) else "for axes that are split or merged"


def _sliced(node: Node, index: Index) -> Source:
    start, strides = node.parameters["start_indices"], node.parameters["strides"] or (1,) * len(index)
    sizes = zip(node.shape, node.inputs[0].shape, strict=True)
    positions = [p if size == before else _unlooped(p) for p, (size, before) in zip(index, sizes, strict=True)]
    # An axis that a loop goes over is taken from its first element to its last.
    moved = (p if p == ITERATION else s + p * step for p, s, step in zip(positions, start, strides, strict=True))
    return node.inputs[0], tuple(moved)


def _sliced_axes(node: Node) -> Axes:
    before, after = node.inputs[0].shape, node.shape
    pairs = tuple(((0, axis), (RESULT, axis)) for axis in range(len(after)))
    return Axes(pairs, tuple((0, axis) for axis in range(len(after)) if before[axis] != after[axis]))


def _whole_axes_only(use: Use) -> str | None:
    # Ranges of rows are XLA's: with a loop over the rows in the same function, they would have no loop.
    axes = zip(use.shapes[0], use.result, strict=True)
    return None if all(m == n or (n == 1 and use.few) for m, n in axes) else "for ranges of elements"


def _concatenated(node: Node, index: Index) -> Source:
    axis = node.parameters["dimension"]
    position = _unlooped(index[axis])
    for operand in node.inputs:
        if position < operand.shape[axis]:
            return operand, (*index[:axis], position, *index[axis + 1 :])
        position -= operand.shape[axis]
    raise AssertionError(index)


def _concatenated_axes(node: Node) -> Axes:
    joined, inputs = int(node.parameters["dimension"]), range(len(node.inputs))
    others = [axis for axis in range(len(node.shape)) if axis != joined]
    pairs = tuple(((operand, axis), (RESULT, axis)) for operand in inputs for axis in others)
    return Axes(pairs, ((RESULT, joined), *((operand, joined) for operand in inputs)))


def _stacked(node: Node, index: Index) -> Source:
    axis = node.parameters["axis"]
    return node.inputs[_unlooped(index[axis])], (*index[:axis], *index[axis + 1 :])


def _stacked_axes(node: Node) -> Axes:
    return Axes(unlooped=tuple((RESULT, axis) for axis in range(len(node.shape))))


view("broadcast_in_dim", _broadcast, _broadcast_axes, _static_shape_only)
view("concatenate", _concatenated, _concatenated_axes)
view("reshape", _reshaped, _reshaped_axes, _known_order_only)
view("slice", _sliced, _sliced_axes, _whole_axes_only)
view("squeeze", _reshaped, _reshaped_axes)
view("stack", _stacked, _stacked_axes)
view("transpose", _transposed, _transposed_axes)
