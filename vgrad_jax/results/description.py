"""Description of a study: all that its numbers depend on, as plain values."""

from collections.abc import Mapping
from typing import Any

__all__ = ["NOT_WRITTEN_DOWN", "RESULTS_VERSION", "changed_data", "describe", "difference", "located", "undescribed"]

RESULTS_VERSION = 6
"""Version of the layout and of the numbers: a store is resumed with its own version alone."""

PATHS = ("path", "test_path")
"""Fields of data that say where a file lies, not what it holds."""

NOT_WRITTEN_DOWN = "not written down"
"""Key that replaces the fields of an arm without a description."""


def describe(
    descriptions: Mapping[str, Mapping[str, Any]], fingerprints: Mapping[str, str], seed: int
) -> dict[str, Any]:
    """Return the description of a study as plain values.

    Args:
        descriptions: arm name to the arm's description, or to the result of `undescribed`.
        fingerprints: arm name to the fingerprint of its data.
        seed: seed of the study.
    """
    return {
        "results_version": RESULTS_VERSION,
        "seed": seed,
        "arms": {name: dict(description) for name, description in descriptions.items()},
        "data": dict(fingerprints),
    }


def undescribed(arm: object) -> dict[str, Any]:
    """Return the placeholder for the description of an arm that cannot be written down."""
    return {NOT_WRITTEN_DOWN: repr(arm)}


def located(stored: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Return the description in a store with its data files where this study has them.

    A file is the same wherever it lies, if the arm's data have the same fingerprint.

    Args:
        stored: description in a store.
        wanted: description of this study.

    >>> held = {"arms": {"a": {"data": {"path": "t.csv"}}}, "data": {"a": "3f"}}
    >>> located(held, {"arms": {"a": {"data": {"path": "old/t.csv"}}}, "data": {"a": "3f"}})["arms"]
    {'a': {'data': {'path': 'old/t.csv'}}}
    """
    arms = dict(stored["arms"])
    for name, arm in stored["arms"].items():
        data, wanted_data = arm.get("data"), wanted["arms"].get(name, {}).get("data")
        if (
            isinstance(data, Mapping)
            and isinstance(wanted_data, Mapping)
            and stored["data"][name] == wanted["data"][name]
        ):
            moved = {path: wanted_data[path] for path in PATHS if wanted_data.get(path) and data.get(path)}
            arms[name] = {**arm, "data": {**data, **moved}}
    return {**stored, "arms": arms}


def changed_data(stored: Mapping[str, Any], wanted: Mapping[str, Any]) -> str | None:
    """Return words for the data that have changed between two descriptions with equal arms; None where none has.

    Args:
        stored: description in a store.
        wanted: description of this study.
    """
    if {**stored, "data": None} != {**wanted, "data": None}:
        return None
    arms = [arm for arm, fingerprint in wanted["data"].items() if stored["data"].get(arm) != fingerprint]
    if not arms:
        return None
    data = wanted["arms"][arms[0]].get("data")
    paths = [data[name] for name in PATHS if data.get(name)] if isinstance(data, Mapping) else []
    files = " or ".join(repr(path) for path in paths)
    return f"the file {files} has changed" if files else f"the data of arm {arms[0]!r} have changed"


def difference(stored: Any, wanted: Any, path: str = "") -> str | None:
    """Return the first field in which two descriptions differ, in words, or None when they are equal.

    Args:
        stored: description in a store.
        wanted: description of this study.
        path: names of the fields around these values.

    >>> difference({"seed": 0}, {"seed": 1})
    'seed is 0 there and 1 here'
    """
    if isinstance(stored, Mapping) and isinstance(wanted, Mapping):
        for key in sorted({*stored, *wanted}, key=str):
            field = f"{path}.{key}" if path else str(key)
            if key not in stored or key not in wanted:
                return f"{field} is only {'here' if key in wanted else 'there'}"
            nested = difference(stored[key], wanted[key], field)
            if nested:
                return nested
        return None
    if isinstance(stored, list) and isinstance(wanted, list):
        if len(stored) != len(wanted):
            return f"{path} has {len(stored)} entries there and {len(wanted)} here"
        pairs = enumerate(zip(stored, wanted, strict=True))
        return next(filter(None, (difference(*pair, f"{path}[{index}]") for index, pair in pairs)), None)
    return None if stored == wanted else f"{path} is {stored!r} there and {wanted!r} here"
