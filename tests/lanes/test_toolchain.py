"""llvmlite that is missing or broken: the library works without native code."""

import subprocess
import sys

import pytest

PRELUDE = """
import sys

class Refusal:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "llvmlite":
            raise ERROR
        return None

sys.meta_path.insert(0, Refusal())
import jax
import jax.numpy as jnp
import vgrad_jax as vg
assert "llvmlite" not in sys.modules
from vgrad_jax.lanes import NotInLanesError, local_machine, over_lanes
assert local_machine() is None
try:
    jax.jit(over_lanes(jnp.tanh))(jnp.ones((3, 32)))
except NotInLanesError as refusal:
    print(refusal)
assert vg.lanes(jnp.tanh)(jnp.ones((3, 2))).shape == (3, 2)
"""
SWEEP = """
import warnings
warnings.simplefilter("ignore")
small = vg.Experiment(vg.MLP(hidden=(2,)), vg.Data("moons", samples=20), training=vg.Training(epochs=1, batch_size=8))
results = vg.sweep({"small": small}, 2, engine="plain", progress=False)
print(results["train_loss"].shape, results["train_loss"].values[0, :, -1])
"""


def run(error, code=""):
    done = subprocess.run(
        [sys.executable, "-c", PRELUDE.replace("ERROR", error) + code], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_sweep_without_llvmlite():
    output = run('ImportError("no such library")', SWEEP)
    assert "llvmlite, which compiles native code, cannot be imported: no such library" in output
    assert "(1, 2," in output


@pytest.mark.parametrize("error", ['OSError("libllvmlite.so: wrong ELF class")'])
def test_a_broken_llvmlite_is_a_refusal(error):
    assert "wrong ELF class" in run(error)
