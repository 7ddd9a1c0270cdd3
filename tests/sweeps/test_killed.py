"""However a sweep ends, marked runs are complete, and a resumed sweep gives the results of an uninterrupted sweep."""

import pathlib
import random
import signal
import subprocess
import sys
import time
from concurrent import futures

import numpy as np
import pytest
from functions import halving

import vgrad_jax as vg
from vgrad_jax.results.store import Store
from vgrad_jax.sweeps import blocks, policy
from vgrad_jax.sweeps import running as sweep_module

SEEDS = 48
SWEEP = """
import sys
from pathlib import Path

import vgrad_jax as vg

arm = vg.Experiment.from_json(Path(sys.argv[1]).read_text())
vg.sweep({"a": arm, "b": arm}, 48, chunk=2, engine="plain", workers=1, store=sys.argv[2], resume=True, progress=False)
"""
KILLS = 2


def check_marked(path, reference):
    kept = vg.open_results(path).load()
    marked = kept["completed"].values
    for name in reference.data_vars:
        expected = reference[name].values[:, : marked.shape[1]][marked]
        np.testing.assert_array_equal(kept[name].values[marked], expected, err_msg=name)
    return int(marked.sum())


def test_killed_at_random_moments_and_resumed_equals_uninterrupted(tiny, reference, environment, tmp_path):
    description, path = tmp_path / "arm.json", tmp_path / "r.zarr"
    description.write_text(tiny.to_json())
    command = [sys.executable, "-c", SWEEP, str(description), str(path)]
    moments = random.Random(0)
    killed = refused = 0
    for _ in range(KILLS):
        process = subprocess.Popen(command, env=environment)
        wanted = _files(path) + moments.randrange(1, 120)
        while process.poll() is None and _files(path) < wanted:
            time.sleep(0.002)
        process.send_signal(signal.SIGSTOP)
        if process.poll() is None and path.exists() and not refused:
            with pytest.raises(vg.InputError, match="another process is writing to"):
                vg.sweep({"a": tiny, "b": tiny}, SEEDS, chunk=2, store=path, resume=True, progress=False)
            refused += 1
        process.send_signal(signal.SIGKILL)
        killed += process.wait() == -signal.SIGKILL
        check_marked(path, reference)
    assert killed >= 2
    assert refused
    assert vg.sweep({"a": tiny, "b": tiny}, SEEDS, store=path, resume=True, progress=False).load().equals(reference)
    assert not path.with_name("r.zarr.lock").exists()


FUNCTION_SWEEP = """
import sys
sys.path.insert(0, sys.argv[2])
import vgrad_jax as vg
from functions import halving

arm = vg.Arm(lambda key: halving(key), converged="size < 0.2")
vg.sweep({"a": arm, "bare": halving}, 150, chunk=1, workers=1, store=sys.argv[1], progress=False)
"""


@pytest.mark.slow
def test_functions_killed_and_resumed_equal_uninterrupted(environment, tmp_path):
    """Kill the process between two blocks, and resume here with a `def` in place of the lambda."""
    path = tmp_path / "r.zarr"
    command = [sys.executable, "-c", FUNCTION_SWEEP, str(path), str(pathlib.Path(__file__).parent)]
    process = subprocess.Popen(command, env=environment)
    while process.poll() is None and _files(path) < 60:
        time.sleep(0.002)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    arms = {"a": vg.Arm(halving, converged="size < 0.2"), "bare": halving}
    whole = vg.sweep(arms, 150, chunk=1, progress=False)
    assert 0 < check_marked(path, whole) < 300
    assert vg.sweep(arms, 150, store=path, resume=True, progress=False).load().equals(whole)


class Killed(BaseException):
    """Exception that no handler catches, as if the process were killed."""


def test_dead_between_writing_and_renaming_a_file_and_resumed_equals_uninterrupted(
    tiny, reference, tmp_path, monkeypatch
):
    """Stop at every fifth file of a sweep, from the first file to the last."""
    monkeypatch.setattr(blocks, "SECONDS_UNWRITTEN", -1.0)  # Each chunk is written at once: a block is written twice.
    monkeypatch.setattr(policy, "BLOCKS_OF_AN_ARM", 1)
    monkeypatch.setattr(policy, "BLOCKS_OF_A_WORKER", 1)
    expected = reference.isel(arm=[0], seed=slice(0, 6))
    replace, writes, kept = pathlib.Path.replace, [0], []

    def sweep(path):
        return vg.sweep({"a": tiny}, 6, chunk=2, engine="plain", workers=1, store=path, resume=True, progress=False)

    for moment in range(0, 1000, 5):
        path = tmp_path / f"{moment}.zarr"
        writes[0] = 0

        def dying(self, target):
            writes[0] += 1
            if writes[0] > moment:  # noqa: B023
                raise Killed
            return replace(self, target)

        with monkeypatch.context() as context:
            context.setattr(pathlib.Path, "replace", dying)
            try:
                sweep(path)
            except Killed:
                pass
            else:
                break
        if path.exists():
            kept.append(check_marked(path, expected))
        assert sweep(path).load().equals(expected)
        assert not list(path.rglob("*.partial"))
    assert Store.open(path).block == 4
    assert set(kept) - {6} == {0, 2, 4}  # Behind the last marks only a checksum is written.


def test_blocks_that_are_finished_at_the_same_time_are_not_the_last_ones(tiny, reference, monkeypatch):
    monkeypatch.setattr(sweep_module, "wait", lambda pending, **options: futures.wait(pending))
    results = vg.sweep({"a": tiny, "b": tiny}, SEEDS, chunk=2, engine="plain", workers=1, progress=False)
    assert results.equals(reference)


def _files(path):
    return sum(1 for file in path.glob("*/c/**/*") if file.is_file()) if path.exists() else 0
