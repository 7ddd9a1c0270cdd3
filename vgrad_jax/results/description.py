"""Descriptions of a study: everything on which its numbers depend."""

from collections.abc import Mapping
from typing import Any

from vgrad_jax.data import Dataset, data_fingerprint
from vgrad_jax.errors import InputError
from vgrad_jax.experiment import Experiment

__all__ = ["NOT_WRITTEN_DOWN", "RESULTS_VERSION", "describe", "difference"]

RESULTS_VERSION = 6
"""Version of the layout and the numbers: stores of different versions do not mix."""

NOT_WRITTEN_DOWN = "not written down"
"""Key in place of the fields of an arm that has no description."""


def describe(
    arms: Mapping[str, Experiment], datasets: Mapping[str, Dataset], seed: int, *, stored: bool
) -> dict[str, Any]:
    """Everything that a run's numbers depend on, but for its own number, as plain values.

    Raises:
        InputError: an arm holds a function that cannot be found again by a name, and the results are to be stored: then
            nobody could tell whether a store is of the same study. In memory such an arm is described by its `repr`.
    """

    def plain(experiment: Experiment) -> dict[str, Any]:
        try:
            return experiment.to_dict()
        except InputError:
            if stored:
                raise
            return {NOT_WRITTEN_DOWN: repr(experiment)}

    return {
        "results_version": RESULTS_VERSION,
        "seed": seed,
        "arms": {name: plain(experiment) for name, experiment in arms.items()},
        "data": {name: data_fingerprint(dataset) for name, dataset in datasets.items()},
    }


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
