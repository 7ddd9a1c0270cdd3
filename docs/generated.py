"""Pages and tables of the site that are made from the package: they cannot be out of date."""

import importlib
import inspect
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import typer

from vgrad_jax.cli import app
from vgrad_jax.diagnosis import RULES, STATUSES, TABLE
from vgrad_jax.diagnosis.status import CAUSES, NOTES
from vgrad_jax.nets.activations import ACTIVATIONS
from vgrad_jax.nets.initializers import INITIALIZERS
from vgrad_jax.prescription import CABINET
from vgrad_jax.presets import STUDIES
from vgrad_jax.results.schema import VARIABLES

ROOT = Path(__file__).parent.parent

TOPICS: dict[str, tuple[str, dict[str, tuple[str, ...]]]] = {
    "describing": (
        "Networks, data and trainings",
        {
            "vgrad_jax": (
                "Experiment",
                "MLP",
                "Data",
                "Optimizer",
                "Training",
                "Recording",
                "Dataset",
                "load_data",
                "Layer",
                "LearnedLayer",
                "init_mlp",
                "apply_mlp",
                "InputError",
            ),
            "vgrad_jax.data": ("summary_of", "DataSummary"),
        },
    ),
    "training": (
        "Training and sweeping",
        {
            "vgrad_jax": (
                "sweep",
                "open_results",
                "Arm",
                "make_train",
                "train",
                "train_from",
                "History",
                "Outcome",
                "run_key",
                "SweepInterrupted",
            ),
            "vgrad_jax.report": ("write_report", "Report", "SUMMARY_SCHEMA"),
        },
    ),
    "own_model": (
        "Checks and records of your own model",
        {
            "vgrad_jax": (
                "check_init",
                "InitCheck",
                "record",
                "get_record",
                "Record",
                "gradient_stats",
                "LayerStats",
                "diagnose",
                "Diagnosis",
                "Finding",
                "Rule",
                "RULES",
                "watch",
                "Alarm",
                "locate_nonfinite",
                "NonFinite",
                "check_widths",
                "WidthCheck",
            ),
            "vgrad_jax.diagnosis": ("STATUSES", "DIAGNOSIS_SCHEMA"),
        },
    ),
    "prescribing": (
        "Prescriptions",
        {"vgrad_jax": ("prescribe", "Prescription", "PrescriptionInterrupted")},
    ),
    "theory": (
        "Theory",
        {"vgrad_jax": ("mean_field", "critical_weight_variance", "input_jacobian"), "vgrad_jax.theory": ()},
    ),
    "statistics": (
        "Statistics over seeds",
        {"vgrad_jax": ("compare_times", "TimeComparison", "seeds_needed"), "vgrad_jax.statistics": ()},
    ),
    "lanes": ("Lanes", {"vgrad_jax": ("lanes", "lanes_report", "LanesReport")}),
    "modules": ("Losses and ready-made studies", {"vgrad_jax.losses": (), "vgrad_jax.presets": ()}),
}
"""Page of the reference to its title and its names by module; no names are all public names of the module."""


REPOSITORY = {
    "DESIGN.md": "DESIGN.md",
    "CONTRIBUTING.md": "CONTRIBUTING.md",
    "CHANGELOG.md": "CHANGELOG.md",
    "benchmarks/README.md": "benchmarks.md",
    "vgrad_jax/lanes/README.md": "lanes_inside.md",
}
"""File of the repository to its page in `docs/repository/`."""


def public_names(module_name: str) -> list[str]:
    """Return the names that a module gives to users, without its submodules."""
    module = importlib.import_module(module_name)
    names = getattr(module, "__all__", None) or [name for name in vars(module) if not name.startswith("_")]
    return [name for name in names if name != "__version__" and not inspect.ismodule(getattr(module, name))]


def entries() -> Iterator[tuple[str, str, str]]:
    """Yield page, module and name of everything in the reference; a name stands where it comes first."""
    seen: set[int] = set()
    for page, (_, modules) in TOPICS.items():
        for module, names in modules.items():
            for name in names or public_names(module):
                value = getattr(importlib.import_module(module), name)
                if callable(value) and id(value) in seen:
                    continue
                seen.add(id(value))
                yield page, module, name


def directive(module: str, name: str) -> str:
    """Return the autodoc directive for a name."""
    value = getattr(importlib.import_module(module), name)
    if inspect.isclass(value):
        return f".. autoclass:: {module}.{name}\n   :members:\n   :undoc-members:\n"
    if callable(value):
        return f".. autofunction:: {module}.{name}\n"
    return f".. autodata:: {home(module, name)}.{name}\n   :no-value:\n"


def home(module: str, name: str) -> str:
    """Return the module that assigns a constant: its docstring stands there."""
    value = getattr(importlib.import_module(module), name)
    for candidate in sorted(name for name in sys.modules if name.startswith("vgrad_jax.")):
        assigns = re.search(rf"^{name}\b[^=\n]*= ", inspect.getsource(sys.modules[candidate]), re.MULTILINE)
        if assigns and getattr(sys.modules[candidate], name) is value:
            return candidate
    return module


def reference(page: str) -> str:
    """Return a page of the reference in reStructuredText."""
    title = TOPICS[page][0]
    parts = [f"{title}\n{'=' * len(title)}\n"]
    parts += [directive(module, name) for where, module, name in entries() if where == page]
    return "\n".join(parts)


