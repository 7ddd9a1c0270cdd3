"""Advice about the scale of the inputs."""

import numpy as np

from vgrad_jax.inspection.concern import LARGE_INPUTS, UNEVEN_INPUTS, Concern
from vgrad_jax.inspection.kernels import summed_axes
from vgrad_jax.inspection.probes import Probe
from vgrad_jax.inspection.tail import PRODUCTS, weight_of

__all__ = ["inputs_scaled"]


def inputs_scaled(probe: Probe) -> list[Concern]:
    """Find inputs of a layer that are large, or whose columns have scales far apart."""
    graph = probe.graph
    for step in graph.needed([graph.result]):
        kernel = weight_of(graph, step) if step.name in PRODUCTS else None
        if kernel is None or not graph.is_data(step.inputs[1 - kernel]):
            continue
        (array,) = probe.concrete([step.inputs[1 - kernel]])
        axes = summed_axes(step, 1 - kernel) if step.name == "dot_general" else ()
        if array.size and np.issubdtype(array.dtype, np.floating):
            return _of_scale(array.astype(np.float64), axes)
    return []


def _of_scale(x: np.ndarray, features: tuple[int, ...]) -> list[Concern]:
    concerns = []
    size = float(np.sqrt(np.mean(x**2)))
    if size > LARGE_INPUTS:
        sentence = f"The root mean square of the inputs is {size:.3g}: scale them to about 1."
        concerns.append(Concern("inputs_large", sentence, size, LARGE_INPUTS, None, False))
    columns = np.sqrt(np.mean(x**2, axis=tuple(axis for axis in range(x.ndim) if axis not in features))).ravel()
    columns = columns[columns > 0]
    ratio = float(columns.max() / columns.min()) if features and len(columns) > 1 else 1.0
    if ratio > UNEVEN_INPUTS:
        sentence = f"The largest column of the inputs is {ratio:.3g} times the smallest: scale each to about 1."
        concerns.append(Concern("inputs_uneven", sentence, ratio, UNEVEN_INPUTS, None, False))
    return concerns
