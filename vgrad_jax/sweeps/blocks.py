"""Blocks of runs: a block is trained call by call, and its finished runs are written together.

block: |  call  |  call  | ... |  call  |     one worker owns the block
       └─ at most ten seconds ─┘─ write ─►    the target
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from vgrad_jax.errors import InputError
from vgrad_jax.results.schema import variables_of
from vgrad_jax.results.target import Target
from vgrad_jax.sweeps.arms import Trainable
from vgrad_jax.sweeps.engine import refusal, train_seeds
from vgrad_jax.sweeps.plan import Block
from vgrad_jax.sweeps.policy import Execution, Platform, execution_of

__all__ = ["Job", "fill"]

SECONDS_UNWRITTEN = 10.0
"""Seconds after which finished runs are written at the latest.

A process that is killed loses these runs and the current call.
"""


@dataclass(frozen=True)
class Job:
    """Description of a sweep that lets a worker train any of its blocks."""

    arms: Mapping[str, Trainable]
    """Arm name to arm, in the order of the rows of the results."""
    fingerprints: Mapping[str, str]
    """Arm name to the fingerprint that its data had when the sweep began."""
    seed: int
    """Seed of the whole study."""
    executions: Mapping[str, Execution]
    """Arm name to the execution of its trainings."""
    coordinates: Mapping[str, np.ndarray] = field(default_factory=dict)
    """Values of the coordinates of kept parameters, by name; empty where no parameters are kept."""

    def on(self, platform: Platform) -> "Job":
        """Return the job for a worker on another machine, whose number of devices may differ."""
        executions = {
            name: execution_of(execution.engine, execution.chunk, platform, execution.fall_back_chunk)
            for name, execution in self.executions.items()
        }
        return replace(self, executions=executions)

    def refusal(self, arm: str) -> str | None:
        """Return the reason why `lanes` refused an arm that it should train in this process, or None."""
        execution = self.executions[arm]
        return refusal(self.arms[arm], execution) if execution.engine == "lanes_or_plain" else None

    def runs_from(self, arm: str, start: int) -> dict[str, np.ndarray]:
        """Train as many runs of an arm as one call takes.

        Args:
            arm: name of the arm.
            start: number of the first run.

        Returns:
            Variable name to values, with the seed axis first.

        Raises:
            InputError: the data have changed since the sweep began.
        """
        if self.arms[arm].fingerprint() != self.fingerprints[arm]:
            raise InputError(f"the data of arm {arm!r} have changed since the sweep began; restore them and resume")
        history = train_seeds(self.arms[arm], self.seed, start, self.executions[arm])
        return dict(variables_of(history, self.arms[arm].layout, self.coordinates))


def fill(
    job: Job,
    target: Target,
    block: Block,
    *,
    stopped: Callable[[], bool] = lambda: False,
    report: Callable[[int], None] = lambda runs: None,
    in_parts: bool = True,
) -> None:
    """Train the missing runs of a block and write them.

    Args:
        job: the sweep.
        target: results that the runs are written into; no other worker may write this block at the same time.
        block: seeds of an arm.
        stopped: called before each call of the engine; training stops when it returns True.
        report: called with the number of new runs after each call of the engine.
        in_parts: True writes finished runs every ten seconds, and on stopping. False trains and writes the complete
            block in a single step, so that two workers that own the same block write the same bytes.

    Raises:
        InputError: the data have changed, or the results cannot be written.
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
    """Consecutive runs of a block that are trained and not written yet."""

    def __init__(self, target: Target, arm: int, block: Block) -> None:
        self.target, self.arm, self.block = target, arm, block
        self.arrays: dict[str, np.ndarray] = {}
        self.start = self.stop = block.start
        self.since = time.monotonic()

    def add(self, start: int, stop: int, variables: Mapping[str, np.ndarray]) -> None:
        """Hold the runs `start` to `stop`; values beyond `stop`, which fill up the last call, are dropped."""
        if self.start == self.stop:
            self.start = start
        for name, values in variables.items():
            if name not in self.arrays:
                size = self.block.stop - self.block.start
                self.arrays[name] = np.empty((size, *values.shape[1:]), values.dtype)
            self.arrays[name][start - self.block.start : stop - self.block.start] = values[: stop - start]
        self.stop = stop

    def write(self) -> None:
        """Write the runs that are held, if any."""
        if self.start < self.stop:
            rows = slice(self.start - self.block.start, self.stop - self.block.start)
            parts = {name: values[rows] for name, values in self.arrays.items()}
            self.target.write(self.arm, self.start, self.stop, parts)
        self.start = self.stop
        self.since = time.monotonic()
