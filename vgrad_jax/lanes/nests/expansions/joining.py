"""Arrays that are put together or taken apart."""

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import jax.numpy as jnp
from jax import lax

from vgrad_jax.jaxprs import JaxprEqn
from vgrad_jax.lanes.nests.expansions.registry import expansion

__all__: list[str] = []


@expansion("stack")
def _stack(equation: JaxprEqn, values: list[Any]) -> Sequence[Any]:
    axis = equation.params["axis"]
    return [lax.concatenate([lax.expand_dims(value, (axis,)) for value in values], axis)]


@expansion("split")
def _split(equation: JaxprEqn, values: list[Any]) -> Sequence[Any]:
    sizes, axis = equation.params["sizes"], equation.params["axis"]
    starts = accumulate(sizes, initial=0)
    return [lax.slice_in_dim(values[0], s, s + size, axis=axis) for s, size in zip(starts, sizes, strict=False)]


@expansion("unstack")
def _unstack(equation: JaxprEqn, values: list[Any]) -> Sequence[Any]:
    axis = equation.params["axis"]
    return [lax.index_in_dim(values[0], n, axis, keepdims=False) for n in range(values[0].shape[axis])]


@expansion("tile")
def _tile(equation: JaxprEqn, values: list[Any]) -> Sequence[Any]:
    (array,), repeats = values, equation.params["reps"]
    paired = [size for pair in zip(repeats, array.shape, strict=True) for size in pair]
    axes = tuple(range(1, 2 * array.ndim, 2))
    return [
        lax.broadcast_in_dim(array, paired, axes).reshape([a * b for a, b in zip(repeats, array.shape, strict=True)])
    ]


@expansion("device_put", "optimization_barrier")
def _same(equation: JaxprEqn, values: list[Any]) -> Sequence[Any]:
    return values


@expansion("top_k")
def _top_k(equation: JaxprEqn, values: list[Any]) -> Sequence[Any]:
    """Sort in reverse, so that of equal elements the first comes first."""
    (array,), count = values, equation.params["k"]
    axis = equation.params.get("axis", -1) % array.ndim
    size = array.shape[axis]
    numbers = size - 1 - lax.broadcasted_iota(jnp.int32, array.shape, axis)
    ordered = lax.sort((lax.rev(array, (axis,)), numbers), dimension=axis, num_keys=1)
    return [lax.rev(lax.slice_in_dim(part, size - count, size, axis=axis), (axis,)) for part in ordered]
