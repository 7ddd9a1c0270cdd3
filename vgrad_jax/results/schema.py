"""Schema of a sweep's results: dimensions, variables and units, and the conversion of a `History` into variables.

    History of a chunk, seed axis first ──► variables_of ──► variable name to array ──► a row of `(arm, seed, ...)`

Every sweep has the axes `arm, seed, record, layer`. Axes of parameters are added where a recording keeps parameters or
gradients. An arm with fewer layers than others fills the first layers; the fill value stands in the rest.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from vgrad_jax.nets.mlp import Params
from vgrad_jax.training.convergence import Outcome

if TYPE_CHECKING:
    from vgrad_jax.training.run import History

__all__ = [
    "OUTCOME_NAMES",
    "VARIABLES",
    "Layout",
    "Variable",
    "attributes_of",
    "coordinates",
    "own_layers",
    "parameter_names",
    "shapes",
    "variables_of",
]

OUTCOME_NAMES = {outcome: outcome.name.lower() for outcome in Outcome}
"""`Outcome` to the word in the results: "converged", "not_converged" or "diverged"."""


class Variable(NamedTuple):
    """Variable of the results."""

    dims: tuple[str, ...]
    """Names of its axes."""
    dtype: str
    """Name of its data type."""
    fill: Any
    """Value of runs that are not trained, and of layers that an arm does not have."""
    description: str
    """Description for people, written beside the values."""
    units: str
    """Unit of the values."""


_PER_RECORD = ("arm", "seed", "record")
_PER_LAYER = ("arm", "seed", "record", "layer")

VARIABLES: dict[str, Variable] = {
    "train_loss": Variable(_PER_RECORD, "float32", np.nan, "mean loss over all training rows", "nats"),
    "test_loss": Variable(_PER_RECORD, "float32", np.nan, "mean loss over all test rows", "nats"),
    "train_accuracy": Variable(_PER_RECORD, "float32", np.nan, "share of training rows classified rightly", "1"),
    "test_accuracy": Variable(_PER_RECORD, "float32", np.nan, "share of test rows classified rightly", "1"),
    "gradient_log10_rms": Variable(
        _PER_LAYER,
        "float32",
        np.nan,
        "log10 of the root mean square of the full training loss's gradient over a layer's kernel and bias; "
        "-inf where it is exactly zero, NaN where the arm has fewer layers; layer 0 is on the input side",
        "log10(nats)",
    ),
    "update_ratio_log10": Variable(
        _PER_LAYER,
        "float32",
        np.nan,
        "log10 of the last step's update over the parameters, both as root mean square over a layer; "
        "NaN before the first step and where the arm has fewer layers",
        "log10(1)",
    ),
    "outcome": Variable(
        ("arm", "seed"),
        "str",
        "",
        "converged, not_converged (the budget ran out first: censored), or diverged (a loss was not finite); "
        "empty where the run is not there yet",
        "",
    ),
    "converged": Variable(("arm", "seed"), "bool", False, "the run reached the threshold and never diverged", ""),
    "epochs_to_converge": Variable(
        ("arm", "seed"),
        "float32",
        np.nan,
        "completed epochs until the training accuracy was at least the threshold; NaN when never within the budget",
        "epochs",
    ),
    "parameters": Variable(
        ("arm", "seed", "parameters_epoch", "parameter"), "float32", np.nan, "parameters after chosen epochs", "1"
    ),
    "gradients": Variable(
        ("arm", "seed", "gradients_epoch", "parameter"),
        "float32",
        np.nan,
        "gradient of the full training loss after chosen epochs",
        "nats",
    ),
    "completed": Variable(
        ("arm", "seed"), "bool", False, "the run is here; written last, so that what is marked is whole", ""
    ),
}


class Layout(NamedTuple):
    """Axes of an arm's results."""

    epochs: tuple[int, ...]
    """Completed epochs at each record."""
    num_layers: int
    """Number of layers."""
    parameters_at: tuple[int, ...] = ()
    """Epochs at which all parameters are kept."""
    gradients_at: tuple[int, ...] = ()
    """Epochs at which the whole gradient is kept."""
    parameters: tuple[str, ...] = ()
    """Names of the parameters in the order of a flattened `Params`; empty where no parameters are kept."""


