"""Descriptions: frozen dataclasses that check themselves when they are made, and that JSON can hold.

The fields of a description are numbers, strings, tuples, other descriptions, or functions.

    function in this process --to_dict--> {"function": "module:name"} --from_dict--> function of JAX, or handed over

A file is data: reading it imports no module of the file's choice and returns no arbitrary callable. A name stands for
one of JAX's public functions, or for a function that the caller has handed over in this process.
"""

import dataclasses
import importlib
import json
import math
import numbers
import sys
from collections.abc import Callable, Hashable, Iterable
from typing import Any, TypeVar

from vgrad_jax.boundary import checked
from vgrad_jax.errors import InputError, unknown_name
from vgrad_jax.texts import parsed_json

__all__ = [
    "MAX_SEED",
    "UNWRITTEN",
    "Description",
    "NamedFunction",
    "canonical_call",
    "hand_over",
    "number",
    "parse_call",
    "whole_number",
]

NamedFunction = str | Callable[..., Any]
"""Name from a table, with numbers in brackets where it has parameters, or a function."""


PUBLIC_MODULES = ("jax.nn", "jax.numpy", "jax.lax", "jax.scipy.special", "jax.nn.initializers")
"""Modules of JAX whose functions a description may name."""

MAX_SEED = 2**32 - 1
"""Largest seed and largest number of a run: a PRNG key is made from 32 bits."""


UNWRITTEN: dict[str, bool] = {"unwritten": True}
"""Metadata of a field that `to_dict` leaves out at its default.

Descriptions of earlier versions lack the field. They are written as before, so that their identities stay.
"""


def whole_number(name: str, value: Any, *, minimum: int = 0, maximum: int = 10**9) -> int:
    """Return `value` as an int.

    Args:
        name: name of the value, for the error message.
        value: any value.
        minimum: smallest valid value.
        maximum: largest valid value.

    Raises:
        InputError: the value is no integer, or is outside of `minimum` to `maximum`.

    >>> whole_number("epochs", 3)
    3
    """
    is_whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not is_whole or value < minimum:
        raise InputError(f"{name} must be a whole number, {minimum} or larger; got {value!r}")
    if value > maximum:
        raise InputError(f"{name} must be a whole number, {maximum} at the most; got {value!r}")
    return int(value)


def number(
    name: str, value: Any, *, above: float = -math.inf, below: float = math.inf, at_least: float = -math.inf
) -> float:
    """Return `value` as a finite float.

    Args:
        name: name of the value, for the error message.
        value: any value.
        above: lower bound, itself not valid.
        below: upper bound, itself not valid.
        at_least: smallest valid value.

    Raises:
        InputError: the value is no finite real number, or is outside of the bounds.

    >>> number("noise", 1, at_least=0.0)
    1.0
    """
    is_real = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not (is_real and math.isfinite(value) and above < value < below and value >= at_least):
        bounds = [
            f"above {above:g}" if above > -math.inf else "",
            f"{at_least:g} or larger" if at_least > -math.inf else "",
            f"below {below:g}" if below < math.inf else "",
        ]
        wanted = " and ".join(bound for bound in bounds if bound)
        raise InputError(f"{name} must be a finite number{' ' if wanted else ''}{wanted}; got {value!r}")
    return float(value)


def parse_call(kind: str, text: str, parameters: dict[str, tuple[int, int]]) -> tuple[str, tuple[float, ...]]:
    """Split "name" or "name(1, 0.5)" into the name and its numbers.

    Args:
        kind: word for the things that the table names, for the error message.
        text: a name, with numbers in brackets where it has parameters.
        parameters: valid name to the smallest and the largest count of its numbers.

    Raises:
        InputError: the name is unknown, or the numbers do not fit the name.

    >>> parse_call("initializer", "uniform(0, 1)", {"uniform": (2, 2)})
    ('uniform', (0.0, 1.0))
    """
    name, bracket, rest = text.strip().partition("(")
    name = name.strip()
    if name not in parameters:
        raise unknown_name(kind, name, parameters)
    least, most = parameters[name]
    inside = rest.strip().removesuffix(")").strip() if bracket else ""
    try:
        if bracket and not rest.strip().endswith(")"):
            raise ValueError
        values = tuple(float(part) for part in inside.split(",")) if inside else ()
    except ValueError:
        values = (math.nan,)
    if not least <= len(values) <= most or not all(map(math.isfinite, values)):
        wanted = str(least) if least == most else f"{least} to {most}"
        example = f"{name}({', '.join(['0.5'] * most)})" if most else name
        raise InputError(f"{kind} {name!r} takes {wanted} finite numbers, as in {example!r}; got {text!r}")
    return name, values


def canonical_call(name: str, values: tuple[float, ...]) -> str:
    """Return the canonical spelling of a name with its numbers, so that equal descriptions compare equal."""
    return f"{name}({', '.join(f'{value!r}' for value in values)})" if values else name


Kind = TypeVar("Kind", bound="Description")


