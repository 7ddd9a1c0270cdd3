"""How fast a sweep is on this machine, in under a minute."""

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
"""Of a measured training: enough for drawing the initial weights not to count."""

SECONDS_EACH = 2.0
"""How long one way of training is repeated."""


class Speed(NamedTuple):
    """One way of training, measured."""

    name: str
    """What it is, for people."""
    engine: str
    together: int
    """Seeds in one call."""
    workers: int
    """Calls at the same time."""
    compile_seconds: float
    """The first call, less a later one; little where the compiled program was found on disk."""
    calls: int
    """How many calls of each worker the time is a median of."""
    run_milliseconds: float
    """Wall time of a whole training, all workers together."""
    step_microseconds: float
    """The same for one step of one training."""

    @property
    def runs_per_second(self) -> float:
        """Whole trainings a second, all workers together."""
        return 1000 / self.run_milliseconds


def measure_speed(experiment: Experiment, report: Callable[[str], None] = lambda name: None) -> list[Speed]:
    """Time an experiment's training, every epoch recorded: one seed, many with `plain`, and many with `lanes`.

    Args:
        experiment: what to train; measured over a few epochs and scaled to its own number.
        report: called with the name of what is measured next.

    Returns:
        The slowest way first as a rule: one seed alone, then chunks by engine, on one device. `lanes` is left out where
        a large sweep would not choose it.
    """
    short = replace(experiment, training=replace(experiment.training, epochs=EPOCHS), recording=Recording(every=1))
    dataset = load_data(short.data)
    plan = make_plan({"arm": ExperimentArm(short)}, 10**9)
    many = f"{plan.chunk} seeds x {plan.workers} at a time"
    ways = [("one seed", "plain", 1, 1), (f"plain, {many}", "plain", plan.chunk, plan.workers)]
    if plan.engines["arm"] != "plain":
        ways.append((f"lanes, {many}", "lanes", plan.chunk, plan.workers))
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
    """Wall time of calls of all workers together; the first compiles."""
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
