"""Sizes of gradients, layer by layer, that neither underflow nor overflow.

    leaves                    pieces            layers
    kernel, stacked (3, ...)  kernel 0, 1, 2 ┐
    bias, stacked (3, ...)    bias 0, 1, 2   ┴► 0, 1, 2: a kernel and a bias each

One reduction over each leaf gives the numbers of its pieces. The elements of a piece are divided by the piece's largest
magnitude before they are squared. The pieces of a layer are then added in units of the layer's largest scale.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Num, PyTree, Real

from vgrad_jax.gradients.layers import Grouping, LayerMap, float_leaves, map_layers
from vgrad_jax.gradients.sharding import on_every_device

__all__ = [
    "AnyArray",
    "LayerStats",
    "gradient_stats",
    "layer_log10_rms",
    "log10_rms",
    "size_scale",
    "stats_of",
    "touched_rows",
]

AnyArray = Array | np.ndarray
"""Array of JAX, traced or not, or of NumPy."""


def log10_rms(tree: PyTree) -> Float[Array, ""]:
    """Compute log10 of the root mean square over all elements of a pytree.

    Elements are divided by the largest magnitude before they are squared, so that no square underflows or overflows. In
    float32 the square of 1e-20 is zero, its root mean square is not.

    Args:
        tree: arrays of any shapes.

    Returns:
        A scalar; -inf where every element is zero, +inf or NaN where an element is.

    >>> float(log10_rms({"kernel": jnp.full((3, 3), 1e-30)})).__round__(4)
    -30.0
    """
    leaves = [leaf for leaf in jax.tree.leaves(tree) if leaf.size]
    largest = jnp.max(jnp.stack([jnp.max(jnp.abs(leaf)) for leaf in leaves]))
    scale = size_scale(largest)
    mean_square = sum(jnp.sum((leaf / scale) ** 2) for leaf in leaves) / sum(leaf.size for leaf in leaves)
    return jnp.log10(scale) + 0.5 * jnp.log10(mean_square)


def layer_log10_rms(layers: Sequence[PyTree]) -> Float[Array, " layer"]:
    """Compute `log10_rms` of each layer, kernel and bias together.

    Args:
        layers: a gradient, an update or parameters of each layer, input side first.
    """
    return jnp.stack([log10_rms(layer) for layer in layers])


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["log10_rms", "log10_max", "zero_fraction", "nonfinite_fraction", "count"],
    meta_fields=["paths", "has_matrix", "dtypes"],
)
@dataclass(frozen=True)
class LayerStats:
    """Sizes of each layer's elements; a pytree whose arrays may have batch axes in front."""

    paths: tuple[str, ...]
    """Names of the layers, input side first."""
    log10_rms: Float[AnyArray, "*batch layer"]
    """log10 of the root mean square; -inf where every element is zero, +inf or NaN where an element is."""
    log10_max: Float[AnyArray, "*batch layer"]
    """log10 of the largest magnitude."""
    zero_fraction: Float[AnyArray, "*batch layer"]
    """Share of elements that are exactly zero; subnormal numbers count as zero, as XLA computes with them."""
    nonfinite_fraction: Float[AnyArray, "*batch layer"]
    """Share of elements that are infinite or NaN."""
    count: Num[AnyArray, "*batch layer"]
    """Number of elements in the layer."""
    has_matrix: tuple[bool, ...] = ()
    """True for a layer with weights of two axes or more, False for a layer of biases or gains alone."""
    dtypes: tuple[str, ...] = ()
    """Dtype of each layer's elements, before they were converted to be measured."""


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
    """Measure the sizes of a gradient, layer by layer: any pytree, and right for any size that the dtype can hold.

    Elements are divided by the largest magnitude before they are squared, in float32 for shorter dtypes: no square
    underflows to zero or overflows to infinity. The function is pure: it works in `jit` and `vmap`.

    Args:
        tree: a pytree of arrays from flax, equinox, haiku or by hand; leaves that are not floating-point are skipped.
        per_leaf: keep kernel and bias apart.
        batch_axes: number of leading axes of every leaf that are kept, such as seeds or examples.
        stacked: regular expression for leaves with a leading axis of layers stacked for `lax.scan`, to be split.
        group: regular expression; leaves whose paths are equal up to the end of the match are one layer.
        include: regular expression; only leaves whose path it matches are measured.
        exclude: regular expression; leaves whose path it matches are skipped.
        order: the layers' paths, input side first, where the tree's own order is not that of depth.

    Returns:
        A number for each layer, in the order of depth.

    Raises:
        InputError: no floating-point leaf is left, or a leaf lacks the axes.

    >>> tree = {"Dense_10": {"kernel": jnp.zeros((2, 2))}, "Dense_2": {"kernel": jnp.full((2, 2), 1e-30)}}
    >>> stats = gradient_stats(tree)
    >>> stats.paths, stats.log10_rms.round(2).tolist(), stats.zero_fraction.tolist()
    (('Dense_2', 'Dense_10'), [-30.0, -inf], [0.0, 1.0])
    """
    grouping = Grouping(per_leaf=per_leaf, stacked=stacked, group=group, include=include, exclude=exclude, order=order)
    return stats_of(tree, map_layers(tree, grouping, batch_axes), batch_axes)


