"""Room for a sweep's results, compared with their estimated size before anything is trained or written."""

import shutil
from pathlib import Path

import psutil

from vgrad_jax.errors import InputError
from vgrad_jax.results.opening import open_store
from vgrad_jax.statistics.time_uniform import most_seeds_needed
from vgrad_jax.sweeps.plan import Plan

__all__ = ["MOST_SEEDS", "check_room"]

MOST_SEEDS = 10**8
"""Largest number of seeds of an arm: the list of their names alone takes 800 MB."""


ON_DISK = 0.8
"""Size of results on the disk, relative to their size before compression.

Measured: 0.82 for two of the article's arms. Losses and gradients of seeds have few repetitions.
"""


def check_room(plan: Plan, store: Path | None, *, resume: bool) -> None:
    """Refuse a sweep whose results do not fit on the disk, or into memory.

    Args:
        plan: of the sweep.
        store: folder of the results; None keeps them in memory.
        resume: True where seeds that the store has already need no more room.

    Raises:
        InputError: the results are larger than the free room.
    """
    if store is None:
        _compare(plan.result_bytes, psutil.virtual_memory().available, "in memory", "name a folder with store=, or ask")
        return
    held = open_store(store, resuming=True).num_seeds if resume and store.exists() else 0
    seeds = plan.num_seeds if plan.precision is None else min(plan.num_seeds, most_seeds_needed(plan.precision))
    missing = int(ON_DISK * max(seeds - held, 0) * plan.result_bytes / plan.num_seeds)
    try:
        free = shutil.disk_usage(_existing(store)).free
    except OSError as error:
        raise InputError(f"cannot write results to {str(store)!r}: {error.strerror or error}") from None
    _compare(missing, free, f"on the disk of {str(store)!r}", "choose another disk, or ask")


def _compare(wanted: int, free: int, where: str, advice: str) -> None:
    if wanted > free:
        raise InputError(
            f"the results would take about {_size(float(wanted))}, and {_size(float(free))} are free {where}; "
            f"{advice} for fewer seeds, epochs or records"
        )


def _existing(path: Path) -> Path:
    """Return the nearest folder above a path that exists."""
    path = path.absolute()
    while not path.is_dir() and path != path.parent:
        path = path.parent
    return path


def _size(size: float) -> str:
    """Return a size in the unit that people would use."""
    for unit in ("KiB", "MiB", "GiB"):
        size /= 1024
        if size < 1024:
            return f"{size:.1f} {unit}"
    return f"{size / 1024:.1f} TiB"
