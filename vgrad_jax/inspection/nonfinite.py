"""Locate the first operation of a loss or of its gradient that is not finite, in the user's own lines."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from vgrad_jax.boundary import checked
from vgrad_jax.gradients.layers import path_name
from vgrad_jax.gradients.objective import BatchRest, Objective, WithKey, objective_of, split_batch
from vgrad_jax.gradients.sharding import in_mesh_of
from vgrad_jax.inspection.blame import Birth, birth_of, nearest_parameter
from vgrad_jax.inspection.kinds import KINDS, kind_of, user_operation
from vgrad_jax.inspection.values import Node, Program, facts_of
from vgrad_jax.jaxprs import trace
from vgrad_jax.wording import counted

__all__ = ["NonFinite", "locate_nonfinite"]

LEAST_GROWTH = 1.05
"""Growth in an iteration from which an overflow inside of a loop is the loop's."""


@dataclass(frozen=True)
class NonFinite:
    """Operation or input that is the first not to be finite."""

    kind: str
    """Kind of the fault, a key of `KINDS`."""
    where: str
    """Part of the program: "forward" or "gradient"."""
    operation: str | None
    """Name of the primitive; None for data and parameters."""
    line: str | None
    """File, number and text of the user's line."""
    layer: str | None
    """Path of the nearest parameter, or of the parameter that is not finite."""
    sentence: str
    iteration: int | None = None
    """Iteration of the loop around the operation."""
    growth: float | None = None
    """Factor by which the loop's numbers grew in an iteration before."""
    leaf: str | None = None
    """Path in the batch of the leaf that has missing or infinite numbers."""
    count: int | None = None
    """Number of elements that are not finite, in data or parameters."""
    row: int | None = None
    """First row, along the first axis, with such an element."""

    def __str__(self) -> str:
        return self.sentence


@checked
def locate_nonfinite(loss_fn: Any, params: PyTree, batch: PyTree, *, loss_key: Any = None) -> NonFinite | None:
    """Find which operation, in which line of your code, is the first that makes the loss or its gradient not finite.

    An infinity that does no harm, such as a mask of -inf in front of a softmax, is not blamed.

    Args:
        loss_fn: `f(params, batch)`, as for `check_init`.
        params: any pytree.
        batch: whatever the loss takes.
        loss_key: key of a loss that draws; it is then called as `f(params, batch, key)`.

    Returns:
        The fault; None where the loss and its gradient are finite.

    Raises:
        InputError: the loss is not a scalar, or there are no parameters.

    >>> def loss(params, x):
    ...     return jnp.sum(jnp.where(x > 0, jnp.sqrt(x * params["w"]), 0.0))
    >>> fault = locate_nonfinite(loss, {"w": jnp.ones(2)}, jnp.array([0.0, 1.0]))
    >>> fault.kind, fault.where, fault.operation
    ('root_of_zero', 'gradient', 'sqrt')
    """
    if loss_key is not None:
        loss_fn, batch = WithKey(loss_fn), (batch, loss_key)
    objective = objective_of(loss_fn, params)
    arrays, rest = split_batch(batch)
    leaves = objective.leaves
    arrays = [array if hasattr(array, "dtype") else jnp.asarray(array) for array in arrays]

    def loss(leaves: list[Any], arrays: list[Any]) -> Any:
        return objective.loss(leaves, rest(arrays))

    with in_mesh_of((leaves, arrays)):
        value, gradient = jax.jit(jax.value_and_grad(loss))(leaves, arrays)
        if all(bool(jnp.isfinite(array).all()) for array in (value, *gradient)):
            return None
        where = "forward" if not bool(jnp.isfinite(value)) else "gradient"
        traced = loss if where == "forward" else jax.value_and_grad(loss)
        program = Program()
        inputs = _inputs(objective, batch, rest, arrays)
        closed = trace(traced, leaves, arrays)
        results = program.run(closed, list(zip([*leaves, *arrays], inputs, strict=True)))
        broken = [number for number, (_, node) in enumerate(results) if not node.is_finite]
        if not broken:
            return _not_located(where)
        birth = birth_of(program, results[broken[0]][1])
        layer = nearest_parameter(birth.node)
        if layer is None and where == "gradient":
            layer = objective.paths[broken[0] - 1]
        return _describe(program, birth, where, layer, [*leaves, *arrays], inputs)


def _inputs(objective: Objective, batch: PyTree, rest: BatchRest, arrays: list[Any]) -> list[Node]:
    """Return a node for each leaf of the parameters and each array of the batch."""
    nodes = [
        Node(facts_of(leaf), "parameter", name) for leaf, name in zip(objective.leaves, objective.paths, strict=True)
    ]
    paths = ["/".join(path_name(path)) for path, _ in jax.tree_util.tree_flatten_with_path(batch)[0]]
    names = [path for path, fixed in zip(paths, rest.static, strict=True) if fixed is None]
    return nodes + [Node(facts_of(array), "batch", name) for array, name in zip(arrays, names, strict=True)]


def _describe(
    program: Program, birth: Birth, where: str, layer: str | None, values: list[Any], inputs: list[Node]
) -> NonFinite:
    node = birth.node
    if node.role in ("batch", "parameter"):
        return _of_input(node, where, values[inputs.index(node)])
    operation = user_operation(node, program.nodes) if where == "gradient" and node.equation is not None else node
    kind = kind_of(birth, operation, where)
    entry = birth.entry
    growth = entry.growth if entry is not None else None
    grows = growth is not None and growth > LEAST_GROWTH and kind.startswith("overflow")
    name = operation.primitive or None
    line = node.line
    fault = KINDS[kind] if not grows else "a loop whose numbers grow until their dtype cannot hold them"
    subject = "The loss is not finite" if where == "forward" else "The loss is finite, but its gradient is not"
    parts = [f"{subject}, because of {fault} ({name or 'a constant'})"]
    parts += [f"near the parameter {layer}"] if layer else []
    parts += [f"in iteration {entry.iteration} of its loop"] if entry is not None else []
    parts += [f"after growth by a factor of {growth:.3g} an iteration"] if grows else []
    return NonFinite(
        kind="overflow" if grows else kind,
        where=where,
        operation=name,
        line=str(line) if line else None,
        layer=layer,
        sentence=", ".join(parts) + (f", at {line}" if line else "."),
        iteration=entry.iteration if entry is not None else None,
        growth=growth if grows else None,
    )


def _of_input(node: Node, where: str, value: Any) -> NonFinite:
    """Describe data or parameters that are not finite themselves."""
    broken = ~np.isfinite(np.asarray(value, np.complex128 if np.iscomplexobj(value) else np.float64))
    count = int(broken.sum())
    row = int(np.argwhere(broken)[0][0]) if broken.ndim else None
    of = f"The parameter {node.name}" if node.role == "parameter" else f"The data, the leaf {node.name or 'batch'!r},"
    first = f", the first in row {row}" if row is not None else ""
    are = "is" if count == 1 else "are"
    return NonFinite(
        kind="data" if node.role == "batch" else "parameters",
        where=where,
        operation=None,
        line=None,
        layer=node.name if node.role == "parameter" else None,
        sentence=f"{of} holds {counted(count, 'number')} that {are} missing or infinite{first}.",
        leaf=node.name if node.role == "batch" else None,
        count=count,
        row=row,
    )


def _not_located(where: str) -> NonFinite:
    text = "The compiled program gives a number that is not finite, but its operations, one by one, do not."
    return NonFinite("not_located", where, None, None, None, text)
