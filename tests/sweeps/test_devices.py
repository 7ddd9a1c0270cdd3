import subprocess
import sys

import vgrad_jax as vg

SWEEP = """
import sys
from pathlib import Path

import jax

jax.config.update("jax_num_cpu_devices", int(sys.argv[3]))
import vgrad_jax as vg
from vgrad_jax.sweeps import engine

used, plain = set(), engine.ENGINES["plain"]


def watched(arm, keys, execution):
    history = plain(arm, keys, execution)
    used.add(len(history.outcome.sharding.device_set))
    return history


engine.ENGINES["plain"] = watched
arm = vg.Experiment.from_json(Path(sys.argv[1]).read_text())
vg.sweep({"a": arm, "b": arm}, 47, chunk=2, engine="plain", store=sys.argv[2], progress=False)
print(jax.local_device_count(), used)
"""


def test_results_do_not_depend_on_the_number_of_devices(tiny, reference, environment, tmp_path):
    """Compare three devices with one; 47 seeds do not divide into calls of three devices."""
    devices = 3
    description = tmp_path / "arm.json"
    description.write_text(tiny.to_json())
    command = [sys.executable, "-c", SWEEP, str(description), str(tmp_path / "r.zarr"), str(devices)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split(maxsplit=1) == [str(devices), f"{{{devices}}}\n"]
    assert vg.open_results(tmp_path / "r.zarr").load().equals(reference.isel(seed=slice(0, 47)))
    # The sweep began on three devices and ends on one.
    more = vg.sweep({"a": tiny, "b": tiny}, 48, store=tmp_path / "r.zarr", resume=True, progress=False)
    assert more.load().equals(reference)
