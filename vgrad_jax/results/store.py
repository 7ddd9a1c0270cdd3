"""Results on disk (Zarr), written block by block during the training.

    .NAME.RANDOM.incomplete ── rename ──► NAME      layout of all arrays, without runs

    block ─► files of all variables ─► checksums ─► names ─► marks in `completed` ─► checksums
             contents on the disk      old + new    on the disk                      new alone

A layout and a file appear under their names only when they are complete. What is left of an arrow is on the disk before
what is right of it begins (`durable.py`). A process that is killed, or a machine that loses its power, therefore leaves
a store that can be resumed. Runs without a mark in `completed` are trained again. `checksums.py` says why checksums are
written twice.
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

from vgrad_jax.errors import InputError
from vgrad_jax.results import checksums as sums
from vgrad_jax.results.axes import Schema
from vgrad_jax.results.checksums import Digest
from vgrad_jax.results.description import changed_data, difference, located
from vgrad_jax.results.durable import PARTIAL, remove_file, sync_name, sync_tree, write_file, write_files
from vgrad_jax.results.environment import check_versions
from vgrad_jax.results.files import UnreadableError
from vgrad_jax.results.functions import FUNCTIONS
from vgrad_jax.results.growth import grown
from vgrad_jax.results.integrity import find_damage
from vgrad_jax.results.metadata import LISTED, ROOT
from vgrad_jax.results.older import EVERY_FILE_WRITTEN
from vgrad_jax.results.opened import Opened
from vgrad_jax.results.opening import open_store
from vgrad_jax.results.schema import own_part
from vgrad_jax.results.zarr_layout import lay_out

if TYPE_CHECKING:
    import xarray

    from vgrad_jax.results.zarr_stores import StagingStore

__all__ = ["Store"]

MARKER = ".vgrad-incomplete"
"""Name of a file in a layout that is not complete; it marks the folder as made by this module."""


class Store:
    """Folder that blocks of runs are written into; an implementation of `Target`.

    Every array is laid out in advance and has a file of its own for each block. Writing a block therefore touches no
    other block. The array `completed` is written last, so that every marked run is complete.

    Args:
        opened: the store, open for writing.
    """

    def __init__(self, opened: Opened) -> None:
        self.opened, self.path = opened, opened.path

    @property
    def chunk(self) -> int:
        """Number of seeds that are trained together."""
        return int(self.opened.metadata.attributes["chunk"])

    @property
    def block(self) -> int:
        """Number of seeds in a file."""
        return self.opened.block

    @property
    def engines(self) -> dict[str, str]:
        """Arm name to the name of its engine; seeds that are added later use the same engine."""
        engines: dict[str, str] = json.loads(self.opened.metadata.attributes["engines"])
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
        path = Path(path)
        _refuse_used(path)
        fresh = path.with_name(f".{path.name}.{uuid.uuid4().hex}.incomplete")
        try:
            _remove_abandoned(path)
            # The layout gets its name only when it is complete: a process that is killed here leaves no store.
            fresh.mkdir(parents=True)
            (fresh / MARKER).touch()
            listed = {LISTED: json.dumps(list(schema.variables))} if FUNCTIONS in attributes else {}
            of_files = {"block": block, EVERY_FILE_WRITTEN: True, sums.FOLDER: "sha256"}
            lay_out(fresh, schema, {**attributes, **listed, **of_files})
            _write_first_checksums(fresh)
            sync_tree(fresh)
            if path.exists():
                path.rmdir()
            fresh.rename(path)
            sync_name(path)
            remove_file(path / MARKER)
        except OSError as error:
            shutil.rmtree(fresh, ignore_errors=True)
            raise InputError(f"cannot write results to {str(path)!r}: {error.strerror or error}") from None
        return cls(open_store(path, writable=True))

    @classmethod
    def resume(cls, path: str | Path, study: Mapping[str, Any], num_seeds: int) -> "Store":
        """Open a store to train its missing runs, and enlarge it where it has fewer seeds than `num_seeds`.

        Args:
            path: folder of the store.
            study: description of the study, equal to the store's but for the places of its data files.
            num_seeds: seeds of each arm.

        Raises:
            InputError: the folder is read-only, or holds no store, or a store of another study, of more seeds or of
                other versions.
        """
        path = Path(path)
        opened = open_store(path, writable=True, resuming=True)
        written = json.loads(opened.metadata.attributes["study"])
        held_study = located(written, study)
        if changed := changed_data(held_study, study):
            raise InputError(f"{changed} since {str(path)!r} was made; restore them, or choose another folder")
        if other := difference(held_study, study):
            raise InputError(f"{str(path)!r} holds another study: {other}; choose another folder")
        check_versions(json.loads(opened.metadata.attributes["versions"]), f"{str(path)!r} was made elsewhere")
        if (held := opened.metadata.arrays["seed"].shape[0]) > num_seeds:
            raise InputError(
                f"{str(path)!r} was laid out for {held} seeds, more than {num_seeds}; ask for {held} or more, "
                "or choose another folder"
            )
        try:
            for folder in (path, *(path / name for name in opened.metadata.variables)):
                if not os.access(folder, os.W_OK, effective_ids=os.access in os.supports_effective_ids):
                    raise PermissionError(f"{folder} is read-only")
            _remove_partial(path)
            remove_file(path / MARKER)
            _unmark_damaged(opened)
            store = cls(opened)
            store.grow(num_seeds)
            if held_study != written:
                store._set_attribute("study", json.dumps(held_study))
        except UnreadableError as error:
            raise InputError(f"damaged results in {str(path)!r}: {error}") from None
        except OSError as error:
            raise InputError(f"cannot write results to {str(path)!r}: {error.strerror or error}") from None
        return store

    @classmethod
    def open(cls, path: str | Path) -> "Store":
        """Open a store that another process has laid out, to write blocks into it.

        Raises:
            InputError: the folder holds no store, or a damaged store.
        """
        return cls(open_store(path, writable=True))

    def token(self) -> str:
        """Return the token of the sweep that writers work for at this moment; empty where they must stop."""
        return str(self._root()["attributes"].get("token", ""))

    def set_token(self, token: str) -> None:
        """Write the token of the sweep that writers work for; writers with another token stop."""
        self._set_attribute("token", token)

    def completed(self, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Return marks of the completed runs, `(arm, seed)`, for the seeds `start` to `stop`."""
        return np.asarray(self._array("completed")[:, start:stop])

    def set_precision(self, precision: float | None) -> None:
        """Write the precision at which arms stop into the store; None where arms do not stop early."""
        if self.opened.metadata.attributes.get("precision") != precision:
            self._set_attribute("precision", precision)

    def converged(self, arm: int, stop: int) -> np.ndarray:
        """Return marks of the converged runs of an arm, `(seed,)`, for the seeds 0 to `stop`."""
        return np.asarray(self._array("converged")[arm, :stop])

    def write(self, arm: int, start: int, stop: int, variables: Mapping[str, np.ndarray]) -> None:
        """Write the runs `start` to `stop` of an arm, and mark them as completed; all is on the disk afterwards.

        Args:
            arm: index of the arm.
            start: first run.
            stop: run after the last run; in the block of the first one.
            variables: variable name to values, seed axis first.

        Raises:
            InputError: the runs cannot be written, for example because the disk is full. They stay without marks, and
                earlier runs stay as they are.
        """
        block = start // self.block
        staging: StagingStore = self.opened.store  # type: ignore[assignment]  # It is open for writing.
        try:
            for name in self.opened.metadata.variables[:-1]:
                array = self._array(name)
                if name in variables:
                    values = variables[name]
                    array[(arm, slice(start, stop), *own_part(values)[1:])] = values
                else:  # Every file is written, so that a missing file is a lost file.
                    array[arm, start:stop] = array.metadata.fill_value
            self._array("completed")[arm, start:stop] = True
            self._commit(arm, block, staging.take(rf"[^/]+/c/{arm}/{block}(/0)*"))
        except OSError as error:
            raise InputError(
                f"cannot write results to '{self.path}': {error.strerror or error}; what was written before is "
                "kept, and resuming goes on with it"
            ) from error
        except UnreadableError as error:
            raise InputError(
                f"damaged results in '{self.path}': {error}; what was written before is kept, and resuming trains the "
                "damaged runs again"
            ) from error

    def grow(self, num_seeds: int) -> None:
        """Give every array `num_seeds` seeds.

        The coordinate `seed` is enlarged last, and its new values are zero until they are written. If the process is
        killed in between, the next resumption corrects the arrays and the coordinate.
        """
        changed = grown(self.opened, num_seeds)
        if changed:
            self._commit_metadata(changed)

    def dataset(self) -> "xarray.Dataset":
        """Return the results so far; values are read when they are used."""
        from vgrad_jax.results.stored import dataset_of

        return dataset_of(Opened(self.opened.files))

    def _array(self, name: str) -> Any:
        return self.opened.array(name)

    def _commit(self, arm: int, block: int, staged: Mapping[str, bytes]) -> None:
        """Move the files of a block into their places, in the order that the module describes."""
        marks_key = self.opened.key("completed", arm, block)
        files = {key: content for key, content in staged.items() if key != marks_key}
        paths = {self.path / key: content for key, content in files.items()}
        if self.opened.checksums is None:
            write_files(paths)
            write_file(self.path / marks_key, staged[marks_key])
            return
        record = self.path / sums.block_key(arm, block)
        held = self.opened.files.read(marks_key)
        before = sums.NO_MARKS if held is None else Digest.of(held).sha256
        known = (self.opened.checksums.block(arm, block, anew=True) or {}).get(before, {})
        new = {key.partition("/")[0]: (Digest.of(content),) for key, content in files.items()}
        either = {name: tuple(dict.fromkeys((*known.get(name, ()), *own))) for name, own in new.items()}
        after = Digest.of(staged[marks_key]).sha256
        write_files(paths, between={record: sums.encoded({after: new, before: either})})
        write_file(self.path / marks_key, staged[marks_key])
        write_file(record, sums.encoded({after: new}))
        self.opened.checksums.forget_block(arm, block)

    def _commit_metadata(self, changed: Mapping[str, bytes]) -> None:
        """Replace files that belong to no block, in this order; each may be the old or the new one meanwhile."""
        paths = {self.path / key: content for key, content in changed.items()}
        if self.opened.checksums is None:
            write_files(paths)
        else:
            known = dict(self.opened.checksums.metadata(anew=True))
            new = {key: (Digest.of(content),) for key, content in changed.items()}
            either = {key: tuple(dict.fromkeys((*known.get(key, ()), *own))) for key, own in new.items()}
            write_files(paths, between={self.path / sums.METADATA: sums.encoded({**known, **either})})
            certain = {key: own if len(own) == 1 else (self._digest(key),) for key, own in {**known, **new}.items()}
            write_file(self.path / sums.METADATA, sums.encoded(certain))
        self.opened = Opened(self.opened.files, writable=True)

    def _digest(self, key: str) -> Digest:
        content = self.opened.files.read(key)
        if content is None:
            raise UnreadableError(f"the file {key} is missing")
        return Digest.of(content)

    def _root(self) -> dict[str, Any]:
        """Return the content of the store's `zarr.json` as it is on the disk at this moment."""
        root: dict[str, Any] = sums.parsed(self.opened.files.read(ROOT) or b"", ROOT)
        return root

    def _set_attribute(self, name: str, value: Any) -> None:
        root = self._root()
        root["attributes"][name] = value
        self._commit_metadata({ROOT: json.dumps(root, indent=2).encode()})


