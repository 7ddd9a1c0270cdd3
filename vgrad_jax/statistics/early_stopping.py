"""Sweeps that may stop early: the share of each arm, and the runs that are missing rather than left out."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from vgrad_jax.statistics.intervals import Estimate
from vgrad_jax.statistics.time_uniform import share_bounds, stopping_point

if TYPE_CHECKING:
    import xarray

__all__ = ["EarlyStop", "early_stops", "missing_runs", "precision_of"]


class EarlyStop(NamedTuple):
    """An arm of a sweep that was allowed to stop early."""

    arm: str
    converged: Estimate
    """Share after the last look, with a time-uniform 95 % interval: the running intersection of a confidence sequence.

    It covers although the data decided when to stop. Wilson's interval would not.
    """
    stopped: bool
    """True where the precision was reached; otherwise the arm went on to the last seed, or is not finished."""
    most: int
    """Seeds that the arm might have had."""


def precision_of(results: "xarray.Dataset") -> float | None:
    """Return half the width of an interval at which an arm stops; None where all seeds are to be trained."""
    precision = results.attrs.get("precision")
    return None if precision is None else float(precision)


def early_stops(results: "xarray.Dataset") -> list[EarlyStop]:
    """Compute the share of each arm that could stop early, in the order of the results.

    Args:
        results: of a sweep, finished or not.

    Returns:
        Nothing for a sweep without a `precision`; arms that have not reached their first look are left out.
    """
    precision = precision_of(results)
    if precision is None:
        return []
    stops = []
    for arm, converged in _prefixes(results).items():
        block, most = int(results.attrs["block"]), results.sizes["seed"]
        point = stopping_point(converged, block, most, precision)
        looks = list(share_bounds(converged, block, most))
        if looks:
            last = looks[-1] if point is None else point
            estimate = Estimate(last.successes / last.n, last.low, last.high, last.n)
            stops.append(EarlyStop(arm, estimate, point is not None, most))
    return stops


def missing_runs(results: "xarray.Dataset") -> int:
    """Count the runs that are not there, but for runs that a sweep left out because it knew enough."""
    completed = results["completed"].values
    stopped = {stop.arm for stop in early_stops(results) if stop.stopped}
    rows = [row for arm, row in zip(results["arm"].values, completed, strict=True) if str(arm) not in stopped]
    return int(sum((~row).sum() for row in rows))


def _prefixes(results: "xarray.Dataset") -> dict[str, np.ndarray]:
    """Return arm name to whether its first runs converged, up to the first run that is missing."""
    completed, converged = results["completed"].values, results["converged"].values
    lengths = [len(row) if row.all() else int(np.argmin(row)) for row in completed]
    return {str(arm): row[:length] for arm, row, length in zip(results["arm"].values, converged, lengths, strict=True)}
