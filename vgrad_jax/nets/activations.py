"""Activations by name: all elementwise functions of `jax.nn`, and the identity."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from vgrad_jax.descriptions import NamedFunction, canonical_call, hand_over, parse_call
from vgrad_jax.errors import InputError

__all__ = ["ACTIVATIONS", "activation_function", "canonical_activation"]


def identity(x: jax.Array) -> jax.Array:
    """Return `x`: the activation of a linear network."""
    return x


ACTIVATIONS: dict[str, tuple[Callable[..., jax.Array], tuple[str, ...]]] = {
    "celu": (jax.nn.celu, ("alpha",)),
    "elu": (jax.nn.elu, ("alpha",)),
    "gelu": (jax.nn.gelu, ()),
    "hard_sigmoid": (jax.nn.hard_sigmoid, ()),
    "hard_silu": (jax.nn.hard_silu, ()),
    "hard_swish": (jax.nn.hard_swish, ()),
    "hard_tanh": (jax.nn.hard_tanh, ()),
    "identity": (identity, ()),
    "leaky_relu": (jax.nn.leaky_relu, ("negative_slope",)),
    "log_sigmoid": (jax.nn.log_sigmoid, ()),
    "mish": (jax.nn.mish, ()),
    "relu": (jax.nn.relu, ()),
    "relu6": (jax.nn.relu6, ()),
    "selu": (jax.nn.selu, ()),
    "sigmoid": (jax.nn.sigmoid, ()),
    "silu": (jax.nn.silu, ()),
    "soft_sign": (jax.nn.soft_sign, ()),
    "softplus": (jax.nn.softplus, ()),
    "sparse_plus": (jax.nn.sparse_plus, ()),
    "sparse_sigmoid": (jax.nn.sparse_sigmoid, ()),
    "squareplus": (jax.nn.squareplus, ("b",)),
    "swish": (jax.nn.swish, ()),
    "tanh": (jnp.tanh, ()),
}
"""Functions by name, each with the names of the numbers that it takes in brackets, as in "leaky_relu(0.2)"."""

_PARAMETERS = {name: (0, len(parameters)) for name, (_, parameters) in ACTIVATIONS.items()}


def canonical_activation(field: str, activation: Any) -> NamedFunction:
    """Return an activation in its canonical spelling.

    Args:
        field: the description's field, for the error message.
        activation: a name from `ACTIVATIONS`, with its numbers in brackets if it takes any, or a function.

    Raises:
        InputError: neither a known name nor a function.

    >>> canonical_activation("activation", "leaky_relu( 0.2 )")
    'leaky_relu(0.2)'
    """
    if isinstance(activation, str):
        return canonical_call(*parse_call(field, activation, _PARAMETERS))
    if not callable(activation):
        raise InputError(f"{field} must be a name, such as 'tanh', or a function of an array; got {activation!r}")
    hand_over(activation)
    return activation


def activation_function(activation: NamedFunction) -> Callable[[jax.Array], jax.Array]:
    """Return the elementwise function for a name; a function is returned as it is.

    >>> float(activation_function("leaky_relu(0.5)")(jnp.array(-2.0)))
    -1.0
    """
    if callable(activation):
        return activation
    name, values = parse_call("activation", activation, _PARAMETERS)
    function, parameters = ACTIVATIONS[name]
    return partial(function, **dict(zip(parameters, values, strict=False))) if values else function
