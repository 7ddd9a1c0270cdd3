"""Results on disk (Zarr), written block by block during the training.

    .NAME.RANDOM.incomplete ── rename ──► NAME      layout of all arrays, without runs
    block ──► FILE.partial  ── rename ──► FILE      a file for each variable, arm and block; `completed` is written last

A layout and a file appear under their names only when they are complete. A process that is killed at any moment
therefore leaves a store that can be resumed. Runs without a mark in `completed` are trained again.
"""

import json
import os
import re
import shutil
import uuid
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vgrad_jax.boundary import checked
from vgrad_jax.errors import InputError
from vgrad_jax.results.axes import Schema
from vgrad_jax.results.description import changed_data, difference
from vgrad_jax.results.environment import check_versions
from vgrad_jax.results.functions import FUNCTIONS
from vgrad_jax.results.integrity import EVERY_FILE_WRITTEN, Damage, check_coordinates, find_damage, remove_block
from vgrad_jax.results.schema import VARIABLES, own_part
from vgrad_jax.results.zarr_layout import LISTED, UnreadableError, array_of, lay_out, resize, variable_names

if TYPE_CHECKING:
    import xarray
    import zarr

__all__ = ["Store", "open_results", "verify_results"]

MARKER = ".vgrad-incomplete"
"""Name of a file in a layout that is not complete; it marks the folder as made by this module."""

_PARTIAL = re.compile(r"\.[0-9a-f]{32}\.partial$")
"""End of the name of a file that Zarr has not renamed yet, or whose writer was killed."""


