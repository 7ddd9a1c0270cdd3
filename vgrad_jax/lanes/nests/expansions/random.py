"""JAX's default random generator on the words of its keys: sums, shifts and exclusive ors."""

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend.random import threefry_prng_impl

from vgrad_jax.jaxprs import JaxprEqn
from vgrad_jax.lanes.nests.expansions.registry import expansion
from vgrad_jax.lanes.random_bits import PARITY, ROTATIONS

__all__: list[str] = []


@expansion("random_wrap", "random_unwrap", "random_clone")
def _same(equation: JaxprEqn, values: list[Any]) -> Sequence[Any]:
    return values


def _for_each_key(function: Any, equation: JaxprEqn, *arrays: Any) -> list[Any]:
    """Apply a function of one key to an array of keys."""
    aval: Any = equation.invars[0].aval
    for _ in aval.shape:
        function = jax.vmap(function)
    return [function(*arrays)]


@expansion("random_bits")
def _bits(equation: JaxprEqn, values: list[Any]) -> Sequence[Any]:
    width, shape = equation.params["bit_width"], equation.params["shape"]
    return _for_each_key(lambda key: threefry_prng_impl.random_bits(key, width, shape), equation, *values)


@expansion("random_split")
def _split(equation: JaxprEqn, values: list[Any]) -> Sequence[Any]:
    shape = equation.params["shape"]
    return _for_each_key(lambda key: threefry_prng_impl.split(key, shape), equation, *values)


@expansion("random_fold_in")
def _fold_in(equation: JaxprEqn, values: list[Any]) -> Sequence[Any]:
    return _for_each_key(threefry_prng_impl.fold_in, equation, *values)


@expansion("random_seed")
def _seed(equation: JaxprEqn, values: list[Any]) -> Sequence[Any]:
    return _for_each_key(threefry_prng_impl.seed, equation, *values)


@expansion("threefry2x32")
def _threefry(equation: JaxprEqn, values: list[Any]) -> Sequence[Any]:
    """Encrypt two words by twenty rounds.

    Reference: Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
    """
    first, second, a, b = values
    keys = (first, second, first ^ second ^ jnp.uint32(PARITY))
    a, b = a + keys[0], b + keys[1]
    for group in range(5):
        for distance in ROTATIONS[group % 2]:
            a = a + b
            b = a ^ (b << jnp.uint32(distance) | b >> jnp.uint32(32 - distance))
        a = a + keys[(group + 1) % 3]
        b = b + keys[(group + 2) % 3] + jnp.uint32(group + 1)
    return [a, b]


@expansion("iota_2x32_shape")
def _numbers(equation: JaxprEqn, values: list[Any]) -> Sequence[Any]:
    """Return the number of each element as two words, the high one first."""
    shape = equation.params["shape"]
    low = lax.iota(jnp.uint32, math.prod(shape)).reshape(shape)
    return [jnp.zeros(shape, jnp.uint32), low]
