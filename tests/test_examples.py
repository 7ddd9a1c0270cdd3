"""The examples run as they are, each in a process of its own."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parent.parent / "examples").glob("*.py"))

SHORT = ("flax_nnx",)
"""Examples that every run of the tests trains; the others are slow tests. The README trains bare JAX."""

TRAINED = [pytest.param(path, marks=[] if path.stem in SHORT else [pytest.mark.slow]) for path in EXAMPLES]

ENDING = """
assert check.status == "healthy", check
assert diagnosis.status in ("healthy", "solved"), diagnosis
assert record.update_ratio_log10 is not None
figure.savefig(sys.argv[1])
"""


@pytest.mark.parametrize("path", TRAINED, ids=lambda path: path.stem)
def test_an_example_trains_a_healthy_network(path, tmp_path):
    script = tmp_path / path.name
    script.write_text(f"import sys\n{path.read_text()}{ENDING}")
    command = [sys.executable, str(script), str(tmp_path / "record.png")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "record.png").stat().st_size > 1000


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_short(path):
    code = [line for line in path.read_text().splitlines() if line.strip()]
    assert len(code) < 40


def test_every_framework_has_one():
    imported = {
        name for path in EXAMPLES for name in re.findall(r"^(?:import|from) (\w+)", path.read_text(), re.MULTILINE)
    }
    assert imported >= {"flax", "equinox", "haiku"}
    assert {path.stem for path in EXAMPLES} >= {"flax_linen", "flax_nnx", "bare_jax"}
