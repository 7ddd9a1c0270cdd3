"""Checks that a store still holds every run that it marks as completed.

    completed[arm, seed] ──► a file for each variable, arm and block
                                     └──► missing, empty, unreadable or contradicted: `Damage`

Zarr reads a missing file as an array of fill values. A lost file would therefore look like runs in which nothing
happened. A store that writes every file carries the attribute `EVERY_FILE_WRITTEN`. An older store left out files that
held fill values alone. A file may be missing from an older store only where the outcomes agree with fill values.
"""

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import Bool

from vgrad_jax.errors import InputError
from vgrad_jax.results.functions import FUNCTIONS
from vgrad_jax.results.schema import VARIABLES
from vgrad_jax.results.zarr_layout import UnreadableError, array_of, read, variable_names

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
        UnreadableError: a file of a coordinate cannot be read or decoded.
    """
    for name in (name for name in COUNTED if name in group):
        values = _coordinate(group, name)
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
        if name in group and not all(map(_increases, np.atleast_2d(_coordinate(group, name)))):
            raise InputError(f"damaged results in {str(path)!r}: the coordinate {name!r} does not increase")
    for name in ("arm", "parameter"):
        if name in group:
            labels = _coordinate(group, name).tolist()
            if "" in labels or len(set(labels)) < len(labels):
                raise InputError(f"damaged results in {str(path)!r}: names in the coordinate {name!r} are lost")


def _increases(row: np.ndarray) -> bool:
    """Return whether labels increase; an arm with fewer records than others ends with labels below zero."""
    own = int((row >= 0).sum())
    return bool((np.diff(row[:own]) > 0).all() and (row[own:] < 0).all())


def _numbers_of_seeds(group: "zarr.Group") -> set[int]:
    """Return the different lengths of the variables' seed axes."""
    return {array_of(group, name).shape[1] for name in variable_names(group)}


def _coordinate(group: "zarr.Group", name: str) -> np.ndarray:
    """Return the values of a coordinate; it may have several files where it has many values."""
    array = array_of(group, name)
    return np.concatenate([read(array, (file,)) for file in range(-(-array.shape[0] // array.chunks[0]))])


def find_damage(group: "zarr.Group", path: Path, *, decode: bool = False) -> list[Damage]:
    """Return every damaged block.

    The check reads the sizes of all files, the marks and the outcomes. It reads the other values only with `decode`.

    Args:
        group: the store.
        path: its folder.
        decode: decode every file, also in blocks without marks.

    Raises:
        UnreadableError: the coordinate `arm` cannot be read.
    """
    num_seeds, block = array_of(group, "completed").shape[1], int(str(group.attrs["block"]))
    # Held here, because a Zarr group reads an array's metadata from disk at each access.
    arrays = {name: array_of(group, name) for name in variable_names(group)}
    sizes = {name: _file_sizes(path / name) for name in arrays}
    names = [str(name) for name in _coordinate(group, "arm")]
    is_older = not group.attrs.get(EVERY_FILE_WRITTEN)
    untimed = _arms_without_time(group)
    damage = []
    for arm, index in np.ndindex(len(names), -(-num_seeds // block)):
        files = {name: _File(array, sizes[name], arm, index) for name, array in arrays.items()}
        if names[arm] in untimed:  # Runs of such an arm converge without a time.
            files.pop("epochs_to_converge", None)
        try:
            reason = _problem(files, is_older, decode)
        except UnreadableError as error:
            reason = str(error)
        if reason is not None:
            start, stop = index * block, min((index + 1) * block, num_seeds)
            reason = f"{reason} (arm {names[arm]!r}, seeds {start} to {stop - 1})"
            damage.append(Damage(arm, start, stop, reason))
    return damage


class _File:
    """File of a variable that holds a block.

    Args:
        array: the variable.
        sizes: key of each of the variable's files to its size in bytes.
        arm: index of the arm.
        block: index of the block of seeds.
    """

    def __init__(self, array: Any, sizes: Mapping[str, int], arm: int, block: int) -> None:
        key = _key(array, arm, block)
        self.array, self.index, self.name = array, (arm, block), f"{array.basename}/{key}"
        self.size = sizes.get(key)

    def read(self) -> np.ndarray:
        """Return the values, seed axis first; fill values where the file is missing.

        Raises:
            UnreadableError: the file cannot be read or decoded.
        """
        return read(self.array, self.index)[0]


def _problem(files: Mapping[str, _File], is_older: bool, decode: bool) -> str | None:
    """Return words that describe the first damage of a block, or None.

    Args:
        files: name of each variable to the block's file.
        is_older: the store may lack files of fill values alone.
        decode: decode every file.

    Raises:
        UnreadableError: a file cannot be read or decoded.
    """
    if files["completed"].size == 0:
        return f"the file {files['completed'].name} is empty"
    completed = files["completed"].read()
    if completed.any():
        reason = _file_problem(files, is_older, completed) or _outcome_problem(files, completed)
        if reason is not None:
            return reason
    if decode:
        # Files of a block without marks must be readable too: a writer of a part of a block reads the rest.
        for file in files.values():
            file.read()
    return None


def _file_problem(files: Mapping[str, _File], is_older: bool, completed: Bool[np.ndarray, " seed"]) -> str | None:
    """Return words that name the first missing or empty file of a block, or None."""
    for name, file in files.items():
        if file.size == 0:
            return f"the file {file.name} is empty"
        if file.size is None and not (is_older and _may_be_left_out(name, files["outcome"].read(), completed)):
            return f"the file {file.name} is missing"
    return None


def remove_block(group: "zarr.Group", path: Path, damage: Damage) -> None:
    """Remove every file of a damaged block, so that its runs count as not trained.

    The file of the marks is removed first. An unreadable file must be removed, because a writer of a part of a block
    reads the rest of the file.
    """
    block = damage.start // int(str(group.attrs["block"]))
    for name in reversed(variable_names(group)):
        (path / name / _key(array_of(group, name), damage.arm, block)).unlink(missing_ok=True)


def _key(array: Any, arm: int, block: int) -> str:
    """Return the path of a block's file within the folder of its variable; each block is a single file."""
    return str(array.metadata.encode_chunk_key((arm, block) + (0,) * (array.ndim - 2)))


def _may_be_left_out(name: str, outcome: np.ndarray, completed: Bool[np.ndarray, " seed"]) -> bool:
    """Return whether the outcomes of a block, `(seed,)`, agree with a file of fill values alone."""
    if name in _MAY_BE_FILL and not (outcome == "converged").any():
        return True
    # A run that diverges in its first iteration has NaN, the fill value, in every record.
    known = VARIABLES.get(name)
    is_nan_filled = known is not None and known.dtype == "float32" and np.isnan(known.fill)
    return bool(is_nan_filled and (outcome[completed] == "diverged").all())


def _outcome_problem(files: Mapping[str, _File], completed: Bool[np.ndarray, " seed"]) -> str | None:
    """Return words where the variables about the end of a run disagree, or None."""
    outcome, converged = files["outcome"].read(), files["converged"].read()
    agree = (outcome != "") & (converged == (outcome == "converged"))
    if "epochs_to_converge" in files:
        agree &= converged == np.isfinite(files["epochs_to_converge"].read())
    return None if agree[completed].all() else "outcomes, marks and times disagree"


def _arms_without_time(group: "zarr.Group") -> set[str]:
    """Return the names of functions whose convergence has no time, or that define none."""
    functions = json.loads(str(group.attrs.get(FUNCTIONS, "{}")))
    return {name for name, function in functions.items() if function["time"] is None}


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
