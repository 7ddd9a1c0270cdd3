"""How a sweep is cut into chunks and blocks, and what memory that takes."""

import itertools
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache, partial
from typing import NamedTuple

import jax
import psutil

from vgrad_jax.data import Dataset
from vgrad_jax.experiment import Experiment
from vgrad_jax.statistics.time_uniform import most_seeds_needed
from vgrad_jax.sweeps.devices import devices_for
from vgrad_jax.sweeps.engine import ACCELERATOR_CHUNK, FEWEST_ON_GPU, LANES, ROWS_AT_ONCE, choose_engine
from vgrad_jax.training.run import train
from vgrad_jax.training.settings import structure_of

__all__ = ["Block", "Plan", "bytes_per_seed", "make_plan", "working_bytes_per_seed"]

CHUNK_MEMORY = 512 * 2**20

THREADS_CHUNK = 32768
"""Seeds in a GPU's lanes at the most: about as many threads as an H200 runs at a time."""

BLOCK_SEEDS = 1024
BLOCK_MEMORY = 32 * 2**20
"""Of a block's results, which a worker holds until it writes them."""

TIME_WITH_TWICE_AS_MANY = 0.96
"""Time of a seed in a program of `2 * LANES`, by that in one of `LANES`: what XLA does around the loops is shared."""

BLOCKS_OF_AN_ARM = 8
BLOCKS_OF_A_WORKER = 16
"""At least so many, or the last ones would keep a few workers busy and the others waiting."""

BLOCKS_TO_A_DECISION = 64
"""About as many at the most, where a sweep may stop early: small ones, so that stopping saves something."""

SLOPE_FROM_VALUE = {"identity", "leaky_relu", "relu", "relu6", "sigmoid", "tanh"}

LIBRARIES = 300 * 2**20
"""Compiling, the compiled programs, and what is imported to write results: measured, much the same for all networks."""


class Block(NamedTuple):
    """Seeds `start` to `stop` of one arm: trained by one worker, in one file for each variable."""

    arm: str
    start: int
    stop: int


class Plan(NamedTuple):
    """A sweep before it runs."""

    engines: Mapping[str, str]
    """Arm name to the name of the engine that trains it."""
    num_seeds: int
    chunk: int
    """Seeds trained together; the last chunk is filled up to this size, so that one program serves all."""
    block: int
    """Seeds written together: a number of chunks."""
    workers: int
    """Blocks trained at the same time."""
    chunk_bytes: int
    """Memory of the largest arm's chunk in training, on all devices together."""
    block_bytes: int
    """Size of the largest arm's results of a block, before compression."""
    result_bytes: int
    """Size of all results: before compression, or in memory, where every arm has room for the most layers."""
    resident_bytes: int = 0
    """Memory of the process when the plan was made."""
    in_memory: bool = False
    """The results are not stored in a folder."""
    on_cluster: bool = False
    """The workers are threads of other processes."""
    precision: float | None = None
    """An arm stops when its share converged is known to plus or minus this; None trains all seeds."""

    @property
    def arms(self) -> tuple[str, ...]:
        """The arms' names."""
        return tuple(self.engines)

    @property
    def training_bytes(self) -> int:
        """What all workers' chunks take at the same time, on the device that trains them."""
        return self.workers * self.chunk_bytes

    @property
    def peak_bytes(self) -> int:
        """Largest memory of the process on a CPU while it trains.

        With a store it depends on the number of seeds only as far as the chunk does; in memory the results are added.
        """
        if self.in_memory:
            held = self.workers * self.block_bytes + self.result_bytes
        else:
            held = 2 * self.workers * self.block_bytes  # Packed beside what is packed.
        return self.resident_bytes + LIBRARIES + self.training_bytes + held

    def stored_as(self, chunk: int, block: int, engines: Mapping[str, str]) -> "Plan":
        """The plan for a store that was laid out before."""
        return self._replace(
            chunk=chunk,
            block=block,
            engines=engines,
            chunk_bytes=self.chunk_bytes * chunk // self.chunk,
            block_bytes=self.block_bytes * min(block, self.num_seeds) // min(self.block, self.num_seeds),
        )

    def blocks(self) -> Iterator[Block]:
        """Every block; all arms advance together, so that what is there after an interruption can be compared."""
        for start in range(0, self.num_seeds, self.block):
            for arm in self.arms:
                yield Block(arm, start, min(start + self.block, self.num_seeds))

    def __str__(self) -> str:
        if self.on_cluster:
            thread = self.chunk_bytes + 2 * self.block_bytes
            where = "on the cluster"
            memory = f"{_megabytes(self.resident_bytes + LIBRARIES)} a worker and {_megabytes(thread)} a thread"
        else:
            where = "at a time"
            memory = f"{_megabytes(self.peak_bytes)}, {_megabytes(self.training_bytes)} of it for training"
        stopping = (
            f", all of it at the most: an arm stops when its share converged is known to +-{self.precision:g}"
            if self.precision is not None
            else ""
        )
        return (
            f"{len(self.arms)} arms x {self.num_seeds} seeds = {len(self.arms) * self.num_seeds} trainings, "
            f"{self.chunk} seeds a chunk, {self.workers} chunks {where}; estimated peak memory {memory}; results "
            f"{_megabytes(self.result_bytes)} {'in memory' if self.in_memory else 'before compression'}{stopping}"
        )


