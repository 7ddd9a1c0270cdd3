"""The endings of a sweep's runs."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from vgrad_jax.results.reading import arm_names, completed_seeds, function_of

if TYPE_CHECKING:
    import xarray

__all__ = ["Outcomes", "alike", "outcomes"]


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
    """Epochs of training, or time as the arm counts it."""
    unit: str = "epoch"
    """Name of the unit of time; empty where convergence has no time. Every run then takes the budget."""

    def within(self, budget: float | int) -> "Outcomes":
        """Return the endings that a smaller budget would have had: later runs have not converged."""
        # Times are stored as float32, and the budget may be the last of them.
        converged = self.converged & (self.times <= np.nextafter(np.float32(budget), np.float32(np.inf)))
        return self._replace(times=np.minimum(self.times, budget), converged=converged, budget=float(budget))


_NEEDED = ("completed", "converged", "epochs_to_converge", "outcome", "epoch")
"""Variables that say how runs end."""


def alike(ends: Mapping[str, Outcomes]) -> dict[str, Outcomes]:
    """Return the endings within one budget where all arms count time alike, so that they can be compared."""
    units = {own.unit for own in ends.values()}
    budgets = {own.budget for own in ends.values()}
    if len(units) != 1 or len(budgets) < 2:
        return dict(ends)
    return {arm: own.within(min(budgets)) for arm, own in ends.items()}


def outcomes(results: "xarray.Dataset") -> dict[str, Outcomes]:
    """Return arm name to the endings of its finished runs, without functions that define no convergence.

    Raises:
        InputError: an arm without a finished run.
    """
    # Selecting an arm costs time for each variable.
    needed = results[[name for name in _NEEDED if name in results]]
    ends = {arm: _outcomes(needed, arm) for arm in arm_names(results)}
    return {arm: own for arm, own in ends.items() if own is not None}


def _outcomes(results: "xarray.Dataset", arm: str) -> Outcomes | None:
    runs, function = completed_seeds(results, arm), function_of(results, arm)
    if function is not None and function.criterion is None:
        return None
    if function is None:
        budget, unit = float(runs["epoch"][-1]), "epoch"
    else:
        budget, unit = (1.0, "") if function.time is None else (float(function.time.budget), function.time.unit)
    converged = runs["converged"].values
    times = np.full(len(converged), budget)
    if unit:
        epochs = runs["epochs_to_converge"].values.astype(np.float64)
        converged = np.isfinite(epochs)
        times = np.where(converged, epochs, budget)
    return Outcomes(
        seeds=runs["seed"].values,
        times=times,
        converged=converged,
        diverged=runs["outcome"].values == "diverged",
        budget=budget,
        unit=unit,
    )
