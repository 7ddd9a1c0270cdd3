"""Sizes of gradients, layer by layer, that neither underflow nor overflow.

    leaves                    pieces            layers
    kernel, stacked (3, ...)  kernel 0, 1, 2 ┐
    bias, stacked (3, ...)    bias 0, 1, 2   ┴► 0, 1, 2: a kernel and a bias each

One reduction over each leaf gives the numbers of its pieces. The elements of a piece are divided by the piece's largest
magnitude before they are squared. The pieces of a layer are then added in units of the layer's largest scale.
"""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Num, PyTree, Real

from vgrad_jax.boundary import checked
from vgrad_jax.descriptions import whole_number
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


MOST_AXES = 32
"""Largest number of leading axes that are kept."""


@checked
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
    whole_number("batch_axes", batch_axes, maximum=MOST_AXES)
    return stats_of(tree, map_layers(tree, grouping, batch_axes), batch_axes)


class _PieceSizes(NamedTuple):
    """Numbers of each piece of a leaf, `(*batch, piece)`."""

    largest: Float[Array, "*batch piece"]
    scale: Float[Array, "*batch piece"]
    """Divisor of the elements before they are squared."""
    squares: Float[Array, "*batch piece"]
    """Sum of the squares of the scaled elements."""
    zeros: Int[Array, "*batch piece"]


def stats_of(tree: PyTree, layers: LayerMap, batch_axes: int = 0) -> LayerStats:
    """Measure a tree whose layers are known; see `gradient_stats`.

    Args:
        tree: a tree of the shapes that `layers` was made from.
        layers: its layers.
        batch_axes: number of leading axes that are kept.
    """
    all_leaves = [leaf for _, leaf in float_leaves(tree)]
    is_split = {piece.leaf: piece.slice is not None for pieces in layers.pieces for piece in pieces}
    chosen = sorted(is_split)
    sizes = [_measure_leaf(all_leaves[number], batch_axes, is_split[number]) for number in chosen]

    def counted() -> list[Array]:
        return [_count_nonfinite(all_leaves[number], batch_axes, is_split[number]) for number in chosen]

    return _by_layer(sizes, _where_not_finite(sizes, counted), layers)


def touched_rows(
    tree: PyTree, layers: LayerMap, tables: Mapping[int, tuple[int, ...] | None], batch_axes: int = 0
) -> Float[AnyArray, "*batch layer"]:
    """Return the share of each layer's elements that are in rows with a gradient, where rows are picked by the batch.

    Args:
        tree: a gradient.
        layers: its layers.
        tables: axes of the rows of each leaf that is a table.
        batch_axes: number of leading axes that are kept.

    >>> gradient = {"embed": {"table": jnp.eye(4, 2)}, "head": {"kernel": jnp.eye(4, 2)}}
    >>> touched_rows(gradient, map_layers(gradient), {0: (0,)}).tolist()
    [0.5, 1.0]
    """
    leaves = [leaf for _, leaf in float_leaves(tree)]
    shares = {
        number: _share_of_rows(leaf, axes, batch_axes)
        for number, leaf in enumerate(leaves)
        if (axes := tables.get(number)) is not None
    }
    if not shares:
        return np.ones((*leaves[0].shape[:batch_axes], len(layers.paths)), np.float32)
    sizes = tuple(math.prod(leaf.shape[batch_axes:]) for leaf in leaves)
    return _touched_by_layer(shares, sizes, layers)


@partial(jax.jit, static_argnums=(1, 2))
def _touched_by_layer(
    shares: dict[int, Float[Array, "*batch"]], sizes: tuple[int, ...], layers: LayerMap
) -> Float[Array, "*batch layer"]:
    """Return the share of each layer's elements in touched rows.

    Args:
        shares: share of touched rows of each leaf that is a table.
        sizes: number of elements of each leaf.
        layers: the layers.
    """
    all_of_it = jnp.ones_like(next(iter(shares.values())))
    by_layer = []
    for pieces, count in zip(layers.pieces, layers.counts, strict=True):
        tables = [piece.leaf for piece in pieces if piece.leaf in shares and piece.slice is None]
        by_layer.append(sum((sizes[leaf] / count * (shares[leaf] - 1) for leaf in tables), start=all_of_it))
    return jnp.stack(by_layer, axis=-1)


@partial(jax.jit, static_argnums=(1, 2))
def _share_of_rows(leaf: Array, rows: tuple[int, ...], batch_axes: int) -> Float[Array, "*batch"]:
    """Return the share of a table's rows with a gradient; 1 for a table without any."""
    others = tuple(batch_axes + axis for axis in range(leaf.ndim - batch_axes) if axis not in rows)
    touched = jnp.any(leaf != 0, axis=others)
    share = jnp.mean(touched, axis=tuple(range(batch_axes, touched.ndim)))
    return jnp.where(share == 0, 1, share)


