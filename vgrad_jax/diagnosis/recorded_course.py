"""The course of the loss that a record kept."""

import math

import numpy as np
from jaxtyping import Float

from vgrad_jax.diagnosis.course import Course

__all__ = ["course_of"]


def course_of(
    loss: Float[np.ndarray, " record"],
    loss_mean: Float[np.ndarray, " record"] | None,
    loss_std: Float[np.ndarray, " record"] | None,
    first_step: int,
    first_loss: float | None,
    **known: float | bool | None,
) -> Course | None:
    """Return the course of one seed's loss; None where no loss was recorded.

    Args:
        loss: at each record.
        loss_mean: mean loss since the record before.
        loss_std: standard deviation of the losses since the record before.
        first_step: step of the first record that is kept.
        first_loss: loss of the first step.
        known: `chance`, `floor`, `gradient_ratio`, `moved` and `steps_a_record` of `Course`.
    """
    if np.isnan(loss).all() and (first_loss is None or math.isnan(first_loss)):
        return None
    level = loss if loss_mean is None else np.where(np.isfinite(loss) & np.isfinite(loss_mean), loss_mean, loss)
    spread = relative = math.nan
    if loss_std is not None and np.isfinite(loss_std).any():
        with np.errstate(divide="ignore", invalid="ignore"):
            shares = loss_std / np.abs(level)
        spread = float(np.median(loss_std[np.isfinite(loss_std)]))
        relative = float(np.median(shares[np.isfinite(shares)])) if np.isfinite(shares).any() else math.nan
    kept = first_step <= 0
    first = float(loss[0]) if kept else (math.nan if first_loss is None else first_loss)
    return Course(
        loss=loss,
        level=level,
        spread=spread,
        relative_spread=relative,
        from_start=kept or math.isfinite(first),
        first=first,
        **known,  # type: ignore[arg-type]
    )