def _write_first_checksums(folder: Path) -> None:
    """Write the checksums of a layout, which has no runs yet."""
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    files.pop(MARKER)
    write_file(folder / sums.METADATA, sums.encoded({key: (Digest.of(p.read_bytes()),) for key, p in files.items()}))


def _remove_partial(path: Path) -> None:
    """Remove files that a killed writer left, and refuse a store from which a link leads elsewhere."""
    for own in path.rglob("*"):
        if own.is_symlink() and own.is_dir():
            raise InputError(f"{str(own)!r} is a link to another folder, which a sweep does not write into; remove it")
        if re.search(PARTIAL, own.name) and own.is_file():
            own.unlink(missing_ok=True)


def _unmark_damaged(opened: Opened) -> None:
    """Remove every damaged block with a warning, so that its runs are trained again.

    The file of the marks is removed first. An unreadable file must be removed, because a writer of a part of a block
    reads the rest of the file.
    """
    for damage in find_damage(opened, thorough=True):
        warnings.warn(f"damaged results in {str(opened.path)!r}: {damage.reason}; trained again", stacklevel=5)
        block = damage.start // opened.block
        keys = [opened.key(name, damage.arm, block) for name in reversed(opened.metadata.variables)]
        for key in (*keys, sums.block_key(damage.arm, block)):
            remove_file(opened.path / key)
    if opened.checksums is not None:
        opened.checksums.forget()


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
