"""Fields of an `Experiment` by their paths, such as "mlp.activation".

    {"mlp": {"activation": "tanh"}} ─► {"mlp.activation": "tanh"} ─► Experiment

A mistake is reported with the path of the field, so that a file or a command can say where it stands.
"""

from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

from vgrad_jax.data import Data
from vgrad_jax.descriptions import Description
from vgrad_jax.errors import InputError, unknown_name
from vgrad_jax.experiment import Experiment

__all__ = ["FieldError", "Fields", "experiment_of", "field_paths", "flattened", "part_of"]

Fields = Mapping[str, Any]
"""Path of a field, "part.name", to its plain value."""

_NOT_IN_FILES: dict[type[Description], tuple[str, ...]] = {Data: ("x", "y", "arrays")}
"""Fields that hold arrays, which a file cannot name."""


class FieldError(InputError):
    """Error about a field of an experiment; `path` names the field, and `table` the table of a file that holds it."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(message)
        self.path = path
        self.table = ""


def field_paths() -> list[str]:
    """Return the paths of all fields of an `Experiment`.

    >>> "mlp.activation" in field_paths(), "data.x" in field_paths()
    (True, False)
    """
    return [
        f"{part}.{field.name}"
        for part, kind in Experiment.nested().items()
        for field in fields(kind)  # type: ignore[arg-type]
        if field.name not in _NOT_IN_FILES.get(kind, ())
    ]


def flattened(values: Any, path: str = "") -> dict[str, Any]:
    """Return nested tables as paths to plain values.

    Args:
        values: nested mappings, as a file holds them; keys may be paths themselves.
        path: path of the table.

    Raises:
        FieldError: a part of an experiment is no table, or no field has the name.

    >>> flattened({"mlp": {"activation": "tanh"}, "training.epochs": 3})
    {'mlp.activation': 'tanh', 'training.epochs': 3}
    """
    parts = {name.partition(".")[0] for name in field_paths()}
    flat: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{path}.{key}" if path else str(key)
        if name in parts:
            if not isinstance(value, Mapping):
                raise FieldError(
                    name, f"{name} must be a table of fields, such as {name}.{_example(name)}; got {value!r}"
                )
            flat.update(flattened(value, name))
        else:
            check_path(name)
            flat[name] = value
    return flat


def check_path(path: str) -> None:
    """Refuse a path that names no field of an `Experiment`.

    Raises:
        FieldError: no field has this path; the message names the nearest paths.
    """
    known = field_paths()
    if path in known:
        return
    part, _, name = path.rpartition(".")
    if part in Experiment.nested():
        names = [other.partition(".")[2] for other in known if other.startswith(f"{part}.")]
        raise FieldError(path, str(unknown_name(f"field of {part}", name, names)))
    by_name = [other for other in known if other.partition(".")[2] == name]
    if by_name:
        raise FieldError(path, f"unknown field {path!r}; did you mean {by_name[0]!r}?")
    raise FieldError(path, str(unknown_name("field", path, known)))


def experiment_of(values: Fields) -> Experiment:
    """Return the `Experiment` with these fields; all others have their defaults.

    Raises:
        FieldError: a value is impossible; the error names its field.
        InputError: values do not fit each other.
    """
    return Experiment(**{part: part_of(part, values) for part in Experiment.nested()})


def part_of(part: str, values: Fields) -> Any:
    """Return the description that a part of an `Experiment` is, such as "data", from the fields of the whole.

    Raises:
        FieldError: a value is impossible; the error names its field.
    """
    own = {path.partition(".")[2]: value for path, value in values.items() if path.startswith(f"{part}.")}
    return _made(part, Experiment.nested()[part], own)


def _made(part: str, kind: type[Description], values: dict[str, Any]) -> Any:
    """Return a description, or raise an error that names the field at fault."""
    try:
        return kind.from_dict(values)
    except InputError as error:
        raise FieldError(f"{part}.{_at_fault(kind, values, str(error))}", str(error)) from None


def _at_fault(kind: type[Description], values: dict[str, Any], message: str) -> str:
    """Return the field that causes an error: without it the error changes. The first field is returned if none does."""
    for name in values:
        others = {other: value for other, value in values.items() if other != name}
        try:
            kind.from_dict(others)
        except InputError as error:
            if str(error) == message:
                continue
        return name
    return next(iter(values))


def _example(part: str) -> str:
    names: Iterable[str] = (path.partition(".")[2] for path in field_paths() if path.startswith(f"{part}."))
    return next(iter(names))
