"""Checks that a store still holds every run that it marks as completed.

    completed[arm, seed] ──► a file for each variable, arm and block ──► missing, empty or contradicted: `Damage`

Zarr reads a missing file as an array of fill values. A lost file would therefore look like runs in which nothing
happened. A store that writes every file carries the attribute `EVERY_FILE_WRITTEN`. An older store left out files that
held fill values alone. A file may be missing from an older store only where the outcomes agree with fill values.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import Bool

from vgrad_jax.errors import InputError
from vgrad_jax.results.schema import VARIABLES

if TYPE_CHECKING:
    import zarr

__all__ = ["EVERY_FILE_WRITTEN", "Damage", "check_coordinates", "find_damage", "remove_block"]

EVERY_FILE_WRITTEN = "every_file_written"
"""Name of the attribute of a store that writes every file, even a file of fill values alone."""

COUNTED = ("seed", "record", "layer")
"""Coordinates that count from zero."""

_MAY_BE_FILL = ("converged", "epochs_to_converge")
"""Variables that hold fill values alone in a block where no run converged."""


class Damage(NamedTuple):
    """Block of an arm that the store marks as completed and whose results are lost or contradict each other."""

    arm: int
    """Index of the arm in the store."""
    start: int
    """First seed of the block."""
    stop: int
    """Seed after the last seed of the block."""
    reason: str
    """Description of the damage for people: the file, the arm and the seeds."""


def check_coordinates(group: "zarr.Group", path: Path, *, resuming: bool = False) -> None:
    """Refuse a store whose coordinates are damaged, or whose growth was interrupted.

    Args:
        group: the store.
        path: its folder, for the message.
        resuming: accept a store whose growth was interrupted, because `resize` completes it.

    Raises:
        InputError: a coordinate does not count, does not increase, or has lost names; or arrays differ in their
            numbers of seeds.
    """
    for name in COUNTED:
        values = _values(group, name)
        counts = values == np.arange(len(values))
        if name == "seed" and (counts | (values == 0)).all():
            if resuming or (counts.all() and _numbers_of_seeds(group) == {len(values)}):
                continue
            raise InputError(
                f"damaged results in {str(path)!r}: the coordinate 'seed' does not count from 0 to the last seed, as "
                "after a sweep that ended while it added seeds; resuming the sweep corrects it"
            )
        if not counts.all():
            raise InputError(f"damaged results in {str(path)!r}: the coordinate {name!r} does not count from 0")
    for name in ("epoch", "parameters_epoch", "gradients_epoch"):
        if name in group and (np.diff(_values(group, name)) <= 0).any():
            raise InputError(f"damaged results in {str(path)!r}: the coordinate {name!r} does not increase")
    for name in ("arm", "parameter"):
        if name in group:
            labels = _values(group, name).tolist()
            if "" in labels or len(set(labels)) < len(labels):
                raise InputError(f"damaged results in {str(path)!r}: names in the coordinate {name!r} are lost")


def _numbers_of_seeds(group: "zarr.Group") -> set[int]:
    """Return the different lengths of the variables' seed axes."""
    arrays: list[Any] = [group[name] for name in VARIABLES if name in group]
    return {array.shape[1] for array in arrays}


