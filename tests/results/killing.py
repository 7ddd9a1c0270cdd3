"""Kill the writer of a store again and again, at random moments, and compare every value in the end.

    python -m tests.results.killing 1000

A child process writes blocks that nobody has trained (`tests/stores.py`), so that it is killed while it writes. It is a
fork of this process, which has imported everything and started no threads. The store grows in between.
"""

import os
import random
import shutil
import signal
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import xarray  # noqa: F401  Imported here, so that no child imports them anew.
import zarr  # noqa: F401

import vgrad_jax as vg
from tests import stores
from vgrad_jax.results import stored, zarr_stores  # noqa: F401

ROUND = 24
"""Seeds that the store gets, each time when it is complete."""


def child(path, num_seeds):
    """Go on with the store in a fork; the exit code says whether that failed."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)  # A block that is trained again is a lost one.
            stores.sweep(path, num_seeds)
    except BaseException as error:
        print(f"not resumed: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
        os._exit(1)
    os._exit(0)


def started(path, num_seeds):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # JAX has no threads yet, as no device has been started.
        process = os.fork()
    if process == 0:
        child(path, num_seeds)
    return process


def compared(path, *, complete):
    """Compare the store with what should be there, in a fork; return whether it is equal.

    Args:
        path: of the store.
        complete: whether all runs must be there; otherwise those that are marked are compared.
    """
    if not path.exists():
        return not complete
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        process = os.fork()
    if process:
        return os.waitpid(process, 0)[1] == 0
    try:
        results = vg.open_results(path).load()
        marked = results["completed"].values
        equal = bool(marked.all()) or not complete
        for arm in range(len(stores.ARMS)):
            for name, values in stores.runs(arm, 0, results.sizes["seed"]).items():
                ours, theirs = results[name].values[arm][marked[arm]], values[marked[arm]]
                equal &= np.array_equal(ours, theirs, equal_nan=values.dtype.kind == "f")
        equal &= not complete or not vg.results.verify_results(path).damage
    except vg.InputError as error:
        os._exit(complete or "resuming the sweep corrects it" not in str(error))
    except BaseException as error:
        print(f"not equal: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
        os._exit(1)
    os._exit(not equal)


def kill(times, seed=0, seconds=0.3):
    """Kill the writer of a store; return the numbers of kills, failures to resume, stores that differ, and comparisons.

    Args:
        times: kills of a process that was at work.
        seed: of the moments.
        seconds: largest time that a process works before it is killed.
    """
    stores.without_versions()
    rng = random.Random(seed)
    kills = failures = different = completions = 0
    with tempfile.TemporaryDirectory() as folder:
        path, num_seeds = Path(folder) / "r.zarr", ROUND
        while kills < times:
            process = started(path, num_seeds)
            time.sleep(rng.random() * seconds)
            os.kill(process, signal.SIGKILL)
            status = os.waitpid(process, 0)[1]
            if os.WIFSIGNALED(status):
                kills += 1
                if kills % 100 == 0:
                    print(f"{kills} kills", flush=True)
                different += not compared(path, complete=False)
                continue
            failures += os.WEXITSTATUS(status) != 0
            different += not compared(path, complete=True)
            completions += 1
            num_seeds += ROUND
            if num_seeds > 20 * ROUND or failures or different:
                shutil.rmtree(path)
                num_seeds = ROUND
        process = started(path, num_seeds)
        failures += os.waitpid(process, 0)[1] != 0
        different += not compared(path, complete=True)
    return kills, failures, different, completions + 1


def main():
    kills, failures, different, completions = kill(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
    print(f"{kills} kills, {completions} complete stores: {failures} not resumed, {different} different")
    return bool(failures or different)


if __name__ == "__main__":
    sys.exit(main())
