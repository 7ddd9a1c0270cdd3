"""A lock is a file that belongs to a sweep; any other file in its place stays as it is."""

import os
import pathlib

import pytest

import vgrad_jax as vg
from vgrad_jax.results.lock import only_writer


def hold(path):
    with only_writer(path):
        assert path.with_name("results.zarr.lock").is_file()


@pytest.mark.parametrize("kind", ["file", "link", "folder"])
def test_a_file_in_the_place_of_the_lock_is_refused(tmp_path, kind):
    lock, target = tmp_path / "results.zarr.lock", tmp_path / "thesis.tex"
    target.write_text("a year of work")
    if kind == "file":
        lock.write_text("a year of work")
    elif kind == "link":
        lock.symlink_to(target)
    else:
        lock.mkdir()
    with pytest.raises(vg.InputError, match="is not a lock of a sweep"):
        hold(tmp_path / "results.zarr")
    assert target.read_text() == "a year of work"
    assert os.path.lexists(lock)


@pytest.mark.parametrize("calls", range(6))
def test_the_holder_may_remove_the_file_at_any_moment(tmp_path, monkeypatch, calls):
    """Remove the lock before the first, second, ... time that its state is read."""
    lock, stat = tmp_path / "results.zarr.lock", pathlib.Path.stat
    lock.touch()
    reads = []

    def removing(self, **options):
        if self == lock:
            if len(reads) == calls:
                lock.unlink(missing_ok=True)
            reads.append(self)
        return stat(self, **options)

    monkeypatch.setattr(pathlib.Path, "stat", removing)
    with only_writer(tmp_path / "results.zarr"):
        pass
    assert reads
