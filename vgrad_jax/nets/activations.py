"""Activations by name: all elementwise functions of `jax.nn`, the sine, and the leaky ReLU whose slope is learned."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from vgrad_jax.descriptions import NamedFunction, canonical_call, hand_over, parse_call
from vgrad_jax.errors import InputError

__all__ = [
    "ACTIVATIONS",
    "Activation",
    "activation_function",
    "canonical_activation",
    "learned_slope",
    "prelu",
    "slope_from_value",
]


def identity(x: jax.Array) -> jax.Array:
    """Return `x`: the activation of a linear network."""
    return x


def prelu(x: jax.Array, slope: jax.Array | float = 0.25) -> jax.Array:
    """Return `x` above zero, and `slope * x` below: the slope is learned (He et al. 2015, arXiv:1502.01852)."""
    return jnp.where(x >= 0, x, slope * x)


def sine(x: jax.Array, frequency: float = 1.0) -> jax.Array:
    """Return `sin(frequency * x)` (Sitzmann et al. 2020, arXiv:2006.09661)."""
    return jnp.sin(frequency * x)


class Activation(NamedTuple):
    """Elementwise activation."""

    function: Callable[..., jax.Array]
    """Function of an array and of the parameters."""
    parameters: tuple[str, ...] = ()
    """Names of the function's parameters: a description gives their values in brackets, as in "leaky_relu(0.2)"."""
    slope_from_value: bool = False
    """True where the slope is a function of the value: a gradient then stores a number less for each unit."""
    learned: float | None = None
    """Start of a parameter that each layer learns, unless the description gives it; None where nothing is learned."""


ACTIVATIONS: dict[str, Activation] = {
    "celu": Activation(jax.nn.celu, ("alpha",)),
    "elu": Activation(jax.nn.elu, ("alpha",)),
    "gelu": Activation(jax.nn.gelu),
    "hard_sigmoid": Activation(jax.nn.hard_sigmoid),
    "hard_silu": Activation(jax.nn.hard_silu),
    "hard_swish": Activation(jax.nn.hard_swish),
    "hard_tanh": Activation(jax.nn.hard_tanh),
    "identity": Activation(identity, slope_from_value=True),
    "leaky_relu": Activation(jax.nn.leaky_relu, ("negative_slope",), slope_from_value=True),
    "log_sigmoid": Activation(jax.nn.log_sigmoid),
    "mish": Activation(jax.nn.mish),
    "relu": Activation(jax.nn.relu, slope_from_value=True),
    "relu6": Activation(jax.nn.relu6, slope_from_value=True),
    "selu": Activation(jax.nn.selu),
    "sigmoid": Activation(jax.nn.sigmoid, slope_from_value=True),
    "silu": Activation(jax.nn.silu),
    "soft_sign": Activation(jax.nn.soft_sign),
    "softplus": Activation(jax.nn.softplus),
    "sparse_plus": Activation(jax.nn.sparse_plus),
    "sparse_sigmoid": Activation(jax.nn.sparse_sigmoid),
    "squareplus": Activation(jax.nn.squareplus, ("b",)),
    "swish": Activation(jax.nn.swish),
    "tanh": Activation(jnp.tanh, slope_from_value=True),
    "sine": Activation(sine, ("frequency",)),
    "prelu": Activation(prelu, ("slope",), learned=0.25),
}
"""Activations by name; a new activation needs an entry here and nothing else."""

_PARAMETERS = {name: (0, len(activation.parameters)) for name, activation in ACTIVATIONS.items()}


def canonical_activation(field: str, activation: Any) -> NamedFunction:
    """Return an activation in its canonical spelling.

    Args:
        field: name of the description's field, for the error message.
        activation: a name from `ACTIVATIONS`, with numbers in brackets where it has parameters, or a function.

    Raises:
        InputError: the activation is neither a known name nor a function.

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
    """Return the elementwise function of an activation; a function is returned unchanged.

    >>> float(activation_function("leaky_relu(0.5)")(jnp.array(-2.0)))
    -1.0
    """
    if callable(activation):
        return activation
    name, values = parse_call("activation", activation, _PARAMETERS)
    function, parameters, *_ = ACTIVATIONS[name]
    return partial(function, **dict(zip(parameters, values, strict=False))) if values else function


def learned_slope(activation: NamedFunction) -> float | None:
    """Return the start of the slope that each layer with this activation learns; None where nothing is learned.

    >>> learned_slope("prelu"), learned_slope("prelu(0.1)"), learned_slope("leaky_relu(0.1)")
    (0.25, 0.1, None)
    """
    if not isinstance(activation, str):
        return None
    name, values = parse_call("activation", activation, _PARAMETERS)
    start = ACTIVATIONS[name].learned
    return values[0] if start is not None and values else start


def activated(activation: NamedFunction, x: jax.Array) -> jax.Array:
    """Apply an activation.

    Raises:
        InputError: the activation is a function that fails, or does not return one number for each unit.

    >>> float(activated("relu", jnp.array(-2.0)))
    0.0
    """
    function = activation_function(activation)
    try:
        value = function(x)
    except Exception as error:  # A user's function may raise any error, which stays the cause.
        raise InputError(
            f"the activation {activation!r} must take an array of the shape {x.shape}; it raised {type(error).__name__}"
        ) from error
    if getattr(value, "shape", None) != x.shape:
        got = f"the shape {value.shape}" if hasattr(value, "shape") else repr(value)
        raise InputError(
            f"the activation {activation!r} must return an array of the shape {x.shape}, as it takes; got {got}"
        )
    return value


def slope_from_value(activation: NamedFunction) -> bool:
    """Return whether an activation's slope is known to be a function of its value; it is unknown for a function.

    >>> slope_from_value("leaky_relu(0.2)"), slope_from_value("gelu"), slope_from_value(jnp.tanh)
    (True, False, False)
    """
    return isinstance(activation, str) and ACTIVATIONS[activation.partition("(")[0]].slope_from_value
