"""Studies in TOML files.

    study.toml ─► [base], [arms.NAME], [grid], include ─► fields of each arm ─► Experiments

A file names what the tables of this package hold, and functions of JAX. It never names other callables. A mistake is
reported with its line.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vgrad_jax.descriptions import MAX_SEED, whole_number
from vgrad_jax.errors import InputError, unknown_name
from vgrad_jax.experiment import Experiment
from vgrad_jax.presets import STUDIES
from vgrad_jax.studies.fields import FieldError, experiment_of, flattened
from vgrad_jax.studies.grid import crossed
from vgrad_jax.studies.own_data import adapted
from vgrad_jax.texts import parsed_toml

__all__ = ["Study", "read_study", "study_from"]

TABLES = ("title", "seeds", "study_seed", "include", "base", "arms", "grid")
"""Keys at the top of a study's file."""

PATHS = ("data.path", "data.test_path")
"""Fields that hold paths, which are relative to the study's file."""

SEEDS = 64
"""Runs of each arm of a study that does not say."""


@dataclass(frozen=True)
class Study:
    """Arms and sizes of a study.

    Args:
        title: title of the page.
        arms: arm name to `Experiment`.
        seeds: runs of each arm.
        study_seed: seed of the study.
    """

    title: str
    arms: Mapping[str, Experiment]
    seeds: int
    study_seed: int = 0


def read_study(path: Path, settings: Mapping[str, list[Any]] | None = None) -> Study:
    """Read a study from a file.

    Args:
        path: a TOML file; or a JSON file with one `Experiment`.
        settings: path of a field to its values; they replace the file's values and extend its grid.

    Raises:
        InputError: the file cannot be read, or a value in it cannot be used; the message names the line.
    """
    if path.exists() and not path.is_file():
        raise InputError(f"{str(path)!r} cannot be read as a study: it is no file")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{str(path)!r} cannot be read as a study: {error}") from None
    try:
        if path.suffix.lower() == ".json":
            plain = {"arms": {path.stem: Experiment.from_json(text).to_dict()}}
            return study_from(_without_none(plain), settings or {}, title=path.stem, folder=path.parent)
        values = parsed_toml(text, repr(str(path)))
    except RecursionError:
        raise InputError(f"{str(path)!r} is nested too deeply to be a study") from None
    try:
        return study_from(values, settings or {}, title=path.stem, folder=path.parent)
    except FieldError as error:
        line = _line_of(text, f"{error.table}.{error.path}".strip("."))
        raise InputError(f"{str(path)!r}{f', line {line}' if line else ''}: {error}") from None
    except InputError as error:
        raise InputError(f"{str(path)!r}: {error}") from None


