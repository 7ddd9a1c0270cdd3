"""Execution policy of a sweep: every choice of engine, chunk, block and workers, with its tuned constants.

    sizes of the arms ──┐
    wishes of the user ─┼─► decide ─► an `Execution` for each arm: engine, chunk, rows at once, devices
    local platform ─────┘              for all arms together: workers, block

A chunk is a number of seeds that a program trains together. The chunk decides the last digits of `plain`, because XLA
rounds reductions differently in programs of different shapes. The default chunk of `plain` therefore depends on the
platform and the largest arm, not on the number of seeds or workers. The digits of `lanes` do not depend on the chunk.
A block is a number of seeds that are written together; it changes no number.
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
"""Seeds in a program of `lanes`: two vector registers of sixteen floats. A program of `2 * LANES` seeds has four."""

TIME_WITH_TWICE_AS_MANY = 0.96
"""Time of a seed in a program of `2 * LANES`, relative to a program of `LANES`: more seeds share XLA's work."""

WIDEST_IN_LANES = 8
"""Units of the widest layer for `lanes`, whose code grows with the width; at 10 `nests` is as fast."""

WIDEST_IN_NESTS = 128
"""Units of the widest layer for `nests`; there it takes 0.8 to 0.95 of the time of `plain`, and 0.1 to 0.3 up to 16."""

FEWEST_IN_NESTS = 16
"""Smallest number of seeds for `nests`: a vector register of sixteen floats. Fewer seeds leave lanes empty."""

EPOCHS_A_PARAMETER = 1000
"""Threshold of an arm's epochs, over all seeds, for each parameter.

Below it, compiling for `lanes` takes longer than `lanes` saves against `nests`.
"""

ACCELERATOR_CHUNK = 1024
"""Seeds that `plain` trains together on an accelerator."""

FEWEST_ON_GPU = 1024
"""Smallest number of seeds with which `lanes` is chosen on a GPU.

On an H200, 500 epochs of 4,096 seeds take 0.66 s, and of 1,024 seeds by `plain` 3.5 s; `lanes` compiles longer.
"""

THREADS_CHUNK = 32768
"""Largest number of seeds in a program of `lanes` on a GPU: about the threads that an H200 runs at a time."""

CHUNK_MEMORY = 512 * 2**20
"""Largest size of a chunk in training, in bytes, unless a single seed is larger."""

BLOCK_SEEDS = 1024
"""Largest number of seeds in a block: each variable of a block is a file."""

BLOCK_MEMORY = 32 * 2**20
"""Largest size of a block's results, in bytes: a worker holds them until it writes them."""

BLOCKS_OF_AN_ARM = 8
"""Smallest number of blocks of an arm that the block size aims at: with fewer, some workers wait at the end."""

BLOCKS_OF_A_WORKER = 16
"""Smallest number of blocks of a worker that the block size aims at."""

BLOCKS_TO_A_DECISION = 64
"""Approximate number of blocks of an arm that may stop early: with small blocks, stopping saves more."""


class Platform(NamedTuple):
    """Devices and processor that a sweep runs on."""

    backend: str
    """Name of JAX's backend: "cpu", "gpu", ..."""
    devices: int
    """Number of local devices."""
    cores: int
    """Number of cores that this process may use."""
    machine: Machine | None
    """Target of native code; None where no native code is written."""
    is_single_precision: bool = True
    """True where JAX computes in float32, as native code does."""

    @property
    def is_cpu(self) -> bool:
        """True where the processor trains the seeds."""
        return self.backend == "cpu"


class Execution(NamedTuple):
    """Execution of an arm's trainings: engine, numbers of seeds, devices."""

    engine: str
    """Name in `vgrad_jax.sweeps.engine.ENGINES`."""
    chunk: int
    """Seeds that are trained together on a device."""
    devices: int
    """Devices that train a chunk each at the same time."""
    lanes: int
    """Seeds in a program of `lanes`."""
    rows_at_once: int | None
    """Rows that a record of `lanes` evaluates together; None for all rows."""
    fall_back_chunk: int
    """Seeds that `plain` trains together where `lanes` refuses the arm."""

    @property
    def together(self) -> int:
        """Seeds that a call of the engine trains, on all devices together."""
        return self.chunk * self.devices


