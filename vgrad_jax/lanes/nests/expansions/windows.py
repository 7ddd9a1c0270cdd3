"""Operations on windows of an array: largest elements, sums, and convolutions as products."""

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import jax.numpy as jnp
from jax import lax

from vgrad_jax.jaxprs import JaxprEqn
from vgrad_jax.lanes.errors import NotInLanesError
from vgrad_jax.lanes.nests.expansions.registry import expansion

__all__: list[str] = []

LARGEST = 128
"""Elements of a window, at the most: each is a slice of its own."""


def _check(name: str, elements: int) -> None:
    if elements > LARGEST:
        raise NotInLanesError(f"{name} has no native code for more than {LARGEST} elements of a window")


def _elements(array: Any, window: Sequence[int], strides: Sequence[int], dilation: Sequence[int]) -> Iterator[Any]:
    """Yield, for each element of a window, the array of it in all windows."""
    counts = [
        (size - (width - 1) * step - 1) // stride + 1
        for size, width, step, stride in zip(array.shape, window, dilation, strides, strict=True)
    ]
    for offsets in itertools.product(*map(range, window)):
        starts = [offset * step for offset, step in zip(offsets, dilation, strict=True)]
        limits = [s + (count - 1) * stride + 1 for s, count, stride in zip(starts, counts, strides, strict=True)]
        yield lax.slice(array, starts, limits, strides)


def _windows(equation: JaxprEqn, array: Any, outside: Any) -> list[Any]:
    parameters = equation.params
    window = parameters["window_dimensions"]
    _check(equation.primitive.name, math.prod(window))
    padding = parameters["padding"]
    if any(dilation != 1 for dilation in parameters["base_dilation"]):
        raise NotInLanesError(f"{equation.primitive.name} with a dilated array has no native code")
    padded = lax.pad(array, jnp.asarray(outside, array.dtype), [(low, high, 0) for low, high in padding])
    return list(_elements(padded, window, parameters["window_strides"], parameters["window_dilation"]))


def _least(dtype: Any) -> Any:
    return -jnp.inf if jnp.issubdtype(dtype, jnp.floating) else jnp.iinfo(dtype).min


def _largest(dtype: Any) -> Any:
    return jnp.inf if jnp.issubdtype(dtype, jnp.floating) else jnp.iinfo(dtype).max


def _combined(parts: Sequence[Any], combine: Any) -> Any:
    total, *rest = parts
    for part in rest:
        total = combine(total, part)
    return total


@expansion("reduce_window_max")
def _window_max(equation: JaxprEqn, values: list[Any]) -> Sequence[Any]:
    return [_combined(_windows(equation, values[0], _least(values[0].dtype)), lax.max)]


@expansion("reduce_window_min")
def _window_min(equation: JaxprEqn, values: list[Any]) -> Sequence[Any]:
    return [_combined(_windows(equation, values[0], _largest(values[0].dtype)), lax.min)]


@expansion("reduce_window_sum")
def _window_sum(equation: JaxprEqn, values: list[Any]) -> Sequence[Any]:
    return [_combined(_windows(equation, values[0], 0), lax.add)]


@expansion("select_and_scatter_add")
def _scatter_to_selected(equation: JaxprEqn, values: list[Any]) -> Sequence[Any]:
    """Add each number to the element of its window that is selected: the derivative of a window's maximum."""
    (source, operand), parameters = values, equation.params
    window, strides = parameters["window_dimensions"], parameters["window_strides"]
    _check("select_and_scatter_add", math.prod(window))
    if any(map(any, parameters["padding"])):
        raise NotInLanesError("select_and_scatter_add with padding has no native code")
    compare = {"ge": lax.ge, "le": lax.le}.get(parameters["select_prim"].name)
    if compare is None:
        raise NotInLanesError("select_and_scatter_add by another comparison has no native code")
    parts = list(_elements(operand, window, strides, (1,) * operand.ndim))
    best, chosen = parts[0], jnp.zeros(source.shape, jnp.int32)
    for number, part in enumerate(parts[1:], 1):
        keep = compare(best, part)
        best, chosen = jnp.where(keep, best, part), jnp.where(keep, chosen, number)
    total = jnp.zeros_like(operand)
    for number, offsets in enumerate(itertools.product(*map(range, window))):
        here = jnp.where(chosen == number, source, jnp.zeros_like(source))
        ends = [
            size - offset - (count - 1) * stride - 1
            for size, offset, count, stride in zip(operand.shape, offsets, source.shape, strides, strict=True)
        ]
        spread = zip(offsets, ends, strides, strict=True)
        total = total + lax.pad(here, jnp.zeros((), source.dtype), [(low, high, s - 1) for low, high, s in spread])
    return [total]


@expansion("conv_general_dilated")
def _convolution(equation: JaxprEqn, values: list[Any]) -> Sequence[Any]:
    """Multiply the windows of a padded array with the kernel, as one product."""
    (left, right), parameters = values, equation.params
    if parameters["batch_group_count"] != 1:
        raise NotInLanesError("conv_general_dilated with groups of a batch has no native code")
    numbers, groups = parameters["dimension_numbers"], parameters["feature_group_count"]
    left, right = jnp.transpose(left, numbers.lhs_spec), jnp.transpose(right, numbers.rhs_spec)
    spatial = right.shape[2:]
    _check("conv_general_dilated", math.prod(spatial))
    dilation = zip(parameters["padding"], parameters["lhs_dilation"], strict=True)
    padding = [(0, 0, 0), (0, 0, 0), *((low, high, step - 1) for (low, high), step in dilation)]
    left = lax.pad(left, jnp.zeros((), left.dtype), padding)
    window, strides = (1, 1, *spatial), (1, 1, *parameters["window_strides"])
    parts = list(_elements(left, window, strides, (1, 1, *parameters["rhs_dilation"])))
    patches = jnp.stack(parts, 2)  # (batch, features, taps, *positions)
    batch, features = patches.shape[:2]
    positions = patches.shape[3:]
    patches = patches.reshape(batch, groups, features // groups, len(parts), -1)
    kernel = right.reshape(groups, right.shape[0] // groups, features // groups, len(parts))
    result = jnp.einsum("bgctp,gfct->bgfp", patches, kernel, preferred_element_type=left.dtype)
    result = result.reshape(batch, right.shape[0], *positions)
    order = [numbers.out_spec.index(axis) for axis in range(len(numbers.out_spec))]
    return [jnp.transpose(result, order)]
