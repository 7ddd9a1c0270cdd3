"""The same work for everybody: how much arithmetic a case is, and whether two ways of doing it came to the same end."""

import itertools
import math
from collections.abc import Callable, Sequence
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
    """Arithmetic of matrix products per second, beside what the cores can do at best."""
    gflops = 2 * case.seeds * multiply_adds(case, every=every) / seconds / 1e9
    peak = floor.peak_gflops()
    return {"gflops": gflops, "peak_gflops": peak, "share_of_peak": gflops / peak}


def accuracies(params: Any, experiment: vg.Experiment) -> np.ndarray:
    """Each seed's accuracy on all training rows; `params` has a leading seed axis."""
    dataset = vg.load_data(experiment.data)
    x, y = jnp.asarray(dataset.train_x), jnp.asarray(dataset.train_y)
    one: Callable[[Any], Any] = lambda params: evaluate(params, x, y, experiment.mlp, experiment.training.loss)[1]  # noqa: E731
    return np.asarray(jax.jit(jax.vmap(one))(params))


def assert_same_work(ours: Sequence[float], theirs: Sequence[float], threshold: float) -> dict[str, Any]:
    """The share of runs at or above the threshold, and the mean accuracy, agree within their intervals.

    Returns:
        Both shares with Wilson's 95 % intervals, for the results.
    """
    from scipy.stats import binomtest

    ours, theirs = np.asarray(ours), np.asarray(theirs)
    intervals = []
    for values in (ours, theirs):
        share = binomtest(int((values >= threshold).sum()), len(values)).proportion_ci(0.99, "wilson")
        intervals.append((share.low, share.high))
    (low, high), (their_low, their_high) = intervals
    assert low <= their_high, (intervals, ours, theirs)
    assert their_low <= high, (intervals, ours, theirs)
    error = math.sqrt(ours.var() / len(ours) + theirs.var() / len(theirs))
    assert abs(ours.mean() - theirs.mean()) <= 4 * error + 0.02, (ours, theirs)
    return {
        "share_converged": float((theirs >= threshold).mean()),
        "share_interval": [float(their_low), float(their_high)],
        "mean_accuracy": float(theirs.mean()),
        "n": len(theirs),
    }
