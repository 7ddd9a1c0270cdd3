"""A block of runs: trained chunk by chunk, written together."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from vgrad_jax.errors import InputError
from vgrad_jax.results.schema import variables_of
from vgrad_jax.results.target import Target
from vgrad_jax.sweeps.arms import Arm
from vgrad_jax.sweeps.engine import train_seeds
from vgrad_jax.sweeps.plan import Block
from vgrad_jax.sweeps.policy import Execution, Platform, execution_of

__all__ = ["Job", "fill"]

SECONDS_UNWRITTEN = 10.0
"""Seconds after which finished runs are written at the latest: the cost of being killed, beside the current chunk."""


@dataclass(frozen=True)
class Job:
    """Everything that a worker has to know to train any block of a sweep."""

    arms: Mapping[str, Arm]
    """Arm name to arm, in the order of the rows of the results."""
    fingerprints: Mapping[str, str]
    """Arm name to the fingerprint of its data when the sweep began."""
    seed: int
    """Seed of the whole study."""
    executions: Mapping[str, Execution]
    """Arm name to the way in which it is trained."""
    parameters: tuple[str, ...] = ()
    """Names of all arms' parameters, where any are kept."""

    def on(self, platform: Platform) -> "Job":
        """Return the job for a worker on another machine, whose number of devices may differ."""
        executions = {
            name: execution_of(execution.engine, execution.chunk, platform)
            for name, execution in self.executions.items()
        }
        return replace(self, executions=executions)

    def runs_from(self, arm: str, start: int) -> dict[str, np.ndarray]:
        """Train a call's worth of runs of an arm: variable name to values, with the seed axis first.

        Raises:
            InputError: the data are not those with which the sweep began.
        """
        if self.arms[arm].fingerprint() != self.fingerprints[arm]:
            raise InputError(f"the data of arm {arm!r} have changed since the sweep began; restore them and resume")
        history = train_seeds(self.arms[arm], self.seed, start, self.executions[arm])
        return dict(variables_of(history, self.arms[arm].layout.parameters, self.parameters))


def fill(
    job: Job,
    target: Target,
    block: Block,
    *,
    stopped: Callable[[], bool] = lambda: False,
    report: Callable[[int], None] = lambda runs: None,
    in_parts: bool = True,
) -> None:
    """Train what is missing in a block, and write it.

    Args:
        job: the arms and how they are trained.
        target: where it goes; nobody else may write this block at the same time.
        block: seeds of one arm.
        stopped: asked before each chunk whether to stop early.
        report: called with the number of new runs, after each chunk.
        in_parts: write every ten seconds, and what is there on stopping. Else the block is written once and whole, so
            that two workers that take the same block for theirs write the same.

    Raises:
        InputError: the results cannot be written.
    """
    arm = list(job.arms).index(block.arm)
    missing = ~target.completed(block.start, block.stop)[arm]
    if not in_parts:
        missing[:] = missing.any()
    held = _Held(target, arm, block)
    together = job.executions[block.arm].together
    for start in range(block.start, block.stop, together):
        stop = min(start + together, block.stop)
        new = int(missing[start - block.start : stop - block.start].sum())
        if not new:
            held.write()
            continue
        if stopped():
            if in_parts:
                held.write()
            return
        try:
            held.add(start, stop, job.runs_from(block.arm, start))
        except BaseException:
            if in_parts:
                held.write()
            raise
        report(new)
        if in_parts and time.monotonic() - held.since > SECONDS_UNWRITTEN:
            held.write()
    if not stopped() or in_parts:
        held.write()


class _Held:
    """Runs of a block that are trained and not written yet: they are neighbours."""

    def __init__(self, target: Target, arm: int, block: Block) -> None:
        self.target, self.arm, self.block = target, arm, block
        self.arrays: dict[str, np.ndarray] = {}
        self.start = self.stop = block.start
        self.since = time.monotonic()

    def add(self, start: int, stop: int, variables: Mapping[str, np.ndarray]) -> None:
        if self.start == self.stop:
            self.start = start
        for name, values in variables.items():
            if name not in self.arrays:
                size = self.block.stop - self.block.start
                self.arrays[name] = np.empty((size, *values.shape[1:]), values.dtype)
            self.arrays[name][start - self.block.start : stop - self.block.start] = values[: stop - start]
        self.stop = stop

    def write(self) -> None:
        if self.start < self.stop:
            rows = slice(self.start - self.block.start, self.stop - self.block.start)
            parts = {name: values[rows] for name, values in self.arrays.items()}
            self.target.write(self.arm, self.start, self.stop, parts)
        self.start = self.stop
        self.since = time.monotonic()