class _PieceSizes(NamedTuple):
    """Numbers of each piece, `(*batch, piece)`; pieces stand in the order of their leaves."""

    largest: Float[Array, "*batch piece"]
    scale: Float[Array, "*batch piece"]
    """Divisor of the elements before they are squared."""
    squares: Float[Array, "*batch piece"]
    """Sum of the squares of the scaled elements."""
    zeros: Int[Array, "*batch piece"]
    nonfinite: Int[Array, "*batch piece"]


def stats_of(tree: PyTree, layers: LayerMap, batch_axes: int = 0) -> LayerStats:
    """Measure a tree whose layers are known; see `gradient_stats`.

    Args:
        tree: a tree of the shapes that `layers` was made from.
        layers: its layers.
        batch_axes: number of leading axes that are kept.
    """
    all_leaves = [leaf for _, leaf in float_leaves(tree)]
    pieces = sorted({piece for layer in layers.pieces for piece in layer})
    stacked = {piece.leaf: piece.slice is not None for piece in pieces}
    leaves = [_real(all_leaves[number], batch_axes, split) for number, split in stacked.items()]
    sizes = _measure_pieces(leaves, batch_axes)

    ends = itertools.accumulate(leaf.shape[batch_axes] for leaf in leaves)
    first = dict(zip(stacked, [0, *ends], strict=False))
    members = [[first[piece.leaf] + (piece.slice or 0) for piece in layer] for layer in layers.pieces]
    by_layer = partial(_by_layer, members=members)
    # A piece of zeros has no size that the others could be measured by.
    scales = jnp.where(by_layer(sizes.squares) == 0, 0, by_layer(sizes.scale))
    scale = jnp.max(scales, axis=-1)
    scale = jnp.where(scale == 0, 1, scale)
    total = jnp.sum(by_layer(sizes.squares) * (scales / scale[..., None]) ** 2, axis=-1)
    # The dtype of the sizes: float64 for float64 elements. A number of elements is exact in either dtype.
    elements = jnp.broadcast_to(np.asarray(layers.counts, scale.dtype), scale.shape)
    count = np.asarray(layers.counts, np.int32 if max(layers.counts) < 2**31 else np.float32)
    return LayerStats(
        paths=layers.paths,
        log10_rms=jnp.log10(scale) + 0.5 * jnp.log10(total / elements),
        log10_max=jnp.log10(jnp.max(by_layer(sizes.largest), axis=-1)),
        zero_fraction=jnp.sum(by_layer(sizes.zeros), axis=-1) / elements,
        nonfinite_fraction=jnp.sum(by_layer(sizes.nonfinite), axis=-1) / elements,
        count=jnp.broadcast_to(count, scale.shape),
        has_matrix=layers.has_matrix,
        dtypes=layers.dtypes,
    )


