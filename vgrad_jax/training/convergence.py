"""When a run has learned, and how it ended."""

import enum
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

__all__ = ["Outcome", "Watch", "epochs_to_converge", "outcome", "start_watch", "watch"]


class Outcome(enum.IntEnum):
    """How a run ended."""

    NOT_CONVERGED = 0
    """The budget ran out first: the time to converge is censored there, not missing."""
    CONVERGED = 1
    DIVERGED = 2
    """A loss became non-finite; counts as never converged, whatever came before."""


class Watch(NamedTuple):
    """What is followed over every epoch, recorded or not."""

    first_epoch: Int[Array, ""]
    """Smallest number of completed epochs with the accuracy reached; -1 before that."""
    finite: Bool[Array, ""]
    """No loss was non-finite so far."""


def start_watch() -> Watch:
    """Before initialisation has been looked at."""
    return Watch(first_epoch=jnp.asarray(-1, jnp.int32), finite=jnp.asarray(True))


def watch(
    state: Watch,
    epoch: Int[Array, ""],
    train_accuracy: Float[Array, ""],
    finite: Bool[Array, ""],
    threshold: float | Float[Array, ""],
) -> Watch:
    """Look at a run after `epoch` completed epochs.

    Args:
        state: from the epoch before.
        epoch: completed epochs, 0 at initialisation.
        train_accuracy: on all training rows.
        finite: whether every loss since the last look was finite.
        threshold: the accuracy that counts as converged.
    """
    reached = (state.first_epoch < 0) & _reaches(train_accuracy, threshold)
    return Watch(jnp.where(reached, epoch, state.first_epoch).astype(jnp.int32), state.finite & finite)


def outcome(state: Watch) -> Int[Array, ""]:
    """The `Outcome` as a number."""
    ended = jnp.where(state.first_epoch >= 0, Outcome.CONVERGED, Outcome.NOT_CONVERGED)
    return jnp.where(state.finite, ended, Outcome.DIVERGED).astype(jnp.int8)


def epochs_to_converge(state: Watch) -> Float[Array, ""]:
    """Completed epochs until the accuracy was reached; NaN when it never was, or when the run diverged."""
    return jnp.where(outcome(state) == Outcome.CONVERGED, state.first_epoch, jnp.nan)


def _reaches(accuracy: Float[Array, ""], threshold: float | Float[Array, ""]) -> Bool[Array, ""]:
    # A mean of 0s and 1s in float32 can fall an ulp short of the share it stands for.
    return accuracy >= threshold - 1e-6
