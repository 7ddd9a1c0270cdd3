"""Texts in JSON and TOML, read without surprises: every failure is one kind of error, and no key counts twice."""

import json
import tomllib
from typing import Any

from vgrad_jax.errors import InputError

__all__ = ["parsed_json", "parsed_toml"]


def parsed_json(text: str, source: str) -> Any:
    """Return the value of a JSON text.

    Args:
        text: the text.
        source: name of the text, for messages.

    Raises:
        InputError: it is no JSON, is nested too deeply, or an object has a key twice.

    >>> parsed_json('{"epochs": 5}', "a study")
    {'epochs': 5}
    """

    def mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        values = dict(pairs)
        if len(values) < len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            raise InputError(f"{source} gives {twice!r} twice; leave one of them out")
        return values

    try:
        return json.loads(text, object_pairs_hook=mapping)
    except InputError:
        raise
    except (ValueError, RecursionError) as error:
        raise InputError(f"{source} is not JSON: {_reason(error)}") from None


def parsed_toml(text: str, source: str) -> dict[str, Any]:
    """Return the tables of a TOML text.

    Args:
        text: the text.
        source: name of the text, for messages.

    Raises:
        InputError: it is no TOML, or is nested too deeply.

    >>> parsed_toml("epochs = 5", "a study")
    {'epochs': 5}
    """
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{source} is not TOML: {_reason(error)}") from None


def _reason(error: Exception) -> str:
    return "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
