"""Operations that compute nothing: where a number of their result is found in their input."""

from collections.abc import Callable

from vgrad_jax.lanes.dimensions import TURN, Index
from vgrad_jax.lanes.graph import Node, NotNativeError

__all__ = ["VIEWS"]

View = tuple[Node, Index]


def _broadcast(node: Node, index: Index) -> View:
    return node.inputs[0], tuple(index[place] for place in node.parameters["broadcast_dimensions"])


def _transposed(node: Node, index: Index) -> View:
    place = [0] * len(index)
    for at, axis in enumerate(node.parameters["permutation"]):
        place[axis] = index[at]
    return node.inputs[0], tuple(place)


def _reshaped(node: Node, index: Index) -> View:
    one = node.inputs[0]
    longer = [place for place, size in zip(index, node.shape, strict=True) if size > 1]
    if [n for n in one.shape if n > 1] == [n for n in node.shape if n > 1]:
        rest = iter(longer)
        return one, tuple(next(rest) if size > 1 else 0 for size in one.shape)
    if TURN in index:
        raise NotNativeError("a part of what is looped over")
    number = 0
    for place, size in zip(index, node.shape, strict=True):
        number = number * size + place
    places = []
    for size in reversed(one.shape):
        number, place = divmod(number, size)
        places.append(place)
    return one, tuple(reversed(places))


def _sliced(node: Node, index: Index) -> View:
    sizes = zip(index, node.shape, node.inputs[0].shape, strict=True)
    if any(place == TURN and size != whole for place, size, whole in sizes):
        raise NotNativeError("a part of what is looped over")
    start, strides = node.parameters["start_indices"], node.parameters["strides"] or (1,) * len(index)
    moved = (p if p == TURN else s + p * step for p, s, step in zip(index, start, strides, strict=True))
    return node.inputs[0], tuple(moved)


def _concatenated(node: Node, index: Index) -> View:
    axis = node.parameters["dimension"]
    place = index[axis]
    if place == TURN:
        raise NotNativeError("a part of what is looped over")
    for one in node.inputs:
        if place < one.shape[axis]:
            return one, (*index[:axis], place, *index[axis + 1 :])
        place -= one.shape[axis]
    raise AssertionError(index)


def _stacked(node: Node, index: Index) -> View:
    axis = node.parameters["axis"]
    if index[axis] == TURN:
        raise NotNativeError("a part of what is looped over")
    return node.inputs[index[axis]], (*index[:axis], *index[axis + 1 :])


VIEWS: dict[str, Callable[[Node, Index], View]] = {
    "broadcast_in_dim": _broadcast,
    "concatenate": _concatenated,
    "reshape": _reshaped,
    "slice": _sliced,
    "squeeze": _reshaped,
    "stack": _stacked,
    "transpose": _transposed,
}
"""An operation's input, and the index in it, for an index in its result."""
