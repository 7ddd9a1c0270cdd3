"""Importing, recording and judging need few packages, and work where a heavy one is broken."""

import json
import subprocess
import sys

import pytest

import vgrad_jax as vg

HEAVY = ("jinja2", "llvmlite", "matplotlib", "pandas", "rich", "scipy", "sklearn", "typer", "xarray", "zarr")

PROGRAM = """
import json, sys

class Broken:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in HEAVY:
            raise RuntimeError(f"{name} is broken")

sys.meta_path.insert(0, Broken())
import jax, optax
from jax import numpy as jnp
before = {name.partition(".")[0] for name in sys.modules}
import vgrad_jax as vg

def loss(kernel, batch):
    return jnp.mean((jnp.tanh(batch[0] @ kernel)[:, 0] - batch[1]) ** 2)

batch = jnp.ones((8, 4)), jnp.ones(8)
check = vg.check_init(loss, lambda key: 0.1 * jax.random.normal(key, (4, 2)), batch, num_seeds=2)
optimizer = vg.record(history=2, around=optax.sgd(0.1))
kernel = jnp.ones((4, 2))
state = optimizer.init(kernel)
value, gradient = jax.value_and_grad(loss)(kernel, batch)
_, state = optimizer.update(gradient, state, kernel, value=value)
record = vg.get_record(state)
record.save(sys.argv[1])
status = vg.diagnose(vg.Record.load(sys.argv[1]), check=check).status
refused = []
for ask in (record.to_dataset, record.plot, lambda: vg.load_data(vg.Data("moons"))):
    try:
        ask()
    except Exception as error:
        refused.append(str(error))
loaded = {name.partition(".")[0] for name in sys.modules} - before - set(sys.stdlib_module_names)
print(json.dumps([check.status, status, refused, sorted(loaded)]))
"""


def test_recording_and_judging_work_where_every_heavy_package_is_broken(tmp_path):
    code = f"HEAVY = {HEAVY!r}\n{PROGRAM}"
    command = [sys.executable, "-c", code, str(tmp_path / "record.npz")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    check, status, refused, loaded = json.loads(done.stdout)
    assert check in vg.diagnosis.STATUSES
    assert status in vg.diagnosis.STATUSES
    assert refused == ["xarray is broken", "matplotlib is broken", "sklearn is broken"]
    assert set(loaded) <= {"vgrad_jax", "jaxtyping", "wadler_lindig", "filelock", "psutil", "cloudpickle", "pygments"}


def test_the_public_names_are_listed_and_nothing_else_is():
    assert dir(vg) == sorted(set(vg.__all__))
    assert not {"keys", "nets", "sweeps", "descriptions", "errors"} & set(dir(vg))
    exported = {name for name in vars(vg) if name[0].isupper()}
    assert exported <= set(dir(vg))


@pytest.mark.parametrize("name", vg.__all__)
def test_every_public_name_is_there_and_documented(name):
    assert getattr(vg, name).__doc__
