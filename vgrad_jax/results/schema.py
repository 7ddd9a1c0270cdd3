"""Schema of a sweep's results: dimensions, variables and units, and the conversion of a `History` into variables.

    History of a chunk, seed axis first ──► variables_of ──► variable name to array ──► a row of `(arm, seed, ...)`

A sweep of `Experiment`s has the axes `arm, seed, record, layer`. Axes of parameters are added where a recording keeps
parameters or gradients. A function adds the variables and axes that it declares. An arm that is shorter than others
along an axis fills the first places; the fill value stands in the rest.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np

from vgrad_jax.nets.params import LearnedLayer, Params
from vgrad_jax.results.functions import FINISHED, FunctionLayout, FunctionRun
from vgrad_jax.training.convergence import Outcome

if TYPE_CHECKING:
    from vgrad_jax.training.run import History

__all__ = [
    "OUTCOME_NAMES",
    "PARTS",
    "VARIABLES",
    "Layout",
    "Variable",
    "attributes_of",
    "own_part",
    "parameter_names",
    "variables_of",
]

OUTCOME_NAMES = {outcome: outcome.name.lower() for outcome in Outcome}
"""`Outcome` to the word in the results: "converged", "not_converged" or "diverged"."""

WORDS = {**{int(outcome): word for outcome, word in OUTCOME_NAMES.items()}, FINISHED: "finished"}
"""Number of an outcome to its word; "finished" is a run of a function that defines no convergence."""


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
    "train_accuracy": Variable(
        _PER_RECORD,
        "float32",
        np.nan,
        "share of training rows classified rightly (of numbers: variance explained)",
        "1",
    ),
    "test_accuracy": Variable(
        _PER_RECORD,
        "float32",
        np.nan,
        "share of test rows classified rightly (of numbers: 1 - squared error)",
        "1",
    ),
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
        "completed epochs until the training accuracy was at least the threshold; NaN where it never was",
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
    """Completed epochs at each record; empty for a function."""
    num_layers: int
    """Number of layers."""
    parameters_at: tuple[int, ...] = ()
    """Epochs at which all parameters are kept."""
    gradients_at: tuple[int, ...] = ()
    """Epochs at which the whole gradient is kept."""
    parameters: tuple[str, ...] = ()
    """Names of the parameters in the order of a flattened `Params`; empty where no parameters are kept."""
    function: FunctionLayout | None = None
    """Results that a function declares; None for an arm that returns a `History`."""


def attributes_of(variable: Variable) -> dict[str, Any]:
    """Return the attributes that are written beside a variable: description and units."""
    return {"description": variable.description, "units": variable.units}


def own_part(values: np.ndarray) -> tuple[slice, ...]:
    """Return the slices of a variable, seeds first, that an arm's values fill: an arm may be shorter than others.

    Args:
        values: values of the runs, seed axis first.
    """
    return (slice(None), *(slice(size) for size in values.shape[1:]))


PARTS = LearnedLayer._fields
"""Parts of a layer, in the order in which their numbers are kept; most layers have kernel and bias alone."""


def parameter_names(params: Params) -> list[str]:
    """Return a name for every parameter, in the order of a flattened `Params`.

    Args:
        params: parameters, or their shapes.

    >>> from vgrad_jax.nets.params import Layer
    >>> parameter_names((Layer(np.zeros((2, 1)), np.zeros(1)),))
    ['0/kernel/0/0', '0/kernel/1/0', '0/bias/0']
    """
    return [
        "/".join([str(index), part, *map(str, indices)])
        for index, layer in enumerate(params)
        for part, values in layer._asdict().items()
        if values is not None
        for indices in np.ndindex(values.shape)
    ]


def variables_of(
    history: "History | FunctionRun", layout: Layout, coordinates: Mapping[str, np.ndarray]
) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the name and the values of each variable in the results of a chunk of an arm's runs.

    Args:
        history: results of the runs, with a leading `seed` axis, on the host.
        layout: axes of the arm's results.
        coordinates: values of the sweep's coordinates `parameter`, `parameters_epoch` and `gradients_epoch`, by name;
            without those that the sweep lacks.

    Yields:
        The name, and the values with the seed axis first and without the arm axis.
    """
    longest = max(map(len, WORDS.values()))
    yield "outcome", np.asarray([WORDS[int(code)] for code in np.asarray(history.outcome)], f"U{longest}")
    yield "converged", np.asarray(history.outcome) == Outcome.CONVERGED
    if isinstance(history, FunctionRun):
        if history.time is not None:
            yield "epochs_to_converge", np.asarray(history.time)
        yield from ((name, np.asarray(values)) for name, values in history.values.items())
        return
    for name, values in history.records._asdict().items():
        yield name, np.asarray(values)
    yield "epochs_to_converge", np.asarray(history.epochs_to_converge)
    if layout.parameters:
        columns = _positions(layout.parameters, coordinates["parameter"])
        kept = {"parameters": layout.parameters_at, "gradients": layout.gradients_at}
        for variable, tree in (("parameters", history.parameters), ("gradients", history.gradients)):
            if kept[variable]:
                epochs = coordinates[f"{variable}_epoch"]
                flat = _flattened(tree)
                wide = np.full((len(flat), len(epochs), len(coordinates["parameter"])), np.nan, np.float32)
                wide[:, _positions(kept[variable], epochs)[:, None], columns] = flat
                yield variable, wide


def _positions(wanted: Sequence[Any], labels: np.ndarray) -> np.ndarray:
    """Return the position of each value in a coordinate."""
    position = {label: index for index, label in enumerate(labels.tolist())}
    return np.asarray([position[value] for value in wanted])


def _flattened(tree: Params) -> np.ndarray:
    """Return `(seed, epoch, parameter)` for parameters whose leaves have the leading axes `seed, epoch`."""
    pieces = [np.asarray(leaf) for leaf in jax.tree.leaves(tree)]
    return np.concatenate([piece.reshape(*piece.shape[:2], -1) for piece in pieces], axis=-1)
