"""A block of runs: trained chunk by chunk, written together."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from vgrad_jax.experiment import Experiment
from vgrad_jax.results.schema import parameter_names, variables_of
from vgrad_jax.results.target import Target
from vgrad_jax.sweeps.devices import devices_for
from vgrad_jax.sweeps.engine import ENGINES, train_seeds
from vgrad_jax.sweeps.plan import Block

__all__ = ["Training", "fill"]

SECONDS_UNWRITTEN = 10.0
"""Finished runs are written after this time at the latest: what being killed costs, beside the chunk in training."""


@dataclass(frozen=True)
class Training:
    """What is trained and how, the same for every block."""

    arms: Mapping[str, Experiment]
    fingerprints: Mapping[str, str]
    """Arm name to the fingerprint of its data."""
    seed: int
    """Of the whole study."""
    engines: Mapping[str, str]
    """Arm name to the name of its engine."""
    chunk: int
    widths: Mapping[str, tuple[int, ...]]
    """Arm name to the sizes from its input to its output."""
    parameters: tuple[str, ...] | None
    """The names of all arms' parameters, where any are kept."""

    def together(self, arm: str) -> int:
        """Seeds of an arm that are trained at the same time: a chunk on each device."""
        return self.chunk * devices_for(self.engines[arm])

    def runs_from(self, arm: str, start: int) -> dict[str, np.ndarray]:
        """Train `together` runs of an arm: variable name to its values, with the seed axis first."""
        engine, experiment = self.engines[arm], self.arms[arm]
        size, devices = self.together(arm), devices_for(engine)
        history = train_seeds(ENGINES[engine], experiment, self.fingerprints[arm], self.seed, start, size, devices)
        names = parameter_names(self.widths[arm]) if self.parameters else None
        return dict(variables_of(history, names, self.parameters))


def fill(
    training: Training,
    target: Target,
    block: Block,
    *,
    stopped: Callable[[], bool] = lambda: False,
    report: Callable[[int], None] = lambda runs: None,
    in_parts: bool = True,
) -> None:
    """Train what is missing in a block, and write it.

    Args:
        training: what is trained.
        target: where it goes; nobody else may write this block at the same time.
        block: seeds of one arm.
        stopped: asked before each chunk whether to stop early.
        report: called with the number of new runs, after each chunk.
        in_parts: write every ten seconds, and what is there on stopping. Else the block is written once and whole, so
            that two workers that take the same block for theirs write the same.

    Raises:
        InputError: the results cannot be written.
    """
    arm = list(training.arms).index(block.arm)
    missing = ~target.completed(block.start, block.stop)[arm]
    if not in_parts:
        missing[:] = missing.any()
    held = _Held(target, arm, block)
    together = training.together(block.arm)
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
            held.add(start, stop, training.runs_from(block.arm, start))
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
