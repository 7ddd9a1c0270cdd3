"""Plan of a sweep: chunks, blocks and workers, and an estimate of memory."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import psutil

from vgrad_jax.sweeps.arms import Trainable
from vgrad_jax.sweeps.policy import Execution, Platform, decide, execution_of, local_platform
from vgrad_jax.wording import counted

__all__ = ["Block", "Plan", "make_plan"]

LIBRARIES = 300 * 2**20
"""Bytes that compilation, compiled programs and the libraries that write results take.

Measured; they are much the same for all networks.
"""


class Block(NamedTuple):
    """Seeds `start` up to `stop` of an arm, trained by a single worker; each variable of a block is a file."""

    arm: str
    start: int
    stop: int


class Plan(NamedTuple):
    """Plan of a sweep: executions, blocks, workers and an estimate of memory."""

    executions: Mapping[str, Execution]
    """Arm name to the execution of its trainings, in the order of the arms."""
    num_seeds: int
    """Seeds of each arm."""
    block: int
    """Seeds written together: a multiple of the chunk."""
    workers: int
    """Blocks trained at the same time."""
    chunk_bytes: int
    """Bytes of the largest arm's chunks in training, on all devices together."""
    block_bytes: int
    """Bytes of the largest arm's results of a block, before compression."""
    result_bytes: int
    """Bytes of all results, before compression; in memory every arm has room for the largest number of layers."""
    resident_bytes: int = 0
    """Bytes of memory that the process had when the plan was made."""
    in_memory: bool = False
    """True keeps the results in memory; False stores them in a folder."""
    on_cluster: bool = False
    """True where the workers are threads of a cluster's processes; False where they are threads of this process."""
    precision: float | None = None
    """Half the width of the interval of an arm's share converged at which the arm stops; None trains all seeds."""

    @property
    def arms(self) -> tuple[str, ...]:
        """Names of the arms."""
        return tuple(self.executions)

    @property
    def chunk(self) -> int:
        """Seeds trained together on a device: the same for all arms."""
        return next(iter(self.executions.values())).chunk

    @property
    def engines(self) -> dict[str, str]:
        """Arm name to the name of its engine."""
        return {arm: execution.engine for arm, execution in self.executions.items()}

    @property
    def training_bytes(self) -> int:
        """Bytes of all workers' chunks at the same time, on the devices that train them."""
        return self.workers * self.chunk_bytes

    @property
    def peak_bytes(self) -> int:
        """Estimate of the process's largest memory on a CPU while it trains, in bytes.

        With a store the estimate depends on the number of seeds only as far as chunk and block do. Without a store it
        includes all results.
        """
        if self.in_memory:
            held = self.workers * self.block_bytes + self.result_bytes
        else:
            held = 2 * self.workers * self.block_bytes  # A block is held while its packed copy is made.
        return self.resident_bytes + LIBRARIES + self.training_bytes + held

    def stored_as(self, chunk: int, block: int, engines: Mapping[str, str], platform: Platform) -> "Plan":
        """Return the plan for an existing store, which keeps its chunk, its block, its arms' order and their engines.

        Args:
            chunk: seeds trained together.
            block: seeds written together.
            engines: arm name to the name of its engine.
            platform: devices and processor of the resumed sweep.
        """
        return self._replace(
            executions={
                arm: execution_of(engine, chunk, platform, self.executions[arm].fall_back_chunk)
                for arm, engine in engines.items()
            },
            block=block,
            chunk_bytes=self.chunk_bytes * chunk // self.chunk,
            block_bytes=self.block_bytes * min(block, self.num_seeds) // min(self.block, self.num_seeds),
        )

    def blocks(self) -> Iterator[Block]:
        """Yield every block; the arms alternate, so that the results of an interrupted sweep compare all arms."""
        for start in range(0, self.num_seeds, self.block):
            for arm in self.arms:
                yield Block(arm, start, min(start + self.block, self.num_seeds))

    def __str__(self) -> str:
        if self.on_cluster:
            thread = self.chunk_bytes + 2 * self.block_bytes
            location = "on the cluster"
            memory = f"{_megabytes(self.resident_bytes + LIBRARIES)} a worker and {_megabytes(thread)} a thread"
        else:
            location = "at a time"
            memory = f"{_megabytes(self.peak_bytes)}, {_megabytes(self.training_bytes)} of it for training"
        stopping = (
            f", at the most: an arm stops when its share of converged runs is known to within {100 * self.precision:g} "
            "points"
            if self.precision is not None
            else ""
        )
        return (
            f"{counted(len(self.arms), 'arm')} x {counted(self.num_seeds, 'seed')} = "
            f"{counted(len(self.arms) * self.num_seeds, 'training')}; {counted(self.chunk, 'seed')} trained together, "
            f"{counted(self.workers, 'such chunk')} {location}; estimated peak memory {memory}; results "
            f"{_megabytes(self.result_bytes)} {'in memory' if self.in_memory else 'before compression'}{stopping}"
        )


def make_plan(
    arms: Mapping[str, Trainable],
    num_seeds: int,
    *,
    chunk: int | None = None,
    workers: int | None = None,
    engine: str = "auto",
    in_memory: bool = False,
    on_cluster: bool = False,
    precision: float | None = None,
    platform: Platform | None = None,
) -> Plan:
    """Plan a sweep.

    Args:
        arms: arm name to arm.
        num_seeds: seeds of each arm.
        chunk: seeds trained together on a device; None chooses the number.
        workers: blocks trained at the same time; None chooses the number.
        engine: "plain" or "lanes" for all arms; "auto" chooses for each arm.
        in_memory: True keeps the results in memory; False stores them in a folder.
        on_cluster: True where the workers are threads of a cluster's processes.
        precision: half the width of the interval of an arm's share converged at which the arm stops; None trains all
            seeds.
        platform: devices and processor of the sweep; None is the platform of this process.
    """
    platform = platform or local_platform()
    sizes = {name: arm.size for name, arm in arms.items()}
    decision = decide(sizes, num_seeds, platform, engine=engine, chunk=chunk, workers=workers, precision=precision)
    together = max(execution.together for execution in decision.executions.values())
    trained = max(size.results + size.working(decision.executions[name].engine) for name, size in sizes.items())
    results = [size.results for size in sizes.values()]
    return Plan(
        executions=decision.executions,
        num_seeds=num_seeds,
        block=decision.block,
        workers=decision.workers,
        chunk_bytes=together * trained,
        block_bytes=min(decision.block, num_seeds) * max(results),
        result_bytes=(len(arms) * max(results) if in_memory else sum(results)) * num_seeds,
        resident_bytes=psutil.Process().memory_info().rss,
        in_memory=in_memory,
        on_cluster=on_cluster,
        precision=precision,
    )


def _megabytes(size: int) -> str:
    return f"{size / 2**20:.0f} MiB" if size >= 2**20 else f"{size / 2**10:.0f} KiB"
