"""The house rules that a machine can check."""

import ast
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
LONGEST_FILE = 350


def hooks():
    configuration = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    return [hook for repository in configuration["repos"] for hook in repository["hooks"] if hook["id"] != "tests"]


@pytest.mark.parametrize("hook", hooks(), ids=lambda hook: hook["id"])
def test_every_hook_passes(hook):
    command, *arguments = shlex.split(hook["entry"])
    program = Path(sys.executable).parent / command
    done = subprocess.run([str(program), *arguments], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_notebook_is_checked_for_output():
    (entry,) = (hook["entry"] for hook in hooks() if hook["id"] == "notebooks-without-output")
    assert set(shlex.split(entry)[2:]) == {str(p.relative_to(ROOT)) for p in (ROOT / "notebooks").glob("*.ipynb")}


@pytest.mark.parametrize("path", sorted(ROOT.glob("vgrad_jax/**/*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_everything_file(path):
    assert len(path.read_text().splitlines()) <= LONGEST_FILE


def imported(path):
    """Packages that a module imports, but for the types that only the type checker reads."""
    hidden = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            hidden.update(node.body)
        elif isinstance(node, ast.Import) and node not in hidden:
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node not in hidden:
            yield str(node.module).partition(".")[0]


def test_only_the_rooms_that_may_import_the_heavy_packages_do():
    allowed = {
        "matplotlib": {"figures"},
        "sklearn": {"data"},
        "zarr": {"zarr_layout", "zarr_stores"},
        "typer": {"cli"},
    }
    for path in ROOT.glob("vgrad_jax/**/*.py"):
        packages = set(imported(path))
        for package, rooms in allowed.items():
            assert package not in packages or rooms & {path.stem, path.parent.name}, f"{path.name} imports {package}"


def test_files_of_tests_have_names_of_their_own():
    """Pytest imports them by name alone: of two files with a name, one would not be run."""
    names = [path.name for folder in ("tests", "benchmarks") for path in (ROOT / folder).rglob("*.py")]
    twice = {name for name in names if names.count(name) > 1 and name.startswith(("test_", "bench_"))}
    assert not twice
