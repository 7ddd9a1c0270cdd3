"""Grids: arms for every combination of some fields' values.

{"mlp.activation": ["tanh", "relu"], "optimizer.learning_rate": [0.01, 0.1]} ─► four arms
"""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from vgrad_jax.errors import InputError
from vgrad_jax.studies.fields import FieldError, Fields, check_path
from vgrad_jax.texts import parsed_toml

__all__ = ["MOST_ARMS", "crossed", "parsed_setting"]

MOST_ARMS = 1000
"""Largest number of arms of a grid: more are a mistake rather than a question."""


def crossed(grid: Mapping[str, Sequence[Any]]) -> dict[str, Fields]:
    """Return arm name to the arm's fields, for every combination of values.

    A name holds the values of those fields that have several.

    Args:
        grid: path of each field to its values.

    Raises:
        FieldError: a path names no field, a field has no values, or has a value twice.
        InputError: the grid has more arms than a sweep can show.

    >>> list(crossed({"mlp.activation": ["tanh", "relu"], "training.epochs": [3]}))
    ['tanh', 'relu']
    """
    for path, values in grid.items():
        check_path(path)
        if not isinstance(values, list | tuple) or not values:
            raise FieldError(path, f"{path} needs a list of values, such as [1, 2]; got {values!r}")
        repeated = [value for index, value in enumerate(values) if value in values[:index]]
        if repeated:
            raise FieldError(path, f"{path} holds the value {repeated[0]!r} twice")
    count = 1
    for values in grid.values():
        count *= len(values)
    if count > MOST_ARMS:
        raise InputError(f"the grid has {count} arms, more than {MOST_ARMS}; give fewer values")
    varied = [path for path, values in grid.items() if len(values) > 1]
    # A number alone does not say which field it belongs to.
    arms: dict[str, Fields] = {}
    for combination in itertools.product(*grid.values()):
        fields = dict(zip(grid, combination, strict=True))
        label = ", ".join(_label(path, fields[path]) for path in varied)
        if label in arms:
            raise InputError(f"two arms of the grid have the name {label!r}: their values are written alike; keep one")
        arms[label] = fields
    return arms


def parsed_setting(text: str) -> tuple[str, list[Any]]:
    """Return path and values of a setting, "mlp.activation=tanh,relu".

    A value is a number, true, false, a list in brackets, or a text. Commas in brackets do not separate values.

    Raises:
        InputError: the setting has no "=", or no value.

    >>> parsed_setting("mlp.kernel_init=uniform(0, 1),he_normal")
    ('mlp.kernel_init', ['uniform(0, 1)', 'he_normal'])
    """
    path, equals, rest = text.partition("=")
    if not equals or not rest.strip():
        raise InputError(f"--set takes a field and its values, such as mlp.activation=tanh,relu; got {text!r}")
    return path.strip(), [_value(part.strip()) for part in _split(rest)]


def _split(text: str) -> list[str]:
    """Return the parts of a text between commas outside of brackets."""
    parts, depth = [""], 0
    for letter in text:
        depth += (letter in "([{") - (letter in ")]}")
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return parts


def _value(text: str) -> Any:
    try:
        values = parsed_toml(f"value = {text}", "a value")
    except InputError:
        return text
    return values["value"] if len(values) == 1 else text  # A line break in the text may begin another key.


def _label(path: str, value: Any) -> str:
    """Return a value as a part of an arm's name."""
    if isinstance(value, list | tuple):
        value = "x".join(str(item) for item in value) or "none"
    elif isinstance(value, dict):
        value = str(value.get("function", value)).rpartition(":")[2]
    is_text = isinstance(value, str) and not value.replace("x", "").isdigit()
    return value if is_text else f"{path.partition('.')[2]} {value}"
