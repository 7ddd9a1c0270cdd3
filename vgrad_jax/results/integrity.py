"""Checks that a store still holds every run that it marks as completed.

    completed[arm, seed] ──► a file for each variable, arm and block
                                     └──► missing, of another size, of another checksum: `Damage`

Zarr reads a missing file as an array of fill values. A lost file would therefore look like runs in which nothing
happened. A store without checksums comes from an earlier version; its files are decoded, and compared with each other
(`older.py`).
"""

from typing import NamedTuple

import numpy as np

from vgrad_jax.errors import InputError
from vgrad_jax.results.checksums import NO_MARKS, Digest, block_key, matches
from vgrad_jax.results.files import UnreadableError
from vgrad_jax.results.metadata import ROOT, metadata_key
from vgrad_jax.results.older import OlderBlocks
from vgrad_jax.results.opened import Opened
from vgrad_jax.results.zarr_layout import read

__all__ = ["Damage", "check_coordinates", "check_metadata", "check_types", "find_damage"]

COUNTED = ("seed", "record", "layer")
"""Coordinates that count from zero."""

SMALL = ("outcome", "converged", "epochs_to_converge")
"""Variables whose files are small: their checksums are compared whenever a store is opened."""


class Damage(NamedTuple):
    """Block of an arm whose results are lost, or are not what was written."""

    arm: int
    """Index of the arm in the store."""
    start: int
    """First seed of the block."""
    stop: int
    """Seed after the last seed of the block."""
    reason: str
    """Description of the damage for people: the file, the arm and the seeds."""


def check_coordinates(opened: Opened, *, resuming: bool = False) -> None:
    """Refuse a store whose coordinates are damaged, or whose growth was interrupted.

    Args:
        opened: the store.
        resuming: accept a store whose growth was interrupted, because resuming completes it.

    Raises:
        InputError: a coordinate does not count, does not increase, or has lost names; or arrays differ in their
            numbers of seeds.
        UnreadableError: a file of a coordinate cannot be read or decoded.
    """
    where = f"damaged results in {str(opened.path)!r}"
    present = opened.metadata.coordinates
    for name in present:
        _coordinate(opened, name)
    for name in (name for name in COUNTED if name in present):
        values = _coordinate(opened, name)
        counts = values == np.arange(len(values))
        if name == "seed" and (counts | (values == 0)).all():
            if resuming or (counts.all() and _numbers_of_seeds(opened) == {len(values)}):
                continue
            raise InputError(
                f"{where}: the coordinate 'seed' does not count from 0 to the last seed, as "
                "after a sweep that ended while it added seeds; resuming the sweep corrects it"
            )
        if not counts.all():
            raise InputError(f"{where}: the coordinate {name!r} does not count from 0")
    for name in ("epoch", "parameters_epoch", "gradients_epoch"):
        if name in present and not all(map(_increases, np.atleast_2d(_coordinate(opened, name)))):
            raise InputError(f"{where}: the coordinate {name!r} does not increase")
    for name in ("arm", "parameter"):
        if name in present:
            labels = _coordinate(opened, name).tolist()
            if "" in labels or len(set(labels)) < len(labels):
                raise InputError(f"{where}: names in the coordinate {name!r} are lost")
    if set(_coordinate(opened, "arm").tolist()) != opened.arms:
        raise InputError(f"{where}: the coordinate 'arm' does not name the arms of the study")


def _increases(row: np.ndarray) -> bool:
    """Return whether labels increase; an arm with fewer records than others ends with labels below zero."""
    own = int((row >= 0).sum())
    return bool((np.diff(row[:own]) > 0).all() and (row[own:] < 0).all())


def _numbers_of_seeds(opened: Opened) -> set[int]:
    """Return the different lengths of the variables' seed axes."""
    return {opened.metadata.arrays[name].shape[1] for name in opened.metadata.variables}


