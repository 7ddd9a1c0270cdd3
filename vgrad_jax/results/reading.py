"""Reading of a sweep's results: arms, data, seed, finished runs, own variables and numbers of layers."""

import json
from contextlib import suppress
from dataclasses import fields
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from vgrad_jax.data import Dataset, DataSummary, data_fingerprint, load_data
from vgrad_jax.errors import InputError
from vgrad_jax.experiment import Experiment
from vgrad_jax.gradients.recording import Record
from vgrad_jax.results.axes import NO_EPOCH
from vgrad_jax.results.description import NOT_WRITTEN_DOWN
from vgrad_jax.results.functions import FUNCTIONS, FunctionLayout, record_from, unit_of
from vgrad_jax.results.metadata import DATA
from vgrad_jax.results.schema import VARIABLES

if TYPE_CHECKING:
    import xarray

__all__ = [
    "Axis",
    "arm_names",
    "arms_of",
    "axis_of",
    "completed_seeds",
    "data_of",
    "data_summaries",
    "experiment_of",
    "experiments_of",
    "factors_of",
    "function_of",
    "num_layers",
    "own_values",
    "read_once",
    "record_of",
    "study_seed",
]

MOST_BYTES = 2**26
"""Bytes of a variable up to which all arms are read together."""


class Axis(NamedTuple):
    """Labels along the first axis of a variable of an arm."""

    name: str
    """Name of what is counted, such as "epoch"."""
    values: np.ndarray


def read_once(results: "xarray.Dataset") -> "xarray.Dataset":
    """Return the results with their smaller variables in memory: each arm is otherwise read anew at each use.

    Variables that are damaged, or larger than `MOST_BYTES`, are still read where they are used.
    """
    held = results.copy(deep=False)
    for variable in held.variables.values():
        if variable.nbytes <= MOST_BYTES:
            with suppress(InputError):
                variable.load()
    return held


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


def experiments_of(results: "xarray.Dataset") -> dict[str, Experiment]:
    """Return the arms that are described as an `Experiment`: arm name to `Experiment`, other arms left out."""
    experiments = {}
    for name in arm_names(results):
        with suppress(InputError):
            experiments[name] = experiment_of(results, name)
    return experiments


def function_of(results: "xarray.Dataset", arm: str) -> FunctionLayout | None:
    """Return the declared results of an arm that is a function; None for any other arm."""
    plain = json.loads(results.attrs.get(FUNCTIONS, "{}")).get(arm)
    return None if plain is None else FunctionLayout.from_plain(plain)


FUNCTION = '"function"'
"""Mark of a function in the text of a study."""


@lru_cache(maxsize=8)
def _study(text: str) -> dict[str, Any]:
    """Return the parsed description of a study; a report asks for it thousands of times."""
    return dict(json.loads(text))


def factors_of(results: "xarray.Dataset", arm: str) -> dict[str, Any]:
    """Return the factors that a function's arm names; none for any other arm."""
    described = _study(results.attrs["study"])["arms"][arm]
    return dict(described.get("factors", {})) if function_of(results, arm) is not None else {}


def experiment_of(results: "xarray.Dataset", arm: str) -> Experiment:
    """Return the `Experiment` that an arm's description gives.

    Raises:
        InputError: the arm has no description, or is of another kind.
    """
    study = results.attrs["study"]
    # A name of a function may stand for another one, once it is handed over again.
    return _experiment.__wrapped__(study, arm) if FUNCTION in study else _experiment(study, arm)


@lru_cache(maxsize=1024)
def _experiment(study: str, arm: str) -> Experiment:
    """Return the `Experiment` of an arm in the text of a study; a report asks for it thousands of times."""
    described = _study(study)["arms"][arm]
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
    return dataset if data_fingerprint(dataset) == _study(results.attrs["study"])["data"][arm] else None


