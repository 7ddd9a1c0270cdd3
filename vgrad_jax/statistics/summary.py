"""A row of numbers for each arm of a sweep."""

from typing import TYPE_CHECKING, NamedTuple

import jax
import numpy as np

from vgrad_jax.numerics import lower_median
from vgrad_jax.results.reading import arm_names, completed_seeds, own_values
from vgrad_jax.statistics.bootstrap import Distribution, distribution
from vgrad_jax.statistics.intervals import ABSENT, Estimate, share
from vgrad_jax.statistics.run_outcomes import Outcomes, outcomes
from vgrad_jax.statistics.survival import median_time, restricted_mean, survival_curve

if TYPE_CHECKING:
    import xarray

__all__ = ["BOOTSTRAP_SEED", "ArmSummary", "summarise"]

BOOTSTRAP_SEED = 0
"""Seed of the resampling behind intervals of accuracies, unless a key is given."""


class ArmSummary(NamedTuple):
    """An arm over its completed seeds. A run converges, or it diverges, or it is dead, or it is stuck.

    A quantity that an arm does not have, such as a function's accuracy, has `n` 0 and the value NaN. Where it has no
    gradients, their sizes are empty.
    """

    arm: str
    n: int
    converged: Estimate
    """Share that converged, with its Wilson 95 % interval."""
    median_epochs: Estimate
    """Median completed epochs to converge over ALL runs; infinite where fewer than half converge within the budget."""
    restricted_mean_epochs: Estimate
    """Mean within the budget: a run that never converges counts with the whole budget."""
    test_accuracy: Distribution
    """After the last epoch."""
    diverged: Estimate
    """Share of runs with a loss that was not finite."""
    dead: Estimate
    """Share of runs that neither converge nor diverge and end with an exactly zero gradient in their first layer."""
    stuck: Estimate
    """Share of the other runs that do not converge: runs with a gradient that does not help them in time."""
    initial_gradient_log10_rms: tuple[float, ...]
    """Lower median over seeds, by layer, at initialisation; -inf where most are zero, NaN where none is a number."""
    final_gradient_log10_rms: tuple[float, ...]
    """The same after the last epoch."""


def summarise(results: "xarray.Dataset", key: jax.Array | None = None) -> list[ArmSummary]:
    """Compute the numbers of every arm, in the order of the results.

    Args:
        results: of a sweep.
        key: of the resampling behind the intervals of accuracies; None is the key of `BOOTSTRAP_SEED`.

    Raises:
        InputError: an arm without a finished run.
    """
    key = jax.random.key(BOOTSTRAP_SEED) if key is None else key
    ends = outcomes(results)
    return [
        _summarise_arm(results, arm, ends.get(arm), jax.random.fold_in(key, index))
        for index, arm in enumerate(arm_names(results))
    ]


def _summarise_arm(results: "xarray.Dataset", arm: str, ends: Outcomes | None, key: jax.Array) -> ArmSummary:
    runs = completed_seeds(results, arm)
    n = runs.sizes["seed"]
    gradients, accuracy = own_values(results, arm, "gradient_log10_rms"), own_values(results, arm, "test_accuracy")
    diverged = runs["outcome"].values == "diverged"
    initial = final = np.empty((n, 0))
    if gradients is not None and gradients.sizes["record"]:
        initial, final = gradients.isel(record=0).values, gradients.isel(record=-1).values
    has_time, has_gradient = ends is not None and bool(ends.unit), initial.size > 0
    failed = ~runs["converged"].values & ~diverged
    dead = failed & np.isneginf(final[:, 0]) if has_gradient else np.zeros(n, bool)
    is_told = ends is not None and has_gradient
    return ArmSummary(
        arm=arm,
        n=n,
        converged=ABSENT if ends is None else share(int(ends.converged.sum()), n),
        median_epochs=median_time(survival_curve(ends.times, ends.converged)) if ends and has_time else ABSENT,
        restricted_mean_epochs=restricted_mean(ends.times, ends.converged, ends.budget)
        if ends and has_time
        else ABSENT,
        test_accuracy=_distribution(accuracy, key),
        diverged=share(int(diverged.sum()), n),
        dead=share(int(dead.sum()), n) if is_told else ABSENT,
        stuck=share(int((failed & ~dead).sum()), n) if is_told else ABSENT,
        initial_gradient_log10_rms=tuple(lower_median(initial, skip_nan=True).tolist()),
        final_gradient_log10_rms=tuple(lower_median(final, skip_nan=True).tolist()),
    )


def _distribution(accuracy: "xarray.DataArray | None", key: jax.Array) -> Distribution:
    """Return the distribution of the accuracies after the last epoch, if there are any that are all numbers."""
    last = np.empty(0) if accuracy is None or accuracy.ndim != 2 else accuracy.isel({accuracy.dims[1]: -1}).values
    return distribution(last, key) if last.size and np.isfinite(last).all() else Distribution(*(ABSENT,) * 4)