def touched_rows(
    tree: PyTree, layers: LayerMap, tables: Mapping[int, tuple[int, ...] | None]
) -> Float[Array, " layer"]:
    """Return the share of each layer's elements that are in rows with a gradient, where rows are picked by the batch.

    Args:
        tree: a gradient.
        layers: its layers.
        tables: axes of the rows of each leaf that is a table.

    >>> gradient = {"embed": {"table": jnp.eye(4, 2)}, "head": {"kernel": jnp.eye(4, 2)}}
    >>> touched_rows(gradient, map_layers(gradient), {0: (0,)}).tolist()
    [0.5, 1.0]
    """
    leaves = [leaf for _, leaf in float_leaves(tree)]
    shares: dict[int, Any] = {}
    for number, leaf in enumerate(leaves):
        if (axes := tables.get(number)) is not None:
            others = tuple(axis for axis in range(leaf.ndim) if axis not in axes)
            share = jnp.mean(jnp.any(leaf != 0, axis=others))
            shares[number] = jnp.where(share == 0, 1, share)
    by_layer = []
    for pieces, count in zip(layers.pieces, layers.counts, strict=True):
        sizes = {
            piece.leaf: leaves[piece.leaf].size for piece in pieces if piece.leaf in shares and piece.slice is None
        }
        missed = sum((size / count * (1 - shares[leaf]) for leaf, size in sizes.items()), start=jnp.zeros(()))
        by_layer.append(1 - missed)
    return jnp.stack(by_layer)


def _measure_pieces(leaves: list[Array], batch_axes: int) -> _PieceSizes:
    """Reduce every leaf, `(*batch, piece, ...)`, over all axes behind its pieces."""

    def reduce(leaves: list[Array], function: Callable[[Array, tuple[int, ...]], Array]) -> list[Array]:
        return [function(leaf, tuple(range(batch_axes + 1, leaf.ndim))) for leaf in leaves]

    def join(numbers: list[Array]) -> Array:
        return jnp.concatenate([on_every_device(array) for array in numbers], axis=-1)

    largest_of_leaf = reduce(leaves, lambda x, axes: jnp.max(jnp.abs(x), axes))
    largest = join(largest_of_leaf)
    zeros = join(reduce(leaves, lambda x, axes: jnp.sum(x == 0, axes, dtype=jnp.int32)))

    # The pass that counts non-finite elements is hardly ever needed: the largest element tells.
    nonfinite = jax.lax.cond(
        jnp.isfinite(largest).all(),
        lambda: jnp.zeros_like(zeros),
        lambda: join(reduce(leaves, lambda x, axes: jnp.sum(~jnp.isfinite(x), axes, dtype=jnp.int32))),
    )
    # Each leaf has its own scale: taken out of `largest`, every leaf would wait for all the others.
    scale_of_leaf = [size_scale(element) for element in largest_of_leaf]
    scaled = [leaf * _behind(1 / scale, leaf) for leaf, scale in zip(leaves, scale_of_leaf, strict=True)]
    squares = join(reduce(scaled, lambda x, axes: jnp.sum(x**2, axes)))
    return _PieceSizes(largest, join(scale_of_leaf), squares, zeros, nonfinite)


def size_scale(largest: Float[Array, "*axes"]) -> Float[Array, "*axes"]:
    """Return the divisor of elements before they are squared, from their largest magnitude."""
    scale = jnp.where((largest > 0) & jnp.isfinite(largest), largest, 1)
    # XLA may multiply with the reciprocal instead, and the reciprocal of nearly the largest number is flushed to zero.
    return jnp.minimum(scale, 0.5 / jnp.finfo(scale.dtype).tiny)


def _real(leaf: Any, batch_axes: int, stacked: bool) -> Float[Array, "..."]:
    """Return magnitudes or numbers in float32 or longer, `(*batch, piece, ...)`; a whole leaf has one piece."""
    values = jnp.abs(leaf) if jnp.iscomplexobj(leaf) else jnp.asarray(leaf)
    values = values.astype(jnp.promote_types(values.dtype, jnp.float32))
    return values if stacked else jnp.expand_dims(values, batch_axes)


def _behind(numbers: Float[Array, "*front"], values: Float[Array, "..."]) -> Float[Array, "..."]:
    """Append axes of size 1, so that numbers for the leading axes of the values broadcast with the values."""
    return numbers.reshape(numbers.shape + (1,) * (values.ndim - numbers.ndim))


def _by_layer(numbers: Real[Array, "*batch piece"], members: list[list[int]]) -> Real[Array, "*batch layer slot"]:
    """Gather the pieces of each layer; a layer with fewer pieces than others has zeros in the last slots."""
    slots = max(map(len, members))
    index = np.array([[*pieces, *[-1] * (slots - len(pieces))] for pieces in members])
    gathered = numbers[..., np.maximum(index, 0)]
    return jnp.where(jnp.broadcast_to(index >= 0, gathered.shape), gathered, 0)
