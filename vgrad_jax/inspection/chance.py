"""The loss of the best constant prediction: what a network reaches that learns nothing from its inputs.

The last product is replaced by one constant vector for all rows, as a bias would give it. The loss is minimised over
this vector. The minimum is the variance of the targets for a squared error, the entropy of the classes for a
crossentropy.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from vgrad_jax.compiling import compiled_quickly
from vgrad_jax.inspection.graph import Graph, Step
from vgrad_jax.inspection.kernels import unit_axes
from vgrad_jax.inspection.tail import PRODUCTS, Tail, last_product, leaf_of, weight_of

__all__ = ["Chance", "chance_of"]

STARTS = (0.1, 1.1, -0.9)
"""Values of all units from which the best vector is searched for; at zero a loss may have a kink."""
MOST_NUMBERS = 2**30
"""Numbers that all calls together may compute: outputs times calls."""
MOST_CALLS = 500
TOLERANCE = 1e-3
"""Share of the loss to which the minimum is sure."""
REACH = (1e-3, 1e-2, 0.1, 1.0, 10.0, 100.0)
"""Distances at which smaller losses are looked for, over the size of the best vector."""
FEWEST_CALLS = 20
"""Number of calls of a descent below which it is not begun."""

FEW_NUMBERS = 2**20
"""Number of outputs up to which the tail is compiled without optimisation."""

Vector = Float[np.ndarray, " unit"]
Function = Callable[[Vector], tuple[float, Vector]]
"""Value and slope at a vector."""


class _Point(NamedTuple):
    """Vector of constants, and the loss there."""

    value: float
    vector: Vector


class Chance(NamedTuple):
    """Loss of the best constant prediction."""

    loss: float
    """Without the penalties and the side terms, which a network that learns nothing can bring to nothing."""
    rows: int
    """Number of outputs that share each constant; a few rows are fitted better than all of the data would be."""
    constants: int
    """Number of constants that were fitted."""


def chance_of(graph: Graph, tail: Tail, known: dict[int, Any]) -> Chance | None:
    """Return the loss of the best constant prediction; None where the output cannot be told or nothing is predicted.

    Args:
        graph: of the loss.
        tail: of the loss.
        known: parameters and batch.
    """
    step = None if tail.head is None else last_product(graph, tail.head)
    if step is None:
        return None
    (product,) = step.outputs
    if _meets_data_elsewhere(graph, product, tail) or not _predicts_data(graph, tail):
        return None
    kernel = weight_of(graph, step)
    if kernel is None or _is_used_before(graph, step, kernel):
        return None
    shape, axes = graph.shapes[product], unit_axes(step, kernel)
    units = [shape[axis] for axis in axes]
    rows = math.prod(shape) // max(1, math.prod(units))
    if rows < 2:
        return None
    inner = [shape[axis] if axis in axes else 1 for axis in range(len(shape))]

    def loss(constant: Any, known: dict[int, Any]) -> Any:
        output = jnp.broadcast_to(constant.reshape(inner), shape).astype(graph.dtypes[product])
        none = {term: jnp.zeros(graph.shapes[term], graph.dtypes[term]) for term in (*tail.penalties, *tail.sides)}
        return graph.replay({**known, **none, product: output}, [graph.result])[0]

    numbers = math.prod(shape)
    compiler = compiled_quickly if numbers <= FEW_NUMBERS else jax.jit
    compiled = graph.compile_once("chance", jax.value_and_grad(loss), compiler)
    least = _least(lambda constant: compiled(constant, known), math.prod(units), numbers)
    return None if least is None else Chance(least, rows, math.prod(units))


def _meets_data_elsewhere(graph: Graph, product: int, tail: Tail) -> bool:
    """Return whether parameters and data meet on another way to the loss than through a product."""
    through = {product}
    for step in graph.needed([graph.result], {product, *tail.penalties, *tail.sides}):
        if any(value in through for value in step.inputs):
            through.update(step.outputs)
        elif any(graph.is_mixed(value) for value in step.outputs):
            return True
    return False


def _is_used_before(graph: Graph, last: Step, kernel: int) -> bool:
    """Return whether another product on the way uses the last kernel: the loss is of a derivative of the network."""
    leaf = leaf_of(graph, last.inputs[kernel])
    for step in graph.needed(last.inputs):
        other = weight_of(graph, step) if step.name in PRODUCTS else None
        if leaf is not None and other is not None and leaf_of(graph, step.inputs[other]) == leaf:
            return True
    return False


def _predicts_data(graph: Graph, tail: Tail) -> bool:
    """Return whether the heads meet data on the way to the loss."""
    return any(graph.is_data(value) for step in tail.steps for value in step.inputs)


def _least(function: Callable[[Any], Any], units: int, numbers: int) -> float | None:
    """Return the smallest value of a function of a vector; None where it has none, or where it is not result.

    Args:
        function: gives the value and the slope.
        units: length of the vector.
        numbers: outputs that a call computes.
    """

    def at(vector: Vector) -> tuple[float, Vector]:
        value, slope = (np.asarray(result, np.float64) for result in function(jnp.asarray(vector, jnp.float32)))
        finite = np.isfinite(value) and np.isfinite(slope).all()
        return (float(value), slope) if finite else (math.inf, np.zeros(units))

    calls = min(MOST_CALLS, MOST_NUMBERS // max(1, numbers)) // (len(STARTS) + 2)
    if calls < FEWEST_CALLS:
        return None
    best = min((_descended(at, np.full(units, start), calls) for start in STARTS), key=lambda point: point.value)
    best = _across_kinks(at, best, calls)
    if (lower := _lower(at, best)) is not None:
        best = _across_kinks(at, _descended(at, lower, calls), calls)
    return best.value if math.isfinite(best.value) and _lower(at, best) is None else None


def _descended(at: Function, start: Vector, calls: int) -> _Point:
    """Follow the gradient from a start, as of a smooth function; return the start where SciPy cannot be imported."""
    first = _Point(at(start)[0], start)
    try:
        from scipy import optimize
    except Exception:  # A broken installation raises errors of many types.
        return first
    if not math.isfinite(first.value):
        return _Point(math.inf, start)
    result = optimize.minimize(at, start, jac=True, method="L-BFGS-B", options={"maxfun": calls})
    return _Point(float(result.fun), result.x)


def _across_kinks(at: Function, best: _Point, calls: int) -> _Point:
    """Follow the sign of the gradient, with a step of its own for each unit, halved where the slope turns (Rprop)."""
    point, before = best.vector, np.zeros_like(best.vector)
    steps = 0.1 * (1 + np.abs(point).max(initial=0)) * np.ones_like(point)
    for _ in range(calls):
        value, slope = at(point)
        if value < best.value:
            best = _Point(value, point)
        turned, before = np.sign(slope) * before, np.sign(slope)
        steps = steps * np.where(turned < 0, 0.5, np.where(turned > 0, 1.2, 1.0))
        point = point - steps * before
        if not before.any() or steps.max() < TOLERANCE**2 * (1 + np.abs(point).max()):
            break
    return best


def _lower(at: Function, best: _Point) -> Vector | None:
    """Return a point near by or far away where the function is clearly smaller than at the best point."""
    value, vector = best
    if not math.isfinite(value):
        return None
    random = np.random.default_rng(0)
    size = 1 + np.abs(vector).max(initial=0)
    steps = [reach * size * random.choice((-1.0, 1.0), len(vector)) for reach in REACH for _ in range(2)]
    for point in [*(vector + step for step in steps), *(vector * (1 + reach) for reach in REACH)]:
        if at(point)[0] < value - TOLERANCE * max(abs(value), 1e-6):
            return point
    return None
