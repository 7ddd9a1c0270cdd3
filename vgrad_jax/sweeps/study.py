"""What makes two sweeps the same study: the arms, the seed and the data."""

import json
import platform
import sys
from collections.abc import Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import jax
import numpy

from vgrad_jax.data import Dataset, data_fingerprint, load_data
from vgrad_jax.errors import InputError
from vgrad_jax.experiment import Experiment
from vgrad_jax.sweeps.engine import JAX_SETTINGS

if TYPE_CHECKING:
    import xarray

__all__ = [
    "arm_names",
    "arms_of",
    "check_arms",
    "check_versions",
    "data_of",
    "describe",
    "difference",
    "study_seed",
    "versions",
]

RESULTS_VERSION = 6
"""Goes up when the same study gives other numbers or is laid out differently: then stores do not mix."""

DECISIVE = ("jax", "jaxlib", "llvmlite", "optax", "numpy", "machine", "instructions", "device", "settings")
"""Of `versions`: where one differs, the last digits do, and after many steps of training whole runs."""


NOT_WRITTEN_DOWN = "not written down"
"""In place of the fields of an arm that has no description."""


def check_arms(arms: Any) -> dict[str, Experiment]:
    """The arms, refused where they cannot stand in one table.

    Raises:
        InputError: no arms, something else than experiments, or arms with other epochs, recording or threshold.
    """
    if not isinstance(arms, Mapping) or not arms:
        raise InputError(f"arms must be a mapping of names to Experiments, with one at least; got {arms!r}")
    for name, experiment in arms.items():
        if not isinstance(name, str) or not name:
            raise InputError(f"an arm's name must be a text; got {name!r}")
        if not isinstance(experiment, Experiment):
            raise InputError(f"arm {name!r} must be an Experiment; got {experiment!r}")
    first_name, first = next(iter(arms.items()))
    for name, experiment in arms.items():
        if experiment.training.threshold != first.training.threshold:
            raise InputError(
                f"all arms of a sweep need the same threshold, or converging means different things; {first_name!r} "
                f"has {first.training.threshold}, {name!r} {experiment.training.threshold}"
            )
        if (experiment.recording, experiment.training.epochs) != (first.recording, first.training.epochs):
            raise InputError(
                f"all arms of a sweep need the same epochs and recording; {first_name!r} has {first.training.epochs} "
                f"epochs and {first.recording}, {name!r} has {experiment.training.epochs} and {experiment.recording}"
            )
    return dict(arms)


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


def arms_of(results: "xarray.Dataset") -> dict[str, Experiment]:
    """The arms in a sweep's results, read from its description.

    Raises:
        InputError: an arm that holds a function without a name, so that it was not described.
    """
    described = json.loads(results.attrs["study"])["arms"]
    for name in arm_names(results):
        if NOT_WRITTEN_DOWN in described[name]:
            raise InputError(
                f"this needs the descriptions of all arms, and that of {name!r} was not stored because it holds a "
                "function that cannot be found again by a name"
            )
    return {name: Experiment.from_dict(described[name]) for name in arm_names(results)}


def arm_names(results: "xarray.Dataset") -> list[str]:
    """In the order of the results; also of arms that are not described."""
    return [str(name) for name in results["arm"].values]


def data_of(results: "xarray.Dataset", arm: str) -> Dataset | None:
    """The data of an arm, where it is still what it was trained on; None where its file is gone or has changed."""
    try:
        dataset = load_data(arms_of(results)[arm].data)
    except InputError:
        return None
    return dataset if data_fingerprint(dataset) == json.loads(results.attrs["study"])["data"][arm] else None


def study_seed(results: "xarray.Dataset") -> int:
    """The seed of the whole study, read from a sweep's results."""
    return int(json.loads(results.attrs["study"])["seed"])


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


def versions() -> dict[str, str]:
    """Versions and machine, for the record."""
    device = jax.devices()[0]
    return {
        **{
            name: version(name)
            for name in ("vgrad_jax", "jax", "jaxlib", "llvmlite", "optax", "numpy", "xarray", "zarr")
        },
        "python": sys.version.split()[0],
        "machine": platform.machine(),
        "instructions": _instructions(),
        "system": platform.system(),
        "device": f"{device.platform}: {device.device_kind}",
        "settings": ", ".join(f"{name}={getattr(jax.config, name)}" for name in JAX_SETTINGS),
    }


def check_versions(found: Mapping[str, str], opening: str) -> None:
    """That runs trained with these versions can stand beside runs trained here.

    Args:
        found: `versions` of the others.
        opening: of the sentence that refuses them.

    Raises:
        InputError: something differs that changes numbers.
    """
    here = versions()
    changed = [
        f"{name} {found.get(name, 'unknown')} there and {here[name]} here"
        for name in DECISIVE
        if found.get(name) != here[name]
    ]
    if changed:
        raise InputError(f"{opening}: {'; '.join(changed)}. The same seed gives other numbers there and here")


def _instructions() -> str:
    """The processor's vector instructions, by which XLA chooses its programs on CPU."""
    configuration: Any = numpy.show_config(mode="dicts")
    return " ".join(configuration["SIMD Extensions"].get("found", []))
