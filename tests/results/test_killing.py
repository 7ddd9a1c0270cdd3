"""A writer that is killed at random moments loses nothing, value for value."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


def killed(times):
    """Kill in a process of its own, which has started no threads."""
    command = [sys.executable, "-m", "tests.results.killing", str(times)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    counts = re.search(r"(\d+) kills, (\d+) complete stores: 0 not resumed, 0 different\n", done.stdout)
    return int(counts[1])


def test_killed_a_few_times():
    assert killed(8) == 8


@pytest.mark.slow
def test_killed_a_thousand_times():
    assert killed(1000) == 1000