def study_from(
    values: Mapping[str, Any], settings: Mapping[str, list[Any]], *, title: str, folder: Path = Path()
) -> Study:
    """Return the study that a file's tables describe.

    Args:
        values: the tables, with the keys in `TABLES`.
        settings: path of a field to its values; they replace the file's values and extend its grid.
        title: title where the tables hold none.
        folder: folder of relative paths.

    Raises:
        FieldError: a field is unknown or impossible.
        InputError: the tables hold no arm, or arms do not fit together.
    """
    for key in values:
        if key not in TABLES:
            raise FieldError(key, str(unknown_name("key of a study", key, TABLES)))
    base = _fields(values.get("base", {}), "base")
    grid = {**_fields(values.get("grid", {}), "grid"), **settings}
    named = {name: _fields(arm, f"arms.{name}") for name, arm in _part(values.get("arms", {}), "arms").items()}
    arms: dict[str, Experiment] = {}
    for name, own in named.items():
        twice = sorted(set(own) & set(grid) - set(settings))
        if twice:
            with _within(f"arms.{name}"):
                raise FieldError(twice[0], f"{twice[0]} is set in [arms.{name}] and in [grid]; leave it in one of them")
    with _within("grid"):
        combinations = crossed(grid)
    for name, own in (named or ({"": {}} if base or grid else {})).items():
        for combination, fields in combinations.items():
            label = ": ".join(part for part in (name, combination) if part) or title
            merged = {**base, **own, **fields}
            # A path that the command line gives is relative to the working folder.
            merged = {
                path: _absolute(value, folder) if path in PATHS and path not in settings else value
                for path, value in merged.items()
            }
            if "data.source" in settings:
                merged.pop("data.path", None)
            try:
                arms[label] = experiment_of(adapted(merged))
            except FieldError as error:
                tables = (("", settings), ("grid", grid), (f"arms.{name}", own), ("base", base))
                error.table = next((table for table, held in tables if error.path in held), "")
                raise
            except InputError as error:
                raise InputError(f"arm {label!r}: {error}") from None
    for preset in _included(values):
        study = STUDIES[preset]
        for name, experiment in study.make(epochs=study.epochs).items():
            if name in arms:
                raise InputError(
                    f"the arm {name!r} of the study {preset!r} has the name of another arm; rename that arm"
                )
            arms[name] = experiment
    if not arms:
        raise InputError('a study needs arms: a table [arms.NAME], [base] or [grid], or include = "article"')
    return Study(
        title=str(values.get("title", title)),
        arms=arms,
        seeds=whole_number("seeds", values.get("seeds", SEEDS), minimum=1),
        study_seed=whole_number("study_seed", values.get("study_seed", 0), maximum=MAX_SEED),
    )


def _included(values: Mapping[str, Any]) -> list[str]:
    included = values.get("include", [])
    included = [included] if isinstance(included, str) else included
    if not isinstance(included, list):
        raise FieldError("include", f'include names studies, such as "article"; got {included!r}')
    for name in included:
        if name not in STUDIES:
            raise FieldError("include", str(unknown_name("study", str(name), STUDIES)))
    return included


def _fields(value: Any, table: str) -> dict[str, Any]:
    """Return the fields in a table of the file."""
    with _within(table):
        return flattened(_part(value, table))


@contextmanager
def _within(table: str) -> Iterator[None]:
    """Give an error about a field the name of its table in the file."""
    try:
        yield
    except FieldError as error:
        error.table = table if error.path != table else ""
        raise


def _part(value: Any, key: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise FieldError(key, f"[{key}] must be a table; got {value!r}")
    return value


def _absolute(value: Any, folder: Path) -> Any:
    return str(folder / value) if isinstance(value, str) else value


def _without_none(value: Any) -> Any:
    """Return nested values without those that are None, which TOML cannot hold either."""
    if isinstance(value, dict):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    return value


def _line_of(text: str, path: str) -> int | None:
    """Return the number of the line of a key, or of the nearest table or key around it; None where there is none.

    Args:
        text: text of the file.
        path: names of tables and keys, joined by dots.
    """
    header, nearest, line_of_nearest = "", "", None
    for number, line in enumerate(text.splitlines(), 1):
        table, entry = _TABLE.match(line), _KEY.match(line)
        if table:
            header = name = _joined(table[1])
        elif entry:
            name = ".".join(filter(None, (header, _joined(entry[1]))))
        else:
            continue
        if f"{path}.".startswith(f"{name}.") and len(name) > len(nearest):
            nearest, line_of_nearest = name, number
    return line_of_nearest


def _joined(names: str) -> str:
    """Return a dotted key without its quotes and spaces."""
    return ".".join("".join(parts) for parts in _NAME.findall(names))


_NAME = re.compile(r"""\"([^"]*)\"|'([^']*)'|([\w-]+)""")
_NAMES = r"""(?:"[^"]*"|'[^']*'|[\w-]+)(?:\s*\.\s*(?:"[^"]*"|'[^']*'|[\w-]+))*"""
_TABLE = re.compile(rf"^\s*\[\s*({_NAMES})\s*\]")
_KEY = re.compile(rf"^\s*({_NAMES})\s*=")
