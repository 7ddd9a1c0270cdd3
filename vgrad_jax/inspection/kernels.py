"""The parts of a product: which axes of its kernel and its output belong to the units."""

import math
from typing import Any

import numpy as np
from jaxtyping import Shaped

from vgrad_jax.inspection.graph import Step

__all__ = ["as_matrix", "summed_axes", "unit_axes"]


def unit_axes(step: Step, kernel: int) -> tuple[int, ...]:
    """Return the axes of a product's output that its kernel gives it.

    Args:
        step: a product.
        kernel: position of the kernel among the inputs, 0 or 1.
    """
    parameters = step.equation.params
    if step.name != "dot_general":
        return (parameters["dimension_numbers"].out_spec[1],)
    summed, batched = parameters["dimension_numbers"]
    free = [_free(step, side, (*summed[side], *batched[side])) for side in (0, 1)]
    start = len(batched[0]) + (len(free[0]) if kernel == 1 else 0)
    return (*range(len(batched[0])), *range(start, start + len(free[kernel])))


def summed_axes(step: Step, side: int) -> tuple[int, ...]:
    """Return the axes of an input of a `dot_general` that are summed over."""
    return tuple(step.equation.params["dimension_numbers"][0][side])


def as_matrix(step: Step, kernel: int, array: Shaped[np.ndarray, "..."]) -> Shaped[np.ndarray, "stack fan_in unit"]:
    """Return a kernel as matrices, with the summed axes flattened; a convolution's window is summed over.

    Args:
        step: a product.
        kernel: position of the kernel among the inputs.
        array: the kernel.
    """
    parameters = step.equation.params
    if step.name != "dot_general":
        units = parameters["dimension_numbers"].rhs_spec[0]
        return np.moveaxis(array, units, -1).reshape(1, -1, array.shape[units])
    summed, batched = (axes[kernel] for axes in parameters["dimension_numbers"])
    free = _free(step, kernel, (*summed, *batched))
    sizes = [math.prod(array.shape[axis] for axis in axes) for axes in (batched, summed, free)]
    return np.transpose(array, (*batched, *summed, *free)).reshape(sizes)


def _free(step: Step, side: int, taken: tuple[Any, ...]) -> list[int]:
    atom: Any = step.equation.invars[side]
    return [axis for axis in range(atom.aval.ndim) if axis not in taken]
