"""Train any model with an optax optimiser for one step: an `init`/`step` pair."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import optax
from jaxtyping import Array, Float, PyTree

__all__ = ["StepInfo", "TrainState", "init", "step"]


class TrainState(NamedTuple):
    """Parameters and optimiser state, which the next step needs."""

    params: PyTree
    opt_state: optax.OptState


class StepInfo(NamedTuple):
    """Numbers of one step for people to read."""

    loss: Float[Array, ""]
    """Loss of the batch before the step."""
    gradients: PyTree
    """Gradient of this loss."""
    updates: PyTree
    """Update that the step added to the parameters."""


def init(params: PyTree, optimizer: optax.GradientTransformation) -> TrainState:
    """Return the state before the first step."""
    return TrainState(params, optimizer.init(params))


def step(
    state: TrainState,
    batch: Any,
    loss_function: Callable[[PyTree, Any], jax.Array],
    optimizer: optax.GradientTransformation,
) -> tuple[TrainState, StepInfo]:
    """Take one step down the gradient of `loss_function(params, batch)`.

    Args:
        state: state from `init` or from the step before.
        batch: second argument of the loss.
        loss_function: `f(params, batch)` to a scalar.
        optimizer: any optax transformation.

    Returns:
        The next state, and the step's numbers.

    >>> optimizer = optax.sgd(0.1)
    >>> state = init(jax.numpy.array(2.0), optimizer)
    >>> state, info = step(state, 3.0, lambda w, x: (w - x) ** 2, optimizer)
    >>> float(info.loss), float(info.gradients), round(float(state.params), 3)
    (1.0, -2.0, 2.2)
    """
    loss, gradients = jax.value_and_grad(loss_function)(state.params, batch)
    updates, opt_state = optimizer.update(gradients, state.opt_state, state.params)
    return TrainState(optax.apply_updates(state.params, updates), opt_state), StepInfo(loss, gradients, updates)
