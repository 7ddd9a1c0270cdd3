"""Reasons for a gradient that is exactly zero, read from the program and the numbers at one point.

1. A leaf without a path to the loss, or without a derivative on any path, is known from the program alone (`paths.py`).
2. A zero factor further on moves first. It is moved, and the gradient is computed again.
3. The gradient is computed with a larger loss, with open gates (`opened.py`) and in float64. The first change that
   brings a gradient is the reason.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from vgrad_jax.gradients.forward import forward_pass
from vgrad_jax.gradients.objective import BatchRest, Objective, WithKey, objective_of, split_batch
from vgrad_jax.gradients.sharding import in_mesh_of
from vgrad_jax.inspection.blame import nearest_parameter
from vgrad_jax.inspection.opened import Gates, opened
from vgrad_jax.inspection.paths import End, Kinks, Reach, reach_of_loss
from vgrad_jax.inspection.values import Node, Program, facts_of
from vgrad_jax.jaxprs import ClosedJaxpr, trace

__all__ = ["REASONS", "ZeroReason", "kinks_reason", "zero_reasons"]

REASONS = {
    "unused": "the loss does not use it",
    "stopped": "the program stops its gradient, as for a target or frozen network",
    "no_derivative": "every path from it to the loss goes through an operation that has no derivative",
    "zero_for_first_step": "a factor further on is zero at first; its gradient arrives once that factor has moved",
    "zeros_stay": "factors further on are zero and have no gradient themselves, so that they stay zero",
    "units_off": "the units behind it are off for every example",
    "saturated": "the units behind it are saturated until their slope is rounded to zero",
    "underflow": "its gradient is smaller than its dtype can hold",
    "not_in_batch": "this batch does not pick it",
    "stationary": "the loss is flat at this point, and not around it",
    "unclear": "its gradient is zero, and no reason was found",
}
"""Reasons, in words."""

GATES = {"units_off": ("max", "min", "clamp", "select_n"), "saturated": ("tanh", "logistic", "erf")}
"""Operations that a reason names, where they can be told."""
STEP = 0.01
"""Size by which a zero factor is moved."""
ROUNDS = 3
"""Largest number of moves: a chain of zero factors is moved from its end."""


@dataclass(frozen=True)
class ZeroReason:
    """Reason why a leaf's gradient is exactly zero."""

    path: str
    """Path of the leaf; empty for a term of the loss as it stands."""
    reason: str
    """Reason in a word, a key of `REASONS`."""
    operation: str | None
    """Name of the operation at which the gradient ends, where it is known."""
    line: str | None
    """File, number and text of the user's line of this operation."""
    sentence: str
    touched: float = 0.0
    """Share of the leaf's rows that the batch picks; above zero for a table with a gradient in these rows alone."""


def zero_reasons(loss_fn: Any, params: PyTree, batch: PyTree, *, loss_key: Any = None) -> tuple[ZeroReason, ...]:
    """Tell for each leaf of the parameters whose gradient is exactly zero, why it is.

    Args:
        loss_fn: `f(params, batch)`, as for `check_init`.
        params: any pytree.
        batch: whatever the loss takes.
        loss_key: key of a loss that draws; it is then called as `f(params, batch, key)`.

    Returns:
        A reason for each such leaf, and for each table of which the batch picks some rows alone.

    Raises:
        InputError: the loss is not a scalar, or there are no parameters.

    >>> def loss(params, x):
    ...     return jnp.mean((jnp.tanh(x @ params["a"]) @ params["b"] - 1) ** 2) + 0 * jnp.sum(jnp.round(params["c"]))
    >>> params = {"a": jnp.ones((2, 4)), "b": jnp.zeros((4, 1)), "c": jnp.ones(3)}
    >>> [(why.path, why.reason, why.operation) for why in zero_reasons(loss, params, jnp.ones((8, 2)))]
    [('a', 'zero_for_first_step', None), ('c', 'no_derivative', 'round')]
    """
    if loss_key is not None:
        loss_fn, batch = WithKey(loss_fn), (batch, loss_key)
    objective = objective_of(loss_fn, params)
    arrays, rest = split_batch(batch)
    point = _Point(objective, arrays, rest)
    with in_mesh_of((objective.leaves, arrays)):
        gradient = point.gradient(point.loss, objective.leaves)
        zero = [number for number, leaf in enumerate(gradient) if not bool((leaf != 0).any())]
        reasons = _tables(point, gradient, zero)
        if zero:
            reasons += _explain(point, zero)
    order = {path: number for number, path in enumerate(objective.paths)}
    return tuple(sorted(reasons, key=lambda reason: order[reason.path]))


