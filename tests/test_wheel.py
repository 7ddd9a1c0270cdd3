"""The built wheel holds everything that the package needs, and runs from another folder."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

SCRIPT = """
from importlib.resources import files
from pathlib import Path

import vgrad_jax as vg
from vgrad_jax.report import write_report

assert "installed" in vg.__file__, vg.__file__
assert files("vgrad_jax").joinpath("py.typed").is_file()
arm = vg.Experiment(
    mlp=vg.MLP(hidden=(2,)), data=vg.Data("moons", samples=16), training=vg.Training(epochs=2, batch_size=4)
)
write_report(vg.sweep({"arm": arm}, 2, engine="plain", progress=False), "page")
assert "<svg" in Path("page/index.html").read_text() or "<img" in Path("page/index.html").read_text()
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        str(folder),
        ".",
    ]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (path,) = folder.glob("*.whl")
    return path


def test_every_file_of_the_package_is_in_it(wheel):
    tracked = subprocess.run(["git", "ls-files", "vgrad_jax"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert set(tracked.stdout.split()) <= set(zipfile.ZipFile(wheel).namelist())


def test_it_runs_from_another_folder(wheel, tmp_path):
    installed = tmp_path / "installed"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(installed), str(wheel)]
    subprocess.run(command, check=True, capture_output=True)
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(installed)!r})\n{SCRIPT}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
