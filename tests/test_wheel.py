"""The built wheel and source distribution hold what the package needs; the wheel runs from another folder."""

import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml

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


def tracked(*folders):
    done = subprocess.run(["git", "ls-files", *folders], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_every_file_of_the_package_is_in_it(wheel):
    assert tracked("vgrad_jax") <= set(zipfile.ZipFile(wheel).namelist())


def test_the_wheel_names_its_version_and_its_licences(wheel):
    archive = zipfile.ZipFile(wheel)
    folder = f"vgrad_jax-{project()['version']}.dist-info"
    metadata = archive.read(f"{folder}/METADATA").decode()
    assert f"\nVersion: {project()['version']}\n" in metadata
    assert {f"{folder}/licenses/{name}" for name in ("LICENSE", "NOTICE")} <= set(archive.namelist())
    assert {name.split("/")[0] for name in archive.namelist()} == {"vgrad_jax", folder}


def test_the_source_distribution_has_what_its_readers_and_its_tests_need(tmp_path):
    command = [sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (path,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert tracked("vgrad_jax", "tests", "docs", "examples", "notebooks") <= names
    assert {"LICENSE", "NOTICE", "CITATION.cff", "CHANGELOG.md", "README.md", "pyproject.toml"} <= names
    assert not [name for name in names if name.startswith(("site/", "runs/", "docs/generated/", "docs/repository/"))]


def test_the_citation_is_of_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors"} <= set(citation)  # What the format asks for.
    assert citation["version"] == project()["version"]
    assert citation["license"] == project()["license"]
    assert f"version = {{{project()['version']}}}" in (ROOT / "README.md").read_text()


def test_the_changelog_has_its_form():
    """The form of Keep a Changelog: the newest version first, and changes by their kind."""
    text = (ROOT / "CHANGELOG.md").read_text()
    assert re.findall(r"^## (.*)", text, re.MULTILINE)[0] == "[Unreleased]"
    kinds = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert set(re.findall(r"^### (.*)", text, re.MULTILINE)) <= kinds


@pytest.mark.parametrize("path", sorted(ROOT.glob(".github/workflows/*.yml")), ids=lambda path: path.stem)
def test_a_workflow_runs_what_there_is(path):
    workflow = yaml.safe_load(path.read_text())
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    assert all(set(job.get("permissions", {})) <= {"pages", "id-token"} for job in workflow["jobs"].values())
    assert workflow["permissions"] == {"contents": "read"}
    for step in steps:
        for script in re.findall(r"bash (\S+)", step.get("run", "")):
            assert (ROOT / script).is_file(), script


@pytest.mark.slow  # `.ci/package` installs the wheel and the source distribution, each into an empty environment.
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