def coordinates(layouts: Mapping[str, Layout], num_seeds: int) -> dict[str, tuple[str, np.ndarray]]:
    """Return the coordinates of the results: name to dimension and values.

    Args:
        layouts: arm name to the axes of its results; all arms share their epochs.
        num_seeds: seeds of each arm.
    """
    first = next(iter(layouts.values()))
    labels: dict[str, tuple[str, np.ndarray]] = {
        "arm": ("arm", np.asarray(list(layouts))),
        "seed": ("seed", np.arange(num_seeds)),
        "record": ("record", np.arange(len(first.epochs))),
        "epoch": ("record", np.asarray(first.epochs)),
        "layer": ("layer", np.arange(max(layout.num_layers for layout in layouts.values()))),
    }
    if first.parameters_at:
        labels["parameters_epoch"] = ("parameters_epoch", np.asarray(first.parameters_at))
    if first.gradients_at:
        labels["gradients_epoch"] = ("gradients_epoch", np.asarray(first.gradients_at))
    if first.parameters_at or first.gradients_at:
        names = sorted({name for layout in layouts.values() for name in layout.parameters}, key=_natural)
        labels["parameter"] = ("parameter", np.asarray(names))
    return labels


def shapes(labels: Mapping[str, tuple[str, np.ndarray]]) -> dict[str, tuple[int, ...]]:
    """Return the shape of each variable whose dimensions all have a coordinate.

    Args:
        labels: coordinates, as `coordinates` returns them.
    """
    sizes = {dimension: len(values) for dimension, values in labels.values()}
    return {
        name: tuple(sizes[dimension] for dimension in variable.dims)
        for name, variable in VARIABLES.items()
        if all(dimension in sizes for dimension in variable.dims)
    }


def attributes_of(name: str) -> dict[str, Any]:
    """Return the attributes that are written beside a variable: description and units."""
    return {"description": VARIABLES[name].description, "units": VARIABLES[name].units}


def own_layers(name: str, values: np.ndarray) -> tuple[slice, ...]:
    """Return the slices of a variable, seeds first, that an arm's values fill: an arm may have fewer layers.

    Args:
        name: name of the variable.
        values: values of the runs, seed axis first.
    """
    index = [slice(None)] * values.ndim
    if VARIABLES[name].dims[-1] == "layer":
        index[-1] = slice(values.shape[-1])
    return tuple(index)


def parameter_names(widths: Sequence[int]) -> list[str]:
    """Return a name for every parameter, in the order of a flattened `Params`.

    Args:
        widths: sizes of all layers, from the input to the output.

    >>> parameter_names((2, 1))
    ['0/kernel/0/0', '0/kernel/1/0', '0/bias/0']
    """
    return [
        f"{layer}/{name}"
        for layer, (fan_in, fan_out) in enumerate(itertools.pairwise(widths))
        for name in (
            *(f"kernel/{row}/{column}" for row in range(fan_in) for column in range(fan_out)),
            *(f"bias/{column}" for column in range(fan_out)),
        )
    ]


def variables_of(
    history: "History", names: Sequence[str], all_names: Sequence[str]
) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the name and the values of each variable in the history of a chunk of an arm's runs.

    Args:
        history: histories of the runs, with a leading `seed` axis, on the host.
        names: names of the arm's parameters in the order of a flattened `Params`; empty where none are kept.
        all_names: names of all arms' parameters, in the order of the coordinate `parameter`.

    Yields:
        The name, and the values with the seed axis first and without the arm axis.
    """
    for name, values in history.records._asdict().items():
        yield name, np.asarray(values)
    longest = max(map(len, OUTCOME_NAMES.values()))
    yield "outcome", np.asarray([OUTCOME_NAMES[Outcome(int(code))] for code in history.outcome], f"U{longest}")
    yield "converged", np.asarray(history.outcome) == Outcome.CONVERGED
    yield "epochs_to_converge", np.asarray(history.epochs_to_converge)
    if names:
        position = {name: index for index, name in enumerate(all_names)}
        columns = [position[name] for name in names]
        for variable, tree in (("parameters", history.parameters), ("gradients", history.gradients)):
            if tree[0].bias.shape[1]:
                flat = _flattened(tree)
                wide = np.full((*flat.shape[:2], len(all_names)), np.nan, np.float32)
                wide[..., columns] = flat
                yield variable, wide


def _flattened(tree: Params) -> np.ndarray:
    """Return `(seed, epoch, parameter)` for parameters whose leaves have the leading axes `seed, epoch`."""
    pieces = [np.asarray(leaf) for layer in tree for leaf in layer]
    return np.concatenate([piece.reshape(*piece.shape[:2], -1) for piece in pieces], axis=-1)


def _natural(name: str) -> tuple[int, bool, list[int]]:
    """Return a key that sorts names of parameters by layer, kernel before bias, and numbers as numbers."""
    layer, kind, *indices = name.split("/")
    return int(layer), kind == "bias", [int(index) for index in indices]
