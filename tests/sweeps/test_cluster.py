"""Sweeps on a real cluster: a scheduler and two workers, each in a process of its own."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import threading
import time
from importlib.metadata import version

import numpy as np
import pytest
from functions import halving

import vgrad_jax as vg
from vgrad_jax.results import environment as environment_module
from vgrad_jax.sweeps import cluster, policy
from vgrad_jax.sweeps import running as sweep_module
from vgrad_jax.sweeps.blocks import Job, fill
from vgrad_jax.sweeps.experiment_arm import ExperimentArm
from vgrad_jax.sweeps.policy import execution_of, local_platform

SEEDS = 48


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory, environment):
    file = tmp_path_factory.mktemp("scheduler") / "scheduler.json"
    options = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(file)]
    process = subprocess.Popen([sys.executable, "-m", "distributed.cli.dask_scheduler", *options], env=environment)
    try:
        deadline = time.monotonic() + 60
        while not file.exists() or not file.read_text():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield json.loads(file.read_text())["address"]
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def workers(scheduler, environment, reference):
    options = ["--no-nanny", "--nthreads", "1", "--no-dashboard", "--host", "127.0.0.1"]
    command = [sys.executable, "-m", "distributed.cli.dask_worker", scheduler, *options]
    processes = [subprocess.Popen(command, env=environment) for _ in range(2)]
    with cluster.connected(scheduler) as client:
        client.wait_for_workers(2, timeout=60)
    yield processes
    for process in processes:
        process.kill()
        process.wait()


def test_workers_with_other_versions_are_refused(tiny, scheduler, workers, tmp_path, monkeypatch):
    monkeypatch.setattr(environment_module, "version", lambda name: "0.0.1" if name == "jax" else version(name))
    with pytest.raises(vg.InputError, match=r"worker tcp://.* does not match: jax .* there and 0\.0\.1 here"):
        vg.sweep({"a": tiny}, 2, scheduler=scheduler, store=tmp_path / "r.zarr", progress=False)
    assert not (tmp_path / "r.zarr").exists()


def test_functions_travel_to_workers_that_cannot_import_them(scheduler, workers, tmp_path):
    """Send a function of a module beside this test, a closure and a lambda; a worker has none of these files."""
    factor = 0.25
    arms = {
        "module": vg.Arm(halving, converged="size < 0.2", dims={"size": ("epoch",)}),
        "closure": vg.Arm(lambda key: halving(key, factor), converged=lambda r: r["size"] < 0.2),
    }
    path = tmp_path / "r.zarr"
    results = vg.sweep(arms, 6, scheduler=scheduler, store=path, chunk=2, progress=False)
    here = vg.sweep(arms, 6, chunk=2, progress=False)
    for name in here.data_vars:
        np.testing.assert_array_equal(results[name], here[name], err_msg=name)
    assert not [file for file in path.rglob("*") if file.suffix in (".pkl", ".pickle")]


def test_ctrl_c_keeps_what_is_finished_and_workers_stop_writing(tiny, scheduler, workers, reference, tmp_path):
    path = tmp_path / "r.zarr"

    def interrupt(done, total):
        if done >= 6:
            raise KeyboardInterrupt

    arguments = ({"a": tiny, "b": tiny}, SEEDS)
    options = {"chunk": 2, "engine": "plain", "scheduler": scheduler, "store": path}
    with pytest.raises(vg.SweepInterrupted):
        vg.sweep(*arguments, **options, progress=interrupt)
    kept = vg.open_results(path)["completed"].values
    assert 6 <= kept.sum() < 2 * SEEDS
    time.sleep(1)
    np.testing.assert_array_equal(vg.open_results(path)["completed"].values, kept)
    seen = []
    resumed = vg.sweep(*arguments, **options, resume=True, progress=lambda done, total: seen.append(done))
    assert seen[0] == kept.sum()
    assert seen[-1] == 2 * SEEDS
    assert reference.equals(resumed.load())


def job_of(experiment):
    arm = ExperimentArm(experiment)
    return Job({"a": arm}, {"a": arm.fingerprint()}, 0, {"a": execution_of("plain", 2, local_platform())})


def test_a_block_of_another_sweep_is_not_written(tiny, tmp_path):
    """Simulate a worker that the scheduler gave up, and that wakes up after another sweep has begun."""
    path = tmp_path / "r.zarr"
    vg.sweep({"a": tiny}, 2, chunk=2, engine="plain", store=path, progress=False)
    job = job_of(tiny)
    store = cluster.Store.open(path)
    store.set_token("now")
    here = tuple(cluster.versions().items())
    with pytest.raises(vg.InputError, match="sees another store"):
        cluster._fill(cluster.Block("a", 0, 2), job, str(path), "before", here)
    job = dataclasses.replace(job, fingerprints={"a": "of other data"})
    with pytest.raises(vg.InputError, match="finds other data for arm 'a'"):
        cluster._fill(cluster.Block("a", 0, 2), job, str(path), "now", here)
    with pytest.raises(vg.InputError, match="no results of a sweep"):
        cluster._fill(cluster.Block("a", 0, 2), job, str(tmp_path / "elsewhere"), "now", here)


@pytest.mark.parametrize(("in_parts", "written"), [(True, 2), (False, 0)])
def test_a_block_that_is_not_wanted_any_more(tiny, reference, tmp_path, monkeypatch, in_parts, written):
    """Stop in a block: this process keeps its finished runs, and a cluster's worker writes nothing."""
    path = tmp_path / "r.zarr"
    monkeypatch.setattr(policy, "BLOCKS_OF_AN_ARM", 1)
    monkeypatch.setattr(policy, "BLOCKS_OF_A_WORKER", 1)
    monkeypatch.setattr(sweep_module, "_run", lambda *arguments: None)
    vg.sweep({"a": tiny}, 8, chunk=2, workers=1, engine="plain", store=path, progress=False)
    store = cluster.Store.open(path)
    assert store.block == 8
    job = job_of(tiny)
    seen = []
    fill(job, store, cluster.Block("a", 0, 8), stopped=lambda: bool(seen), report=seen.append, in_parts=in_parts)
    assert seen == [2]
    assert store.completed().sum() == written
    fill(job, store, cluster.Block("a", 0, 8), in_parts=in_parts)
    np.testing.assert_array_equal(vg.open_results(path)["train_loss"], reference["train_loss"].values[:1, :8])


