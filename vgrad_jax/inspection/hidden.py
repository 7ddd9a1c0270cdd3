"""Rank of the last hidden layer: how many directions its units span over the examples.

    inputs ──► first product ... last hidden layer ──► last product ──► loss
    input_ratio                  correlation, singular_ratio

Units that are multiples of each other compute one feature, whatever the output layer makes of them. The inputs are
measured too, because a layer cannot have more directions than they have.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from vgrad_jax.inspection.graph import Graph, Step
from vgrad_jax.inspection.probes import Probe
from vgrad_jax.inspection.tail import PRODUCTS, last_product, weight_of

__all__ = ["Hidden", "hidden_of", "rank_of"]

FEWEST_ROWS, FEWEST_UNITS = 8, 2
"""Numbers of examples and units from which a rank is measured: two examples always correlate."""
MOST = 512
"""Number of examples and of units that are measured at most."""


@dataclass(frozen=True)
class Hidden:
    """Rank of the last hidden layer over the examples; NaN where there are too few examples or units."""

    correlation: float
    """Mean absolute correlation of the units."""
    singular_ratio: float
    """Second over first singular value of the units' values, centred over the examples."""
    input_ratio: float
    """The same of the inputs of the first product."""
    kernel_mean: float = math.nan
    """Largest mean of a kernel over its root mean square: near one for kernels of one sign."""


def hidden_of(probe: Probe) -> Hidden | None:
    """Measure the inputs of the last and of the first product; None where there is only one, or none."""
    head = probe.tail.heads[0] if len(probe.tail.heads) == 1 else None
    last = None if head is None else last_product(probe.graph, head)
    first = next((step for step in probe.graph.steps if _reads_data(probe.graph, step)), None)
    if last is None or first is None or last is first:
        return None
    values = [_rows(probe, step) for step in (last, first)]
    (correlation, singular), (_, of_inputs) = (rank_of(rows) for rows in values)
    return Hidden(correlation, singular, of_inputs, _kernel_mean(probe))


def _kernel_mean(probe: Probe) -> float:
    """Return the largest absolute mean over the root mean square among the leaves with two axes or more."""
    kernels = [np.asarray(probe.known[leaf], np.float64) for leaf in range(probe.graph.number_of_leaves)]
    sizes = [(abs(kernel.mean()), np.sqrt((kernel**2).mean())) for kernel in kernels if kernel.ndim >= 2]
    return max((float(mean / rms) for mean, rms in sizes if rms > 0), default=float("nan"))


def rank_of(rows: Float[np.ndarray, "row unit"]) -> tuple[float, float]:
    """Return the mean absolute correlation of the columns, and second over first singular value, centred.

    Columns without any variance are left out.

    >>> round(rank_of(np.outer(np.arange(9.0), [1.0, -2.0, 3.0]))[0], 6)
    1.0
    """
    centred = rows[:: max(1, len(rows) // MOST), :MOST] - rows[:: max(1, len(rows) // MOST), :MOST].mean(0)
    centred = centred[:, centred.std(0) > 0]
    if len(centred) < FEWEST_ROWS or centred.shape[1] < FEWEST_UNITS or not np.isfinite(centred).all():
        return float("nan"), float("nan")
    units = centred.shape[1]
    correlation = np.abs(np.corrcoef(centred, rowvar=False))
    values = np.linalg.svd(centred, compute_uv=False)
    return float((correlation.sum() - units) / (units * (units - 1))), float(values[1] / values[0])


def _reads_data(graph: Graph, step: Step) -> bool:
    """Return whether a step is a product of a kernel and data."""
    kernel = weight_of(graph, step) if step.name in PRODUCTS else None
    return kernel is not None and graph.is_data(step.inputs[1 - kernel])


def _rows(probe: Probe, step: Step) -> Float[np.ndarray, "row unit"]:
    """Return the values that a product sums over, a row for each example (or position)."""
    operand = 1 - (weight_of(probe.graph, step) or 0)
    (array,) = probe.concrete([step.inputs[operand]])
    numbers = step.equation.params["dimension_numbers"]
    axes = tuple(numbers[0][operand]) if step.name == "dot_general" else (numbers.lhs_spec[1],)
    values = np.moveaxis(np.asarray(array, np.float64), axes, range(-len(axes), 0))
    return values.reshape(-1, int(np.prod(values.shape[values.ndim - len(axes) :])))
