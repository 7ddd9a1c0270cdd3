"""Stores that cannot or must not be written: the error is a sentence, and the store stays as it is."""

import contextlib
import errno
import json
import os
import pathlib
import tempfile

import numpy as np
import pytest
import zarr
from typer.testing import CliRunner

import vgrad_jax as vg
from tests.stores import sign
from vgrad_jax.cli import app
from vgrad_jax.results import description, environment, zarr_layout


def sweep(tiny, path, seeds=6):
    return vg.sweep(
        {"a": tiny, "b": tiny}, seeds, chunk=2, engine="plain", store=path, resume=True, progress=False
    ).load()


def contents(path):
    return {file: file.read_bytes() for file in path.rglob("*") if file.is_file()}


def test_a_full_disk_is_a_sentence_and_what_was_written_is_kept(tiny, reference, tmp_path, monkeypatch):
    path = tmp_path / "r.zarr"
    sweep(tiny, path)
    replace, room = pathlib.Path.replace, [60]

    def full(self, target):
        room[0] -= 1
        if room[0] < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return replace(self, target)

    with monkeypatch.context() as context:
        context.setattr(pathlib.Path, "replace", full)
        with pytest.raises(vg.InputError, match=r"cannot write results to .*: No space left on device; what was writt"):
            sweep(tiny, path, 48)
    kept = vg.open_results(path)
    marked = kept["completed"].values
    assert 12 < marked.sum() < 96
    for name in reference.data_vars:
        np.testing.assert_array_equal(kept[name].values[marked], reference[name].values[marked], err_msg=name)
    assert sweep(tiny, path, 48).equals(reference)


@contextlib.contextmanager
def without_rights(folder):
    """Run as the user nobody, who owns the folder: permissions do not restrict a superuser."""
    paths = [folder, *folder.rglob("*")]
    is_superuser = os.geteuid() == 0
    if is_superuser:
        for path in paths:
            os.chown(path, 65534, 65534)
        os.seteuid(65534)
    try:
        yield
    finally:
        if is_superuser:
            os.seteuid(0)
        for path in paths:
            path.chmod(0o777)


@pytest.mark.parametrize("where", ["the folder", "the store", "a variable"])
def test_a_read_only_store_is_refused(tiny, reference, monkeypatch, where):
    versions = environment.versions()
    monkeypatch.setattr(environment, "versions", lambda: versions)  # The user nobody may not read the packages.
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        path = folder / "r.zarr"
        sweep(tiny, path)
        before = contents(folder)
        {"the folder": folder, "the store": path, "a variable": path / "train_loss"}[where].chmod(0o555)
        with without_rights(folder):
            with pytest.raises(vg.InputError, match="cannot write results to"):
                sweep(tiny, path, 8)
            assert contents(folder) == before
            assert vg.open_results(path)["completed"].values.all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"jax": "0.0.1"}, r"was made elsewhere: jax 0\.0\.1 there and .* here\. The same seed gives other numbers"),
        ({"device": "gpu: H100"}, "device gpu: H100 there and cpu: cpu here"),
        ({"instructions": "none"}, "instructions none there and"),
        ({"settings": "jax_enable_x64=True"}, "settings jax_enable_x64=True there and"),
    ],
)
def test_a_store_of_other_versions_or_another_machine_is_refused(tiny, reference, tmp_path, change, message):
    path = tmp_path / "r.zarr"
    sweep(tiny, path)
    group = zarr.open_group(str(path), mode="r+")
    group.attrs["versions"] = json.dumps({**json.loads(group.attrs["versions"]), **change})
    sign(path)
    before = contents(tmp_path)
    with pytest.raises(vg.InputError, match=message):
        sweep(tiny, path, 8)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("half", [b"", slice(0, -3)])
def test_half_a_file_of_several_pieces_is_refused_and_trained_again(tiny, reference, tmp_path, monkeypatch, half):
    """Truncate a file: the file system lost its end, as after a power cut."""
    monkeypatch.setattr(zarr_layout, "READ_BYTES", 16)
    path = tmp_path / "results.zarr"
    results = sweep(tiny, path)
    assert results["train_loss"].encoding["shards"] == (1, 2, 4)
    (file, *_) = (path / "train_accuracy" / "c").glob("*/*/*")
    file.write_bytes(file.read_bytes()[half] if isinstance(half, slice) else half)
    done = CliRunner().invoke(app, ["report", str(tmp_path)])
    assert done.exit_code == 2, done.output
    assert "damaged" in done.output
    with pytest.warns(UserWarning, match=r"the file train_accuracy/c/.* trained again"):
        assert sweep(tiny, path).equals(results)


def test_other_versions_of_what_changes_no_number_are_fine(tiny, reference, tmp_path):
    path = tmp_path / "r.zarr"
    sweep(tiny, path)
    group = zarr.open_group(str(path), mode="r+")
    group.attrs["versions"] = json.dumps({**json.loads(group.attrs["versions"]), "xarray": "1", "vgrad_jax": "9"})
    sign(path)
    assert sweep(tiny, path, 8).equals(reference.isel(seed=slice(0, 8)))


def test_a_store_of_another_results_version_is_refused(tiny, reference, tmp_path, monkeypatch):
    path = tmp_path / "r.zarr"
    monkeypatch.setattr(description, "RESULTS_VERSION", 0)
    sweep(tiny, path)
    monkeypatch.undo()
    before = contents(tmp_path)
    with pytest.raises(vg.InputError, match=f"results_version is 0 there and {description.RESULTS_VERSION} here"):
        sweep(tiny, path, 8)
    assert contents(tmp_path) == before
