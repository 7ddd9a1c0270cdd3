"""Imports point one way: a room imports rooms below it alone, and no circle of files exists."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "vgrad_jax"

ROOMS = (
    ("errors", "numerics", "wording", "jaxprs", "compiling", "process"),
    ("boundary", "memory", "texts"),
    ("archives",),
    ("descriptions", "losses"),
    ("keys", "schedules"),
    ("data", "nets", "optimizers"),
    ("experiment",),
    ("presets", "gradients", "lanes"),
    ("inspection", "studies"),
    ("diagnosis", "training"),
    ("results", "theory"),
    ("statistics",),
    ("sweeps",),
    ("report",),
    ("prescription",),
    ("cli",),
    ("__main__",),
)
"""Rooms and single files of the package, the lowest first; a room imports nothing of its own row or above it."""

UPWARDS = {("nets.layers", "theory")}
"""Imports in a function that point up: "critical" draws the edge of chaos of the network's own activations."""


def dotted(path):
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {dotted(path): path for path in PACKAGE.rglob("*.py")}


def imported(tree, *, in_functions):
    """Modules of the package that a syntax tree imports, but for those that only the type checker reads."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.ImportFrom) and str(node.module).partition(".")[0] == "vgrad_jax":
            module = str(node.module).removeprefix("vgrad_jax").lstrip(".")
            for alias in node.names:
                member = f"{module}.{alias.name}".lstrip(".")
                yield member if member in FILES else module
        elif isinstance(node, ast.Import):
            yield from (a.name.removeprefix("vgrad_jax.") for a in node.names if a.name.startswith("vgrad_jax."))
        elif in_functions or not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield from imported(node, in_functions=in_functions)


def imports(name, *, in_functions):
    return set(imported(ast.parse(FILES[name].read_text()), in_functions=in_functions))


def room(module):
    return module.partition(".")[0]


def test_every_room_has_its_level():
    assert {room(name) for name in FILES} - {""} == {name for level in ROOMS for name in level}


@pytest.mark.parametrize("module", sorted(FILES.keys() - {""}))
def test_imports_point_down(module):
    level = {name: number for number, names in enumerate(ROOMS) for name in names}
    above = {
        name
        for name in imports(module, in_functions=True)
        if room(name) != room(module) and level[room(name)] >= level[room(module)]
    }
    assert {name for name in above if (module, room(name)) not in UPWARDS} == set()


def test_no_circle_of_files():
    tuple(TopologicalSorter({name: imports(name, in_functions=False) for name in FILES}).static_order())


def reached(module):
    """Every module that importing this one imports, the package's own table of contents aside."""
    seen, waiting = set(), [module]
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting.extend(imports(name, in_functions=True))
    return seen


def test_reading_results_needs_no_compiler_and_no_engine():
    modules = set().union(*(reached(name) for name in FILES if room(name) in ("results", "statistics")))
    assert {room(name) for name in modules} & {"lanes", "sweeps", "report", "cli"} == set()
    assert "lanes" in {room(name) for name in reached("sweeps.engine")}  # The test can tell.


@pytest.mark.parametrize("name", sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py")))
def test_a_room_exports_its_public_names_and_does_nothing_else(name):
    if name == "cli":  # Its public name is the command.
        return
    _, *exports = ast.parse((PACKAGE / name / "__init__.py").read_text()).body
    imports_alone = [node for node in exports if not (isinstance(node, ast.Assign) and "__all__" in ast.unparse(node))]
    assert imports_alone
    assert all(isinstance(node, ast.ImportFrom) for node in imports_alone)
    assert all(alias.name == alias.asname for node in imports_alone for alias in node.names)


@pytest.mark.parametrize("name", sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py")))
def test_no_exported_name_hides_a_module(name):
    tree = ast.parse((PACKAGE / name / "__init__.py").read_text())
    exported = {alias.asname for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert not exported & {path.stem for path in (PACKAGE / name).iterdir()}
