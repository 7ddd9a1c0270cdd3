"""Everything that is written down is run: docstrings, the README, the notebook, the import's cost."""

import doctest
import importlib
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

import vgrad_jax

ROOT = Path(__file__).parent.parent
MODULES = ["vgrad_jax", *(m.name for m in pkgutil.walk_packages(vgrad_jax.__path__, "vgrad_jax."))]


@pytest.mark.parametrize("name", [name for name in MODULES if not name.endswith("__main__")])
def test_docstring_examples(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_the_docstring_examples_are_found():
    modules = [importlib.import_module(name) for name in MODULES if not name.endswith("__main__")]
    examples = [test for module in modules for test in doctest.DocTestFinder().find(module) if test.examples]
    assert len(examples) >= 20


def test_readmes_python_runs(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert len(blocks) >= 3
    exec(compile("\n".join(blocks), "README.md", "exec"), {})
    assert "converged" in capsys.readouterr().out


def test_readme_names_only_what_there_is():
    readme = (ROOT / "README.md").read_text()
    help_text = subprocess.run([sys.executable, "-m", "vgrad_jax", "--help"], capture_output=True, text=True).stdout
    for command in re.findall(r"`vgrad (\w+)", readme):
        assert f"\n  {command} " in help_text
    for link in re.findall(r"\]\(([^)]+)\)", readme):
        assert (ROOT / link).exists(), link


COMPILES = "01_the_article"
"""The notebook that compiles longer than it computes: nine programs, most of them for a single run."""


SHORTER = {
    "03_activation_or_initialisation": {"epochs=150": "epochs=60", "arms, 64": "arms, 16", "    24,": "    8,"},
}
"""Notebook to replacements with which every run of the tests runs it; as it is, it is a slow test."""

PATHS = sorted((ROOT / "notebooks").glob("*.ipynb"))
NOTEBOOKS = [
    *(pytest.param(path, {}, marks=pytest.mark.slow, id=path.stem) for path in PATHS),
    *(pytest.param(path, SHORTER[path.stem], id=f"{path.stem}-shorter") for path in PATHS if path.stem in SHORTER),
]


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize(("path", "shorter"), NOTEBOOKS)
def test_notebooks_run_to_their_answer(path, shorter, monkeypatch):
    if path.stem != COMPILES and not shorter:
        for variable in ("JAX_DISABLE_MOST_OPTIMIZATIONS", "XLA_FLAGS"):
            monkeypatch.delenv(variable)
    notebook = nbformat.read(path, as_version=4)
    for long, short in shorter.items():
        (cell,) = (cell for cell in notebook.cells if long in cell.source)
        cell.source = cell.source.replace(long, short)
    NotebookClient(notebook, timeout=240, kernel_name="python3").execute()
    (answer,) = notebook.cells[-1].outputs
    assert "seeds" in answer.text or "runs" in answer.text


def test_importing_costs_little_more_than_jax():
    """What is slow to import is imported when it is used."""
    code = "import sys, jax; before = set(sys.modules); import vgrad_jax; print(*(set(sys.modules) - before))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    heavy = {"matplotlib", "pandas", "rich", "scipy", "sklearn", "typer", "xarray", "zarr", "jinja2"}
    assert heavy.isdisjoint(loaded)
    assert "vgrad_jax.sweeps.running" in loaded
