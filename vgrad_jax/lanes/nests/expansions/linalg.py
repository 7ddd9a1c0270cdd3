"""Factors of small matrices and triangular solves, for all lanes without a branch."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from vgrad_jax.jaxprs import JaxprEqn
from vgrad_jax.lanes.errors import NotInLanesError
from vgrad_jax.lanes.nests.expansions.registry import expansion

__all__: list[str] = []

LARGEST = 64
"""Rows of a matrix, at the most."""
WRITTEN_OUT = 8
"""Rows of a matrix whose loop is written out, at the most."""


def _over_batch(function: Callable[..., Any], axes: int) -> Callable[..., Any]:
    for _ in range(axes):
        function = jax.vmap(function)
    return function


def _check(name: str, array: Any) -> None:
    if max(array.shape[-2:]) > LARGEST:
        raise NotInLanesError(f"{name} has no native code for more than {LARGEST} rows")
    if array.dtype != jnp.float32:
        raise NotInLanesError(f"{name} of {array.dtype} has no native code")


def _loop(count: int, body: Callable[[Any, Any], Any], start: Any) -> Any:
    """Return `fori_loop(0, count, body, start)`, written out where it is short."""
    if count > WRITTEN_OUT:
        return lax.fori_loop(0, count, body, start)
    for number in range(count):
        start = body(number, start)
    return start


@expansion("cholesky")
def _cholesky(equation: JaxprEqn, values: list[Any]) -> Sequence[Any]:
    (array,) = values
    _check("cholesky", array)
    return [_over_batch(_cholesky_of_one, array.ndim - 2)(array)]


def _cholesky_of_one(a: Any) -> Any:
    """Factor column by column; all is NaN where a pivot is not positive."""
    size = a.shape[0]
    rows = jnp.arange(size)

    def column(k: Any, state: Any) -> Any:
        rest, factor, good = state
        pivot = rest[k, k]
        values = jnp.where(rows >= k, rest[:, k] / jnp.sqrt(pivot), 0.0)
        factor = jnp.where((rows == k)[None, :], values[:, None], factor)
        return rest - values[:, None] * values[None, :], factor, good & (pivot > 0)

    _, factor, good = _loop(size, column, (a, jnp.zeros_like(a), jnp.bool_(True)))
    return jnp.where(good, factor, jnp.nan)


@expansion("lu")
def _lu(equation: JaxprEqn, values: list[Any]) -> Sequence[Any]:
    (array,) = values
    _check("lu", array)
    return _over_batch(_lu_of_one, array.ndim - 2)(array)


def _lu_of_one(a: Any) -> Any:
    """Factor with partial pivoting: the largest element of a column becomes its pivot."""
    height, width = a.shape
    rows = jnp.arange(height, dtype=jnp.int32)

    def column(k: Any, state: Any) -> Any:
        a, pivots, order = state
        sizes = jnp.where(rows >= k, jnp.abs(a[:, k]), -1.0)
        pivot = jnp.argmax(sizes).astype(jnp.int32)
        is_pivot, is_here = rows == pivot, rows == k
        here = a[k]
        taken = lax.dynamic_index_in_dim(a, pivot, 0, keepdims=False)
        a = jnp.where(is_pivot[:, None], here[None, :], a)
        a = jnp.where(is_here[:, None], taken[None, :], a)
        first, second = lax.dynamic_index_in_dim(order, pivot, 0, keepdims=False), order[k]
        order = jnp.where(is_here, first, jnp.where(is_pivot, second, order))
        factors = jnp.where(taken[k] != 0, a[:, k] / taken[k], a[:, k])
        below, right = rows > k, jnp.arange(width) > k
        a = jnp.where((below[:, None] & ~right[None, :]) & (jnp.arange(width) == k)[None, :], factors[:, None], a)
        a = jnp.where(below[:, None] & right[None, :], a - factors[:, None] * taken[None, :], a)
        return a, jnp.where(jnp.arange(len(pivots)) == k, pivot, pivots), order

    count = min(height, width)
    return _loop(count, column, (a, jnp.zeros(count, jnp.int32), rows))


@expansion("triangular_solve")
def _triangular_solve(equation: JaxprEqn, values: list[Any]) -> Sequence[Any]:
    a, b = values
    parameters = equation.params
    _check("triangular_solve", a)
    if parameters["conjugate_a"] and jnp.iscomplexobj(a):
        raise NotInLanesError("triangular_solve of complex numbers has no native code")

    def solve(a: Any, b: Any) -> Any:
        lower = parameters["lower"]
        if parameters["transpose_a"]:
            a, lower = a.T, not lower
        if not parameters["left_side"]:  # x a = b is a' x' = b'.
            return _solved(a.T, b.T, not lower, parameters["unit_diagonal"]).T
        return _solved(a, b, lower, parameters["unit_diagonal"])

    return [_over_batch(solve, a.ndim - 2)(a, b)]


def _solved(a: Any, b: Any, lower: bool, unit: bool) -> Any:
    """Solve row by row: what is known of the result is subtracted from all rows."""
    size = a.shape[0]
    rows = jnp.arange(size)

    def row(number: Any, state: Any) -> Any:
        rest, result = state
        k = number if lower else size - 1 - number
        solved = rest[k] if unit else rest[k] / a[k, k]
        result = jnp.where((rows == k)[:, None], solved[None, :], result)
        after = rows > k if lower else rows < k
        return jnp.where(after[:, None], rest - a[:, k][:, None] * solved[None, :], rest), result

    return _loop(size, row, (b, jnp.zeros_like(b)))[1]


@expansion("lu_pivots_to_permutation")
def _permutation(equation: JaxprEqn, values: list[Any]) -> Sequence[Any]:
    """Carry out the exchanges of rows that pivots name."""
    (pivots,), size = values, equation.params["permutation_size"]
    rows = jnp.arange(size, dtype=pivots.dtype)

    def permute(pivots: Any) -> Any:
        def exchange(k: Any, order: Any) -> Any:
            other = pivots[k]
            first, second = lax.dynamic_index_in_dim(order, other, 0, keepdims=False), order[k]
            return jnp.where(rows == k, first, jnp.where(rows == other, second, order))

        return _loop(pivots.shape[0], exchange, rows)

    return [_over_batch(permute, pivots.ndim - 1)(pivots)]
