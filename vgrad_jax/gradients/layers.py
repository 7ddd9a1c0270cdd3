"""Layers of a pytree: which leaves are one layer, and in which order the layers stand.

    leaf              layer             order
    Dense_10/bias     Dense_10 ┐
    Dense_10/kernel   Dense_10 ├─────►  Dense_2, Dense_10
    Dense_2/kernel    Dense_2  ┘

1. Every floating-point leaf is described by the words of its path, its shape and its rank among its siblings.
2. Its layer is its parent, or what `Grouping` says. A stacked leaf is cut into pieces, one for each layer of the stack.
3. Layers are sorted by the rank of their first piece, in which numbers inside names count as numbers.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from vgrad_jax.errors import InputError

__all__ = ["Grouping", "LayerMap", "Piece", "float_leaves", "map_layers", "path_name"]


class Piece(NamedTuple):
    """A leaf, or one slice of a leaf in which the layers of a `lax.scan` are stacked."""

    leaf: int
    """Index among `float_leaves`."""
    slice: int | None
    """Index on the stacked axis; None for an undivided leaf."""


class LayerMap(NamedTuple):
    """Layers of a pytree, input side first; the same for every tree of the same shapes."""

    paths: tuple[str, ...]
    pieces: tuple[tuple[Piece, ...], ...]
    """Pieces of each layer."""
    counts: tuple[int, ...]
    """Number of elements of each layer."""
    has_matrix: tuple[bool, ...]
    """True for a layer with a piece of two axes or more: weights, and not only biases or the gain of a norm."""
    dtypes: tuple[str, ...]
    """Dtype of each layer's largest piece."""


@dataclass(frozen=True)
class Grouping:
    """Rules by which leaves become layers.

    Leaves with the same parent are one layer: `Dense_0/kernel` and `Dense_0/bias`. Leaves right at the root, and the
    matrices of a list, are layers of their own. Names that end in numbers are grouped by them: `w1` and `b1` beside
    `w2` and `b2` are layers 1 and 2. Layers stand in the order of the tree. Where names were sorted as text
    (dictionaries, nnx) `Dense_2` comes before `Dense_10`.

    Args:
        per_leaf: every leaf is a layer.
        stacked: a regular expression; a leaf whose path it matches has a leading axis (after any batch axes) on which
            layers are stacked for `lax.scan`. They are split, and the index follows the part of the path that matched.
        group: a regular expression; leaves whose paths are equal up to the end of the match are one layer.
        include: a regular expression; only leaves whose path it matches.
        exclude: a regular expression; no leaf whose path it matches.
        order: the layers' paths, input side first; it may name layers that do not exist.

    Raises:
        InputError: a pattern is not a regular expression.
    """

    per_leaf: bool = False
    stacked: str | None = None
    group: str | None = None
    include: str | None = None
    exclude: str | None = None
    order: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        for name in ("stacked", "group", "include", "exclude"):
            pattern = getattr(self, name)
            try:
                re.compile(pattern or "")
            except re.error as error:
                raise InputError(f"{name}={pattern!r} is not a regular expression: {error}") from None

    def selects(self, path: str) -> bool:
        """Return whether `include` and `exclude` keep a leaf."""
        included = self.include is None or re.search(self.include, path) is not None
        return included and not (self.exclude is not None and re.search(self.exclude, path) is not None)


class _Leaf(NamedTuple):
    """A floating-point leaf without its batch axes."""

    names: tuple[str, ...]
    """Words of its path."""
    rank: tuple[int, ...]
    """Position of each word among its siblings."""
    shape: tuple[int, ...]
    dtype: str
    in_sequence: bool
    """True for an element of a list or tuple."""
    stack_depth: int | None
    """Number of words before the index of a stacked layer; None for a leaf that is not stacked."""

    @property
    def path(self) -> str:
        return "/".join(self.names)

    @property
    def layer_shape(self) -> tuple[int, ...]:
        """The shape of one layer's piece."""
        return self.shape[self.stack_depth is not None :]

    @property
    def size(self) -> int:
        """The number of elements of one layer's piece."""
        return int(np.prod(self.layer_shape, dtype=np.int64))


_Ranked = tuple[tuple[int, ...], Piece]
"""Piece of a layer, with the rank that sorts it."""