def kinks_reason(loss_fn: Any, params: PyTree, batch: PyTree, *, loss_key: Any = None) -> ZeroReason | None:
    """Tell whether the loss differentiates twice what is linear piece by piece: this derivative is zero.

    A physics-informed network with ReLU is such a case: its residual of second order cannot be learned.

    Returns:
        The reason, with an empty path; None where the loss does not.

    >>> def u(w, t):
    ...     return jnp.sum(jax.nn.relu(w * t))
    >>> def loss(w, t):
    ...     return jnp.mean((jax.vmap(jax.grad(jax.grad(u, 1), 1), (None, 0))(w, t) - 1) ** 2)
    >>> kinks_reason(loss, jnp.ones(3), jnp.ones(5)).reason
    'no_derivative'
    """
    if loss_key is not None:
        loss_fn, batch = WithKey(loss_fn), (batch, loss_key)
    objective = objective_of(loss_fn, params)
    arrays, rest = split_batch(batch)
    with in_mesh_of((objective.leaves, arrays)):
        _, kinks = reach_of_loss(_Point(objective, arrays, rest).closed, len(objective.leaves))
    if kinks.is_curved or not kinks.by_leaf:
        return None
    return _of_kink(next(iter(kinks.by_leaf.values())), "")


class _Point:
    """A loss, its parameters and its batch."""

    def __init__(self, objective: Objective, arrays: list[Any], rest: BatchRest) -> None:
        self.paths, self.leaves, self.arrays = objective.paths, objective.leaves, arrays
        self.loss: Callable[..., Any] = lambda leaves, arrays: objective.loss(leaves, rest(arrays))

    @property
    def closed(self) -> ClosedJaxpr:
        """The loss's program; its atoms are the leaves and the arrays of the batch."""
        return trace(self.loss, self.leaves, self.arrays)

    def gradient(self, loss: Callable[..., Any], leaves: list[Any]) -> list[Any]:
        """Return the gradient of a loss at some leaves."""
        return list(jax.jit(jax.grad(loss))(leaves, self.arrays))


def _tables(point: _Point, gradient: list[Any], zero: list[int]) -> list[ZeroReason]:
    """Return a reason for each table whose gradient is zero outside of the rows that the batch picks."""
    sparse = [
        number
        for number, leaf in enumerate(gradient)
        if number not in zero and leaf.ndim > 1 and not bool((leaf != 0).any(axis=tuple(range(1, leaf.ndim))).all())
    ]
    if not sparse:
        return []
    uses: dict[Any, Any] = {}
    jax.eval_shape(
        lambda leaves, arrays: uses.update(forward_pass(point.loss, leaves, arrays)[1]), point.leaves, point.arrays
    )
    reasons = []
    for number in sparse:
        axes = next((use.rows for piece, use in uses.items() if piece.leaf == number and use.rows is not None), None)
        if axes is not None:
            others = tuple(axis for axis in range(gradient[number].ndim) if axis not in axes)
            share = float((gradient[number] != 0).any(axis=others).mean())
            path = point.paths[number]
            text = f"This batch picks {share:.3g} of the rows of {path}; the others have no gradient by design."
            reasons.append(ZeroReason(path, "not_in_batch", None, None, text, share))
    return reasons


