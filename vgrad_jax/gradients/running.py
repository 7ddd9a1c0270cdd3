"""Running numbers of a training that a ring of records would forget: the loss between records, and the first break.

    loss of every step ──► LossWindow: number, mean and squared deviations since the last record
    every step         ──► FirstBreak: the first step with a number that is not finite, and what came before it

Both have a fixed size and are updated at every step, so that they cost a few scalars and one pass over the gradient.
"""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from vgrad_jax.gradients.stats import AnyArray

__all__ = ["FirstBreak", "LossWindow", "largest_finite", "loss_dtype"]

MEMORY = 0.9
"""Weight of the past in the running loss before the first break: a memory of about ten steps."""


def loss_dtype() -> Any:
    """Return the dtype of recorded losses: float64 under `jax_enable_x64`, float32 elsewhere."""
    return jnp.zeros(()).dtype


@partial(jax.tree_util.register_dataclass, data_fields=["number", "mean", "squares"], meta_fields=[])
@dataclass(frozen=True)
class LossWindow:
    """Moments of the finite losses since the last record."""

    number: Int[AnyArray, "*batch"]
    mean: Float[AnyArray, "*batch"]
    squares: Float[AnyArray, "*batch"]
    """Sum of squared deviations from the mean (Welford 1962)."""

    @classmethod
    def empty(cls) -> "LossWindow":
        """Return the window before the first loss."""
        return cls(jnp.zeros((), jnp.int32), jnp.zeros((), loss_dtype()), jnp.zeros((), loss_dtype()))

    def add(self, loss: Float[Array, ""]) -> "LossWindow":
        """Return the window with one more loss; one that is not finite is left out."""
        finite = jnp.isfinite(loss)
        number = self.number + finite
        deviation = jnp.where(finite, loss - self.mean, 0)
        mean = self.mean + deviation / jnp.maximum(number, 1)
        return LossWindow(number, mean, self.squares + deviation * jnp.where(finite, loss - mean, 0))

    def moments(self) -> tuple[Float[Array, ""], Float[Array, ""]]:
        """Return mean and standard deviation; NaN where there are too few losses."""
        mean = jnp.where(self.number > 0, self.mean, jnp.nan)
        variance = self.squares / jnp.maximum(self.number - 1, 1)
        return mean, jnp.where(self.number > 1, jnp.sqrt(variance), jnp.nan)


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["step", "layers", "in_loss", "steps", "first_loss", "loss_before", "update_before"],
    meta_fields=[],
)
@dataclass(frozen=True)
class FirstBreak:
    """First step with a number that is not finite, and the training up to it."""

    step: Int[AnyArray, "*batch"]
    """Updates done before the first such step; -1 where there was none."""
    layers: Bool[AnyArray, "*batch layer"]
    """True for layers whose gradient was not finite at that step."""
    in_loss: Bool[AnyArray, "*batch"]
    """True where the loss itself was not finite at that step."""
    steps: Int[AnyArray, "*batch"]
    """Number of such steps so far."""
    first_loss: Float[AnyArray, "*batch"]
    """Loss of the first step; NaN where it was not given."""
    loss_before: Float[AnyArray, "*batch"]
    """Exponential mean of the losses before the first break, with the weight `MEMORY` for the past."""
    update_before: Float[AnyArray, "*batch"]
    """log10 of update over weights in the largest layer, at the last record before the break; NaN where not known."""

    @classmethod
    def empty(cls, layers: int) -> "FirstBreak":
        """Return the state before the first step."""
        return cls(
            step=jnp.full((), -1, jnp.int32),
            layers=jnp.zeros(layers, bool),
            in_loss=jnp.zeros((), bool),
            steps=jnp.zeros((), jnp.int32),
            first_loss=jnp.full((), np.nan, loss_dtype()),
            loss_before=jnp.full((), np.nan, loss_dtype()),
            update_before=jnp.full((), np.nan, jnp.float32),
        )

    def add(
        self, step: Int[Array, ""], broken_layers: Bool[Array, " layer"], loss: Float[Array, ""], has_loss: bool
    ) -> "FirstBreak":
        """Return the state after one more step.

        Args:
            step: updates done before this step.
            broken_layers: layers whose gradient is not finite.
            loss: of this step.
            has_loss: False where no loss was given, so that its NaN is no break.
        """
        in_loss = ~jnp.isfinite(loss) if has_loss else jnp.zeros((), bool)
        broken = broken_layers.any() | in_loss
        is_first = broken & (self.step < 0)
        unbroken = (self.step < 0) & ~broken
        blend = jnp.where(jnp.isnan(self.loss_before), loss, MEMORY * self.loss_before + (1 - MEMORY) * loss)
        return replace(
            self,
            step=jnp.where(is_first, step, self.step),
            layers=jnp.where(is_first, broken_layers, self.layers),
            in_loss=jnp.where(is_first, in_loss, self.in_loss),
            steps=self.steps + broken,
            first_loss=jnp.where(step == 0, loss, self.first_loss),
            loss_before=jnp.where(unbroken, blend, self.loss_before),
        )

    def with_update(self, ratio_log10: Float[Array, " layer"]) -> "FirstBreak":
        """Return the state with the sizes of a record's updates, until the first break."""
        largest = largest_finite(ratio_log10)
        keep = (self.step >= 0) | jnp.isnan(largest)
        return replace(self, update_before=jnp.where(keep, self.update_before, largest))


def largest_finite(values: Float[Array, " layer"]) -> Float[Array, ""]:
    """Return the largest finite number, NaN where there is none."""
    finite = jnp.isfinite(values)
    return jnp.where(finite.any(), jnp.max(jnp.where(finite, values, -jnp.inf)), jnp.nan)
