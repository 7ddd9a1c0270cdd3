"""Measurement of a sweep's speed on this machine, in under a minute."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from statistics import median
from typing import NamedTuple

import jax
import jax.numpy as jnp

from vgrad_jax.data import load_data
from vgrad_jax.experiment import Experiment, Recording
from vgrad_jax.keys import run_keys
from vgrad_jax.sweeps.engine import ENGINES
from vgrad_jax.sweeps.experiment_arm import ExperimentArm
from vgrad_jax.sweeps.plan import make_plan
from vgrad_jax.sweeps.policy import execution_of, local_platform

__all__ = ["Speed", "measure_speed"]

EPOCHS = 100
"""Epochs of a measured training: enough to make the time of drawing initial weights negligible."""

SECONDS_EACH = 2.0
"""Seconds for which each way of training is repeated."""


class Speed(NamedTuple):
    """Measured speed of a way of training."""

    name: str
    """Name for people."""
    engine: str
    """Name in `vgrad_jax.sweeps.engine.ENGINES`."""
    together: int
    """Seeds in a call."""
    workers: int
    """Calls at the same time."""
    compile_seconds: float
    """Time of the first call, less the median of later calls; small where the compiled program was on disk."""
    calls: int
    """Number of calls of each worker over which the median is taken."""
    run_milliseconds: float
    """Wall time of a complete training, divided by the trainings at the same time."""
    step_microseconds: float
    """Wall time of a step of a training, divided by the trainings at the same time."""

    @property
    def runs_per_second(self) -> float:
        """Complete trainings per second, all workers together."""
        return 1000 / self.run_milliseconds


def measure_speed(experiment: Experiment, report: Callable[[str], None] = lambda name: None) -> list[Speed]:
    """Time an experiment's training: a single seed, many seeds with `plain`, and many seeds with native code.

    The measured trainings record every epoch and run on a single device.

    Args:
        experiment: the training; a few epochs are measured, and the times are scaled to the experiment's own number.
        report: called with the name of each way of training before its measurement.

    Returns:
        The speed of each way, as a rule the slowest first. Native code is left out where large sweeps do without.
    """
    short = replace(experiment, training=replace(experiment.training, epochs=EPOCHS), recording=Recording(every=1))
    dataset = load_data(short.data)
    plan = make_plan({"arm": ExperimentArm(short)}, 10**9)
    many = f"{plan.chunk} seeds x {plan.workers} at a time"
    ways = [("one seed", "plain", 1, 1), (f"plain, {many}", "plain", plan.chunk, plan.workers)]
    if plan.engines["arm"] != "plain":
        native = plan.engines["arm"].removesuffix("_or_plain")
        ways.append((f"{native}, {many}", native, plan.chunk, plan.workers))
    steps = -(-len(dataset.train_x) // short.training.batch_size) * experiment.training.epochs
    speeds = []
    for name, engine, together, workers in ways:
        report(name)
        seconds = list(_seconds(short, engine, together, workers))
        each = median(seconds[1:]) / (together * workers) * experiment.training.epochs / EPOCHS
        speeds.append(
            Speed(
                name=name,
                engine=engine,
                together=together,
                workers=workers,
                compile_seconds=max(seconds[0] - median(seconds[1:]), 0.0),
                calls=len(seconds) - 1,
                run_milliseconds=each * 1e3,
                step_microseconds=each / steps * 1e6,
            )
        )
    return speeds


def _seconds(experiment: Experiment, engine: str, together: int, workers: int) -> Iterator[float]:
    """Yield the wall time of each call of all workers together, in seconds; the first call compiles, alone."""
    arm, execution = ExperimentArm(experiment), execution_of(engine, together, local_platform())._replace(devices=1)
    keys = [run_keys(0, jnp.arange(start, start + together)) for start in range(0, workers * together, together)]

    def call(worker: int) -> None:
        jax.block_until_ready(ENGINES[engine](arm, keys[worker], execution))

    began = time.perf_counter()
    call(0)
    yield time.perf_counter() - began
    until = time.perf_counter() + SECONDS_EACH
    with ThreadPoolExecutor(workers) as executor:
        count = 0
        while count < 2 or time.perf_counter() < until:
            began = time.perf_counter()
            list(executor.map(call, range(workers)))
            yield time.perf_counter() - began
            count += 1
