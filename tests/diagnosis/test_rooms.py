"""Measuring knows nothing of judging or of networks, and no files of the two rooms form a circle.

Stricter than the test of all imports: imports in functions and for the type checker count too.
"""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "vgrad_jax"
ROOMS = ("gradients", "diagnosis")
FILES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__"): path
    for room in ROOMS
    for path in PACKAGE.glob(f"{room}/*.py")
}


def imports(path):
    """Yield the modules of the package that a file imports, inside functions and for the type checker too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("vgrad_jax"):
            module = node.module.removeprefix("vgrad_jax").lstrip(".")
            yield from (
                f"{module}.{alias.name}" if f"{module}.{alias.name}" in FILES else module for alias in node.names
            )


def test_measuring_imports_no_judging_no_network_and_no_theory():
    for name, path in FILES.items():
        if name.startswith("gradients"):
            rooms = {module.partition(".")[0] for module in imports(path)}
            assert rooms <= {"gradients", "descriptions", "errors", "jaxprs", "numerics", "wording"}, name


def circle(graph):
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1]
    return None


def test_no_circle_of_files():
    graph = {name: set(imports(path)) & set(FILES) for name, path in FILES.items()}
    assert len(graph) > 12
    assert circle(graph) is None
    assert circle({**graph, "gradients.stats": {"diagnosis.verdict"}})
