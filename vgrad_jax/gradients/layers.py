"""Which leaves of a pytree make which layer, and in which order the layers stand."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from vgrad_jax.errors import InputError

__all__ = ["Grouping", "LayerMap", "Part", "float_leaves", "map_layers", "path_name"]


class Part(NamedTuple):
    """A leaf, or one slice of a leaf in which the layers of a `lax.scan` are stacked."""

    leaf: int
    """Place among `float_leaves`."""
    slice: int | None
    """Place on the stacked axis; None for the whole leaf."""


class LayerMap(NamedTuple):
    """The layers of a pytree, input side first; the same for every tree of the same shapes."""

    paths: tuple[str, ...]
    parts: tuple[tuple[Part, ...], ...]
    """What each layer is made of."""
    counts: tuple[int, ...]
    """Elements of each layer."""
    has_matrix: tuple[bool, ...]
    """Whether a part has two axes or more: weights, and not only biases or the gain of a norm."""
    dtypes: tuple[str, ...]
    """Of each layer's largest part."""


@dataclass(frozen=True)
class Grouping:
    """How leaves become layers.

    Leaves with the same parent are one layer: `Dense_0/kernel` and `Dense_0/bias`. Leaves right at the root, and the
    matrices of a list, are layers of their own, but `w1` and `b1` beside `w2` and `b2` are layers 1 and 2. Layers stand
    in the order of the tree, and where names were sorted as text (dictionaries, nnx) `Dense_2` comes before `Dense_10`.

    Args:
        per_leaf: every leaf is a layer.
        stacked: a regular expression; a leaf whose path it matches has a leading axis (after any batch axes) on which
            layers are stacked for `lax.scan`. They are split, and the index follows the part of the path that matched.
        group: a regular expression; a layer is everything whose path is the same up to the end of the match.
        include: a regular expression; only leaves whose path it matches.
        exclude: a regular expression; no leaf whose path it matches.
        order: the layers' paths, input side first; it may name layers that are not there.
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


class _Leaf(NamedTuple):
    names: tuple[str, ...]
    rank: tuple[int, ...]
    shape: tuple[int, ...]
    dtype: str
    in_sequence: bool


def float_leaves(tree: PyTree) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Paths and leaves that hold floating-point numbers; None, functions, integers and random keys are passed over."""
    for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]:
        if (
            hasattr(leaf, "shape")
            and hasattr(leaf, "dtype")
            and jnp.issubdtype(leaf.dtype, jnp.inexact)
            and _size(leaf)
        ):
            yield path, leaf


def path_name(path: Sequence[Any]) -> tuple[str, ...]:
    """The words of a path, without the `value` that nnx puts behind every variable.

    >>> path_name(jax.tree_util.tree_flatten_with_path({"Dense_0": {"kernel": 1.0}})[0][0][0])
    ('Dense_0', 'kernel')
    """
    names = [jax.tree_util.keystr((key,), simple=True) for key in path]
    attribute = bool(path) and isinstance(path[-1], jax.tree_util.GetAttrKey)
    return tuple(names[:-1] if attribute and names[-1] == "value" and len(names) > 1 else names)


def map_layers(tree: PyTree, grouping: Grouping = Grouping(), batch_axes: int = 0) -> LayerMap:
    """The layers of a tree of arrays or of shapes.

    Args:
        tree: gradients, parameters or updates of any framework.
        grouping: how leaves become layers.
        batch_axes: leading axes of every leaf that are not the layer's own, such as seeds.

    Raises:
        InputError: no leaf is left, a leaf has too few axes, or `order` lacks a layer.

    >>> dense = {"kernel": jnp.ones((2, 2)), "bias": jnp.ones(2)}
    >>> map_layers({"Dense_10": dense, "Dense_2": dense}).paths
    ('Dense_2', 'Dense_10')
    >>> map_layers({"blocks": {"kernel": jnp.ones((3, 2, 2))}}, Grouping(stacked="blocks")).paths
    ('blocks/0', 'blocks/1', 'blocks/2')
    """
    leaves = _described(tree, batch_axes)
    stacked_at = [_stacked_at(leaf, grouping.stacked) for leaf in leaves]
    layer_names = _layer_names(leaves, stacked_at, grouping)
    layers: dict[tuple[str, ...], list[tuple[tuple[int, ...], Part]]] = {}
    for number, leaf in enumerate(leaves):
        if not _chosen("/".join(leaf.names), grouping):
            continue
        place = stacked_at[number]
        if place is None:
            layers.setdefault(layer_names[number], []).append((leaf.rank, Part(number, None)))
            continue
        for index in range(leaf.shape[0]):
            name = (*layer_names[number][:place], str(index), *layer_names[number][place:])
            rank = (*leaf.rank[:place], index, *leaf.rank[place:])
            layers.setdefault(name, []).append((rank, Part(number, index)))
    if not layers:
        raise InputError(_nothing_left(leaves, grouping))
    ordered = _ordered({"/".join(name): sorted(parts) for name, parts in layers.items()}, grouping.order)
    parts = tuple(tuple(part for _, part in found) for found in ordered.values())
    return LayerMap(
        paths=tuple(ordered),
        parts=parts,
        counts=tuple(sum(_part_size(leaves[p.leaf], p) for p in layer) for layer in parts),
        has_matrix=tuple(any(_part_rank(leaves[p.leaf], p) >= 2 for p in layer) for layer in parts),
        dtypes=tuple(leaves[max(layer, key=lambda p: _part_size(leaves[p.leaf], p)).leaf].dtype for layer in parts),
    )


