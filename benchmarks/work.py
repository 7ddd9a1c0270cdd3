"""The same work for everybody: how much arithmetic a case is, and whether two ways of doing it came to the same end."""

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
    """Multiply-adds of one run's matrix products: forward once, backward twice, for every row.

    Args:
        case: the network, and for how long it is trained.
        every: epochs between records; a record is a full gradient of the training rows and a look at the test rows.
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
    """Arithmetic of matrix products per second, beside what a processor's cores can do at best."""
    gflops = 2 * case.seeds * multiply_adds(case, every=every) / seconds / 1e9
    if jax.default_backend() != "cpu" or floor.compiler() is None:
        return {"gflops": gflops}
    peak = floor.peak_gflops()
    return {"gflops": gflops, "peak_gflops": peak, "share_of_peak": gflops / peak}


def accuracies(params: Any, experiment: vg.Experiment) -> np.ndarray:
    """Each seed's accuracy on all training rows; `params` has a leading seed axis."""
    dataset = vg.load_data(experiment.data)
    x, y = jnp.asarray(dataset.train_x), jnp.asarray(dataset.train_y)

    def one(params: Any) -> jax.Array:
        return evaluate(params, x, y, experiment.mlp, experiment.training.loss)[1]

    return np.asarray(jax.jit(jax.vmap(one))(params))


def assert_same_work(ours: Sequence[float], theirs: Sequence[float], threshold: float) -> dict[str, Any]:
    """The share of runs at or above the threshold, and the mean accuracy, agree within their 99 % intervals.

    Returns:
        Their share with Wilson's 95 % interval, for the results.
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
