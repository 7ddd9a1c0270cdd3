"""A sweep whose results have no room is refused before anything is trained or written."""

import contextlib
import shutil
from types import SimpleNamespace

import psutil
import pytest

import vgrad_jax as vg
from vgrad_jax.sweeps.arms import check_arms
from vgrad_jax.sweeps.plan import make_plan
from vgrad_jax.sweeps.room import check_room


@pytest.fixture
def little_room(monkeypatch):
    """Let a disk and a memory have 1 MiB left."""
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=2**20))
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=2**20))


def test_a_disk_without_room_is_named_with_both_numbers(tiny, tmp_path, little_room):
    with pytest.raises(
        vg.InputError, match=r"would take about .* MiB, and 1\.0 MiB are free on the disk of '.*r.zarr'"
    ):
        vg.sweep({"a": tiny}, 10**7, store=tmp_path / "deep" / "r.zarr", progress=False)
    assert not list(tmp_path.iterdir())


def test_memory_without_room_is_named_with_both_numbers(tiny, little_room):
    with pytest.raises(vg.InputError, match=r"would take about 1\.1 GiB, and 1\.0 MiB are free in memory; name a"):
        vg.sweep({"a": tiny}, 10**7, progress=False)


def test_seeds_that_a_store_has_need_no_more_room(tiny, tmp_path, monkeypatch):
    path = tmp_path / "r.zarr"
    vg.sweep({"a": tiny}, 4, chunk=2, engine="plain", store=path, progress=False)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=0))
    vg.sweep({"a": tiny}, 4, chunk=2, engine="plain", store=path, resume=True, progress=False)
    with pytest.raises(vg.InputError, match=r"and 0\.0 KiB are free on the disk"):
        vg.sweep({"a": tiny}, 6, chunk=2, engine="plain", store=path, resume=True, progress=False)
    assert vg.open_results(path).sizes["seed"] == 4


def test_more_seeds_than_names_are_refused_at_once(tiny, tmp_path):
    with pytest.raises(vg.InputError, match="num_seeds must be a whole number, 100000000 at the most"):
        vg.sweep({"a": tiny}, 10**9, store=tmp_path / "r.zarr")


def test_an_early_stop_needs_room_for_the_seeds_that_it_may_need_alone(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=2**20))
    for precision in (None, 0.2):
        plan = make_plan(check_arms({"a": tiny}), 10**7, precision=precision)
        with pytest.raises(vg.InputError) if precision is None else contextlib.nullcontext():
            check_room(plan, tmp_path / "r.zarr", resume=False)
