"""Initial kernels that depend on data: layer-sequential unit variance."""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vgrad_jax.nets.mlp import MLP, Params, next_values

__all__ = ["SMALLEST", "fitted_to_data"]

SMALLEST = 1e-12
"""Smallest deviation that divides a kernel: kernels of zero stay zero."""


def fitted_to_data(params: Params, x: Float[Array, "row feature"], mlp: MLP) -> Params:
    """Scale each layer's kernel, input side first, so that its products with the rows have a variance of 1.

    The variance is over all rows and units, before norm, bias and branch factor. A layer reads the values of the scaled
    layers before it. Source: Mishkin and Matas 2015, "All you need is a good init" (LSUV), arXiv:1511.06422. A product
    is linear in its kernel, so that a single division does what they iterate.

    Args:
        params: parameters as they were drawn.
        x: rows.
        mlp: the network.

    >>> from vgrad_jax.nets.mlp import init_mlp
    >>> mlp, x = MLP(hidden=(4,), kernel_init="normal(0.01)"), jax.random.normal(jax.random.key(1), (32, 2))
    >>> params = fitted_to_data(init_mlp(jax.random.key(0), mlp, 2), x, mlp)
    >>> round(float(jnp.std(x @ params[0].kernel)), 4)
    1.0
    """
    layers, hidden, preactivation = [], x, None
    for layer, activation in zip(params, (*mlp.activations(), None), strict=True):
        deviation = jnp.std(hidden @ layer.kernel)
        layer = layer._replace(kernel=layer.kernel / jnp.maximum(deviation, SMALLEST))
        layers.append(layer)
        if activation is not None:
            step = partial(next_values, mlp, layer, activation)
            hidden, preactivation = jax.vmap(step, axis_name="batch")(hidden, preactivation)
    return tuple(layers)
