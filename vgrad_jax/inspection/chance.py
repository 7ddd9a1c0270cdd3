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
from vgrad_jax.inspection.graph import Graph
from vgrad_jax.inspection.predictions import is_compared_alone, number_sharing, predictions_of
from vgrad_jax.inspection.tail import Tail

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
PATIENCE = 25
"""Number of calls without a smaller loss after which a descent has ended."""
FEWEST_CALLS = 20
"""Number of calls of a descent below which it is not begun."""

NOTHING = 1e-13
"""Share of the loss of zeros below which the best constants leave nothing but squares of rounding errors."""
COLLAPSED = 1e-3
"""Share of the loss below which it is nothing."""
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
    is_partial: bool
    """True where the loss has penalties or side terms, which were left out."""


def chance_of(graph: Graph, tail: Tail, known: dict[int, Any]) -> Chance | None:
    """Return the loss of the best constant prediction; None where the output cannot be told or nothing is predicted.

    A loss that compares outputs with each other, such as one of pairs, has a chance too. It has none where constants
    are all that it asks for.

    Args:
        graph: of the loss.
        tail: of the loss.
        known: parameters and batch.
    """
    predictions = predictions_of(graph, tail)
    alone = is_compared_alone(graph, tail)
    if not predictions or (alone and tail.penalties):
        return None
    first = predictions[0]
    inner, rows = first.sizes(graph), min(number_sharing(graph, own) for own in predictions)
    if rows < 2 or any(own.sizes(graph) != inner for own in predictions):
        return None
    units = math.prod(inner)

    def outputs(constant: Any) -> dict[int, Any]:
        shared = constant.reshape(inner)
        return {
            own.value: jnp.broadcast_to(shared, graph.shapes[own.value]).astype(graph.dtypes[own.value])
            for own in predictions
        }

    def loss(outputs: dict[int, Any], known: dict[int, Any]) -> Any:
        none = {term: jnp.zeros(graph.shapes[term], graph.dtypes[term]) for term in (*tail.penalties, *tail.sides)}
        return graph.replay({**known, **none, **outputs}, [graph.result])[0]

    numbers = sum(math.prod(graph.shapes[own.value]) for own in predictions)
    compiler = compiled_quickly if numbers <= FEW_NUMBERS else jax.jit
    of_constant = jax.value_and_grad(lambda constant, known: loss(outputs(constant), known))
    compiled = graph.compile_once("chance", of_constant, compiler)
    least = _least(lambda constant: compiled(constant, known), units, numbers)
    if least is None or (
        alone and _asks_for_constants(graph, loss, outputs(jnp.asarray(least.vector, jnp.float32)), known)
    ):
        return None
    return Chance(least.value, rows, 0 if alone else units, bool(tail.penalties or tail.sides))


def _asks_for_constants(graph: Graph, loss: Callable[..., Any], outputs: dict[int, Any], known: dict[int, Any]) -> bool:
    """Return whether a loss is nothing at constant outputs, and no other outputs near by make it smaller."""
    now = float(graph.replay(known, [graph.result])[0])
    then, slopes = jax.value_and_grad(loss)(outputs, known)
    if not abs(float(then)) < COLLAPSED * abs(now):
        return False
    return not any(bool((jnp.abs(slope) > COLLAPSED / slope.size).any()) for slope in slopes.values())


def _least(function: Callable[[Any], Any], units: int, numbers: int) -> _Point | None:
    """Return the smallest value of a function of a vector; None where it has none, or where it was not found.

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
    zeros = np.zeros(units)
    of_zeros = _Point(at(zeros)[0], zeros)
    points = (_descended(at, zeros + start, calls) for start in STARTS)
    best = min(of_zeros, *points, key=lambda point: point.value)
    best = _across_kinks(at, best, calls)
    if (lower := _lower(at, best)) is not None:
        best = _across_kinks(at, _descended(at, lower, calls), calls)
    if not math.isfinite(best.value) or _lower(at, best) is not None:
        return None
    usual = abs(of_zeros.value if math.isfinite(of_zeros.value) else at(zeros + STARTS[0])[0])
    return best if abs(best.value) > NOTHING * usual else _Point(0.0, best.vector)


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
    """Follow the sign of the gradient, with a step of its own for each unit, halved where the slope turns (Rprop).

    A loss that does not change with the vector has slopes of rounding errors, which lead away without a gain.
    """
    point, before = best.vector, np.zeros_like(best.vector)
    steps = 0.1 * (1 + np.abs(point).max(initial=0)) * np.ones_like(point)
    since = 0
    for _ in range(calls):
        value, slope = at(point)
        since = 0 if value < best.value else since + 1
        if value < best.value:
            best = _Point(value, point)
        turned, before = np.sign(slope) * before, np.sign(slope)
        steps = steps * np.where(turned < 0, 0.5, np.where(turned > 0, 1.2, 1.0))
        point = point - steps * before
        if not before.any() or since > PATIENCE or steps.max() < TOLERANCE**2 * (1 + np.abs(point).max()):
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
