"""Reading of a sweep's results: arms, data, seed, finished runs and numbers of layers."""

import json
from dataclasses import fields
from typing import TYPE_CHECKING

import numpy as np

from vgrad_jax.data import Dataset, data_fingerprint, load_data
from vgrad_jax.errors import InputError
from vgrad_jax.experiment import Experiment
from vgrad_jax.results.description import NOT_WRITTEN_DOWN

if TYPE_CHECKING:
    import xarray

__all__ = ["arm_names", "arms_of", "completed_seeds", "data_of", "experiment_of", "num_layers", "study_seed"]


def arm_names(results: "xarray.Dataset") -> list[str]:
    """Return the names of all arms in the order of the results, also of arms without a description."""
    return [str(name) for name in results["arm"].values]


def arms_of(results: "xarray.Dataset") -> dict[str, Experiment]:
    """Return the arms of a sweep's results: arm name to the `Experiment` that its description gives.

    Raises:
        InputError: an arm has no description, because it holds a function without a name; or an arm is of another kind
            than `Experiment`.
    """
    return {name: experiment_of(results, name) for name in arm_names(results)}


def experiment_of(results: "xarray.Dataset", arm: str) -> Experiment:
    """Return the `Experiment` that an arm's description gives.

    Raises:
        InputError: the arm has no description, or is of another kind.
    """
    described = json.loads(results.attrs["study"])["arms"][arm]
    if NOT_WRITTEN_DOWN in described:
        raise InputError(
            f"this needs the descriptions of all arms, and that of {arm!r} was not stored because it holds a "
            "function that cannot be found again by a name"
        )
    if not set(described) <= {field.name for field in fields(Experiment)}:
        raise InputError(f"this needs arms that are Experiments, and {arm!r} is an arm of another kind: {described}")
    return Experiment.from_dict(described)


def data_of(results: "xarray.Dataset", arm: str) -> Dataset | None:
    """Return the data that an arm was trained on.

    None is returned where the data are gone, have changed, or are not described by an `Experiment`.
    """
    try:
        dataset = load_data(experiment_of(results, arm).data)
    except InputError:
        return None
    return dataset if data_fingerprint(dataset) == json.loads(results.attrs["study"])["data"][arm] else None


def study_seed(results: "xarray.Dataset") -> int:
    """Return the seed of the study whose results these are."""
    return int(json.loads(results.attrs["study"])["seed"])


def completed_seeds(results: "xarray.Dataset", arm: str) -> "xarray.Dataset":
    """Return an arm's finished runs.

    Raises:
        InputError: no run of the arm is finished.
    """
    runs = results.sel(arm=arm)
    finished = np.flatnonzero(runs["completed"].values)
    if not len(finished):
        raise InputError(f"no run of arm {arm!r} is finished; go on with the sweep first")
    return runs if len(finished) == runs.sizes["seed"] else runs.isel(seed=finished)


def num_layers(results: "xarray.Dataset") -> dict[str, int]:
    """Return each arm's number of layers: arm name to number."""
    if "layers" in results.attrs:
        layers = json.loads(results.attrs["layers"])
        return {arm: int(layers[arm]) for arm in arm_names(results)}
    return {arm: experiment.mlp.num_layers for arm, experiment in arms_of(results).items()}
