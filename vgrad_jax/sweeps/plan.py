"""How a sweep is cut into chunks, and what memory that takes."""

import itertools
import os
from collections.abc import Iterator, Mapping
from functools import partial
from typing import NamedTuple

import jax

from vgrad_jax.data import Dataset
from vgrad_jax.experiment import Experiment
from vgrad_jax.sweeps.engine import LANES, choose_engine
from vgrad_jax.training.run import train

__all__ = ["Chunk", "Plan", "bytes_per_seed", "make_plan"]

CPU_CHUNK = LANES
ACCELERATOR_CHUNK = 1024
CHUNK_MEMORY = 512 * 2**20


class Chunk(NamedTuple):
    """Seeds `start` to `stop` of one arm, trained together."""

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
    workers: int
    """Chunks trained at the same time."""
    chunk_bytes: int
    """Memory of the largest arm's chunk in training."""
    result_bytes: int
    """Size of all results, before compression."""

    @property
    def arms(self) -> tuple[str, ...]:
        """The arms' names."""
        return tuple(self.engines)

    @property
    def peak_bytes(self) -> int:
        """Working memory, without the results."""
        return self.chunk_bytes * self.workers

    def chunks(self) -> Iterator[Chunk]:
        """Every chunk; all arms advance together, so that what is there after an interruption can be compared."""
        for start in range(0, self.num_seeds, self.chunk):
            for arm in self.arms:
                yield Chunk(arm, start, min(start + self.chunk, self.num_seeds))

    def __str__(self) -> str:
        return (
            f"{len(self.arms)} arms x {self.num_seeds} seeds = {len(self.arms) * self.num_seeds} trainings, "
            f"{self.chunk} seeds a chunk, {self.workers} chunks at a time; estimated working memory "
            f"{_megabytes(self.peak_bytes)}, results {_megabytes(self.result_bytes)} before compression"
        )


def make_plan(
    arms: Mapping[str, Experiment],
    datasets: Mapping[str, Dataset],
    num_seeds: int,
    *,
    chunk: int | None = None,
    workers: int | None = None,
    engine: str = "auto",
) -> Plan:
    """Choose the chunk and each arm's engine.

    The chunk depends on the platform and on the largest arm (512 MiB a chunk at the most, where one seed is smaller),
    not on the number of seeds: XLA rounds reductions differently in programs of different shapes, so that a chunk of
    its own size for every sweep would change the last digits of every run.

    Args:
        arms: arm name to experiment.
        datasets: arm name to its data.
        num_seeds: seeds of each arm.
        chunk: seeds trained together; None chooses.
        workers: chunks trained at the same time; None is one for each core on CPU, one on an accelerator.
        engine: a name from `ENGINES` for all arms; "auto" chooses for each.
    """
    on_cpu = jax.default_backend() == "cpu"
    workers = workers or (_cores() if on_cpu else 1)
    outputs, working = zip(*(bytes_per_seed(arms[name], datasets[name]) for name in arms), strict=True)
    largest = max(output + work for output, work in zip(outputs, working, strict=True))
    if chunk is None:
        most = min(CPU_CHUNK if on_cpu else ACCELERATOR_CHUNK, CHUNK_MEMORY // largest)
        chunk = 2 ** (max(most, 1).bit_length() - 1)
    engines = {
        name: choose_engine(experiment, num_seeds, chunk) if engine == "auto" else engine
        for name, experiment in arms.items()
    }
    return Plan(engines, num_seeds, chunk, workers, chunk * largest, sum(outputs) * num_seeds)


def bytes_per_seed(experiment: Experiment, dataset: Dataset) -> tuple[int, int]:
    """Memory of one seed: its results, and its share of the training's working memory.

    The results' size is exact. The working memory is that of the full-batch gradient, which needs about three
    numbers for every unit and row; the rest is small beside it.

    >>> from vgrad_jax.data import load_data
    >>> output, working = bytes_per_seed(Experiment(), load_data(Experiment().data))
    >>> output < 50_000, 100_000 < working < 300_000
    (True, True)
    """
    history = jax.eval_shape(partial(train, experiment, dataset=dataset), jax.random.key(0))
    output = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(history))
    rows, features = dataset.train_x.shape
    units = features + sum(experiment.mlp.hidden) + 1
    parameters = sum(fan_in * fan_out for fan_in, fan_out in _shapes(experiment, features))
    return output, 4 * (3 * rows * units + 8 * parameters)


def _shapes(experiment: Experiment, features: int) -> Iterator[tuple[int, int]]:
    widths = experiment.mlp.widths(features)
    return itertools.pairwise(widths)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _megabytes(size: int) -> str:
    return f"{size / 2**20:.0f} MiB" if size >= 2**20 else f"{size / 2**10:.0f} KiB"