def find_damage(group: "zarr.Group", path: Path) -> list[Damage]:
    """Return every block that holds completed runs and is damaged.

    The check reads the sizes of all files and the values of the outcomes; it reads no other values.

    Args:
        group: the store.
        path: its folder.
    """
    completed = _values(group, "completed")
    block = int(str(group.attrs["block"]))
    files = {name: _file_sizes(path / name) for name in VARIABLES if name in group}
    names = [str(name) for name in _values(group, "arm")]
    damage = []
    for arm, start in np.ndindex(len(names), -(-completed.shape[1] // block)):
        seeds = slice(start * block, min((start + 1) * block, completed.shape[1]))
        if not completed[arm, seeds].any():
            continue
        block_name = f"arm {names[arm]!r}, seeds {seeds.start} to {seeds.stop - 1}"
        reason = _file_problem(group, files, arm, start, seeds) or _outcome_problem(group, arm, seeds, completed)
        if reason is not None:
            damage.append(Damage(arm, seeds.start, seeds.stop, f"{reason} ({block_name})"))
    return damage


def _file_problem(
    group: "zarr.Group", files: dict[str, dict[str, int]], arm: int, block: int, seeds: slice
) -> str | None:
    """Return words that name the first missing or empty file of a block, or None."""
    for name, sizes in files.items():
        key = _key(group, name, arm, block)
        if key in sizes:
            if sizes[key] == 0:
                return f"the file {name}/{key} is empty"
        elif not _may_be_left_out(group, name, arm, seeds):
            return f"the file {name}/{key} is missing"
    return None


def remove_block(group: "zarr.Group", path: Path, damage: Damage) -> None:
    """Remove every file of a damaged block, so that its runs count as not trained.

    The file of the marks is removed first. An unreadable file must be removed, because a writer of a part of a block
    reads the rest of the file.
    """
    block = damage.start // int(str(group.attrs["block"]))
    for name in reversed(VARIABLES):
        if name in group:
            (path / name / _key(group, name, damage.arm, block)).unlink(missing_ok=True)


def _key(group: "zarr.Group", name: str, arm: int, block: int) -> str:
    """Return the path of a block's file within the folder of its variable; each block is a single file."""
    array: Any = group[name]
    return str(array.metadata.encode_chunk_key((arm, block) + (0,) * (array.ndim - 2)))


def _may_be_left_out(group: "zarr.Group", name: str, arm: int, seeds: slice) -> bool:
    """Return whether an older store may have left out a block's file, because the file held fill values alone."""
    if group.attrs.get(EVERY_FILE_WRITTEN):
        return False
    arrays: list[Any] = [group["outcome"], group["completed"]]
    outcome, completed = (np.asarray(array[arm, seeds]) for array in arrays)
    if name in _MAY_BE_FILL and not (outcome == "converged").any():
        return True
    # A run that diverges in its first iteration has NaN, the fill value, in every record.
    is_nan_filled = VARIABLES[name].dtype == "float32" and np.isnan(VARIABLES[name].fill)
    return bool(is_nan_filled and (outcome[completed] == "diverged").all())


def _outcome_problem(
    group: "zarr.Group", arm: int, seeds: slice, completed: Bool[np.ndarray, "arm seed"]
) -> str | None:
    """Return words where the three variables about the end of a run disagree or cannot be read, or None."""
    arrays: list[Any] = [group[name] for name in ("outcome", "converged", "epochs_to_converge")]
    try:
        outcome, converged, epochs = (np.asarray(array[arm, seeds]) for array in arrays)
    except (OSError, RuntimeError, ValueError) as error:  # Zarr's codecs raise the last two.
        return f"the outcomes cannot be read: {error}"
    agree = (outcome != "") & (converged == (outcome == "converged")) & (converged == np.isfinite(epochs))
    return None if agree[completed[arm, seeds]].all() else "outcomes, marks and times disagree"


def _file_sizes(folder: Path) -> dict[str, int]:
    """Map the key of every chunk of an array to the size of its file in bytes."""
    sizes = {}
    for entry in _walk(folder / "c"):
        with contextlib.suppress(FileNotFoundError):  # Another process may remove a damaged block at the same time.
            sizes[str(Path(entry.path).relative_to(folder).as_posix())] = entry.stat().st_size
    return sizes


def _walk(folder: Path) -> Iterator[os.DirEntry[str]]:
    """Yield every file below a folder that its writer has completed."""
    if not folder.is_dir():
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                yield from _walk(Path(entry.path))
            elif not entry.name.endswith(".partial"):
                yield entry


def _values(group: "zarr.Group", name: str) -> np.ndarray:
    array: Any = group[name]
    return np.asarray(array[:])