def _explain(point: _Point, zero: Sequence[int]) -> list[ZeroReason]:
    closed = point.closed
    reach, kinks = reach_of_loss(closed, len(point.leaves))
    reasons = {number: _by_program(point.paths[number], number, reach, kinks) for number in zero}
    left = [number for number in zero if reasons[number] is None]
    explained = _by_numbers(point, closed, left) if left else []
    gates = _shut_gates(point, closed) if any(reason in GATES for _, reason, _ in explained) else {}
    for number, reason, detail in explained:
        reasons[number] = _reason(point.paths[number], reason, gates.get(reason), detail)
    return [reason for reason in reasons.values() if reason is not None]


def _shut_gates(point: _Point, closed: ClosedJaxpr) -> dict[str, End]:
    """Return the first operation whose outputs are zero for every example, and the first that saturates."""
    program = Program()
    nodes = [Node(facts_of(leaf), "parameter", name) for leaf, name in zip(point.leaves, point.paths, strict=True)]
    arrays = [jnp.asarray(array) for array in point.arrays]
    nodes += [Node(facts_of(array), "batch") for array in arrays]
    program.run(closed, list(zip([*point.leaves, *arrays], nodes, strict=True)))
    shut = {}
    for reason, names in GATES.items():
        for node in program.nodes:
            if node.primitive in names and (reason == "saturated" or node.is_zero) and nearest_parameter(node):
                shut[reason] = End(node.primitive, node.line, False)
                break
    return shut


def _by_program(path: str, leaf: int, reach: Reach, kinks: Kinks) -> ZeroReason | None:
    """Return the reason that the program alone gives: no path, or no derivative on any path."""
    if leaf in reach.alive:
        return None
    ends = sorted({end for owner, end in reach.ends if owner == leaf}, key=lambda end: (end.is_stop, str(end)))
    if leaf in kinks.differentiated and not kinks.is_curved and kinks.by_leaf:
        return _of_kink(kinks.by_leaf.get(leaf, next(iter(kinks.by_leaf.values()))), path)
    if leaf not in reach.depends:
        return _reason(path, "unused", None)
    if not ends or ends[0].is_stop:
        return _reason(path, "stopped", ends[0] if ends else None)
    return _reason(path, "no_derivative", ends[0])


def _of_kink(end: End, path: str) -> ZeroReason:
    subject = f"The gradient of {path} is zero" if path else "A term of the loss has no gradient"
    text = (
        f"{subject}: the loss differentiates {end.operation} twice, which is linear piece by piece, so that its second "
        "derivative is zero everywhere"
    )
    line = str(end.line) if end.line else None
    return ZeroReason(path, "no_derivative", end.operation, line, text + (f", at {line}" if line else "."))


def _reason(path: str, reason: str, end: End | None, detail: str = "") -> ZeroReason:
    line = str(end.line) if end is not None and end.line is not None else None
    text = f"The gradient of {path} is zero: {REASONS[reason]}{detail}"
    if end is not None and end.operation == "mul":
        text = f"The gradient of {path} is zero: the program multiplies it by zero"
    elif end is not None:
        text += f" ({end.operation})"
    return ZeroReason(path, reason, end.operation if end else None, line, text + (f", at {line}" if line else "."))


