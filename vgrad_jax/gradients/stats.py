"""Sizes of gradients that neither underflow nor overflow."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from vgrad_jax.nets.mlp import Params

__all__ = ["layer_log10_rms", "log10_rms"]


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
    scale = jnp.where((largest > 0) & jnp.isfinite(largest), largest, 1)
    # XLA may multiply by the reciprocal instead, and that of a number near the largest is flushed to zero.
    scale = jnp.minimum(scale, 0.5 / jnp.finfo(scale.dtype).tiny)
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