# Programs of their own: called outside of `jit`, leaves of equal shapes share one compiled program.
@partial(jax.jit, static_argnums=(1, 2))
def _measure_leaf(leaf: Array, batch_axes: int, split: bool) -> _PieceSizes:
    """Reduce a leaf, `(*batch, piece, ...)`, over all axes behind its pieces."""
    values = _real(leaf, batch_axes, split)
    axes = tuple(range(batch_axes + 1, values.ndim))
    largest = jnp.max(jnp.abs(values), axes)
    scale = size_scale(largest)
    squares = jnp.sum((values * _behind(1 / scale, values)) ** 2, axes)
    return _PieceSizes(largest, scale, squares, jnp.sum(values == 0, axes, dtype=jnp.int32))


@partial(jax.jit, static_argnums=(1, 2))
def _count_nonfinite(leaf: Array, batch_axes: int, split: bool) -> Int[Array, "*batch piece"]:
    """Count elements of a leaf that are infinite or NaN."""
    values = _real(leaf, batch_axes, split)
    return jnp.sum(~jnp.isfinite(values), tuple(range(batch_axes + 1, values.ndim)), dtype=jnp.int32)


def _where_not_finite(sizes: list[_PieceSizes], counted: Callable[[], list[Array]]) -> list[Array]:
    """Return the counts of elements that are not finite; they are hardly ever counted: the largest element tells."""
    numbers = [own.largest for own in sizes]
    none = [own.zeros for own in sizes]
    if not any(isinstance(number, jax.core.Tracer) for number in numbers):
        known = all(bool(jnp.isfinite(number).all()) for number in numbers)
        return [jnp.zeros_like(zeros) for zeros in none] if known else counted()
    finite = jnp.isfinite(_joined(numbers)).all()
    return jax.lax.cond(finite, lambda: [jnp.zeros_like(zeros) for zeros in none], counted)


def _joined(numbers: Sequence[Array]) -> Array:
    """Return the numbers of all leaves' pieces on one axis, the last."""
    return jnp.concatenate([on_every_device(array) for array in numbers], axis=-1)


@partial(jax.jit, static_argnums=2)
def _by_layer(sizes: list[_PieceSizes], nonfinite: list[Array], layers: LayerMap) -> LayerStats:
    """Add the pieces of each layer.

    Args:
        sizes: of each leaf that belongs to a layer, in the order of the leaves.
        nonfinite: number of elements that are not finite, in the same order.
        layers: the layers.
    """
    chosen = sorted({piece.leaf for pieces in layers.pieces for piece in pieces})
    ends = itertools.accumulate(own.largest.shape[-1] for own in sizes)
    first = dict(zip(chosen, [0, *ends], strict=False))
    members = [[first[piece.leaf] + (piece.slice or 0) for piece in layer] for layer in layers.pieces]
    largest, scale, squares, zeros = (_gathered(_joined(numbers), members) for numbers in zip(*sizes, strict=True))
    # A piece of zeros has no size that the others could be measured by.
    scales = jnp.where(squares == 0, 0, scale)
    scale = jnp.max(scales, axis=-1)
    scale = jnp.where(scale == 0, 1, scale)
    total = jnp.sum(squares * (scales / scale[..., None]) ** 2, axis=-1)
    # The dtype of the sizes: float64 for float64 elements. A number of elements is exact in either dtype.
    elements = jnp.broadcast_to(np.asarray(layers.counts, scale.dtype), scale.shape)
    count = np.asarray(layers.counts, np.int32 if max(layers.counts) < 2**31 else np.float32)
    return LayerStats(
        paths=layers.paths,
        log10_rms=jnp.log10(scale) + 0.5 * jnp.log10(total / elements),
        log10_max=jnp.log10(jnp.max(largest, axis=-1)),
        zero_fraction=jnp.sum(zeros, axis=-1) / elements,
        nonfinite_fraction=jnp.sum(_gathered(_joined(nonfinite), members), axis=-1) / elements,
        count=jnp.broadcast_to(count, scale.shape),
        has_matrix=layers.has_matrix,
        dtypes=layers.dtypes,
    )


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


def _gathered(numbers: Real[Array, "*batch piece"], members: list[list[int]]) -> Real[Array, "*batch layer slot"]:
    """Gather the pieces of each layer; a layer with fewer pieces than others has zeros in the last slots."""
    slots = max(map(len, members))
    index = np.array([[*pieces, *[-1] * (slots - len(pieces))] for pieces in members])
    gathered = numbers[..., np.maximum(index, 0)]
    return jnp.where(jnp.broadcast_to(index >= 0, gathered.shape), gathered, 0)
