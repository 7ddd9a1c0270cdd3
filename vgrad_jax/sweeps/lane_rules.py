"""Rules of `vgrad_jax.sweeps.lanes`: how an operation on arrays is done with the lanes as one more, last axis."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend.core import JaxprEqn
from jaxtyping import Array, Int

__all__ = ["ARRAY_RULES", "Context", "NotInLanesError", "Rule", "Value", "bind", "spread"]

BLOCK = 32
"""Terms of a product that are written out; longer products loop over such blocks."""


class NotInLanesError(NotImplementedError):
    """The function has an operation that has no rule here."""


@dataclass(slots=True)
class Value:
    """An intermediate result; `mapped` when it has the lanes as its last axis, else it is the same for all."""

    array: Any
    mapped: bool
    stored: bool = False
    """It is in memory, so that no reader can compute it again."""

    def store(self, context: "Context") -> Any:
        """The array, behind a fence where it may not be in memory; whoever reads the value later reads that."""
        if self.mapped and not self.stored:
            self.array, self.stored = _fence(context, self.array), True
        return self.array


class Context(NamedTuple):
    """What every rule needs."""

    lanes: int
    zero: Int[Array, ""]
    """Zero, but the compiler must not know: see `_fence`."""


Rule = Callable[[Context, JaxprEqn, Sequence[Value]], list[Value]]


def _shape(equation: JaxprEqn) -> tuple[int, ...]:
    aval: Any = equation.outvars[0].aval
    return tuple(aval.shape)


def bind(equation: JaxprEqn, *arrays: Any) -> list[Any]:
    """The operation itself, on arrays that fit it."""
    result = equation.primitive.bind(*arrays, **equation.params)
    return list(result) if equation.primitive.multiple_results else [result]


def spread(context: Context, value: Value) -> Any:
    """The value's array with the lanes as its last axis, whether or not it depends on them."""
    if value.mapped:
        return value.array
    array = jnp.asarray(value.array)
    return lax.broadcast_in_dim(array, (*array.shape, context.lanes), tuple(range(array.ndim)))


def _fence(context: Context, array: Array) -> Array:
    """The array, in memory: the compiler can neither fuse it into what reads it nor compute it again."""
    start = (jnp.zeros_like(context.zero), array)
    return lax.while_loop(lambda state: state[0] < context.zero, lambda state: (state[0] + 1, 2 * state[1]), start)[1]


def _by_vmap(context: Context, equation: JaxprEqn, values: Sequence[Value]) -> list[Value]:
    """For operations whose own batching leaves the last axis where it is, or that are too rare to matter."""
    axes = [-1 if value.mapped else None for value in values]
    mapped = jax.vmap(partial(bind, equation), in_axes=axes, out_axes=-1)
    return [Value(array, True) for array in mapped(*(value.array for value in values))]


def _elementwise(context: Context, equation: JaxprEqn, values: Sequence[Value]) -> list[Value]:
    shape = _shape(equation)

    def full(value: Value) -> Array:
        array = jnp.asarray(value.array)
        if array.ndim == len(shape) + value.mapped:
            return spread(context, value)
        return lax.broadcast_in_dim(array, (*shape, context.lanes), (len(shape),) if value.mapped else ())

    return [Value(array, True) for array in bind(equation, *map(full, values))]


def _broadcast_in_dim(context: Context, equation: JaxprEqn, values: Sequence[Value]) -> list[Value]:
    if len(values) > 1:
        raise NotInLanesError("a shape that is not known beforehand")
    shape, axes = equation.params["shape"], equation.params["broadcast_dimensions"]
    return [Value(lax.broadcast_in_dim(values[0].array, (*shape, context.lanes), (*axes, len(shape))), True)]


def _reshape(context: Context, equation: JaxprEqn, values: Sequence[Value]) -> list[Value]:
    if equation.params["dimensions"] is not None:
        raise NotInLanesError("a reshape that also transposes")
    return [Value(lax.reshape(values[0].array, (*equation.params["new_sizes"], context.lanes)), True)]


def _transpose(context: Context, equation: JaxprEqn, values: Sequence[Value]) -> list[Value]:
    permutation = equation.params["permutation"]
    return [Value(lax.transpose(values[0].array, (*permutation, len(permutation))), True)]


def _squeeze(context: Context, equation: JaxprEqn, values: Sequence[Value]) -> list[Value]:
    return [Value(lax.squeeze(values[0].array, equation.params["dimensions"]), True)]


def _slice(context: Context, equation: JaxprEqn, values: Sequence[Value]) -> list[Value]:
    start, limit, strides = (equation.params[name] for name in ("start_indices", "limit_indices", "strides"))
    strides = None if strides is None else (*strides, 1)
    return [Value(lax.slice(values[0].array, (*start, 0), (*limit, context.lanes), strides), True)]


def _concatenate(context: Context, equation: JaxprEqn, values: Sequence[Value]) -> list[Value]:
    arrays = [spread(context, value) for value in values]
    return [Value(lax.concatenate(arrays, equation.params["dimension"]), True)]


