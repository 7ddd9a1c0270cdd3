"""Convergence of a run: the first epoch that reaches the threshold, and the run's outcome.

The state is updated after every epoch, whether the epoch is recorded or not. The time to converge is therefore exact.
"""

import enum
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

__all__ = ["ConvergenceState", "Outcome", "epochs_to_converge", "init", "outcome", "update"]


class Outcome(enum.IntEnum):
    """Outcome of a run."""

    NOT_CONVERGED = 0
    """The budget of epochs ran out first: the time to converge is censored at the budget, not missing."""
    CONVERGED = 1
    """The training accuracy reached the threshold within the budget."""
    DIVERGED = 2
    """A loss became non-finite; the run counts as never converged, even if it had reached the threshold."""


class ConvergenceState(NamedTuple):
    """Facts about a run that are updated after every epoch, recorded or not."""

    first_epoch: Int[Array, ""]
    """Smallest number of completed epochs at which the accuracy reached the threshold; -1 before."""
    finite: Bool[Array, ""]
    """True if no loss was non-finite so far."""


def init() -> ConvergenceState:
    """Return the state before the network at initialisation is measured."""
    return ConvergenceState(first_epoch=jnp.asarray(-1, jnp.int32), finite=jnp.asarray(True))


def update(
    state: ConvergenceState,
    epoch: Int[Array, ""],
    train_accuracy: Float[Array, ""],
    finite: Bool[Array, ""],
    threshold: float | Float[Array, ""],
) -> ConvergenceState:
    """Update the state after `epoch` completed epochs.

    Args:
        state: state after the epoch before.
        epoch: number of completed epochs, 0 at initialisation.
        train_accuracy: accuracy on all training rows.
        finite: True if every loss since the last update was finite.
        threshold: the accuracy that counts as converged.
    """
    reached = (state.first_epoch < 0) & _reaches(train_accuracy, threshold)
    return ConvergenceState(jnp.where(reached, epoch, state.first_epoch).astype(jnp.int32), state.finite & finite)


def outcome(state: ConvergenceState) -> Int[Array, ""]:
    """Return the `Outcome` as a number."""
    ended = jnp.where(state.first_epoch >= 0, Outcome.CONVERGED, Outcome.NOT_CONVERGED)
    return jnp.where(state.finite, ended, Outcome.DIVERGED).astype(jnp.int8)


def epochs_to_converge(state: ConvergenceState) -> Float[Array, ""]:
    """Return the completed epochs until the accuracy was reached; NaN if it never was or the run diverged."""
    return jnp.where(outcome(state) == Outcome.CONVERGED, state.first_epoch, jnp.nan)


def _reaches(accuracy: Float[Array, ""], threshold: float | Float[Array, ""]) -> Bool[Array, ""]:
    # A mean of 0s and 1s in float32 can be a unit in the last place below the exact share.
    return accuracy >= threshold - 1e-6