class Decision(NamedTuple):
    """Execution of a sweep."""

    executions: Mapping[str, Execution]
    """Arm name to execution."""
    workers: int
    """Calls of an engine at the same time."""
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
        platform: devices and processor of the sweep.
        engine: "plain" or "lanes" for all arms; "auto" chooses for each arm.
        chunk: seeds trained together on a device; None chooses the number.
        workers: calls at the same time. None is enough to keep all cores busy on a CPU, and a single call elsewhere.
        precision: half the width of the interval of an arm's share converged at which the arm stops; None trains all
            seeds.
    """
    if chunk is None:
        # With a precision the looks come after complete blocks, which must not depend on the number of workers.
        balanced = None if precision is not None else workers or platform.cores
        chunk = _choose_chunk(sizes, num_seeds, platform, engine, balanced)
    engines = _engines(sizes, num_seeds, platform, engine, chunk)
    executions = {
        name: execution_of(engines[name], chunk, platform, CHUNK_MEMORY // (size.results + size.plain))
        for name, size in sizes.items()
    }
    devices = max(execution.devices for execution in executions.values())
    workers = workers or (max(platform.cores // devices, 1) if platform.is_cpu else 1)
    if precision is None:
        limits = [num_seeds // BLOCKS_OF_AN_ARM, num_seeds * len(sizes) // (BLOCKS_OF_A_WORKER * workers)]
    else:
        limits = [most_seeds_needed(precision) // BLOCKS_TO_A_DECISION]
    largest_results = max(size.results for size in sizes.values())
    return Decision(executions, workers, _choose_block(chunk * devices, largest_results, *limits))


def execution_of(engine: str, chunk: int, platform: Platform, room: int = ACCELERATOR_CHUNK) -> Execution:
    """Return the execution of an engine with chunks of this size.

    `plain` uses all local devices. `lanes` is the work of a single core, or of a single GPU whose threads are the
    lanes.

    Args:
        engine: name in `vgrad_jax.sweeps.engine.ENGINES`.
        chunk: seeds trained together on a device.
        platform: devices and processor of the sweep.
        room: seeds that `plain` has memory for on an accelerator.
    """
    # A CPU's program of 2 * LANES seeds is faster only where every lane has a seed; a GPU's lanes are threads.
    on_cpu = 2 * LANES if chunk % (2 * LANES) == 0 else LANES
    return Execution(
        engine=engine,
        chunk=chunk,
        devices=platform.devices if engine == "plain" else 1,
        lanes=on_cpu if platform.is_cpu else math.ceil(chunk / LANES) * LANES,
        rows_at_once=ROWS_AT_ONCE if platform.is_cpu else None,
        fall_back_chunk=min(chunk, LANES if platform.is_cpu else _power_of_two(min(ACCELERATOR_CHUNK, room))),
    )


def choose_engine(size: ArmSize, num_seeds: int, platform: Platform, chunk: int | None = None) -> str:
    """Return the name of the engine that trains an arm fastest, compilation included.

    Args:
        size: size of one training.
        num_seeds: runs of the arm.
        platform: devices and processor of the sweep.
        chunk: seeds trained together on a device; None where the number is not decided yet.

    Returns:
        "plain"; "lanes_or_plain": `lanes`, or `plain` where `lanes` refuses the arm; "nests".
    """
    if _pays_in_lanes(size, num_seeds, platform, chunk):
        return "lanes_or_plain"
    return "nests" if _pays_in_nests(size, num_seeds, platform, chunk) else "plain"


def _pays_in_lanes(size: ArmSize, num_seeds: int, platform: Platform, chunk: int | None) -> bool:
    if not platform.is_single_precision:
        return False
    if not size.is_described:  # `vgrad_jax.lanes` leaves to XLA what would be slower.
        return platform.is_cpu
    if platform.is_cpu:
        enough = num_seeds * size.epochs >= EPOCHS_A_PARAMETER * size.parameters
        full = chunk is None or chunk % LANES == 0
        return size.width <= WIDEST_IN_LANES and enough and full
    many = min(num_seeds, chunk or num_seeds) >= FEWEST_ON_GPU
    # A thread's registers hold the sums of a gradient; a larger gradient spends its time in memory.
    small = platform.machine is not None and size.parameters <= platform.machine.sums_beside
    return many and small and platform.devices == 1


def _pays_in_nests(size: ArmSize, num_seeds: int, platform: Platform, chunk: int | None) -> bool:
    """Return whether `nests`, which compiles sooner than `plain`, is faster."""
    if not (platform.is_cpu and platform.is_single_precision and size.is_described and platform.machine is not None):
        return False
    many = min(num_seeds, chunk or num_seeds) >= FEWEST_IN_NESTS
    return many and size.width <= WIDEST_IN_NESTS


def _engines(
    sizes: Mapping[str, ArmSize], num_seeds: int, platform: Platform, engine: str, chunk: int | None
) -> dict[str, str]:
    if engine != "auto":
        return dict.fromkeys(sizes, engine)
    return {name: choose_engine(size, num_seeds, platform, chunk) for name, size in sizes.items()}


def _choose_chunk(
    sizes: Mapping[str, ArmSize], num_seeds: int, platform: Platform, engine: str, workers: int | None
) -> int:
    """Choose the number of seeds that are trained together.

    Args:
        sizes: arm name to size.
        num_seeds: seeds of each arm.
        platform: devices and processor of the sweep.
        engine: the user's choice.
        workers: workers of a CPU to be kept busy until the end; None where the chunk must not depend on them.
    """
    in_plain = max(size.results + size.plain for size in sizes.values())
    in_lanes = max(size.results + size.lanes for size in sizes.values())
    if platform.is_cpu:
        chunk = _power_of_two(min(LANES, CHUNK_MEMORY // in_plain))
        are_lanes = "plain" not in _engines(sizes, num_seeds, platform, engine, chunk).values()
        if are_lanes and workers and 2 * LANES * in_lanes <= CHUNK_MEMORY:
            return _lanes_together(len(sizes), num_seeds, workers)
        return chunk
    # The chunk of `lanes` may depend on the number of seeds, since the digits of a lane do not depend on the chunk.
    chunk = _power_of_two(min(THREADS_CHUNK, num_seeds, CHUNK_MEMORY // in_lanes))
    has_plain = "plain" in _engines(sizes, num_seeds, platform, engine, None).values()
    if has_plain or (engine == "auto" and chunk < FEWEST_ON_GPU):
        return _power_of_two(min(ACCELERATOR_CHUNK, CHUNK_MEMORY // in_plain))
    return chunk


def _lanes_together(num_arms: int, num_seeds: int, workers: int) -> int:
    """Return `LANES`, or `2 * LANES` where the sweep then ends sooner.

    Larger chunks take less time for each seed, but may leave workers idle at the end.
    """

    def longest(lanes: int) -> int:
        """Return the seeds of the busiest worker."""
        chunks = num_arms * math.ceil(num_seeds / lanes)
        return math.ceil(chunks / workers) * lanes

    return 2 * LANES if longest(2 * LANES) * TIME_WITH_TWICE_AS_MANY < longest(LANES) else LANES


def _choose_block(least: int, results: int, *limits: int) -> int:
    """Return the largest block within all limits that is a power of two times `least`.

    Args:
        least: seeds of a call.
        results: bytes of a run's results.
        limits: further upper limits, in seeds.
    """
    block = least
    while 2 * block <= min(BLOCK_SEEDS, BLOCK_MEMORY // results, *limits):
        block *= 2
    return block


def _power_of_two(most: int) -> int:
    """Return the largest power of two up to `most`, or 1."""
    return 2 ** (max(most, 1).bit_length() - 1)