def table(headings: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """Return a table in Markdown."""
    lines = [f"| {' | '.join(headings)} |", f"|{'---|' * len(headings)}"]
    return "\n".join([*lines, *(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows)])


def shares() -> dict[str, str]:
    """Return precision and recall of each verdict on the held-out small models, from `docs/verdicts.md`."""
    measured = (ROOT / "docs" / "verdicts.md").read_text().partition("<!-- table -->")[2].partition("<!-- end")[0]
    rows = [[cell.strip() for cell in line.split("|")[1:4]] for line in measured.splitlines() if line.count("|") > 3]
    return {truth: f"{score} on {count} held-out models" for truth, count, score in rows[2:] if count.isdigit()}


def variance_in_words(advice: str) -> str:
    """Return advice as it reads without a model at hand."""
    fitting = "the value that fits the activation (2 / fan-in for ReLU, 1 / fan-in for tanh)"
    return advice.replace("{variance}", fitting)


def statuses() -> str:
    """Return a section for each verdict: meaning, findings with advice and causes, source, measured error rates."""
    measured, parts = shares(), []
    for status in STATUSES:
        row = TABLE[status]
        parts += [f"## {status}", row.meaning]
        facts = [f"- Is it a fault? {'Yes.' if row.is_fault else 'No.'}", f"- Layers that take it: {row.spread.value}."]
        if status in RULES:
            facts.append(f"- Where the rule comes from: {RULES[status].source}.")
        if status in measured:
            facts.append(f"- Precision / recall, with a check: {measured[status]}.")
        parts.append("\n".join(facts))
        if row.advice:
            rows = [
                (f"`{code}`", variance_in_words(remedy.advice), ", ".join(f"`{cause}`" for cause in remedy.causes))
                for code, remedy in row.advice.items()
            ]
            parts.append(table(("finding", "what to do", "likely causes"), rows))
    notes = [(f"`{code}`", advice) for code, advice in NOTES.items()]
    parts += ["## Notes beside a verdict", table(("finding", "what to do"), notes)]
    parts += ["## Words for causes", ", ".join(f"`{cause}`" for cause in CAUSES) + "."]
    return "\n\n".join(parts)


def remedies() -> str:
    """Return the cabinet of remedies as a table."""
    rows = [(f"`{row.name}`", row.sentence, row.cannot, row.source) for row in CABINET]
    return table(("remedy", "what it does", "what it cannot cure", "source"), rows)


def variables() -> str:
    """Return the variables of a sweep's results as a table."""
    rows = [
        (f"`{name}`", ", ".join(own.dims), own.dtype, own.units or "-", own.description)
        for name, own in VARIABLES.items()
    ]
    return table(("variable", "dimensions", "type", "unit", "meaning"), rows)


def names_of_tables() -> str:
    """Return the names that a description may hold."""
    tables = {"activation": ACTIVATIONS, "kernel_init, bias_init, output_init": INITIALIZERS, "--study": STUDIES}
    return table(
        ("field", "names"),
        [(f"`{field}`", ", ".join(f"`{name}`" for name in names)) for field, names in tables.items()],
    )


def commands() -> str:
    """Return the help of each command."""
    command = typer.main.get_command(app)
    parts = []
    for name, own in command.commands.items():  # type: ignore[attr-defined]
        text = re.sub(r"\s*\n\s*", " ", re.sub(r"\n\n+", "\n\n", (own.help or "")).strip().replace("\n\n", "\0"))
        first, *others = text.split("\0")
        options = []
        for parameter in own.params:
            spelled = (
                ", ".join(parameter.opts)
                if parameter.param_type_name == "option"
                else (parameter.metavar or parameter.name.upper())
            )
            options.append((f"`{spelled}`", re.sub(r"\s+", " ", getattr(parameter, "help", None) or "")))
        parts += [f"## vgrad {name}", first, *others, table(("argument or option", "meaning"), options)]
    return "\n\n".join(parts)


def write(folder: Path) -> None:
    """Write everything into a folder, in place of what is there."""
    folder.mkdir(exist_ok=True)
    texts = {
        "statuses.md": statuses(),
        "remedies.md": remedies(),
        "variables.md": variables(),
        "names.md": names_of_tables(),
        "commands.md": commands(),
        **{f"reference_{page}.rst": reference(page) for page in TOPICS},
    }
    for name, text in texts.items():
        write_changed(folder / name, text + "\n")


def write_changed(path: Path, text: str) -> None:
    """Write a file unless it has this text: Sphinx reads what has a new date."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.is_file() or path.read_text() != text:
        path.write_text(text)


def copy_pages(folder: Path) -> None:
    """Copy the pages that stand elsewhere in the repository, with links as they are from here."""
    for path, target in REPOSITORY.items():
        text = (ROOT / path).read_text().replace("](docs/", "](../").replace("](../docs/", "](../")
        for other, page in REPOSITORY.items():
            text = text.replace(f"]({other})", f"]({page})")
        write_changed(folder / target, text)
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        write_changed(folder / "notebooks" / path.name, path.read_text())
    shutil.copytree(ROOT / "benchmarks" / "figures", folder / "figures", dirs_exist_ok=True)


def missing() -> set[str]:
    """Return the public names of the package that the reference lacks."""
    return set(public_names("vgrad_jax")) - {name for _, module, name in entries() if module == "vgrad_jax"}
