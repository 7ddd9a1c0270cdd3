"""Growth of a store: the files that change when it gets more seeds."""

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from vgrad_jax.results.checksums import parsed
from vgrad_jax.results.metadata import ROOT, metadata_key
from vgrad_jax.results.opened import Opened
from vgrad_jax.results.zarr_layout import array_of, consolidated

if TYPE_CHECKING:
    from vgrad_jax.results.zarr_stores import StagingStore

__all__ = ["grown"]


def grown(opened: Opened, num_seeds: int) -> dict[str, bytes]:
    """Return the new content of each file that changes when a store gets seeds, in the order of writing.

    The coordinate `seed` is the last one.

    Args:
        opened: the store, open for writing.
        num_seeds: seeds of each arm afterwards.

    Returns:
        Key to content; nothing where the store has these seeds already.
    """
    metadata = opened.metadata
    seeds = opened.array("seed")
    has_seeds = np.array_equal(seeds[:], np.arange(num_seeds))
    if has_seeds and all(metadata.arrays[name].shape[1] == num_seeds for name in metadata.variables):
        return {}
    documents = {name: _document(opened, metadata_key(name)) for name in metadata.arrays}
    for name in metadata.variables:
        documents[name]["shape"][1] = num_seeds
    documents["seed"]["shape"] = [num_seeds]
    changed = {metadata_key(name): _text(documents[name]) for name in metadata.variables}
    root = _document(opened, ROOT)
    if "consolidated_metadata" in root:
        changed[ROOT] = _text(consolidated(root, documents))
    staging: StagingStore = opened.store  # type: ignore[assignment]  # It is open for writing.
    staging.staged[metadata_key("seed")] = _text(documents["seed"])
    array_of(staging, "seed")[:] = np.arange(num_seeds)
    return {**changed, **staging.take(rf"{metadata_key('seed')}"), **staging.take(r"seed/c/\d+")}


def _document(opened: Opened, key: str) -> dict[str, Any]:
    document: dict[str, Any] = parsed(opened.files.read(key) or b"", key)
    return document


def _text(document: dict[str, Any]) -> bytes:
    return json.dumps(document, indent=2).encode()
