"""The study that a command asks for: ready-made, a file, a module, own data, or an earlier sweep.

--study ────────────┐
study.toml, .json ──┤
study.py, module ───┼─► Chosen: arms, name, title, seeds, seed
--data and --set ───┤
--from ─────────────┘
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from vgrad_jax.cli.shared import arms_of_study, study_of
from vgrad_jax.cli.study_file import read_study as read_python_study
from vgrad_jax.data.description import SOURCES
from vgrad_jax.errors import InputError, unknown_name
from vgrad_jax.experiment import Experiment
from vgrad_jax.presets import STUDIES
from vgrad_jax.report.again import STUDY_FILE
from vgrad_jax.studies import DEFAULT_GRID, DEFAULTS, parsed_setting, read_study, study_from

__all__ = ["OWN_SEEDS", "Chosen", "choose"]

OWN_SEEDS = 64
"""Runs of each arm of a user's own study that does not say how many."""

FILES = (".toml", ".json")
"""Endings of files that describe a study."""


class Chosen(NamedTuple):
    """Study that a command asks for."""

    arms: Mapping[str, Any]
    """Arm name to `Experiment`, `Arm` or function."""
    name: str
    """Name of the folder of its results."""
    title: str
    """Title of its page."""
    seeds: int
    """Runs of each arm, unless the command says otherwise."""
    study_seed: int = 0
    """Seed of the study, unless the command says otherwise."""


def choose(
    target: str | None,
    study: str | None,
    *,
    data: str | None = None,
    column: str | None = None,
    settings: list[str] | None = None,
    earlier: Path | None = None,
    arms: list[str] | None = None,
    epochs: int | None = None,
) -> Chosen:
    """Return the study that a command asks for.

    Args:
        target: a file in TOML, JSON or Python, "module:name", or the name of a ready-made study.
        study: name of a ready-made study.
        data: file with own data, or name of a source of data.
        column: name or index of the target's column in `data`.
        settings: texts such as "mlp.activation=tanh,relu".
        earlier: folder of an earlier sweep.
        arms: names of the arms to keep; None keeps all.
        epochs: passes over the training rows of every arm.

    Raises:
        InputError: options contradict each other, or the study cannot be read.
    """
    if target in STUDIES and not Path(target).exists():
        target, study = None, target if study is None else study
    given = {"a study's file": target, "--study": study, "--from": earlier}
    named = [name for name, value in given.items() if value is not None]
    if len(named) > 1:
        raise InputError(f"{' and '.join(named)} name a study each; give one")
    fields = _fields(data, column, settings)
    if fields and (study is not None or earlier is not None):
        raise InputError(
            "--data, --target and --set describe an own study; --study and --from name one that is complete"
        )
    if earlier is not None:
        if epochs is not None:
            raise InputError(
                "--from names a complete study, and --epochs would change it; repeat it from its study.toml"
            )
        chosen = _earlier(earlier)
    elif target is not None and Path(target).suffix.lower() in FILES:
        read = read_study(Path(target), _with_epochs(fields, epochs))
        chosen = Chosen(read.arms, Path(target).stem, read.title, read.seeds, read.study_seed)
    elif target is not None:
        if fields or epochs is not None:
            raise InputError(
                "--data, --target, --set and --epochs change fields of Experiments; a Python file names arms itself"
            )
        python = read_python_study(target, None)
        chosen = Chosen(python.arms, python.name, python.name, OWN_SEEDS)
    elif fields:
        chosen = _own(data, _with_epochs(fields, epochs))
    else:
        name = study or "article"
        return Chosen(arms_of_study(name, arms, epochs), name, study_of(name).title, study_of(name).seeds)
    return _only(chosen, arms)


def _own(data: str | None, fields: dict[str, list[Any]]) -> Chosen:
    """Return the study of own data, or of settings alone; the article's question where no field has several values."""
    base = {**(DEFAULTS if data is not None else {})}
    grid = fields if any(len(values) > 1 for values in fields.values()) else {**DEFAULT_GRID, **fields}
    name = Path(data).name.partition(".")[0] if data is not None else "grid"
    read = study_from({"base": {path: value for path, value in base.items() if path not in grid}}, grid, title=name)
    varied = [path.partition(".")[2].replace("_", " ") for path, values in grid.items() if len(values) > 1]
    title = f"{', '.join(varied)}: which is best{f' on {Path(data).name}' if data is not None else ''}?"
    return Chosen(read.arms, name, f"{title[0].upper()}{title[1:]}", OWN_SEEDS)


def _earlier(folder: Path) -> Chosen:
    from vgrad_jax.report.again import stored_title
    from vgrad_jax.results.opening import open_results
    from vgrad_jax.results.reading import arms_of, study_seed

    results = open_results(folder)
    arms: dict[str, Experiment] = arms_of(results)
    for name, experiment in arms.items():
        path = experiment.data.path
        if path is not None and not Path(path).is_file():
            arms[name] = _with_data_from(folder, name, experiment)
    name = folder.stem if folder.is_file() else folder.name
    title = stored_title(folder) or name
    return Chosen(arms, name, title, results.sizes["seed"], study_seed(results))


def _with_data_from(folder: Path, name: str, experiment: Experiment) -> Experiment:
    """Return an arm with its data files where the study's file, beside the results, says they are.

    Raises:
        InputError: the files are not there either.
    """
    beside = (folder.parent if (folder / "zarr.json").exists() else folder) / STUDY_FILE
    arms = read_study(beside).arms if beside.is_file() else {}
    if name not in arms or not Path(str(arms[name].data.path)).is_file():
        tried = str(Path(str(experiment.data.path)).absolute())
        raise InputError(
            f"there is no file {experiment.data.path!r}, as the sweep in {str(folder)!r} names it; begin the command "
            f"in the folder where that sweep began, or copy the file to {tried!r}"
        )
    return replace(experiment, data=arms[name].data)


def _fields(data: str | None, column: str | None, settings: list[str] | None) -> dict[str, list[Any]]:
    """Return the paths of the fields that options give, each with its values."""
    fields: dict[str, list[Any]] = {}
    if data is not None:
        is_source = data in SOURCES and not Path(data).exists()
        fields["data.source" if is_source else "data.path"] = [data]
    if column is not None:
        fields["data.target"] = [column]
    for text in settings or ():
        path, values = parsed_setting(text)
        if path in fields:
            raise InputError(f"{path} is given twice; name all of its values in one option, separated by commas")
        fields[path] = values
    return fields


def _with_epochs(fields: dict[str, list[Any]], epochs: int | None) -> dict[str, list[Any]]:
    return fields if epochs is None else {**fields, "training.epochs": [epochs]}


def _only(chosen: Chosen, arms: list[str] | None) -> Chosen:
    """Return the study with the named arms alone."""
    for name in arms or ():
        if name not in chosen.arms:
            raise unknown_name("arm", name, chosen.arms)
    return chosen._replace(arms={name: chosen.arms[name] for name in dict.fromkeys(arms)}) if arms else chosen