def data_summaries(results: "xarray.Dataset") -> dict[str, DataSummary]:
    """Return the facts about each arm's data: arm name to facts; arms that are functions have none.

    Results of older versions have none either.
    """
    return {arm: DataSummary(**facts) for arm, facts in json.loads(results.attrs.get(DATA, "{}")).items()}


def study_seed(results: "xarray.Dataset") -> int:
    """Return the seed of the study whose results these are."""
    return int(_study(results.attrs["study"])["seed"])


def completed_seeds(results: "xarray.Dataset", arm: str) -> "xarray.Dataset":
    """Return an arm's finished runs, with its own records.

    Raises:
        InputError: no run of the arm is finished.
    """
    runs = results.sel(arm=arm)
    if "epoch" in results and results["epoch"].ndim == 2 and function_of(results, arm) is None:
        runs = runs.isel(record=slice(int((runs["epoch"].values > NO_EPOCH).sum())))
    finished = np.flatnonzero(runs["completed"].values)
    if not len(finished):
        raise InputError(f"no run of arm {arm!r} is finished; go on with the sweep first")
    return runs if len(finished) == runs.sizes["seed"] else runs.isel(seed=finished)


def own_values(results: "xarray.Dataset", arm: str, name: str) -> "xarray.DataArray | None":
    """Return a variable of an arm's finished runs, `(seed, ...)`, without the places that only other arms fill.

    Args:
        results: of a sweep.
        arm: its name.
        name: name of the variable.

    Returns:
        None where the arm has no such variable. Records that no run filled are left out.
    """
    function = function_of(results, arm)
    if name not in results or name not in (VARIABLES if function is None else function.variables):
        return None
    runs = completed_seeds(results, arm)
    values = runs[name]
    if function is None:
        layers = {"layer": slice(num_layers(results)[arm])} if "layer" in values.dims else {}
        return values.isel(layers)
    own = function.variables[name]
    values = values.isel({dim: slice(size) for dim, size in zip(values.dims[1:], own.shape, strict=True)})
    if own.dims[:1] == ("record",):
        filled = (runs["record_step"].isel(record=slice(own.shape[0])).values >= 0).all(axis=0)
        values = values.isel(record=np.flatnonzero(filled))
    return values


def axis_of(results: "xarray.Dataset", arm: str, name: str) -> Axis | None:
    """Return the labels along the first axis of an arm's variable, `own_values` without its seeds.

    Returns:
        None where the arm has no such variable, or it is a single number.
    """
    values = own_values(results, arm, name)
    if values is None or values.ndim < 2:
        return None
    function = function_of(results, arm)
    if function is None:
        return Axis("epoch", values["epoch"].values) if "epoch" in values.coords else None
    dimension = function.variables[name].dims[0]
    if dimension == "record":
        steps = own_values(results, arm, "record_step")
        assert steps is not None
        return Axis("update", steps.values[0])
    return Axis(unit_of(dimension), function.values_of(dimension))


def record_of(results: "xarray.Dataset", arm: str, seeds: int | None = None) -> Record | None:
    """Return the record that a function returned, of its first finished runs.

    Args:
        results: of a sweep.
        arm: its name.
        seeds: largest number of runs; None for all.

    Returns:
        None where the arm returned no record.
    """
    function = function_of(results, arm)
    if function is None or function.record is None:
        return None
    runs = completed_seeds(results, arm).isel(seed=slice(seeds))
    variables = {}
    for name, own in function.variables.items():
        if set(own.dims) <= {"record", "layer"}:
            values = runs[name]
            variables[name] = values.isel({d: slice(n) for d, n in zip(own.dims, own.shape, strict=True)}).values
    return record_from(function.record, variables)


def num_layers(results: "xarray.Dataset") -> dict[str, int]:
    """Return each arm's number of layers: arm name to number."""
    if "layers" in results.attrs:
        layers = json.loads(results.attrs["layers"])
        return {arm: int(layers[arm]) for arm in arm_names(results)}
    return {arm: experiment.mlp.num_layers for arm, experiment in arms_of(results).items()}
