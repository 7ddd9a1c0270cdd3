"""The endings of a sweep's runs."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from vgrad_jax.results.reading import arm_names, completed_seeds

if TYPE_CHECKING:
    import xarray

__all__ = ["Outcomes", "outcomes"]


class Outcomes(NamedTuple):
    """The finished runs of one arm."""

    seeds: Int[np.ndarray, " runs"]
    times: Float[np.ndarray, " runs"]
    """Epochs to converge, or the budget for a run that never does.

    A run that diverges has the budget too: it will not converge later, so that it is not lost when it diverges.
    """
    converged: Bool[np.ndarray, " runs"]
    diverged: Bool[np.ndarray, " runs"]
    budget: float
    """Epochs of training."""


def outcomes(results: "xarray.Dataset") -> dict[str, Outcomes]:
    """Return arm name to the endings of its finished runs.

    Raises:
        InputError: an arm without a finished run.
    """
    return {arm: _outcomes(completed_seeds(results, arm)) for arm in arm_names(results)}


def _outcomes(runs: "xarray.Dataset") -> Outcomes:
    budget = float(runs["epoch"][-1])
    epochs = runs["epochs_to_converge"].values.astype(np.float64)
    converged = np.isfinite(epochs)
    return Outcomes(
        seeds=runs["seed"].values,
        times=np.where(converged, epochs, budget),
        converged=converged,
        diverged=runs["outcome"].values == "diverged",
        budget=budget,
    )
