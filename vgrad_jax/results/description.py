"""Descriptions of a study: everything on which its numbers depend."""

from collections.abc import Mapping
from typing import Any

__all__ = ["NOT_WRITTEN_DOWN", "RESULTS_VERSION", "describe", "difference", "undescribed"]

RESULTS_VERSION = 6
"""Version of the layout and the numbers: stores of different versions do not mix."""

NOT_WRITTEN_DOWN = "not written down"
"""Key in place of the fields of an arm that has no description."""


def describe(
    descriptions: Mapping[str, Mapping[str, Any]], fingerprints: Mapping[str, str], seed: int
) -> dict[str, Any]:
    """Return everything on which a study's numbers depend, as plain values.

    Args:
        descriptions: arm name to the arm's description, or to `undescribed`.
        fingerprints: arm name to the fingerprint of its data.
        seed: of the whole study.
    """
    return {
        "results_version": RESULTS_VERSION,
        "seed": seed,
        "arms": {name: dict(description) for name, description in descriptions.items()},
        "data": dict(fingerprints),
    }


def undescribed(arm: object) -> dict[str, Any]:
    """Return what stands in place of the description of an arm that cannot be written down."""
    return {NOT_WRITTEN_DOWN: repr(arm)}


def difference(stored: Any, wanted: Any, path: str = "") -> str | None:
    """The first place where two descriptions differ, in words; None when they are equal.

    >>> difference({"seed": 0}, {"seed": 1})
    'seed is 0 there and 1 here'
    """
    if isinstance(stored, Mapping) and isinstance(wanted, Mapping):
        for key in sorted({*stored, *wanted}, key=str):
            where = f"{path}.{key}" if path else str(key)
            if key not in stored or key not in wanted:
                return f"{where} is only {'here' if key in wanted else 'there'}"
            found = difference(stored[key], wanted[key], where)
            if found:
                return found
        return None
    return None if stored == wanted else f"{path} is {stored!r} there and {wanted!r} here"