def test_a_killed_worker_changes_nothing(tiny, scheduler, workers, reference, tmp_path):
    """Kill a worker; this must be the last test of the cluster, which then has a single worker left."""
    killed = threading.Event()

    def kill(done, total):
        if 10 <= done < total and not killed.is_set():
            os.kill(workers[0].pid, signal.SIGKILL)
            killed.set()

    results = vg.sweep(
        {"a": tiny, "b": tiny},
        SEEDS,
        chunk=2,
        engine="plain",
        scheduler=scheduler,
        store=tmp_path / "r.zarr",
        progress=kill,
    )
    assert killed.is_set()
    assert workers[0].wait(timeout=30) == -signal.SIGKILL
    assert workers[1].poll() is None
    assert reference.equals(results.load())


def test_what_cannot_work_is_refused(tiny, tmp_path, monkeypatch):
    with pytest.raises(vg.InputError, match="name it with store="):
        vg.sweep({"a": tiny}, 2, scheduler="tcp://127.0.0.1:9", progress=False)
    monkeypatch.setattr(cluster, "SECONDS_TO_CONNECT", 1)
    with pytest.raises(vg.InputError, match="no Dask scheduler answers at 'tcp://127"):
        vg.sweep({"a": tiny}, 2, scheduler="tcp://127.0.0.1:9", store=tmp_path / "r.zarr", progress=False)
    assert not list(tmp_path.iterdir())
