import random
import signal
import subprocess
import sys
import time

import numpy as np

import vgrad_jax as vg

SWEEP = """
import sys
from pathlib import Path

import vgrad_jax as vg

arm = vg.Experiment.from_json(Path(sys.argv[1]).read_text())
vg.sweep({"arm": arm}, 60, chunk=1, workers=1, store=sys.argv[2], resume=True, progress=False)
"""
KILLS = 5


def test_killed_at_random_moments_and_resumed_equals_uninterrupted(small, tmp_path):
    description, path = tmp_path / "arm.json", tmp_path / "r.zarr"
    description.write_text(small.to_json())
    whole = vg.sweep({"arm": small}, 60, chunk=1, workers=1, progress=False)
    moments = random.Random(0)
    killed = 0
    for _ in range(KILLS):
        process = subprocess.Popen([sys.executable, "-c", SWEEP, str(description), str(path)])
        wanted = _files(path) + moments.randrange(1, 60)
        while process.poll() is None and _files(path) < wanted:
            time.sleep(0.002)
        time.sleep(moments.uniform(0, 0.02))
        process.send_signal(signal.SIGKILL)
        killed += process.wait() == -signal.SIGKILL
        kept = vg.open_results(path).load()
        marked = kept["completed"].values
        for name in whole.data_vars:
            np.testing.assert_array_equal(kept[name].values[marked], whole[name].values[marked], err_msg=name)
    assert killed >= 2
    subprocess.run([sys.executable, "-c", SWEEP, str(description), str(path)], check=True)
    resumed = vg.open_results(path).load()
    for name in whole.data_vars:
        np.testing.assert_array_equal(resumed[name].values, whole[name].values, err_msg=name)


def _files(path):
    return sum(1 for file in path.glob("*/c/**/*") if file.is_file()) if path.exists() else 0