def _stack(context: Context, equation: JaxprEqn, values: Sequence[Value]) -> list[Value]:
    return [Value(jnp.stack([spread(context, value) for value in values], equation.params["axis"]), True)]


def _psum(context: Context, equation: JaxprEqn, values: Sequence[Value]) -> list[Value]:
    """What is left of a sum over a named axis when that axis is mapped: a sum over axes of the array."""
    axes = equation.params["axes"]
    if equation.params["axis_index_groups"] is not None or not all(isinstance(axis, int) for axis in axes):
        raise NotInLanesError("a sum over a named axis that is not mapped")
    return [Value(jnp.sum(value.array, axes), value.mapped) for value in values]


def _gather(context: Context, equation: JaxprEqn, values: Sequence[Value]) -> list[Value]:
    operand, indices = values
    if operand.mapped:
        return _by_vmap(context, equation, values)
    # The axis of an index's coordinates has to stay the last; the lanes are one more axis of indices before it.
    index = jnp.swapaxes(indices.store(context), -1, -2)
    parameters = {**equation.params, "indices_are_sorted": False, "unique_indices": False}
    return [Value(_fence(context, equation.primitive.bind(operand.array, index, **parameters)), True, stored=True)]


def _dot_general(context: Context, equation: JaxprEqn, values: Sequence[Value]) -> list[Value]:
    (left_sum, right_sum), (left_batch, _) = equation.params["dimension_numbers"]
    if left_batch or len(left_sum) != 1:
        raise NotInLanesError("a product with batch axes, or over several axes")
    aval: Any = equation.outvars[0].aval
    if any(value.array.dtype != aval.dtype for value in values):
        raise NotInLanesError("a product that changes the dtype")
    left, right = (Value(jnp.asarray(value.store(context)), value.mapped) for value in values)
    shape = _shape(equation)
    left_free = tuple(range(left.array.ndim - left.mapped - 1))

    def placed(value: Value, k: int, axis: int, free: tuple[int, ...]) -> Array:
        array = lax.index_in_dim(value.array, k, axis, keepdims=False)
        return lax.broadcast_in_dim(array, (*shape, context.lanes), (*free, len(shape)) if value.mapped else free)

    def block(left_array: Array, right_array: Array) -> Array:
        terms = [
            placed(Value(left_array, left.mapped), k, left_sum[0], left_free)
            * placed(Value(right_array, right.mapped), k, right_sum[0], tuple(range(len(left_free), len(shape))))
            for k in range(left_array.shape[left_sum[0]])
        ]
        return _tree_sum(terms)

    def turn(index: Int[Array, ""], total: Array) -> Array:
        cut = partial(lax.dynamic_slice_in_dim, start_index=index * BLOCK, slice_size=BLOCK)
        return total + block(cut(left.array, axis=left_sum[0]), cut(right.array, axis=right_sum[0]))

    size = left.array.shape[left_sum[0]]
    whole = size // BLOCK if size > BLOCK else 0
    remainder = partial(lax.slice_in_dim, start_index=whole * BLOCK, limit_index=size)
    total = jnp.zeros((*shape, context.lanes), left.array.dtype)
    if size > whole * BLOCK:
        total = block(remainder(left.array, axis=left_sum[0]), remainder(right.array, axis=right_sum[0]))
    if whole:
        total = lax.fori_loop(0, whole, turn, total)
    result = Value(total, True)
    result.store(context)
    return [result]


def _tree_sum(terms: list[Array]) -> Array:
    while len(terms) > 1:
        pairs = [a + b for a, b in zip(terms[::2], terms[1::2], strict=False)]
        terms = pairs + terms[2 * len(pairs) :]
    return terms[0]


ELEMENTWISE = """
    abs acos acosh add add_any and asin asinh atan atan2 atanh bessel_i0e bessel_i1e cbrt ceil clamp clz
    convert_element_type copy copy_p cos cosh digamma div eq erf erf_inv erfc exp exp2 expm1 floor ge gt integer_pow
    is_finite le lgamma log log1p logistic lt max min mul ne neg nextafter not or population_count pow reduce_precision
    rem round rsqrt select_n shift_left shift_right_arithmetic shift_right_logical sign sin sinh sqrt square
    stop_gradient sub tan tanh xor
""".split()  # noqa: SIM905

OTHERS_BY_VMAP = """
    argmax argmin cummax cummin cumprod cumsum dynamic_slice dynamic_update_slice pad random_bits random_fold_in
    random_split random_unwrap random_wrap reduce_and reduce_max reduce_min reduce_or reduce_prod reduce_sum rev
    split
""".split()  # noqa: SIM905

ARRAY_RULES: dict[str, Rule] = {
    **dict.fromkeys(ELEMENTWISE, _elementwise),
    **dict.fromkeys(OTHERS_BY_VMAP, _by_vmap),
    "broadcast_in_dim": _broadcast_in_dim,
    "concatenate": _concatenate,
    "dot_general": _dot_general,
    "gather": _gather,
    "psum": _psum,
    "reshape": _reshape,
    "slice": _slice,
    "squeeze": _squeeze,
    "stack": _stack,
    "transpose": _transpose,
}
