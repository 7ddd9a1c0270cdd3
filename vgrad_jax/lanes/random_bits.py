"""The random bits of JAX's default keys, as sums, shifts and exclusive ors, which have native code.

XLA draws bits of each key by a loop of its own; twenty rounds on whole registers of lanes take a sixth of the time.
"""

import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, UInt32

from vgrad_jax.jaxprs import JaxprEqn, draw_of

__all__ = ["draws_threefry", "threefry_bits"]

ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
"""Bits by which Threefry-2x32 rotates, in even and in odd groups of four rounds."""
PARITY = 0x1BD11BDA
"""The exclusive or of this constant and a key's two words is the key's third word."""


def draws_threefry(equation: JaxprEqn) -> bool:
    """Return whether an equation draws the random bits that `threefry_bits` gives."""
    draw = draw_of(equation)
    if draw is None:
        return False
    key: Any = equation.invars[0].aval
    usual = jax.eval_shape(partial(jax.random.key, impl="threefry2x32"), 0)
    if not jax.config.jax_threefry_partitionable or (key.shape, key.dtype) != (usual.shape, usual.dtype):  # type: ignore[attr-defined]
        return False
    return draw.bit_width == 32 and 0 < math.prod(draw.shape) < 2**31


def threefry_bits(key_data: UInt32[Array, "2"], words: int) -> UInt32[Array, " words"]:
    """Return the words that `jax.random.bits` gives of a key.

    Twenty rounds of Threefry-2x32 encrypt the number of each word; the word is the exclusive or of both halves.
    Reference: Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.

    Args:
        key_data: the key's two words, from `jax.random.key_data`.
        words: how many to draw.

    >>> key = jax.random.key(7)
    >>> bool((threefry_bits(jax.random.key_data(key), 3) == jax.random.bits(key, (3,))).all())
    True
    """
    first, second = key_data[0], key_data[1]
    keys = (first, second, first ^ second ^ jnp.uint32(PARITY))
    a, b = jnp.zeros(words, jnp.uint32) + keys[0], lax.iota(jnp.uint32, words) + keys[1]
    for group in range(5):
        for distance in ROTATIONS[group % 2]:
            a = a + b
            b = a ^ (b << jnp.uint32(distance) | b >> jnp.uint32(32 - distance))
        a = a + keys[(group + 1) % 3]
        b = b + keys[(group + 2) % 3] + jnp.uint32(group + 1)
    return a ^ b
