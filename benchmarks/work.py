"""Measure work: the arithmetic of a case, and whether two programs reach the same outcome."""

import itertools
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import vgrad_jax as vg
from benchmarks import floor
from benchmarks.cases import Case
from vgrad_jax.training.records import evaluate


def multiply_adds(case: Case, *, every: int) -> int:
    """Count the multiply-adds of one run's matrix products: one pass forwards and two backwards for every row.

    Args:
        case: the network, and its number of epochs.
        every: epochs between records; a record is a full gradient of the training rows and a forward pass of the
            test rows.
    """
    experiment = case.experiment()
    dataset = vg.load_data(experiment.data)
    train_rows, features = dataset.train_x.shape
    widths = experiment.mlp.widths(features)
    weights = sum(a * b for a, b in itertools.pairwise(widths))
    steps = 3 * train_rows * case.epochs
    records = (3 * train_rows + len(dataset.test_x)) * (1 + math.ceil(case.epochs / every))
    return weights * (steps + records)


def achieved(case: Case, seconds: float, *, every: int) -> dict[str, float]:
    """Return the arithmetic of matrix products per second, with the peak of a processor's cores if it is known."""
    gflops = 2 * case.seeds * multiply_adds(case, every=every) / seconds / 1e9
    if jax.default_backend() != "cpu" or floor.compiler() is None:
        return {"gflops": gflops}
    peak = floor.peak_gflops()
    return {"gflops": gflops, "peak_gflops": peak, "share_of_peak": gflops / peak}


def accuracies(params: Any, experiment: vg.Experiment) -> np.ndarray:
    """Compute each seed's accuracy on all training rows; `params` has a leading seed axis."""
    dataset = vg.load_data(experiment.data)
    x, y = jnp.asarray(dataset.train_x), jnp.asarray(dataset.train_y)

    def accuracy(params: Any) -> jax.Array:
        return evaluate(params, x, y, experiment.mlp, experiment.training.loss)[1]

    return np.asarray(jax.jit(jax.vmap(accuracy))(params))


def assert_same_work(ours: Sequence[float], theirs: Sequence[float], threshold: float) -> dict[str, Any]:
    """Assert that two samples of final accuracies agree.

    The shares of runs at or above the threshold must agree within their 99 % intervals. The means must agree within
    four standard errors plus 0.02.

    Returns:
        The second sample's share with Wilson's 95 % interval, its mean and its size.
    """
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    (low, high), (their_low, their_high) = (_wilson(values >= threshold, 0.99) for values in (ours, theirs))
    assert low <= their_high, (ours, theirs)
    assert their_low <= high, (ours, theirs)
    error = math.sqrt(ours.var() / len(ours) + theirs.var() / len(theirs))
    assert abs(ours.mean() - theirs.mean()) <= 4 * error + 0.02, (ours, theirs)
    return {
        "share_converged": float((theirs >= threshold).mean()),
        "share_interval": list(_wilson(theirs >= threshold, 0.95)),
        "mean_accuracy": float(theirs.mean()),
        "n": len(theirs),
    }


def _wilson(hits: np.ndarray, level: float) -> tuple[float, float]:
    from scipy.stats import binomtest

    interval = binomtest(int(hits.sum()), len(hits)).proportion_ci(level, "wilson")
    return float(interval.low), float(interval.high)
