"""Estimate of the time that a sweep will take, from a short training of its first arm.

a call of the first arm, a few epochs ─► seconds a multiply-add ─► arithmetic of all arms ─► seconds
"""

import time
from collections.abc import Mapping
from dataclasses import replace
from statistics import median

import jax
import jax.numpy as jnp

from vgrad_jax.data import load_data
from vgrad_jax.experiment import Experiment, Recording
from vgrad_jax.keys import run_keys
from vgrad_jax.sweeps.engine import ENGINES
from vgrad_jax.sweeps.experiment_arm import ExperimentArm
from vgrad_jax.sweeps.plan import Plan

__all__ = ["estimated_seconds"]

EPOCHS = 5
"""Epochs of the measured training."""

CALLS = 3
"""Measured calls, after a first one that compiles."""

OVERHEAD = 64
"""Multiply-adds that take about as long as what a unit costs beside its products: activation, sums and update."""


def estimated_seconds(experiments: Mapping[str, Experiment], plan: Plan) -> float:
    """Return the estimated seconds of a sweep's trainings and compilations, good to a factor of about two.

    The measurement takes seconds to some tens of seconds.

    Args:
        experiments: arm name to `Experiment`.
        plan: the sweep's plan for these arms.
    """
    name, experiment = next(iter(experiments.items()))
    epochs = min(EPOCHS, experiment.training.epochs)
    short = replace(
        experiment,
        training=replace(experiment.training, epochs=epochs),
        recording=Recording(every=experiment.recording.every),
    )
    arm, execution = ExperimentArm(short), plan.executions[name]
    seconds = []
    for call in range(1 + CALLS):
        began = time.perf_counter()
        keys = run_keys(0, jnp.arange(call * execution.together, (call + 1) * execution.together))
        jax.block_until_ready(ENGINES[execution.engine](arm, keys, execution))
        seconds.append(time.perf_counter() - began)
    each = median(seconds[1:])
    rate = each / execution.together / _work(short) / plan.workers
    trained = sum(_work(other) for other in experiments.values()) * plan.num_seeds
    structures = len({ExperimentArm(other).program_key for other in experiments.values()})
    return rate * trained + structures * max(seconds[0] - each, 0.0)


def _work(experiment: Experiment) -> float:
    """Return the arithmetic of a training, in multiply-adds, up to a factor that all experiments share."""
    arm, data = ExperimentArm(experiment), load_data(experiment.data)
    parameters, units = arm.size.parameters, sum(arm.widths[1:])
    passes = 3 * len(data.train_y) + (3 * len(data.train_y) + len(data.test_y)) / experiment.recording.every
    return float(experiment.training.epochs * passes * (parameters + OVERHEAD * units))
