"""Sizes of gradients that neither underflow nor overflow."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from vgrad_jax.gradients.layers import Grouping, LayerMap, float_leaves, map_layers
from vgrad_jax.nets.mlp import Params

__all__ = ["LayerStats", "gradient_stats", "layer_log10_rms", "log10_rms", "size_scale", "stats_of"]


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
    scale = size_scale(largest)
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
    """`gradient_stats` of a tree whose layers are known.

    Args:
        tree: as `layers` were made from.
        layers: its layers.
        batch_axes: leading axes that are kept.
    """
    found = [leaf for _, leaf in float_leaves(tree)]
    parts = {part for layer in layers.parts for part in layer}
    stacked = {part.leaf: part.slice is not None for part in sorted(parts)}
    leaves = [_real(found[number], batch_axes, split) for number, split in stacked.items()]
    each = partial(_each, leaves, batch_axes + 1)
    join = partial(jnp.concatenate, axis=-1)
    largest_of_leaf = each(lambda x, axes: jnp.max(jnp.abs(x), axes))
    largest = join(largest_of_leaf)
    zeros = join(each(lambda x, axes: jnp.sum(x == 0, axes, dtype=jnp.int32)))
    nonfinite = jax.lax.cond(  # A whole pass over the elements that is hardly ever needed.
        jnp.isfinite(largest).all(),
        lambda: jnp.zeros_like(zeros),
        lambda: join(each(lambda x, axes: jnp.sum(~jnp.isfinite(x), axes, dtype=jnp.int32))),
    )
    # Each by its own largest element: taken out of `largest`, every leaf would wait for all of them.
    scale_of_leaf = [size_scale(element) for element in largest_of_leaf]
    scaled = [leaf * _behind(1 / by, leaf) for leaf, by in zip(leaves, scale_of_leaf, strict=True)]
    squares = join(_each(scaled, batch_axes + 1, lambda x, axes: jnp.sum(x**2, axes)))

    scale_of_part = join(scale_of_leaf)
    ends = list(itertools.accumulate(leaf.shape[batch_axes] for leaf in leaves))
    first = dict(zip(stacked, [0, *ends], strict=False))
    members = [[first[part.leaf] + (part.slice or 0) for part in layer] for layer in layers.parts]
    of_layer = partial(_by_layer, members=members)
    # A part of zeros has no size that the others could be measured by.
    scales = jnp.where(of_layer(squares) == 0, 0, of_layer(scale_of_part))
    scale = jnp.max(scales, axis=-1)
    scale = jnp.where(scale == 0, 1, scale)
    total = jnp.sum(of_layer(squares) * (scales / scale[..., None]) ** 2, axis=-1)
    # In float64 where that is what the elements are; a number of elements is exact in either.
    elements = jnp.broadcast_to(np.asarray(layers.counts, scale.dtype), scale.shape)
    count = np.asarray(layers.counts, np.int32 if max(layers.counts) < 2**31 else np.float32)
    return LayerStats(
        paths=layers.paths,
        log10_rms=jnp.log10(scale) + 0.5 * jnp.log10(total / elements),
        log10_max=jnp.log10(jnp.max(of_layer(largest), axis=-1)),
        zero_fraction=jnp.sum(of_layer(zeros), axis=-1) / elements,
        nonfinite_fraction=jnp.sum(of_layer(nonfinite), axis=-1) / elements,
        count=jnp.broadcast_to(count, scale.shape),
        has_matrix=layers.has_matrix,
        dtypes=layers.dtypes,
    )


def _each(leaves: list[Array], kept: int, reduce: Callable[[Array, tuple[int, ...]], Array]) -> list[Array]:
    """A reduction of every leaf over all but its leading axes, `(..., part)`."""
    return [reduce(leaf, tuple(range(kept, leaf.ndim))) for leaf in leaves]


def size_scale(largest: Array) -> Array:
    """What elements are divided by before they are squared."""
    scale = jnp.where((largest > 0) & jnp.isfinite(largest), largest, 1)
    # The reciprocal of a number near the largest, which may be multiplied with instead, is flushed to zero.
    return jnp.minimum(scale, 0.5 / jnp.finfo(scale.dtype).tiny)


def _real(leaf: Any, batch_axes: int, stacked: bool) -> Array:
    """Real numbers of float32 or longer; behind the batch axes is that of stacked layers, of size 1 where none are."""
    values = jnp.abs(leaf) if jnp.iscomplexobj(leaf) else jnp.asarray(leaf)
    values = values.astype(jnp.promote_types(values.dtype, jnp.float32))
    return values if stacked else jnp.expand_dims(values, batch_axes)


def _behind(numbers: Array, values: Array) -> Array:
    """Numbers for the leading axes of the values, in a shape that goes with theirs."""
    return numbers.reshape(numbers.shape + (1,) * (values.ndim - numbers.ndim))


def _by_layer(numbers: Array, members: list[list[int]]) -> Array:
    """`(..., part)` to `(..., layer, part)`; a layer with fewer parts than others has zeros behind them."""
    most = max(map(len, members))
    index = np.array([[*parts, *[-1] * (most - len(parts))] for parts in members])
    gathered = numbers[..., np.maximum(index, 0)]
    return jnp.where(jnp.broadcast_to(index >= 0, gathered.shape), gathered, 0)