def _by_numbers(point: _Point, closed: ClosedJaxpr, zero: list[int]) -> list[tuple[int, str, str]]:
    """Return the reason for each leaf, found by changing the computation until a gradient comes."""
    explained: list[tuple[int, str, str]] = []
    waiting = set(zero)

    def explain(gradient: list[Any], reason: str, detail: str = "") -> None:
        for number in sorted(waiting):
            slope = np.asarray(gradient[number])  # In NumPy, since JAX cuts float64 to what is enabled.
            if (np.isfinite(slope) & (slope != 0)).any():
                waiting.discard(number)
                explained.append((number, reason, detail))

    leaves = _move_zero_factors(point, waiting, explain)
    count = len(point.leaves)

    def of_program(gates: Gates) -> Callable[..., Any]:
        program = opened(closed, count, gates)
        return lambda leaves, arrays: program(*leaves, *jax.tree.leaves(arrays))

    def in_float64() -> list[Any]:
        with jax.enable_x64(True):
            # The gradient has the dtype of its leaves.
            return point.gradient(of_program(Gates(wide=True)), [_longer(leaf) for leaf in leaves])

    nonzero = [_noisy(leaf, jnp.full(leaf.shape, not bool(leaf.any())), seed) for seed, leaf in enumerate(leaves)]
    elsewhere = [_noisy(leaf, jnp.ones(leaf.shape, bool), seed) for seed, leaf in enumerate(leaves)]
    trials: list[tuple[str, Callable[[], list[Any]]]] = [
        ("zeros_stay", lambda: point.gradient(point.loss, nonzero)),
        ("underflow", lambda: _scaled_gradient(point, leaves, 2.0**12)),
        ("underflow", lambda: _scaled_gradient(point, leaves, 2.0**80)),
        ("units_off", lambda: point.gradient(of_program(Gates(units=True)), leaves)),
        ("saturated", lambda: point.gradient(of_program(Gates(smooth=True)), leaves)),
        ("underflow", in_float64),
        ("not_in_batch", lambda: point.gradient(of_program(Gates(choices=True)), leaves)),
        ("stationary", lambda: point.gradient(point.loss, elsewhere)),
        ("units_off", lambda: point.gradient(of_program(Gates(units=True, smooth=True)), nonzero)),
    ]
    for reason, trial in trials:
        if waiting:
            explain(trial(), reason)
    return explained + [(number, "unclear", "") for number in sorted(waiting)]


def _move_zero_factors(point: _Point, waiting: set[int], explain: Callable[[list[Any], str, str], None]) -> list[Any]:
    """Move elements that are zero and have a gradient, again and again, and explain the leaves that gain one by it."""
    leaves, moved = point.leaves, list[str]()
    for turn in range(ROUNDS):
        gradient = point.gradient(point.loss, leaves)
        if turn:
            names = f": {', '.join(moved[:3])}" if moved else ""
            explain(gradient, "zero_for_first_step", names)
        free = [bool(((leaf == 0) & (slope != 0)).any()) for leaf, slope in zip(leaves, gradient, strict=True)]
        if not waiting or not any(free):
            break
        moved += [
            path
            for path, leaf, slope in zip(point.paths, leaves, gradient, strict=True)
            if not bool((leaf != 0).any()) and bool((slope != 0).any()) and path not in moved
        ]
        leaves = [
            _noisy(leaf, (leaf == 0) & (slope != 0), seed, -slope)
            for seed, (leaf, slope) in enumerate(zip(leaves, gradient, strict=True))
        ]
    return leaves


def _noisy(leaf: Any, where: Any, seed: int, direction: Any = None) -> Any:
    """Return a leaf with some of its elements moved, each by another amount."""
    size, sign = jax.random.split(jax.random.key(seed))
    noise = STEP * jax.random.uniform(size, leaf.shape, minval=0.5, maxval=1.5)
    signs = jax.random.rademacher(sign, leaf.shape, noise.dtype)
    if direction is not None and not jnp.iscomplexobj(leaf):
        signs = jnp.sign(direction)
    noise = (noise * signs).astype(leaf.dtype)
    return jnp.where(where, leaf + noise, leaf)


def _longer(leaf: Any) -> Any:
    return leaf if jnp.iscomplexobj(leaf) else leaf.astype(jnp.float64)


def _scaled_gradient(point: _Point, leaves: list[Any], scale: float) -> list[Any]:
    """Return the gradient of the loss times a large number."""

    def scaled(leaves: list[Any], arrays: list[Any], scale: Any) -> Any:
        value = point.loss(leaves, arrays)
        largest = 0.5 * float(jnp.finfo(value.dtype).max)
        return value * jnp.minimum(scale, jnp.asarray(largest, jnp.float32)).astype(value.dtype)

    return list(jax.jit(jax.grad(scaled))(leaves, point.arrays, jnp.asarray(scale, jnp.float32)))
