"""Everything that is written down is run: docstrings, the README, the pages, the notebooks, the import's cost."""

import doctest
import importlib
import pkgutil
import re
import shlex
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import typer
from nbclient import NotebookClient
from typer.testing import CliRunner

import vgrad_jax
from vgrad_jax.cli import app
from vgrad_jax.diagnosis import STATUSES

ROOT = Path(__file__).parent.parent
MODULES = ["vgrad_jax", *(m.name for m in pkgutil.walk_packages(vgrad_jax.__path__, "vgrad_jax."))]


@pytest.mark.parametrize("name", [name for name in MODULES if not name.endswith("__main__")])
def test_docstring_examples(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_the_docstring_examples_are_found():
    modules = [importlib.import_module(name) for name in MODULES if not name.endswith("__main__")]
    examples = [test for module in modules for test in doctest.DocTestFinder().find(module) if test.examples]
    assert len(examples) >= 20


PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

QUICK = ("README", "own_model")
"""Pages whose Python every run of the tests executes; the others are slow tests."""


def python_of(page):
    return re.findall(r"^```python\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)


WITH_PYTHON = [
    pytest.param(page, marks=[] if page.stem in QUICK else [pytest.mark.slow])
    for page in PAGES
    if python_of(page) and page.stem != "recipes"  # Lines to add to a table are no program.
]


@pytest.mark.parametrize("page", WITH_PYTHON, ids=lambda page: page.stem)
def test_the_python_of_a_page_runs(page, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    exec(compile("\n".join(python_of(page)), page.name, "exec"), {"__name__": "page"})
    printed = capsys.readouterr().out
    if page.stem == "README":
        assert re.search(r"tanh_uniform +0\.0\ntanh_he +1\.0", printed)
        assert "\nvanishing\n" in printed


def test_the_readmes_commands_work_where_it_stands(tmp_path):
    """The commands of the README's second block, each with a folder for results of its own."""
    blocks = re.findall(r"^```sh\n(.*?)^```", (ROOT / "README.md").read_text(), re.DOTALL | re.MULTILINE)
    commands = [re.sub(r"\s+#.*", "", line) for line in blocks[1].splitlines()]
    assert [command.split()[1] for command in commands] == ["diagnose", "sweep", "seeds", "theory"]
    for command in commands:
        if command.startswith(("vgrad diagnose", "vgrad seeds")):
            arguments = shlex.split(command.replace("runs/", f"{tmp_path}/"))[1:]
            done = CliRunner().invoke(
                app, [str(ROOT / part) if part.startswith("examples/") else part for part in arguments]
            )
            assert done.exit_code == 0, done.output
        else:  # What trains or draws networks is tested with its command: here only that all options exist.
            own = typer.main.get_command(app).commands[command.split()[1]]
            known = {spelling for parameter in own.params for spelling in parameter.opts}
            assert {part for part in shlex.split(command) if part.startswith("--")} <= known, command
    assert "vanishing" in (tmp_path / "verdict.html").read_text()


def test_readme_and_pages_name_only_what_there_is():
    commands = typer.main.get_command(app).commands
    for page in PAGES:
        text = page.read_text()
        for command in re.findall(r"`vgrad ([a-z]+)", text):
            assert command in commands, f"{page.name}: {command}"
        for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", re.sub(r"```.*?```", "", text, flags=re.DOTALL)):
            assert (page.parent / link).exists(), f"{page.name}: {link}"


def test_the_readme_counts_the_verdicts():
    assert f"| {len(STATUSES)} verdicts with evidence" in (ROOT / "README.md").read_text()


COMPILES = "01_the_article"
"""The notebook that compiles longer than it computes: nine programs, most of them for a single run."""


QUICK_NOTEBOOK = "06_what_predicts_failure"
"""The notebook that every run of the tests executes; the others are slow tests."""

NOTEBOOKS = [
    pytest.param(path, marks=[] if path.stem == QUICK_NOTEBOOK else [pytest.mark.slow], id=path.stem)
    for path in sorted((ROOT / "notebooks").glob("*.ipynb"))
]


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("path", NOTEBOOKS)
def test_notebooks_run_to_their_answer(path, monkeypatch):
    if path.stem != COMPILES:
        for variable in ("JAX_DISABLE_MOST_OPTIMIZATIONS", "XLA_FLAGS"):
            monkeypatch.delenv(variable)
    notebook = nbformat.read(path, as_version=4)
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