def _coordinate(opened: Opened, name: str) -> np.ndarray:
    """Return the values of a coordinate; it may have several files where it has many values."""
    array = opened.array(name)
    files = [read(array, (file,)) for file in range(-(-array.shape[0] // array.chunks[0]))]
    return np.concatenate(files) if files else np.empty(0, np.int64)


def find_damage(opened: Opened, *, thorough: bool = False) -> list[Damage]:
    """Return every damaged block.

    The check compares the sizes of all files, and the checksums of those that are small.

    Args:
        opened: the store.
        thorough: compare the checksum of every file. In a store without checksums, every file is decoded.

    Raises:
        UnreadableError: the coordinate `arm` cannot be read.
    """
    blocks = OlderBlocks(opened) if opened.checksums is None else _Blocks(opened)
    names = [str(name) for name in _coordinate(opened, "arm")]
    damage = []
    for arm, index in np.ndindex(len(names), opened.blocks):
        try:
            reason = blocks.problem(arm, index, names[arm], thorough)
        except UnreadableError as error:
            reason = str(error)
        if reason is not None:
            start, stop = index * opened.block, min((index + 1) * opened.block, opened.num_seeds)
            reason = f"{reason} (arm {names[arm]!r}, seeds {start} to {stop - 1})"
            damage.append(Damage(arm, start, stop, reason))
    return damage


class _Blocks:
    """Blocks of a store with checksums."""

    def __init__(self, opened: Opened) -> None:
        assert opened.checksums is not None
        self.opened, self.files, self.checksums = opened, opened.files, opened.checksums
        self.sizes = {name: opened.files.sizes(f"{name}/c") for name in opened.metadata.variables}

    def problem(self, arm: int, block: int, name: str, thorough: bool) -> str | None:
        """Return words that describe the first damage of a block, or None.

        Args:
            arm: index of the arm.
            block: index of the block.
            name: name of the arm.
            thorough: compare the checksum of every file.

        Raises:
            UnreadableError: a file cannot be read.
        """
        del name
        reason = self._problem(arm, block, thorough, anew=False)
        # Another process may have written the block since its record was read.
        return None if reason is None else self._problem(arm, block, thorough, anew=True)

    def _problem(self, arm: int, block: int, thorough: bool, *, anew: bool) -> str | None:
        states = self.checksums.block(arm, block, anew=anew)
        marks_key = self.opened.key("completed", arm, block)
        marks = self.files.read(marks_key)
        if states is None:
            return None if marks is None else f"the file {block_key(arm, block)} is missing"
        state = NO_MARKS if marks is None else Digest.of(marks).sha256
        if state not in states:
            return f"the file {marks_key} {_words(None if marks is None else len(marks))}"
        if state == NO_MARKS:
            return self._leftover(arm, block) if thorough else None
        for name in self.opened.metadata.variables[:-1]:
            key = self.opened.key(name, arm, block)
            size = self.files.size(key) if anew else self.sizes[name].get(key)
            allowed = states[state].get(name, ())
            if size not in {digest.size for digest in allowed}:
                return f"the file {key} {_words(size)}"
            if thorough or name in SMALL:
                content = self.files.read(key)
                if content is None or not matches(Digest.of(content), allowed):
                    return f"the file {key} {_words(size)}"
        return None

    def _leftover(self, arm: int, block: int) -> str | None:
        """Return words for a file of a block that nobody has marked, and that a writer could not read."""
        for name in self.opened.metadata.variables[:-1]:
            key = self.opened.key(name, arm, block)
            content = self.files.read(key)
            if content is not None and not matches(Digest.of(content), self.checksums.expected(key)):
                return f"the file {key} {_words(len(content))}"
        return None


def _words(size: int | None) -> str:
    if size is None:
        return "is missing"
    return "is damaged: its checksum is not the one that was written" if size else "is empty"


def check_types(opened: Opened) -> None:
    """Refuse a store whose types or codecs do not fit its files: a finished block of each variable is decoded.

    Raises:
        UnreadableError: a file cannot be decoded.
    """
    for name in opened.metadata.variables:
        array = opened.array(name)
        for arm, block in np.ndindex(opened.metadata.arrays["arm"].shape[0], opened.blocks):
            if opened.files.size(opened.key("completed", arm, block)) is not None:
                read(array, (arm, block))
                break


def check_metadata(opened: Opened) -> None:
    """Refuse a store whose attributes, arrays or coordinates are not what was written.

    Raises:
        UnreadableError: a file is missing, has another checksum, or is nothing that Zarr can use.
    """
    known = {} if opened.checksums is None else opened.checksums.metadata()
    for key in (ROOT, *map(metadata_key, opened.metadata.arrays), *known):
        content = opened.files.read(key)
        if content is None:
            raise UnreadableError(f"the file {key} is missing")
        if opened.checksums is not None:
            opened.checksums.check(key, content)
    for name in opened.metadata.arrays:
        opened.array(name)