class Store:
    """Zarr group that blocks of runs are written into; an implementation of `Target`.

    Every array is laid out in advance and has a file of its own for each block. Writing a block therefore touches no
    other block. The array `completed` is written last, so that every marked run is complete.
    """

    def __init__(self, group: "zarr.Group") -> None:
        self.group = group
        self._arrays: dict[str, Any] = {}
        self._names = variable_names(group)

    @property
    def chunk(self) -> int:
        """Number of seeds that are trained together."""
        return int(str(self.group.attrs["chunk"]))

    @property
    def block(self) -> int:
        """Number of seeds in a file."""
        return int(str(self.group.attrs["block"]))

    @property
    def engines(self) -> dict[str, str]:
        """Arm name to the name of its engine; seeds that are added later use the same engine."""
        engines: dict[str, str] = json.loads(str(self.group.attrs["engines"]))
        return {arm: "lanes_or_plain" if engine == "auto" else engine for arm, engine in engines.items()}

    @classmethod
    def create(
        cls,
        path: str | Path,
        schema: Schema,
        attributes: Mapping[str, Any],
        block: int,
    ) -> "Store":
        """Lay out an empty store.

        Args:
            path: a folder that does not exist or is empty.
            schema: coordinates and variables.
            attributes: attributes of the dataset.
            block: number of seeds in a file.

        Raises:
            InputError: the folder is in use or cannot be written.
        """
        import zarr

        path = Path(path)
        _refuse_used(path)
        fresh = path.with_name(f".{path.name}.{uuid.uuid4().hex}.incomplete")
        try:
            _remove_abandoned(path)
            # The layout gets its name only when it is complete: a process that is killed here leaves no store.
            fresh.mkdir(parents=True)
            (fresh / MARKER).touch()
            listed = {LISTED: json.dumps(list(schema.variables))} if FUNCTIONS in attributes else {}
            lay_out(fresh, schema, {**attributes, **listed, "block": block, EVERY_FILE_WRITTEN: True})
            if path.exists():
                path.rmdir()
            fresh.rename(path)
            (path / MARKER).unlink()
            group = zarr.open_group(str(path), mode="r+")
        except OSError as error:
            shutil.rmtree(fresh, ignore_errors=True)
            raise InputError(f"cannot write results to {str(path)!r}: {error.strerror or error}") from None
        return cls(group)

    @classmethod
    def resume(cls, path: str | Path, study: Mapping[str, Any], num_seeds: int) -> "Store":
        """Open a store to train its missing runs, and enlarge it where it has fewer seeds than `num_seeds`.

        Args:
            path: folder of the store.
            study: description of the study, which must equal the store's description.
            num_seeds: seeds of each arm.

        Raises:
            InputError: the folder is read-only, or holds no store, or a store of another study, of more seeds or of
                other versions.
        """
        group = _open_group(path, mode="r+", resuming=True)
        held_study = json.loads(str(group.attrs["study"]))
        changed = changed_data(held_study, study)
        if changed:
            raise InputError(f"{changed} since {str(path)!r} was made; restore them, or choose another folder")
        other = difference(held_study, study)
        if other:
            raise InputError(f"{str(path)!r} holds another study: {other}; choose another folder")
        check_versions(json.loads(str(group.attrs["versions"])), f"{str(path)!r} was made elsewhere")
        held = array_of(group, "seed").shape[0]
        if held > num_seeds:
            raise InputError(
                f"{str(path)!r} was laid out for {held} seeds, more than {num_seeds}; ask for {held} or more, "
                "or choose another folder"
            )
        try:
            for folder in (Path(path), *(Path(path) / name for name in variable_names(group))):
                if not os.access(folder, os.W_OK, effective_ids=os.access in os.supports_effective_ids):
                    raise PermissionError(f"{folder} is read-only")
            for left_behind in Path(path).rglob("*.partial"):  # Left by a writer that was killed.
                if _PARTIAL.search(left_behind.name):
                    left_behind.unlink(missing_ok=True)
            (Path(path) / MARKER).unlink(missing_ok=True)
            _unmark_damaged(group, Path(path))
            resize(group, num_seeds)
        except OSError as error:
            raise InputError(f"cannot write results to {str(path)!r}: {error.strerror or error}") from None
        return cls(group)

    @classmethod
    def open(cls, path: str | Path) -> "Store":
        """Open a store that another process has laid out, to write blocks into it.

        Raises:
            InputError: the folder holds no store, or a damaged store.
        """
        return cls(_open_group(path, mode="r+"))

    def token(self) -> str:
        """Return the token of the sweep that writers work for at this moment; empty where they must stop."""
        import zarr

        return str(zarr.open_group(self.group.store, mode="r").attrs.get("token", ""))

    def set_token(self, token: str) -> None:
        """Write the token of the sweep that writers work for; writers with another token stop."""
        self.group.attrs["token"] = token

    def completed(self, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Return marks of the completed runs, `(arm, seed)`, for the seeds `start` to `stop`."""
        return np.asarray(self._array("completed")[:, start:stop])

    def set_precision(self, precision: float | None) -> None:
        """Write the precision at which arms stop into the store; None where arms do not stop early."""
        if self.group.attrs.get("precision") != precision:
            self.group.attrs["precision"] = precision

    def converged(self, arm: int, stop: int) -> np.ndarray:
        """Return marks of the converged runs of an arm, `(seed,)`, for the seeds 0 to `stop`."""
        return np.asarray(self._array("converged")[arm, :stop])

    def write(self, arm: int, start: int, stop: int, variables: Mapping[str, np.ndarray]) -> None:
        """Write the runs `start` to `stop` of an arm, and mark them as completed.

        Args:
            arm: index of the arm.
            start: first run.
            stop: run after the last run.
            variables: variable name to values, seed axis first.

        Raises:
            InputError: the runs cannot be written, for example because the disk is full. They stay without marks, and
                earlier runs stay as they are.
        """
        try:
            for name in self._names[:-1]:
                if name in variables:
                    values = variables[name]
                    self._array(name)[(arm, slice(start, stop), *own_part(values)[1:])] = values
                else:  # Every file is written, so that a missing file is a lost file.
                    array = self._array(name)
                    array[arm, start:stop] = array.metadata.fill_value
            self._array("completed")[arm, start:stop] = True
        except OSError as error:
            raise InputError(
                f"cannot write results to '{self.group.store}': {error.strerror or error}; what was written before is "
                "kept, and resuming goes on with it"
            ) from error

    def dataset(self) -> "xarray.Dataset":
        """Return the results so far; values are read when they are used."""
        return _dataset(self.group)

    def _array(self, name: str) -> Any:
        # Kept here, because a Zarr group reads an array's metadata from disk at each access.
        if name not in self._arrays:
            # Zarr would leave out files of fill values alone; with every file written, a missing file is a lost file.
            self._arrays[name] = array_of(self.group, name).with_config({"write_empty_chunks": True})
        return self._arrays[name]


@checked
def open_results(path: str | Path) -> "xarray.Dataset":
    """Open the results of a sweep; values are read when they are used.

    Args:
        path: the store (`results.zarr`) or the folder that `vgrad sweep` wrote it into.

    Raises:
        InputError: the folder holds no results, or damaged results.
    """
    inside = Path(path) / "results.zarr"
    store = inside if inside.exists() else Path(path)
    group = _open_group(store, mode="r")
    damage = find_damage(group, store)
    if damage:
        others = f", and {len(damage) - 1} more blocks" if len(damage) > 1 else ""
        raise InputError(
            f"damaged results in {str(store)!r}: {damage[0].reason}{others}; resuming the sweep trains these runs again"
        )
    return _dataset(group)


def verify_results(path: str | Path) -> tuple[int, list[Damage]]:
    """Read every block of a sweep's results.

    Args:
        path: the store (`results.zarr`) or the folder that `vgrad sweep` wrote it into.

    Returns:
        The number of blocks of all arms, and the damaged ones.

    Raises:
        InputError: the folder holds no results, or their coordinates are damaged.
    """
    inside = Path(path) / "results.zarr"
    store = inside if inside.exists() else Path(path)
    group = _open_group(store, mode="r")
    arms, seeds = array_of(group, "completed").shape
    return arms * -(-seeds // int(str(group.attrs["block"]))), find_damage(group, store, decode=True)


def _dataset(group: "zarr.Group") -> "xarray.Dataset":
    import xarray

    dataset = xarray.open_zarr(group.store, chunks=None, consolidated=False)
    dataset = dataset.set_coords([name for name in ("epoch",) if name in dataset])
    for name in (EVERY_FILE_WRITTEN, LISTED):  # They describe the files, not the results.
        dataset.attrs.pop(name, None)
    return dataset[variable_names(group)]


def _open_group(path: str | Path, mode: Any, *, resuming: bool = False) -> "zarr.Group":
    """Open a folder as a store, and refuse it where its attributes, arrays or coordinates are damaged.

    `resuming` accepts a store whose growth was interrupted.
    """
    import zarr

    try:
        group = zarr.open_group(str(path), mode=mode)
        for name in ("study", "versions", "engines"):
            json.loads(str(group.attrs[name]))
        for name in ("chunk", "block"):
            int(str(group.attrs[name]))
        for name in _required(group):
            group[name]
        check_coordinates(group, Path(path), resuming=resuming)
    except InputError:
        raise
    except UnreadableError as error:
        raise InputError(f"damaged results in {str(path)!r}: {error}") from None
    except (OSError, KeyError, ValueError, json.JSONDecodeError) as error:
        raise InputError(f"no results of a sweep in {str(path)!r}, or damaged ones: {error}") from None
    return group


def _required(group: "zarr.Group") -> list[str]:
    """Return the names of the arrays without which a folder holds no results."""
    if LISTED in group.attrs:
        names = variable_names(group)
        dims = {dim for name in names for dim in array_of(group, name).metadata.dimension_names}
        return [*sorted(dims), *names]
    optional = ("parameters", "gradients")
    return ["arm", "seed", "epoch", "layer", *(name for name in VARIABLES if name not in optional)]


def _unmark_damaged(group: "zarr.Group", path: Path) -> None:
    """Remove every damaged block with a warning, so that its runs are trained again."""
    damage = find_damage(group, path, decode=True)
    for block in damage:
        warnings.warn(f"damaged results in {str(path)!r}: {block.reason}; trained again", stacklevel=4)
        remove_block(group, path, block)


def _remove_abandoned(path: Path) -> None:
    """Remove layouts of this store that a killed process left behind; no folder without the marker is touched."""
    # The whole name is compared: the layout of a store `a.b` also begins with `.a.` and ends with `.incomplete`.
    layout = re.compile(rf"\.{re.escape(path.name)}\.[0-9a-f]{{32}}\.incomplete")
    for folder in path.parent.glob(".*.incomplete"):
        if layout.fullmatch(folder.name) and (folder / MARKER).is_file() and not folder.is_symlink():
            shutil.rmtree(folder, ignore_errors=True)


def _refuse_used(path: Path) -> None:
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise InputError(f"{str(path)!r} is already in use; choose another folder, or go on with it by resuming")