def make_plan(
    arms: Mapping[str, Experiment],
    datasets: Mapping[str, Dataset],
    num_seeds: int,
    *,
    chunk: int | None = None,
    workers: int | None = None,
    engine: str = "auto",
    in_memory: bool = False,
    on_cluster: bool = False,
    precision: float | None = None,
) -> Plan:
    """Choose the chunk, the block and each arm's engine.

    The chunk depends on the platform and on the largest arm (512 MiB a chunk at the most, where one seed is smaller),
    not on the number of seeds, arms or workers, unless all arms are in lanes, whose numbers do not depend on how many
    are trained together: XLA rounds reductions differently in programs of different shapes, so that a chunk of its own
    size for every sweep would change the last digits of every run of `plain`. The block changes no number.

    Args:
        arms: arm name to experiment.
        datasets: arm name to its data.
        num_seeds: seeds of each arm.
        chunk: seeds trained together; None chooses.
        workers: blocks trained at the same time; None is one for each core on CPU (shared among its devices, where it
            has several), one on accelerators.
        engine: a name from `ENGINES` for all arms; "auto" chooses for each.
        in_memory: the results are not stored in a folder.
        on_cluster: the workers are threads of other processes.
        precision: half the width of an arm's interval at which it stops, where it may stop early.
    """
    sizes = [bytes_per_seed(arms[name], datasets[name]) for name in arms]
    outputs = [output for output, _ in sizes]
    if chunk is None:
        chunk = _chunk(arms, datasets, num_seeds, engine, sizes, (workers or _cores()) if precision is None else None)
    engines = _engines(arms, num_seeds, engine, chunk)
    devices = max(devices_for(name) for name in engines.values())
    workers = workers or (max(_cores() // devices, 1) if jax.default_backend() == "cpu" else 1)
    trained = max(
        output + working_bytes_per_seed(arms[name], datasets[name], engines[name])
        for name, output in zip(arms, outputs, strict=True)
    )
    # With a precision, looks are taken after whole blocks, whatever the number of workers and of seeds is.
    most = [num_seeds // BLOCKS_OF_AN_ARM, num_seeds * len(arms) // (BLOCKS_OF_A_WORKER * workers)]
    if precision is not None:
        most = [most_seeds_needed(precision) // BLOCKS_TO_A_DECISION]
    block = _block(chunk * devices, max(outputs), *most)
    return Plan(
        engines=engines,
        num_seeds=num_seeds,
        chunk=chunk,
        block=block,
        workers=workers,
        chunk_bytes=chunk * devices * trained,
        block_bytes=min(block, num_seeds) * max(outputs),
        result_bytes=(len(arms) * max(outputs) if in_memory else sum(outputs)) * num_seeds,
        resident_bytes=psutil.Process().memory_info().rss,
        in_memory=in_memory,
        on_cluster=on_cluster,
        precision=precision,
    )


def bytes_per_seed(experiment: Experiment, dataset: Dataset) -> tuple[int, int]:
    """Memory of one seed: its results, and its share of the working memory of the `plain` engine.

    >>> from vgrad_jax.data import load_data
    >>> output, working = bytes_per_seed(Experiment(), load_data(Experiment().data))
    >>> output < 50_000, 100_000 < working < 300_000
    (True, True)
    """
    output = _output_bytes(structure_of(experiment), dataset.train_x.shape[1])
    return output, working_bytes_per_seed(experiment, dataset, "plain")


def working_bytes_per_seed(experiment: Experiment, dataset: Dataset, engine: str) -> int:
    """A seed's share of an engine's working memory.

    It is that of the gradient with the most rows, which needs 1.8 numbers for every unit and row, and 2.9 where an
    activation's slope is not a function of its value: all rows at once for `plain`, a batch or a part of the rows for
    `lanes`. Both are means of what XLA's CPU compiler reports. The rest is small beside it.
    """
    rows, features = dataset.train_x.shape
    if engine != "plain":
        rows = min(rows, max(ROWS_AT_ONCE, experiment.training.batch_size))
    units = features + sum(experiment.mlp.hidden) + 1
    parameters = sum(fan_in * fan_out for fan_in, fan_out in itertools.pairwise(experiment.mlp.widths(features)))
    activation = experiment.mlp.activation
    names = {str(one).partition("(")[0] for one in (activation if isinstance(activation, tuple) else (activation,))}
    numbers = 1.8 if names <= SLOPE_FROM_VALUE else 2.9
    return round(4 * (numbers * rows * units + 8 * parameters))


@lru_cache(maxsize=256)
def _output_bytes(structure: Experiment, features: int) -> int:
    del features  # of a file that has changed
    history = jax.eval_shape(partial(train, structure), jax.random.key(0))
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(history))


def _engines(arms: Mapping[str, Experiment], num_seeds: int, engine: str, chunk: int | None = None) -> dict[str, str]:
    """Each arm's, where "auto" chooses."""
    return {name: choose_engine(arm, num_seeds, chunk) if engine == "auto" else engine for name, arm in arms.items()}


def _chunk(
    arms: Mapping[str, Experiment],
    datasets: Mapping[str, Dataset],
    num_seeds: int,
    engine: str,
    sizes: Sequence[tuple[int, int]],
    workers: int | None,
) -> int:
    """Seeds trained together where the user has no wish.

    Args:
        sizes: each arm's `bytes_per_seed`.
        workers: of a processor, which should end at the same time; None where the chunk must not depend on that.
    """
    largest = max(output + work for output, work in sizes)
    working = (working_bytes_per_seed(arms[name], datasets[name], "lanes") for name in arms)
    of_lanes = max(output + work for (output, _), work in zip(sizes, working, strict=True))
    if jax.default_backend() == "cpu":
        chunk = _power_of_two(min(LANES, CHUNK_MEMORY // largest))
        in_lanes = "plain" not in _engines(arms, num_seeds, engine, chunk).values()
        if in_lanes and workers and 2 * LANES * of_lanes <= CHUNK_MEMORY:
            return _lanes_together(len(arms), num_seeds, workers)
        return chunk
    # Not one size for all sweeps: no lane's numbers depend on how many there are.
    chunk = _power_of_two(min(THREADS_CHUNK, num_seeds, CHUNK_MEMORY // of_lanes))
    if "plain" in _engines(arms, num_seeds, engine).values() or (engine == "auto" and chunk < FEWEST_ON_GPU):
        return _power_of_two(min(ACCELERATOR_CHUNK, CHUNK_MEMORY // largest))
    return chunk


def _lanes_together(num_arms: int, num_seeds: int, workers: int) -> int:
    """`LANES`, or twice as many where that is faster: in larger chunks, more of the workers wait at the end."""

    def time(lanes: int) -> int:  # Seeds that the busiest worker trains, one after the other.
        chunks = num_arms * math.ceil(num_seeds / lanes)
        return math.ceil(chunks / workers) * lanes

    return 2 * LANES if time(2 * LANES) * TIME_WITH_TWICE_AS_MANY < time(LANES) else LANES


def _block(least: int, output: int, *most: int) -> int:
    """As large as may be, since every block is a file for each variable."""
    block = least
    while 2 * block <= min(BLOCK_SEEDS, BLOCK_MEMORY // output, *most):
        block *= 2
    return block


def _power_of_two(most: int) -> int:
    return 2 ** (max(most, 1).bit_length() - 1)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _megabytes(size: int) -> str:
    return f"{size / 2**20:.0f} MiB" if size >= 2**20 else f"{size / 2**10:.0f} KiB"
