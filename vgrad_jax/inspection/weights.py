"""Concerns about the first parameters: kernels without differences, and a penalty that outweighs the loss."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree, Shaped

from vgrad_jax.compiling import compiled_quickly
from vgrad_jax.gradients.objective import Objective
from vgrad_jax.inspection.concern import COUNTS, OUTWEIGHS, Concern
from vgrad_jax.inspection.graph import Graph, Step
from vgrad_jax.inspection.kernels import as_matrix
from vgrad_jax.inspection.tail import PRODUCTS, Tail, last_product, leaf_of, weight_of

__all__ = ["kernels_constant", "penalty_outweighs", "some_steps_later"]

LOOPS = ("scan", "while")
EQUAL = 1e-5
"""Difference of two numbers of a kernel, over its largest, up to which they are the same."""
STEPS = 3
"""Number of steps after which zeros of a residual branch behind a last layer of zeros are gone."""


def kernels_constant(
    graph: Graph, tail: Tail, known: dict[int, Any], names: list[str], later: Callable[[], dict[int, Any]]
) -> list[Concern]:
    """Find kernels whose units, or whose inputs, have all the same numbers.

    A kernel of zeros is fine where it soon has other numbers: a residual branch, a low-rank factor, a last layer.

    Args:
        graph: of the loss.
        tail: of the loss.
        known: parameters and batch.
        names: path of each leaf.
        later: gives `known` a few steps later; called where a kernel is zero.
    """
    last = {id(last_product(graph, head)) for head in tail.heads}
    after: dict[int, Any] | None = None
    for step in graph.needed([graph.result]):
        if step.name in LOOPS and (concern := _constant_in_loop(graph, step, known, names)) is not None:
            return [concern]
        kernel = weight_of(graph, step) if step.name in PRODUCTS else None
        leaf = None if kernel is None else leaf_of(graph, step.inputs[kernel])
        if kernel is None or leaf is None or step.equation.params.get("feature_group_count", 1) > 1:
            continue
        words = _sameness(_matrices(graph, known, step, kernel))
        if words == ZEROS:
            after = later() if after is None else after
            if id(step) in last or _sameness(_matrices(graph, after, step, kernel)) is None:
                continue
        if words is not None:
            sentence = f"{words} Draw the kernel at random (glorot, he_normal): equal units stay alike."
            return [Concern("kernel_constant", sentence, 0.0, 0.0, names[leaf], id(step) not in last)]
    return []


def _constant_in_loop(graph: Graph, step: Step, known: dict[int, Any], names: list[str]) -> Concern | None:
    """Return the concern about a matrix of equal numbers, not zero, that a loop takes: that of a recurrence, mostly."""
    params = step.equation.params
    # What a scan goes over, such as the gains of stacked norms, is no matrix of a recurrence.
    constants = params["num_consts"] if step.name == "scan" else params["cond_nconsts"] + params["body_nconsts"]
    for value in step.inputs[:constants]:
        leaf = leaf_of(graph, value) if graph.is_weight(value) and len(graph.shapes[value]) == 2 else None
        if leaf is None or min(graph.shapes[value]) < 2:
            continue
        matrix = np.asarray(graph.replay(known, [value])[0])
        largest = np.abs(matrix).max()
        if largest > 0 and np.ptp(matrix) <= EQUAL * largest:
            sentence = "All numbers of this kernel are the same. Draw it at random: equal units stay alike."
            return Concern("kernel_constant", sentence, 0.0, 0.0, names[leaf], True)
    return None


def _matrices(graph: Graph, known: dict[int, Any], step: Step, kernel: int) -> Shaped[np.ndarray, "stack fan_in unit"]:
    return as_matrix(step, kernel, np.asarray(graph.replay(known, [step.inputs[kernel]])[0]))


ZEROS = "All numbers of this kernel are zero, and its units stay alike."


def _sameness(matrices: Shaped[np.ndarray, "stack fan_in unit"]) -> str | None:
    """Return how a kernel's numbers are the same; None where they are not."""
    if not matrices.size:
        return None
    inputs, units = matrices.shape[1:]
    equal = EQUAL * np.abs(matrices).max()
    if equal == 0:
        return ZEROS
    if units > 1 and np.ptp(matrices, axis=2).max() <= equal:
        return "All units of this kernel have the same numbers."
    if inputs > 1 and units > 1 and np.ptp(matrices, axis=1).max() <= equal:
        return "All inputs of this kernel have the same numbers."
    return None


def some_steps_later(objective: Objective, batch: PyTree, known: dict[int, Any]) -> dict[int, Any]:
    """Return parameters and batch after a few steps down the gradient, of a thousandth at most.

    The gradient is of the loss itself: one through the graph is another where units are at a kink, as behind zeros.
    """
    leaves = objective.leaves
    gradient = compiled_quickly(jax.grad(objective.loss))
    for _ in range(STEPS):
        slopes = gradient(leaves, batch)
        size = max(float(jnp.abs(slope).max()) for slope in slopes)
        rate = 1e-3 / size if 0 < size < np.inf else 0.0
        leaves = [(leaf - rate * slope).astype(leaf.dtype) for leaf, slope in zip(leaves, slopes, strict=True)]
    return {**known, **dict(enumerate(leaves))}


def penalty_outweighs(graph: Graph, tail: Tail, known: dict[int, Any]) -> list[Concern]:
    """Find penalties that outweigh the rest of the loss, and whose gradient counts in a leaf of the parameters."""
    if not tail.penalties:
        return []
    leaves = {value: array for value, array in known.items() if value < graph.number_of_leaves}
    data = {value: array for value, array in known.items() if value >= graph.number_of_leaves}
    none = {penalty: jnp.zeros((), graph.dtypes[penalty]) for penalty in tail.penalties}

    def whole(leaves: dict[int, Any], data: dict[int, Any]) -> Any:
        return graph.replay({**leaves, **data}, [graph.result])[0]

    def rest(leaves: dict[int, Any], data: dict[int, Any]) -> Any:
        return graph.replay({**leaves, **data, **none}, [graph.result])[0]

    def sizes(leaves: dict[int, Any], data: dict[int, Any]) -> Any:
        (all_of_it, slope), (other, other_slope) = (jax.value_and_grad(f)(leaves, data) for f in (whole, rest))
        penalties = [slope[leaf] - other_slope[leaf] for leaf in slope]
        ratios = [_norm(penalty) / _norm(other_slope[leaf]) for leaf, penalty in zip(slope, penalties, strict=True)]
        return jnp.stack([all_of_it - other, other, jnp.max(jnp.nan_to_num(jnp.stack(ratios)))])

    compiled = graph.compile_once("penalty", sizes)
    penalty, other, ratio_of_slopes = (abs(float(size)) for size in compiled(leaves, data))
    if not (penalty > OUTWEIGHS * other and ratio_of_slopes > COUNTS):
        return []
    sentence = f"The penalty of the parameters is {penalty:.3g}, and the rest of the loss {other:.3g}. Make it smaller."
    ratio = penalty / other if other else float("inf")
    return [Concern("constant_term_outweighs", sentence, ratio, OUTWEIGHS, None, True)]


def _norm(array: Any) -> Any:
    return jnp.sqrt(jnp.sum(array.astype(jnp.float32) ** 2))
