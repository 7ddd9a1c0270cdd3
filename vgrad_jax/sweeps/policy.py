"""Decides how a sweep is executed: everything that is tuned or depends on the platform is in this file.

    sizes of the arms ─┐
    wishes of the user ─┼─► decide ─► an `Execution` for each arm: engine, chunk, rows at once, devices
    local platform ────┘             and for all of them: workers, block

A chunk is the seeds that one program trains together. It decides the last digits of `plain`, because XLA rounds
reductions differently in programs of different shapes. A default chunk therefore depends on the platform and the
largest arm, not on the number of seeds or workers. A lane's digits do not depend on the chunk. A block is the seeds
that are written together, and changes no number.
"""

import math
import os
from collections.abc import Mapping
from typing import NamedTuple

import jax

from vgrad_jax.lanes import Machine, local_machine
from vgrad_jax.statistics.time_uniform import most_seeds_needed
from vgrad_jax.sweeps.size import ROWS_AT_ONCE, ArmSize

__all__ = [
    "LANES",
    "WIDEST_IN_LANES",
    "Decision",
    "Execution",
    "Platform",
    "choose_engine",
    "decide",
    "execution_of",
    "local_platform",
]

LANES = 32
"""Seeds of one program of `lanes`: two vector registers of sixteen floats; a program of twice as many has four."""

TIME_WITH_TWICE_AS_MANY = 0.96
"""Time of a seed in a program of `2 * LANES`, relative to one of `LANES`: XLA's work around the loops is shared."""

WIDEST_IN_LANES = 16
"""Widest layer for `lanes`: products of wider ones are faster in a matrix library (benchmarks/README.md)."""

EPOCHS_A_PARAMETER = 20
"""Epochs of all seeds of an arm, for each parameter, below which `lanes` compiles for longer than it saves."""

ACCELERATOR_CHUNK = 1024
"""Seeds that `plain` trains together on an accelerator."""

FEWEST_ON_GPU = 4096
"""Seeds together from which `lanes` is faster on a GPU: fewer threads leave most of it idle."""

THREADS_CHUNK = 32768
"""Largest number of seeds in a GPU's lanes: about as many threads as an H200 runs at a time."""

CHUNK_MEMORY = 512 * 2**20
"""Bytes of a chunk in training at the most, unless one seed is larger."""

BLOCK_SEEDS = 1024
"""Largest number of seeds in a block: each block is a file for each variable."""

BLOCK_MEMORY = 32 * 2**20
"""Bytes of a block's results at the most: a worker holds them until it writes them."""

BLOCKS_OF_AN_ARM = 8
BLOCKS_OF_A_WORKER = 16
"""Fewest blocks of an arm and of a worker: with fewer, some workers wait for the last ones."""

BLOCKS_TO_A_DECISION = 64
"""Blocks of an arm that may stop early, about: small blocks let stopping save more."""


class Platform(NamedTuple):
    """The devices and the processor that a sweep runs on."""

    backend: str
    """JAX's name of it: "cpu", "gpu", ..."""
    devices: int
    """Local devices."""
    cores: int
    """Cores that this process may use."""
    machine: Machine | None
    """Machine that native code is written for; None where there is no native code."""
    is_single_precision: bool = True
    """Whether JAX computes in float32: native code does."""

    @property
    def is_cpu(self) -> bool:
        """Whether seeds are trained on the processor."""
        return self.backend == "cpu"


class Execution(NamedTuple):
    """How the seeds of one arm are trained."""

    engine: str
    """Name in `vgrad_jax.sweeps.engine.ENGINES`."""
    chunk: int
    """Seeds that are trained together on a device."""
    devices: int
    """Devices that train a chunk each at the same time."""
    lanes: int
    """Seeds in one program of `lanes`."""
    rows_at_once: int | None
    """Rows of a block in the records of `lanes`; None for all rows."""
    fall_back_chunk: int
    """Seeds that `plain` trains together where `lanes` refuses the arm."""

    @property
    def together(self) -> int:
        """Seeds that one call trains, on all devices."""
        return self.chunk * self.devices


class Decision(NamedTuple):
    """How a whole sweep is executed."""

    executions: Mapping[str, Execution]
    """Arm name to execution."""
    workers: int
    """Calls at the same time."""
    block: int
    """Seeds that are written together."""