def float_leaves(tree: PyTree) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Yield paths and leaves that hold floating-point numbers; None, functions, integers and keys are skipped.

    A Python float among the parameters is a leaf without axes, as `jax.grad` takes it.
    """
    for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]:
        if isinstance(leaf, float | complex) and not isinstance(leaf, np.generic):
            yield path, jnp.asarray(leaf)
            continue
        is_array = hasattr(leaf, "shape") and hasattr(leaf, "dtype")
        if is_array and jnp.issubdtype(leaf.dtype, jnp.inexact) and np.prod(leaf.shape, dtype=np.int64):
            yield path, leaf


def path_name(path: Sequence[Any]) -> tuple[str, ...]:
    """Return the words of a path, without the `value` that nnx puts behind every variable.

    >>> path_name(jax.tree_util.tree_flatten_with_path({"Dense_0": {"kernel": 1.0}})[0][0][0])
    ('Dense_0', 'kernel')
    """
    names = [jax.tree_util.keystr((key,), simple=True) for key in path]
    attribute = bool(path) and isinstance(path[-1], jax.tree_util.GetAttrKey)
    return tuple(names[:-1] if attribute and names[-1] == "value" and len(names) > 1 else names)


def map_layers(tree: PyTree, grouping: Grouping = Grouping(), batch_axes: int = 0) -> LayerMap:
    """Find the layers of a tree of arrays or of shapes.

    Args:
        tree: gradients, parameters or updates of any framework.
        grouping: rules by which leaves become layers.
        batch_axes: number of leading axes of every leaf that are not the layer's own, such as seeds.

    Raises:
        InputError: no leaf is left, a leaf has too few axes, or `order` lacks a layer.

    >>> dense = {"kernel": jnp.ones((2, 2)), "bias": jnp.ones(2)}
    >>> map_layers({"Dense_10": dense, "Dense_2": dense}).paths
    ('Dense_2', 'Dense_10')
    >>> map_layers({"blocks": {"kernel": jnp.ones((3, 2, 2))}}, Grouping(stacked="blocks")).paths
    ('blocks/0', 'blocks/1', 'blocks/2')
    """
    leaves = _describe_leaves(tree, grouping.stacked, batch_axes)
    layers = _collect_pieces(leaves, grouping)
    if not layers:
        raise InputError(_nothing_left(leaves, grouping))
    ordered = _order_layers(layers, grouping.order)
    pieces = tuple(tuple(piece for _, piece in ranked) for ranked in ordered.values())
    return LayerMap(
        paths=tuple(ordered),
        pieces=pieces,
        counts=tuple(sum(leaves[piece.leaf].size for piece in layer) for layer in pieces),
        has_matrix=tuple(any(len(leaves[piece.leaf].layer_shape) >= 2 for piece in layer) for layer in pieces),
        dtypes=tuple(
            max((leaves[piece.leaf] for piece in layer), key=lambda leaf: leaf.size).dtype for layer in pieces
        ),
    )


def _describe_leaves(tree: PyTree, stacked: str | None, batch_axes: int) -> list[_Leaf]:
    paths_and_leaves = list(float_leaves(tree))
    names = [path_name(path) for path, _ in paths_and_leaves]
    leaves = []
    for (path, leaf), name, rank in zip(paths_and_leaves, names, _ranks(names), strict=True):
        if len(leaf.shape) < batch_axes:
            raise InputError(
                f"{'/'.join(name)} has the shape {tuple(leaf.shape)}, fewer axes than batch_axes={batch_axes}; "
                "every leaf needs the leading batch axes"
            )
        in_sequence = bool(path) and isinstance(path[-1], jax.tree_util.SequenceKey)
        shape = tuple(leaf.shape[batch_axes:])
        leaves.append(_Leaf(name, rank, shape, str(leaf.dtype), in_sequence, _stack_depth(name, shape, stacked)))
    return leaves


def _ranks(names: list[tuple[str, ...]]) -> list[tuple[int, ...]]:
    """Return, for every path, the position of each of its words among its siblings."""
    children: dict[tuple[str, ...], list[str]] = {}
    for name in names:
        for depth, word in enumerate(name):
            siblings = children.setdefault(name[:depth], [])
            if word not in siblings:
                siblings.append(word)
    # Siblings in the order of the text were sorted by name, which says nothing of depth. Any other order was chosen.
    ranked = {
        parent: sorted(words, key=_natural) if words == sorted(words) else words for parent, words in children.items()
    }
    position = {parent: {word: index for index, word in enumerate(words)} for parent, words in ranked.items()}
    return [tuple(position[name[:depth]][word] for depth, word in enumerate(name)) for name in names]


def _natural(word: str) -> list[tuple[bool, int, str]]:
    """Return a key that sorts 2 before 10."""
    return [(run.isdigit(), int(run) if run.isdigit() else 0, run) for run in re.split(r"(\d+)", word) if run]


def _stack_depth(names: tuple[str, ...], shape: tuple[int, ...], pattern: str | None) -> int | None:
    """Count the words before the index of a stacked layer; None where nothing is stacked."""
    path = "/".join(names)
    match = re.search(pattern, path) if pattern else None
    if match is None:
        return None
    if not shape:
        raise InputError(f"{path} matches stacked={pattern!r} but has no axis on which layers could be stacked")
    return path[: match.end()].rstrip("/").count("/") + 1


def _collect_pieces(leaves: list[_Leaf], grouping: Grouping) -> dict[str, list[_Ranked]]:
    """Return the pieces of each layer, sorted by rank."""
    layers: dict[str, list[_Ranked]] = {}
    for number, (leaf, name) in enumerate(zip(leaves, _layer_names(leaves, grouping), strict=True)):
        if not grouping.selects(leaf.path):
            continue
        depth = leaf.stack_depth
        if depth is None:
            layers.setdefault("/".join(name), []).append((leaf.rank, Piece(number, None)))
            continue
        for index in range(leaf.shape[0]):
            path = "/".join((*name[:depth], str(index), *name[depth:]))
            rank = (*leaf.rank[:depth], index, *leaf.rank[depth:])
            layers.setdefault(path, []).append((rank, Piece(number, index)))
    return {path: sorted(ranked) for path, ranked in layers.items()}


def _layer_names(leaves: list[_Leaf], grouping: Grouping) -> list[tuple[str, ...]]:
    """Return the layer of each leaf, without the index of a stacked layer."""
    if grouping.per_leaf:
        return [leaf.names for leaf in leaves]
    siblings: dict[tuple[str, ...], list[int]] = {}
    for number, leaf in enumerate(leaves):
        siblings.setdefault(leaf.names[:-1], []).append(number)
    names = [leaf.names[:-1] for leaf in leaves]
    for parent, members in siblings.items():
        for number, name in zip(members, _names_of_siblings(parent, [leaves[n] for n in members]), strict=True):
            names[number] = name
    if grouping.group:
        for number, leaf in enumerate(leaves):
            match = re.search(grouping.group, leaf.path)
            if match:
                names[number] = tuple(leaf.path[: match.end()].rstrip("/").split("/"))
    # A stacked leaf without a parent inside the stack is the stack's own layer.
    return [
        leaf.names[: leaf.stack_depth] if leaf.stack_depth is not None and len(name) < leaf.stack_depth else name
        for name, leaf in zip(names, leaves, strict=True)
    ]


def _names_of_siblings(parent: tuple[str, ...], leaves: list[_Leaf]) -> list[tuple[str, ...]]:
    """Return the layers of leaves with one parent: the parent, numbers that end their names, or layers of their own."""
    numbered = [re.fullmatch(r"(.*[^\d])(\d+)", leaf.names[-1]) for leaf in leaves if leaf.names]
    endings = [match.group(2) for match in numbered if match]
    if len(endings) == len(leaves) and len(set(endings)) > 1:
        return [
            (*parent, ending) if endings.count(ending) > 1 else leaf.names
            for leaf, ending in zip(leaves, endings, strict=True)
        ]
    matrices = sum(len(leaf.layer_shape) >= 2 for leaf in leaves)
    if not parent or (matrices > 1 and all(leaf.in_sequence for leaf in leaves)):
        return [leaf.names for leaf in leaves]
    return [parent] * len(leaves)


def _order_layers(layers: dict[str, list[_Ranked]], order: tuple[str, ...] | None) -> dict[str, list[_Ranked]]:
    if order is None:
        return dict(sorted(layers.items(), key=lambda item: item[1][0][0]))
    missing = [path for path in layers if path not in order]
    if missing:
        raise InputError(f"order names no layer {missing[0]!r}; it needs all of: {', '.join(sorted(layers))}")
    return {path: layers[path] for path in order if path in layers}


def _nothing_left(leaves: list[_Leaf], grouping: Grouping) -> str:
    if not leaves:
        return "there is no floating-point array in the tree; expected gradients or parameters, arrays in any pytree"
    paths = ", ".join(leaf.path for leaf in leaves[:6])
    return (
        f"no leaf is left with include={grouping.include!r} and exclude={grouping.exclude!r}; "
        f"the paths they are matched with are: {paths}{', ...' if len(leaves) > 6 else ''}"
    )
