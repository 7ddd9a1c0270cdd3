"""A power cut at any moment leaves a store that opens, resumes, and ends equal to an undisturbed one."""

import random
import shutil

import numpy as np
import pytest

import vgrad_jax as vg
from tests.results.power import Disk, restore
from tests.stores import sweep
from vgrad_jax.results import durable

SEEDS = 6
MORE = 10


FORCED = durable._sync
"""The package's own function, before the session's fixture left it out."""


@pytest.fixture(autouse=True)
def forced_onto_the_disk(monkeypatch):
    monkeypatch.setattr(durable, "_sync", FORCED)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """Return the results of two stores that nothing disturbed: their number of seeds to the results."""
    results = {}
    for seeds in (SEEDS, MORE):
        path = tmp_path_factory.mktemp("undisturbed") / "r.zarr"
        sweep(path, seeds)
        results[seeds] = vg.open_results(path).load()
    return results


def same(ours, theirs):
    return np.array_equal(ours, theirs, equal_nan=ours.dtype.kind == "f")


def recorded(root):
    """Record a sweep that makes a store, writes each block in two parts, and gets more seeds later."""
    root.mkdir()
    disk = Disk(root)
    with disk.recording():
        sweep(root / "r.zarr", SEEDS)
        sweep(root / "r.zarr", MORE)
    return disk


def faults(tree, root, undisturbed):
    """Return what is wrong after a power cut: marked runs that are not right, or a store that cannot be resumed."""
    restore(tree, root)
    path = root / "r.zarr"
    wrong = []
    try:
        if path.exists():
            try:
                kept = vg.open_results(path).load()
            except vg.InputError as error:
                if "resuming the sweep corrects it" not in str(error):
                    wrong.append(f"refused: {error}")
            else:
                expected = undisturbed[kept.sizes["seed"]]
                marked = kept["completed"].values
                pairs = {name: (kept[name].values[marked], expected[name].values[marked]) for name in kept.data_vars}
                wrong += [name for name, (ours, theirs) in pairs.items() if not same(ours, theirs)]
        try:
            sweep(path, MORE)
        except (UserWarning, vg.InputError) as error:
            return [*wrong, f"not resumed: {error}"]
        if not vg.open_results(path).load().identical(undisturbed[MORE]):
            wrong.append("other results")
        if vg.results.verify_results(path).damage:
            wrong.append("damaged")
    finally:
        shutil.rmtree(root)
    return wrong


def check(trees, tmp_path, undisturbed):
    return [fault for n, tree in enumerate(trees) for fault in faults(tree, tmp_path / str(n), undisturbed)]


def test_a_power_cut_at_some_moments(tmp_path, undisturbed):
    trees = recorded(tmp_path / "disk").after_power_cuts()
    assert len(trees) > 300
    assert check(random.Random(0).sample(trees, 12), tmp_path, undisturbed) == []


@pytest.mark.slow
def test_a_power_cut_at_every_moment(tmp_path, undisturbed):
    trees = recorded(tmp_path / "disk").after_power_cuts()
    print(len(trees), "power cuts")
    assert check(trees, tmp_path, undisturbed) == []


@pytest.mark.parametrize("forgotten", ["_sync", "_sync_folders"])
def test_the_recorder_notices_what_is_not_forced_onto_the_disk(forgotten, tmp_path, undisturbed, monkeypatch):
    with monkeypatch.context() as context:
        context.setattr(durable, forgotten, lambda *arguments: None)
        trees = recorded(tmp_path / "disk").after_power_cuts()
    assert any(faults(tree, tmp_path / str(n), undisturbed) for n, tree in enumerate(trees[::-1]))
