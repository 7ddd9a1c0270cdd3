"""Initialisers by name: functions `f(key, shape, dtype)`, as in `jax.nn.initializers`."""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jax.nn import initializers as jax_initializers

from vgrad_jax.descriptions import NamedFunction, canonical_call, hand_over, parse_call
from vgrad_jax.errors import InputError
from vgrad_jax.nets.asymmetric import asymmetric

__all__ = [
    "CRITICAL",
    "INITIALIZERS",
    "RAI",
    "Initializer",
    "canonical_initializer",
    "initializer_from",
    "initializer_function",
    "initializer_parts",
]

Initializer = Callable[..., jax.Array]


def uniform(low: float | jax.Array, high: float | jax.Array) -> Initializer:
    """Return an initialiser that is uniform on [low, high): mean (low + high) / 2, variance (high - low)^2 / 12."""

    def init(key: jax.Array, shape: tuple[int, ...], dtype: Any = jnp.float32) -> jax.Array:
        return jax.random.uniform(key, shape, dtype, minval=low, maxval=high)

    return init


def scaled(
    mode: Literal["fan_in", "fan_avg"], distribution: Literal["normal", "uniform"]
) -> Callable[[float], Initializer]:
    """Return a function of v that makes an initialiser of variance v / fan."""
    return lambda variance: jax_initializers.variance_scaling(variance, mode, distribution)


CRITICAL = "critical"
"""Name of the initialiser on the edge of chaos of the network's activations and biases; `MLP` resolves it."""
RAI = "rai"
"""Name of the randomized asymmetric initialiser, which draws a layer's kernel and bias together."""

_constructors: dict[str, tuple[Callable[..., Initializer], int, int]] = {
    "constant": (jax_initializers.constant, 1, 1),
    "fan_avg_normal": (scaled("fan_avg", "normal"), 1, 1),
    "fan_avg_uniform": (scaled("fan_avg", "uniform"), 1, 1),
    "fan_in_normal": (scaled("fan_in", "normal"), 1, 1),
    "fan_in_uniform": (scaled("fan_in", "uniform"), 1, 1),
    "glorot_normal": (jax_initializers.glorot_normal, 0, 0),
    "glorot_uniform": (jax_initializers.glorot_uniform, 0, 0),
    "he_normal": (jax_initializers.he_normal, 0, 0),
    "he_uniform": (jax_initializers.he_uniform, 0, 0),
    "lecun_normal": (jax_initializers.lecun_normal, 0, 0),
    "lecun_uniform": (jax_initializers.lecun_uniform, 0, 0),
    "normal": (jax_initializers.normal, 1, 1),
    "orthogonal": (jax_initializers.orthogonal, 0, 1),
    "pytorch": (lambda: jax_initializers.variance_scaling(1 / 3, "fan_in", "uniform"), 0, 0),
    RAI: (lambda: asymmetric, 0, 0),
    "truncated_normal": (jax_initializers.truncated_normal, 1, 1),
    "uniform": (uniform, 2, 2),
    "zeros": (lambda: jax_initializers.zeros, 0, 0),
}

INITIALIZERS: dict[str, tuple[int, int]] = {name: (least, most) for name, (_, least, most) in _constructors.items()}
"""Smallest and largest number of values in brackets by name, as in "uniform(0, 1)".

`he_normal`, `glorot_normal` and `lecun_normal` draw from a normal that is truncated at two standard deviations. They
are corrected for the truncation, as in `jax.nn.initializers`; `truncated_normal(s)` is not corrected.
`fan_in_normal(v)` is a normal that is not truncated, of variance v / fan_in (He is v = 2, LeCun v = 1).
`fan_avg_normal(v)` has the variance v over the mean of both fans (Glorot is v = 1). `fan_in_uniform` and
`fan_avg_uniform` are uniform, with the same variances. `pytorch` draws kernels and biases as PyTorch's linear layer
does: uniform within 1 / sqrt(fan_in). `rai` is the randomized asymmetric initialisation of ReLU networks. It draws the
biases too, so `bias_init` stays "zeros".
"""
INITIALIZERS[CRITICAL] = (0, 0)

_FOR_BIASES = {
    name: INITIALIZERS[name] for name in ("constant", "normal", "pytorch", "truncated_normal", "uniform", "zeros")
}


def canonical_initializer(field: str, initializer: Any, *, for_bias: bool = False) -> NamedFunction:
    """Return an initialiser in its canonical spelling.

    Args:
        field: the description's field, for the error message.
        initializer: a name, with its numbers in brackets if it takes any, or a function.
        for_bias: accept only initialisers of biases.

    Raises:
        InputError: neither a known name nor a function, or numbers that make no distribution.

    >>> canonical_initializer("kernel_init", "uniform(0,1)")
    'uniform(0.0, 1.0)'
    """
    if isinstance(initializer, str):
        name, values = parse_call(field, initializer, _FOR_BIASES if for_bias else INITIALIZERS)
        if name == "uniform" and values[0] >= values[1]:
            raise InputError(f"{field} 'uniform(low, high)' needs low < high; got {initializer!r}")
        if name in ("normal", "truncated_normal") and values[0] <= 0:
            raise InputError(f"{field} '{name}(standard deviation)' needs a positive number; got {initializer!r}")
        if name.startswith("fan_") and values[0] <= 0:
            raise InputError(f"{field} '{name}(fan times variance)' needs a positive number; got {initializer!r}")
        return canonical_call(name, values)
    if not callable(initializer):
        raise InputError(
            f"{field} must be a name, such as 'he_uniform', or a function f(key, shape, dtype); got {initializer!r}"
        )
    hand_over(initializer)
    return initializer


def initializer_function(initializer: NamedFunction) -> Initializer:
    """Return the function `f(key, shape, dtype)` for a name; a function is returned as it is.

    >>> initializer_function("constant(2)")(jax.random.key(0), (2,), jnp.float32).tolist()
    [2.0, 2.0]
    """
    return initializer_from(*initializer_parts(initializer))


def initializer_parts(initializer: NamedFunction) -> tuple[NamedFunction, tuple[float, ...]]:
    """Split a name into its kind and its numbers; a function has no numbers.

    >>> initializer_parts("uniform(0, 1)")
    ('uniform', (0.0, 1.0))
    """
    if callable(initializer):
        return initializer, ()
    return parse_call("initializer", initializer, {name: INITIALIZERS[name] for name in _constructors})


def initializer_from(kind: NamedFunction, numbers: Sequence[Any]) -> Initializer:
    """Return the initialiser for a kind and its numbers, as `initializer_parts` splits them; numbers may be traced."""
    return kind if callable(kind) else _constructors[kind][0](*numbers)