def _described(tree: PyTree, batch_axes: int) -> list[_Leaf]:
    found = list(float_leaves(tree))
    names = [path_name(path) for path, _ in found]
    ranks = _ranks(names)
    leaves = []
    for (path, leaf), name, rank in zip(found, names, ranks, strict=True):
        if len(leaf.shape) < batch_axes:
            raise InputError(
                f"{'/'.join(name)} has the shape {tuple(leaf.shape)}, fewer axes than batch_axes={batch_axes}; "
                "every leaf needs the leading batch axes"
            )
        in_sequence = bool(path) and isinstance(path[-1], jax.tree_util.SequenceKey)
        leaves.append(_Leaf(name, rank, tuple(leaf.shape[batch_axes:]), str(leaf.dtype), in_sequence))
    return leaves


def _ranks(names: list[tuple[str, ...]]) -> list[tuple[int, ...]]:
    """For every path, the place of each of its words among its siblings."""
    children: dict[tuple[str, ...], list[str]] = {}
    for name in names:
        for depth, word in enumerate(name):
            siblings = children.setdefault(name[:depth], [])
            if word not in siblings:
                siblings.append(word)
    # In the order of the text it was sorted by name, which says nothing of depth; any other order was chosen.
    ranked = {
        parent: sorted(words, key=_natural) if words == sorted(words) else words for parent, words in children.items()
    }
    places = {parent: {word: place for place, word in enumerate(words)} for parent, words in ranked.items()}
    return [tuple(places[name[:depth]][word] for depth, word in enumerate(name)) for name in names]


def _natural(word: str) -> list[tuple[bool, int, str]]:
    """A key that sorts 2 before 10."""
    return [(part.isdigit(), int(part) if part.isdigit() else 0, part) for part in re.split(r"(\d+)", word) if part]


def _stacked_at(leaf: _Leaf, pattern: str | None) -> int | None:
    """How many words of the path are before the index of the stacked layer; None where nothing is stacked."""
    path = "/".join(leaf.names)
    match = re.search(pattern, path) if pattern else None
    if match is None:
        return None
    if not leaf.shape:
        raise InputError(f"{path} matches stacked={pattern!r} but has no axis on which layers could be stacked")
    return path[: match.end()].rstrip("/").count("/") + 1


def _layer_names(leaves: list[_Leaf], stacked_at: list[int | None], grouping: Grouping) -> list[tuple[str, ...]]:
    """The layer of each leaf, without the index of a stacked one."""
    if grouping.per_leaf:
        return [leaf.names for leaf in leaves]
    siblings: dict[tuple[str, ...], list[int]] = {}
    for number, leaf in enumerate(leaves):
        siblings.setdefault(leaf.names[:-1], []).append(number)
    names = [leaf.names[:-1] for leaf in leaves]
    for parent, group in siblings.items():
        numbers = [re.fullmatch(r"(.*[^\d])(\d+)", leaves[n].names[-1]) for n in group if leaves[n].names]
        endings = [match.group(2) for match in numbers if match]
        matrices = sum(len(leaves[n].shape) - (stacked_at[n] is not None) >= 2 for n in group)
        if len(endings) == len(group) and len(set(endings)) > 1:
            for n, ending in zip(group, endings, strict=True):
                names[n] = (*parent, ending) if endings.count(ending) > 1 else leaves[n].names
        elif not parent or (matrices > 1 and all(leaves[n].in_sequence for n in group)):
            for n in group:
                names[n] = leaves[n].names
    if grouping.group:
        for n, leaf in enumerate(leaves):
            path = "/".join(leaf.names)
            match = re.search(grouping.group, path)
            if match:
                names[n] = tuple(path[: match.end()].rstrip("/").split("/"))
    # A stacked leaf without a parent inside the stack is the stack's own layer.
    return [
        name if place is None or len(name) >= place else leaf.names[:place]
        for name, place, leaf in zip(names, stacked_at, leaves, strict=True)
    ]


def _chosen(path: str, grouping: Grouping) -> bool:
    kept = grouping.include is None or re.search(grouping.include, path) is not None
    return kept and not (grouping.exclude is not None and re.search(grouping.exclude, path) is not None)


def _ordered(
    layers: dict[str, list[tuple[tuple[int, ...], Part]]], order: tuple[str, ...] | None
) -> dict[str, list[tuple[tuple[int, ...], Part]]]:
    if order is None:
        return dict(sorted(layers.items(), key=lambda item: item[1][0][0]))
    missing = [path for path in layers if path not in order]
    if missing:
        raise InputError(f"order names no layer {missing[0]!r}; it needs all of: {', '.join(sorted(layers))}")
    return {path: layers[path] for path in order if path in layers}


def _nothing_left(leaves: list[_Leaf], grouping: Grouping) -> str:
    if not leaves:
        return "there is no floating-point array in the tree; expected gradients or parameters, arrays in any pytree"
    paths = ", ".join("/".join(leaf.names) for leaf in leaves[:6])
    return (
        f"no leaf is left with include={grouping.include!r} and exclude={grouping.exclude!r}; "
        f"the paths they are matched with are: {paths}{', ...' if len(leaves) > 6 else ''}"
    )


def _size(leaf: Any) -> int:
    return int(np.prod(leaf.shape, dtype=np.int64))


def _part_size(leaf: _Leaf, part: Part) -> int:
    return int(np.prod(leaf.shape[part.slice is not None :], dtype=np.int64))


def _part_rank(leaf: _Leaf, part: Part) -> int:
    return len(leaf.shape) - (part.slice is not None)
