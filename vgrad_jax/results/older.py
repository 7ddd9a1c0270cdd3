"""Blocks of stores without checksums, which earlier versions wrote.

A store that writes every file carries the attribute `EVERY_FILE_WRITTEN`. A store that is older still left out files
that held fill values alone. A file may be missing from such a store only where the outcomes agree with fill values.
"""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Bool

from vgrad_jax.results.functions import FUNCTIONS
from vgrad_jax.results.opened import Opened
from vgrad_jax.results.schema import VARIABLES
from vgrad_jax.results.zarr_layout import read

__all__ = ["EVERY_FILE_WRITTEN", "OlderBlocks"]

EVERY_FILE_WRITTEN = "every_file_written"
"""Name of the attribute of a store that writes every file, even a file of fill values alone."""

_MAY_BE_FILL = ("converged", "epochs_to_converge")
"""Variables that hold fill values alone in a block where no run converged."""


class OlderBlocks:
    """Blocks of a store without checksums."""

    def __init__(self, opened: Opened) -> None:
        self.opened = opened
        # Held here, because a Zarr group reads an array's metadata from disk at each access.
        self.arrays = {name: opened.array(name) for name in opened.metadata.variables}
        self.sizes = {name: opened.files.sizes(f"{name}/c") for name in self.arrays}
        self.may_lack_files = not opened.metadata.attributes.get(EVERY_FILE_WRITTEN)
        self.untimed = _arms_without_time(opened)

    def problem(self, arm: int, block: int, name: str, thorough: bool) -> str | None:
        """Return words that describe the first damage of a block, or None.

        Args:
            arm: index of the arm.
            block: index of the block.
            name: name of the arm.
            thorough: decode every file, also in a block without marks.

        Raises:
            UnreadableError: a file cannot be read or decoded.
        """
        files = {own: _File(self.opened, array, self.sizes[own], arm, block) for own, array in self.arrays.items()}
        if name in self.untimed:  # Runs of such an arm converge without a time.
            files.pop("epochs_to_converge", None)
        if files["completed"].size == 0:
            return f"the file {files['completed'].name} is empty"
        completed = files["completed"].read()
        if completed.any():
            reason = self._file_problem(files, completed) or _outcome_problem(files, completed)
            if reason is not None:
                return reason
        if thorough:
            # Files of a block without marks must be readable too: a writer of a part of a block reads the rest.
            for file in files.values():
                file.read()
        return None

    def _file_problem(self, files: Mapping[str, "_File"], completed: Bool[np.ndarray, " seed"]) -> str | None:
        """Return words that name the first missing or empty file of a block, or None."""
        for name, file in files.items():
            if file.size == 0:
                return f"the file {file.name} is empty"
            if file.size is None and not (
                self.may_lack_files and _may_be_left_out(name, files["outcome"].read(), completed)
            ):
                return f"the file {file.name} is missing"
        return None


class _File:
    """File of a variable that holds a block.

    Args:
        opened: the store.
        array: the variable.
        sizes: key of each of the variable's files to its size in bytes.
        arm: index of the arm.
        block: index of the block of seeds.
    """

    def __init__(self, opened: Opened, array: Any, sizes: Mapping[str, int], arm: int, block: int) -> None:
        self.array, self.index, self.name = array, (arm, block), opened.key(array.basename, arm, block)
        self.size = sizes.get(self.name)

    def read(self) -> np.ndarray:
        """Return the values, seed axis first; fill values where the file is missing.

        Raises:
            UnreadableError: the file cannot be read or decoded.
        """
        return read(self.array, self.index)[0]


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


def _arms_without_time(opened: Opened) -> set[str]:
    """Return the names of functions whose convergence has no time, or that define none."""
    functions = json.loads(opened.metadata.attributes.get(FUNCTIONS, "{}"))
    return {name for name, function in functions.items() if function["time"] is None}
