"""Each arm of a sweep in a row of numbers."""

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from vgrad_jax.errors import InputError
from vgrad_jax.statistics.intervals import Estimate, share
from vgrad_jax.sweeps.study import arms_of

if TYPE_CHECKING:
    import xarray

__all__ = ["ArmSummary", "completed_seeds", "summarise"]


class ArmSummary(NamedTuple):
    """One arm, over its completed seeds."""

    arm: str
    n: int
    converged: Estimate
    """Share that converged, with its Wilson 95 % interval."""
    median_epochs: float | None
    """Median completed epochs to converge over ALL runs; None when fewer than half converge within the budget."""
    mean_epochs_within_budget: float
    """Restricted mean: a run that never converges counts with the whole budget."""
    test_accuracy: tuple[float, float, float]
    """10 %, 50 % and 90 % quantiles after the last epoch."""
    diverged: int
    not_converged: int
    initial_gradient_log10_rms: tuple[float, ...]
    """Median over seeds, by layer, at initialisation; -inf where most seeds have none, NaN where none is finite."""
    final_gradient_log10_rms: tuple[float, ...]
    """The same after the last epoch."""
    no_gradient: Estimate
    """Share of runs that end with an exactly zero gradient in their first layer."""


def completed_seeds(results: "xarray.Dataset", arm: str) -> "xarray.Dataset":
    """An arm's runs that are there.

    Raises:
        InputError: none is.
    """
    one = results.sel(arm=arm)
    there = np.flatnonzero(one["completed"].values)
    if not len(there):
        raise InputError(f"no run of arm {arm!r} is finished; go on with the sweep first")
    return one if len(there) == one.sizes["seed"] else one.isel(seed=there)


def summarise(results: "xarray.Dataset") -> list[ArmSummary]:
    """Every arm with its numbers, in the order of the results.

    Raises:
        InputError: an arm without a finished run.
    """
    return [
        _summarise_arm(arm, completed_seeds(results, arm), experiment.mlp.num_layers)
        for arm, experiment in arms_of(results).items()
    ]


def _summarise_arm(arm: str, runs: "xarray.Dataset", layers: int) -> ArmSummary:
    n = runs.sizes["seed"]
    budget = float(runs["epoch"][-1])
    epochs = runs["epochs_to_converge"].values.astype(np.float64)
    all_epochs = np.where(np.isnan(epochs), np.inf, epochs)
    median = float(np.sort(all_epochs)[(n - 1) // 2])
    final_accuracy = runs["test_accuracy"].isel(record=-1).values
    outcome = runs["outcome"].values
    gradients = runs["gradient_log10_rms"].isel(layer=slice(layers))
    initial, final = gradients.isel(record=0).values, gradients.isel(record=-1).values
    return ArmSummary(
        arm=arm,
        n=n,
        converged=share(int(runs["converged"].sum()), n),
        median_epochs=median if np.isfinite(median) else None,
        mean_epochs_within_budget=float(np.minimum(all_epochs, budget).mean()),
        test_accuracy=_quantiles(final_accuracy),
        diverged=int((outcome == "diverged").sum()),
        not_converged=int((outcome == "not_converged").sum()),
        initial_gradient_log10_rms=_medians(initial),
        final_gradient_log10_rms=_medians(final),
        no_gradient=share(int(np.isneginf(final[:, 0]).sum()), n),
    )


def _quantiles(values: np.ndarray) -> tuple[float, float, float]:
    low, middle, high = np.quantile(values.astype(np.float64), [0.1, 0.5, 0.9])
    return float(low), float(middle), float(high)


def _medians(values: np.ndarray) -> tuple[float, ...]:
    """Median of each layer over the seeds with a number: the lower of two middle ones, since -inf has no average."""
    kept = (np.sort(column[~np.isnan(column)]) for column in values.T)
    return tuple(float(column[(len(column) - 1) // 2]) if len(column) else math.nan for column in kept)
