"""Operations on the bits of floats."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from jax import lax

from vgrad_jax.jaxprs import JaxprEqn
from vgrad_jax.lanes.errors import NotInLanesError
from vgrad_jax.lanes.nests.expansions.registry import expansion

__all__: list[str] = []

SIGN = 0x80000000
"""Bit of the sign."""


@expansion("nextafter")
def _neighbour(equation: JaxprEqn, values: list[Any]) -> Sequence[Any]:
    """Return the next float towards another: the bits of a float's size grow with the size."""
    x, y = values
    if x.dtype != jnp.float32:
        raise NotInLanesError(f"nextafter of {x.dtype} has no native code")
    bits, target = (lax.bitcast_convert_type(value, jnp.uint32) for value in (x, y))
    sign, size = bits & jnp.uint32(SIGN), bits & ~jnp.uint32(SIGN)
    target_sign, target_size = target & jnp.uint32(SIGN), target & ~jnp.uint32(SIGN)
    smaller = (size > target_size) | (sign != target_sign)
    moved = bits + jnp.where(smaller, jnp.uint32(0xFFFFFFFF), jnp.uint32(1))
    result = jnp.where(size == 0, jnp.where(target_size == 0, target, target_sign | jnp.uint32(1)), moved)
    result = jnp.where(bits == target, target, result)
    result = lax.bitcast_convert_type(result, jnp.float32)
    return [jnp.where(jnp.isnan(x) | jnp.isnan(y), jnp.nan, result)]


def _ordered(x: Any) -> Any:
    """Return integers in the total order of floats: -NaN, -infinity, ..., -0, 0, ..., infinity, NaN."""
    if x.dtype != jnp.float32:
        return x
    bits = lax.bitcast_convert_type(x, jnp.int32)
    return bits ^ ((bits >> 31) & jnp.int32(0x7FFFFFFF))


@expansion("lt_to")
def _below(equation: JaxprEqn, values: list[Any]) -> Sequence[Any]:
    return [_ordered(values[0]) < _ordered(values[1])]


@expansion("le_to")
def _not_above(equation: JaxprEqn, values: list[Any]) -> Sequence[Any]:
    return [_ordered(values[0]) <= _ordered(values[1])]


@expansion("eq_to")
def _equal(equation: JaxprEqn, values: list[Any]) -> Sequence[Any]:
    return [_ordered(values[0]) == _ordered(values[1])]