def local_platform() -> Platform:
    """Return the platform of this process."""
    return Platform(
        backend=jax.default_backend(),
        devices=jax.local_device_count(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        machine=local_machine(),
        is_single_precision=not jax.config.read("jax_enable_x64"),
    )


def decide(
    sizes: Mapping[str, ArmSize],
    num_seeds: int,
    platform: Platform,
    *,
    engine: str = "auto",
    chunk: int | None = None,
    workers: int | None = None,
    precision: float | None = None,
) -> Decision:
    """Decide how every arm of a sweep is executed.

    Args:
        sizes: arm name to the size of one training.
        num_seeds: seeds of each arm.
        platform: where the sweep runs.
        engine: "plain" or "lanes" for all arms; "auto" chooses for each arm.
        chunk: seeds trained together; None chooses.
        workers: calls at the same time; None chooses: as many as keep all cores busy on a CPU, one elsewhere.
        precision: half the width of an arm's interval at which it stops, where it may stop early.
    """
    if chunk is None:
        # With a precision the looks are taken after whole blocks, whatever the number of workers.
        ending = None if precision is not None else workers or platform.cores
        chunk = _choose_chunk(sizes, num_seeds, platform, engine, ending)
    engines = _engines(sizes, num_seeds, platform, engine, chunk)
    executions = {name: execution_of(engines[name], chunk, platform) for name in sizes}
    devices = max(execution.devices for execution in executions.values())
    workers = workers or (max(platform.cores // devices, 1) if platform.is_cpu else 1)
    if precision is None:
        limits = [num_seeds // BLOCKS_OF_AN_ARM, num_seeds * len(sizes) // (BLOCKS_OF_A_WORKER * workers)]
    else:
        limits = [most_seeds_needed(precision) // BLOCKS_TO_A_DECISION]
    largest_results = max(size.results for size in sizes.values())
    return Decision(executions, workers, _choose_block(chunk * devices, largest_results, *limits))


def execution_of(engine: str, chunk: int, platform: Platform) -> Execution:
    """Return how an engine trains chunks of this size.

    `plain` uses all local devices. `lanes` is the work of one core, or of one GPU whose threads are the lanes.
    """
    # On a processor larger programs are faster only where their registers are full; a GPU's lanes are threads.
    on_cpu = 2 * LANES if chunk % (2 * LANES) == 0 else LANES
    return Execution(
        engine=engine,
        chunk=chunk,
        devices=platform.devices if engine == "plain" else 1,
        lanes=on_cpu if platform.is_cpu else math.ceil(chunk / LANES) * LANES,
        rows_at_once=ROWS_AT_ONCE if platform.is_cpu else None,
        fall_back_chunk=min(chunk, LANES if platform.is_cpu else ACCELERATOR_CHUNK),
    )


def choose_engine(size: ArmSize, num_seeds: int, platform: Platform, chunk: int | None = None) -> str:
    """Return the name of the engine that trains an arm fastest, compilation included.

    Args:
        size: of one training.
        num_seeds: runs of the arm.
        platform: where it runs.
        chunk: seeds trained together, where that is decided.

    Returns:
        "plain", or "lanes_or_plain": `lanes`, with `plain` for what it refuses.
    """
    return "lanes_or_plain" if _pays_in_lanes(size, num_seeds, platform, chunk) else "plain"


def _pays_in_lanes(size: ArmSize, num_seeds: int, platform: Platform, chunk: int | None) -> bool:
    if not platform.is_single_precision:
        return False
    if platform.is_cpu:
        enough = num_seeds * size.epochs >= EPOCHS_A_PARAMETER * size.parameters
        full = chunk is None or chunk % LANES == 0
        return size.width <= WIDEST_IN_LANES and enough and full
    many = min(num_seeds, chunk or num_seeds) >= FEWEST_ON_GPU
    # A thread's registers hold the sums of a gradient; a larger gradient spends its time in memory.
    small = platform.machine is not None and size.parameters <= platform.machine.sums_beside
    return many and small and platform.devices == 1


def _engines(
    sizes: Mapping[str, ArmSize], num_seeds: int, platform: Platform, engine: str, chunk: int | None
) -> dict[str, str]:
    if engine != "auto":
        return dict.fromkeys(sizes, engine)
    return {name: choose_engine(size, num_seeds, platform, chunk) for name, size in sizes.items()}


def _choose_chunk(
    sizes: Mapping[str, ArmSize], num_seeds: int, platform: Platform, engine: str, workers: int | None
) -> int:
    """Choose the seeds that are trained together.

    Args:
        sizes: arm name to size.
        num_seeds: seeds of each arm.
        platform: where they are trained.
        engine: the wish of the user.
        workers: workers of a processor that should end at the same time; None where the chunk must not depend on them.
    """
    in_plain = max(size.results + size.plain for size in sizes.values())
    in_lanes = max(size.results + size.lanes for size in sizes.values())
    if platform.is_cpu:
        chunk = _power_of_two(min(LANES, CHUNK_MEMORY // in_plain))
        are_lanes = "plain" not in _engines(sizes, num_seeds, platform, engine, chunk).values()
        if are_lanes and workers and 2 * LANES * in_lanes <= CHUNK_MEMORY:
            return _lanes_together(len(sizes), num_seeds, workers)
        return chunk
    # The chunk may depend on the number of seeds here: no lane's digits depend on the chunk.
    chunk = _power_of_two(min(THREADS_CHUNK, num_seeds, CHUNK_MEMORY // in_lanes))
    has_plain = "plain" in _engines(sizes, num_seeds, platform, engine, None).values()
    if has_plain or (engine == "auto" and chunk < FEWEST_ON_GPU):
        return _power_of_two(min(ACCELERATOR_CHUNK, CHUNK_MEMORY // in_plain))
    return chunk


def _lanes_together(num_arms: int, num_seeds: int, workers: int) -> int:
    """Return `LANES`, or twice as many where the sweep then ends sooner: larger chunks leave workers without work."""

    def longest(lanes: int) -> int:
        chunks = num_arms * math.ceil(num_seeds / lanes)
        return math.ceil(chunks / workers) * lanes

    return 2 * LANES if longest(2 * LANES) * TIME_WITH_TWICE_AS_MANY < longest(LANES) else LANES


def _choose_block(least: int, results: int, *limits: int) -> int:
    """Return the largest block, a power of two times `least`, within all limits."""
    block = least
    while 2 * block <= min(BLOCK_SEEDS, BLOCK_MEMORY // results, *limits):
        block *= 2
    return block


def _power_of_two(most: int) -> int:
    return 2 ** (max(most, 1).bit_length() - 1)
