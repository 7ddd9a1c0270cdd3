"""Concerns about the first parameters: kernels without differences, and a penalty that outweighs the loss."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Shaped

from vgrad_jax.compiling import compiled_quickly
from vgrad_jax.inspection.concern import OUTWEIGHS, Concern
from vgrad_jax.inspection.graph import Graph
from vgrad_jax.inspection.kernels import as_matrix
from vgrad_jax.inspection.tail import PRODUCTS, Tail, last_product, leaf_of, weight_of

__all__ = ["kernels_constant", "penalty_outweighs"]


def kernels_constant(graph: Graph, tail: Tail, known: dict[int, Any], names: list[str]) -> list[Concern]:
    """Find kernels whose units, or whose inputs, have all the same numbers.

    A kernel of zeros is fine where its own gradient is not zero: the last layer, a residual branch, a low-rank factor.
    """
    last = {id(last_product(graph, head)) for head in tail.heads}
    products = [
        (step, kernel)
        for step in graph.needed([graph.result])
        if step.name in PRODUCTS
        and (kernel := weight_of(graph, step)) is not None
        and step.equation.params.get("feature_group_count", 1) == 1
    ]
    concerns = []
    for step, kernel in products:
        (array,) = (np.asarray(found) for found in graph.replay(known, [step.inputs[kernel]]))
        leaf = leaf_of(graph, step.inputs[kernel])
        words = _sameness(as_matrix(step, kernel, array))
        if words is None or leaf is None or (words == ZEROS and (id(step) in last or _learns(graph, known, leaf))):
            continue
        sentence = f"{words} Draw the kernel at random (glorot, he_normal): equal units stay equal."
        concerns.append(Concern("kernel_constant", sentence, 0.0, 0.0, names[leaf], True))
    return concerns[:1]


ZEROS = "All numbers of this kernel are zero, and so is its gradient."


def _sameness(matrices: Shaped[np.ndarray, "stack fan_in unit"]) -> str | None:
    """Return how a kernel's numbers are the same; None where they are not."""
    if not matrices.size:
        return None
    inputs, units = matrices.shape[1:]
    if not matrices.any():
        return ZEROS
    if units > 1 and not np.ptp(matrices, axis=2).any():
        return "All units of this kernel have the same numbers."
    if inputs > 1 and units > 1 and not np.ptp(matrices, axis=1).any():
        return "All inputs of this kernel have the same numbers."
    return None


def _learns(graph: Graph, known: dict[int, Any], leaf: int) -> bool:
    """Return whether a leaf has a gradient."""
    leaves = [known[value] for value in range(graph.number_of_leaves)]
    return bool(jnp.any(compiled_quickly(jax.grad(graph.function))(leaves, graph.batch)[leaf] != 0))


def penalty_outweighs(graph: Graph, tail: Tail, known: dict[int, Any]) -> list[Concern]:
    """Find penalties that are larger than the rest of the loss, and whose gradient is larger than that of the rest."""
    if not tail.penalties:
        return []
    leaves = {value: array for value, array in known.items() if value < graph.number_of_leaves}
    data = {value: array for value, array in known.items() if value >= graph.number_of_leaves}
    none = {penalty: jnp.zeros((), graph.dtypes[penalty]) for penalty in tail.penalties}

    def whole(leaves: dict[int, Any], data: dict[int, Any]) -> Any:
        return graph.replay({**leaves, **data}, [graph.result])[0]

    def rest(leaves: dict[int, Any], data: dict[int, Any]) -> Any:
        return graph.replay({**leaves, **data, **none}, [graph.result])[0]

    @compiled_quickly
    def sizes(leaves: dict[int, Any], data: dict[int, Any]) -> Any:
        (all_of_it, slope), (other, other_slope) = (jax.value_and_grad(f)(leaves, data) for f in (whole, rest))
        penalty = jax.tree.map(jnp.subtract, slope, other_slope)
        norms = [
            sum(jnp.sum(leaf.astype(jnp.float32) ** 2) for leaf in jax.tree.leaves(g)) for g in (penalty, other_slope)
        ]
        return jnp.stack([all_of_it - other, other, *map(jnp.sqrt, norms)])

    penalty, other, penalty_slope, slope = (abs(float(size)) for size in sizes(leaves, data))
    if not (penalty > OUTWEIGHS * other and penalty_slope > OUTWEIGHS * slope):
        return []
    sentence = f"The penalty of the parameters is {penalty:.3g}, and the rest of the loss {other:.3g}. Make it smaller."
    ratio = penalty / other if other else float("inf")
    return [Concern("constant_term_outweighs", sentence, ratio, OUTWEIGHS, None, True)]
