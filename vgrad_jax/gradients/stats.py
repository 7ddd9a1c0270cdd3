"""Sizes of gradients that neither underflow nor overflow."""

from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from vgrad_jax.gradients.layers import Grouping, LayerMap, float_leaves, map_layers
from vgrad_jax.nets.mlp import Params

__all__ = ["LayerStats", "gradient_stats", "layer_log10_rms", "log10_rms", "stats_of"]


def log10_rms(tree: PyTree) -> Float[Array, ""]:
    """log10 of the root mean square over all elements of a pytree.

    Elements are divided by the largest magnitude before they are squared, so the answer is right from the smallest
    normal number of the dtype to the largest: the square of 1e-20 is zero in float32, its root mean square is not.

    Args:
        tree: arrays of any shapes.

    Returns:
        A scalar; -inf when every element is exactly zero, +inf or NaN when one is.

    >>> float(log10_rms({"kernel": jnp.full((3, 3), 1e-30)})).__round__(4)
    -30.0
    """
    leaves = [leaf for leaf in jax.tree.leaves(tree) if leaf.size]
    largest = jnp.max(jnp.stack([jnp.max(jnp.abs(leaf)) for leaf in leaves]))
    scale = _scale(largest)
    mean_square = sum(jnp.sum((leaf / scale) ** 2) for leaf in leaves) / sum(leaf.size for leaf in leaves)
    return jnp.log10(scale) + 0.5 * jnp.log10(mean_square)


def layer_log10_rms(layers: Params) -> Float[Array, " layer"]:
    """`log10_rms` of each layer, kernel and bias together, input side first.

    Args:
        layers: an MLP's gradient, update or parameters.

    Returns:
        One number for each layer.
    """
    return jnp.stack([log10_rms(layer) for layer in layers])


def _scale(largest: Array) -> Array:
    """What elements are divided by before they are squared."""
    scale = jnp.where((largest > 0) & jnp.isfinite(largest), largest, 1)
    # XLA may multiply by the reciprocal instead, and that of a number near the largest is flushed to zero.
    return jnp.minimum(scale, 0.5 / jnp.finfo(scale.dtype).tiny)


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["log10_rms", "log10_max", "zero_fraction", "nonfinite_fraction", "count"],
    meta_fields=["paths", "has_matrix", "dtypes"],
)
@dataclass(frozen=True)
class LayerStats:
    """Sizes of each layer's elements; a pytree, whose arrays are `(..., layer)` with any batch axes in front."""

    paths: tuple[str, ...]
    """Names of the layers, input side first."""
    log10_rms: Any
    """log10 of the root mean square; -inf where every element is zero, +inf or NaN where one is."""
    log10_max: Any
    """log10 of the largest magnitude."""
    zero_fraction: Any
    """Share of elements that are exactly zero; subnormal numbers count as zero, as XLA computes with them."""
    nonfinite_fraction: Any
    """Share of elements that are infinite or NaN."""
    count: Any
    """Elements of the layer."""
    has_matrix: tuple[bool, ...] = ()
    """Whether a layer has weights of two axes or more, and not only biases or gains."""
    dtypes: tuple[str, ...] = ()
    """What the layer's elements were stored in."""


def gradient_stats(
    tree: PyTree,
    per_leaf: bool = False,
    *,
    batch_axes: int = 0,
    stacked: str | None = None,
    group: str | None = None,
    include: str | None = None,
    exclude: str | None = None,
    order: tuple[str, ...] | None = None,
) -> LayerStats:
    """Sizes of a gradient, layer by layer: of any pytree, and right for any size that the dtype can hold.

    Elements are divided by the largest magnitude before they are squared, in float32 for shorter dtypes: no square
    underflows to zero or overflows to infinity. A pure function; `jit` and `vmap` it as you like.

    Args:
        tree: a pytree of arrays from flax, equinox, haiku or by hand; what is not floating-point is passed over.
        per_leaf: keep kernel and bias apart.
        batch_axes: leading axes of every leaf, such as seeds or examples, that are kept.
        stacked: regular expression for leaves with a leading axis of layers stacked for `lax.scan`, to be split.
        group: regular expression; a layer is everything with the same path up to the end of the match.
        include: regular expression; only leaves whose path it matches.
        exclude: regular expression; no leaf whose path it matches.
        order: the layers' paths, input side first, where the tree's own order is not that of depth.

    Returns:
        One number for each layer, in the order of depth.

    Raises:
        InputError: no floating-point leaf is left, or a leaf lacks the axes.

    >>> tree = {"Dense_10": {"kernel": jnp.zeros((2, 2))}, "Dense_2": {"kernel": jnp.full((2, 2), 1e-30)}}
    >>> stats = gradient_stats(tree)
    >>> stats.paths, stats.log10_rms.round(2).tolist(), stats.zero_fraction.tolist()
    (('Dense_2', 'Dense_10'), [-30.0, -inf], [0.0, 1.0])
    """
    grouping = Grouping(per_leaf, stacked, group, include, exclude, order)
    return stats_of(tree, map_layers(tree, grouping, batch_axes), batch_axes)