class Description:
    """Base of all descriptions: conversion to dictionaries and JSON, and back.

    Raises:
        InputError: an argument is no field; the message names the nearest fields.
    """

    def __new__(cls, *values: Any, **fields: Any) -> "Description":
        """Refuse arguments that no field has, and names that are no texts, before a table looks them up."""
        _require_fields(cls, fields)
        own = dataclasses.fields(cls)  # type: ignore[arg-type]
        for field, value in (*zip(own, values, strict=False), *((f, fields[f.name]) for f in own if f.name in fields)):
            if field.type in (str, str | None) and not isinstance(value, Hashable):
                raise InputError(f"{field.name} must be a text; got {value!r}")
        return super().__new__(cls)

    @classmethod
    def nested(cls) -> dict[str, type["Description"]]:
        """Return the fields that are descriptions themselves: field name to class."""
        return {}

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain values that JSON can hold, without those that are `UNWRITTEN`.

        Raises:
            InputError: a field holds a function that cannot be imported by its name.
        """
        return {
            field.name: _to_plain(field.name, getattr(self, field.name))
            for field in dataclasses.fields(self)  # type: ignore[arg-type]
            if field.metadata != UNWRITTEN or getattr(self, field.name) != field.default
        }

    def to_json(self) -> str:
        """Return the description as JSON text; `from_json` returns an equal description."""
        return json.dumps(self.to_dict(), indent=2, allow_nan=False)

    @classmethod
    @checked
    def from_dict(cls: type[Kind], values: Any, *, functions: Iterable[Callable[..., Any]] = ()) -> Kind:
        """Return the description whose fields `to_dict` returned.

        Args:
            values: field name to plain value.
            functions: the caller's own functions that the values may name, as `hand_over` takes them.

        Raises:
            InputError: a field is unknown, a function was not handed over, or the description refuses a value.
        """
        for function in functions:
            hand_over(function)
        if not isinstance(values, dict):
            raise InputError(f"a {cls.__name__} is read from a mapping of fields to values; got {values!r}")
        _require_fields(cls, values)
        nested = cls.nested()
        return cls(
            **{
                name: nested[name].from_dict(value) if name in nested else _from_plain(value)
                for name, value in values.items()
            }
        )

    @classmethod
    @checked
    def from_json(cls: type[Kind], text: str, *, functions: Iterable[Callable[..., Any]] = ()) -> Kind:
        """Return the description whose JSON text `to_json` returned.

        Args:
            text: the JSON text.
            functions: the caller's own functions that the text may name, as `hand_over` takes them.

        Raises:
            InputError: the text is no JSON, or `from_dict` refuses its values.
        """
        return cls.from_dict(parsed_json(text, f"the text of a {cls.__name__}"), functions=functions)


def _require_fields(cls: type[Description], names: Iterable[str]) -> None:
    """Refuse names that are no fields of a description."""
    known = {field.name for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    for name in names:
        if name not in known:
            raise unknown_name(f"field of {cls.__name__}", name, known)


def hand_over(function: Callable[..., Any]) -> None:
    """Allow descriptions in this process to name a function of the caller's.

    A description that is made with a function hands the function over by itself. A function without a name at the top
    of a module, such as a lambda, cannot be named by a file and is ignored.
    """
    path = _path(function)
    if path is not None and _public_name(function) is None:
        _handed_over[path] = function


_handed_over: dict[str, Callable[..., Any]] = {}
"""Functions that were handed over: path, "module:name", to function."""


def _to_plain(name: str, value: Any) -> Any:
    """Return the plain value of the field `name`."""
    if isinstance(value, Description):
        return value.to_dict()
    if isinstance(value, tuple):
        return [_to_plain(name, item) for item in value]
    if callable(value):
        return {"function": _name_of(name, value)}
    return value


def _from_plain(value: Any) -> Any:
    """Return the value that `_to_plain` made plain."""
    if isinstance(value, list):
        return tuple(_from_plain(item) for item in value)
    if isinstance(value, dict) and set(value) == {"function"}:
        return _function(value["function"])
    return value


def _name_of(field: str, function: Callable[..., Any]) -> str:
    """Return the path of a function, "module:name", or raise `InputError` where it has none."""
    path = _path(function)
    if path is None:
        raise InputError(
            f"{field} is {function!r}, which cannot be found again by a name, so it cannot be written down; "
            "define it with a name at the top of a module, or use one of the names the project knows"
        )
    return path


def _path(function: Callable[..., Any]) -> str | None:
    """Return "module:name" if the module holds the function under this name, and None otherwise."""
    module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(name, str):
        return None
    value: Any = sys.modules.get(module)
    for part in name.split("."):
        value = getattr(value, part, None)
    return f"{module}:{name}" if value is function else None


def _public_name(function: Callable[..., Any]) -> str | None:
    """Return the path of one of JAX's public functions, and None for any other function."""
    path = _path(function)
    return path if path is not None and _of_jax(path) is function else None


def _function(path: Any) -> Callable[..., Any]:
    """Return the function that a file names.

    Raises:
        InputError: the path names neither a public function of JAX nor a function that was handed over.
    """
    function = _of_jax(path) if isinstance(path, str) else None
    if function is None and isinstance(path, str):
        function = _handed_over.get(path)
    if function is None:
        raise InputError(
            f"a description names the function {path!r}, which is not one of JAX's and was not handed over; give it "
            "with functions=[...] where the description is read, or make a description with it first"
        )
    return function


def _of_jax(path: str) -> Callable[..., Any] | None:
    """Return JAX's public function of this path, or None.

    The path may name the public module or the private module that defines the function, since JAX's functions carry the
    name of the private module.
    """
    module, _, name = path.partition(":")
    if module.partition(".")[0] != "jax" or name.startswith("_") or "." in name:
        return None
    for public in PUBLIC_MODULES:
        function = getattr(importlib.import_module(public), name, None)
        if callable(function) and module in (public, getattr(function, "__module__", None)):
            return function
    return None