def stats_of(tree: PyTree, layers: LayerMap, batch_axes: int = 0) -> LayerStats:
    """`gradient_stats` of a tree whose layers are known."""
    leaves = [leaf for _, leaf in float_leaves(tree)]
    split = {part.leaf for parts in layers.parts for part in parts if part.slice is not None}
    used = {part.leaf for parts in layers.parts for part in parts}
    sizes = {number: _sizes(leaves[number], batch_axes, number in split) for number in sorted(used)}

    def of_layer(parts: Any) -> _Sizes:
        chosen = [
            sizes[part.leaf]
            if part.slice is None
            else jax.tree.map(lambda a, i=part.slice: a[..., i], sizes[part.leaf])
            for part in parts
        ]
        return chosen[0] if len(chosen) == 1 else _together(chosen)

    per_layer = [of_layer(parts) for parts in layers.parts]
    largest, scale, squares, zeros, nonfinite = (
        jnp.stack(list(numbers), axis=-1) for numbers in zip(*per_layer, strict=True)
    )
    count = np.asarray(layers.counts, np.int32 if max(layers.counts) < 2**31 else np.float32)
    # In float64 where that is what the elements are; a number of elements is exact in either.
    elements = jnp.broadcast_to(np.asarray(layers.counts, scale.dtype), scale.shape)
    return LayerStats(
        paths=layers.paths,
        log10_rms=jnp.log10(scale) + 0.5 * jnp.log10(squares / elements),
        log10_max=jnp.log10(largest),
        zero_fraction=zeros / elements,
        nonfinite_fraction=nonfinite / elements,
        count=jnp.broadcast_to(count, scale.shape),
        has_matrix=layers.has_matrix,
        dtypes=layers.dtypes,
    )


class _Sizes(NamedTuple):
    """Sums over the elements of a leaf or layer."""

    largest: Array
    scale: Array
    squares: Array
    """Of the elements over the scale."""
    zeros: Array
    nonfinite: Array


def _sizes(leaf: Any, batch_axes: int, split: bool) -> _Sizes:
    magnitude = jnp.abs(leaf)
    magnitude = magnitude.astype(jnp.promote_types(magnitude.dtype, jnp.float32))
    kept = batch_axes + split
    axes = tuple(range(kept, magnitude.ndim))
    largest = jnp.max(magnitude, axes)
    scale = _scale(largest)
    scaled = magnitude / jnp.expand_dims(scale, axes)
    return _Sizes(
        largest,
        scale,
        jnp.sum(scaled * scaled, axes),
        jnp.sum(magnitude == 0, axes, dtype=jnp.int32),
        jnp.sum(~jnp.isfinite(magnitude), axes, dtype=jnp.int32),
    )


def _together(parts: list[_Sizes]) -> _Sizes:
    """A layer of its parts."""
    squares = jnp.stack([part.squares for part in parts])
    # A part of zeros has no size that the others could be measured by.
    scales = jnp.where(squares == 0, 0, jnp.stack([part.scale for part in parts]))
    scale = jnp.max(scales, axis=0)
    scale = jnp.where(scale == 0, 1, scale)
    return _Sizes(
        jnp.max(jnp.stack([part.largest for part in parts]), axis=0),
        scale,
        jnp.sum(squares * (scales / scale[None]) ** 2, axis=0),
        jnp.sum(jnp.stack([part.zeros for part in parts]), axis=0),
        jnp.sum(jnp.stack([part.nonfinite for part in parts]), axis=0),
    )
