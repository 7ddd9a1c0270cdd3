"""State of a recorder inside an optimiser's state, and the record that is read from it.

    optimiser's state, of optax, flax, orbax ──► RecordState ──► slots sorted by step ──► Record

The names of the layers are static. They are also kept in an array of bytes: a checkpoint may give the state back as a
dictionary, which has nothing but arrays.
"""

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Float, Int, PyTree, UInt8

from vgrad_jax.boundary import checked
from vgrad_jax.errors import InputError
from vgrad_jax.gradients.recording import SIZES, Record
from vgrad_jax.gradients.running import FirstBreak, LossWindow
from vgrad_jax.gradients.stats import AnyArray

__all__ = ["RecordState", "get_record", "recorder_state", "register_with_flax"]

# Names of fields are not `count`, `mu` or the like: `optax.tree.get` finds the optimiser's own fields by such names.
SCALAR_RINGS = ("recorded_step", "recorded_loss", "loss_mean", "loss_std", "update_cosine")
RINGS = (*SCALAR_RINGS, *SIZES, "params_log10_rms", "updates_log10_rms")
MOMENTS = ("running_number", "running_mean", "running_squares")
STATIC = ("name", "every", "paths", "counts", "has_matrix", "dtypes")


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["seen_updates", *RINGS, *MOMENTS, "window", "first_break", "labels", "inner"],
    meta_fields=list(STATIC),
)
@dataclass(frozen=True)
class RecordState:
    """State of a recorder in the optimiser's state: a ring of records, and moments over all records."""

    seen_updates: Int[AnyArray, "*batch"]
    """Number of calls of `update` so far."""
    recorded_step: Int[AnyArray, "*batch history"]
    """Updates done before the record was taken; -1 where nothing was recorded yet."""
    recorded_loss: Float[AnyArray, "*batch history"]
    loss_mean: Float[AnyArray, "*batch history"]
    """Mean of the losses since the record before."""
    loss_std: Float[AnyArray, "*batch history"]
    """Standard deviation of the losses since the record before; NaN for one loss."""
    update_cosine: Float[AnyArray, "*batch history"] | None
    """Cosine of the update with the gradient; None where updates are not recorded."""
    log10_rms: Float[AnyArray, "*batch history layer"]
    log10_max: Float[AnyArray, "*batch history layer"]
    zero_fraction: Float[AnyArray, "*batch history layer"]
    nonfinite_fraction: Float[AnyArray, "*batch history layer"]
    params_log10_rms: Float[AnyArray, "*batch history layer"] | None
    """Sizes of the parameters before the update; None where they are not recorded."""
    updates_log10_rms: Float[AnyArray, "*batch history layer"] | None
    """Sizes of the update; None where they are not recorded."""
    running_number: Int[AnyArray, "*batch layer"]
    """Number of records in which log10_rms was finite."""
    running_mean: Float[AnyArray, "*batch layer"]
    running_squares: Float[AnyArray, "*batch layer"]
    """Sum of squared deviations from the mean (Welford 1962)."""
    window: LossWindow
    first_break: FirstBreak
    labels: UInt8[AnyArray, "*batch byte"]
    """Static fields as JSON, in bytes."""
    inner: PyTree
    """State of the optimiser that is recorded around."""
    name: str
    every: int
    paths: tuple[str, ...]
    counts: tuple[int, ...]
    has_matrix: tuple[bool, ...]
    dtypes: tuple[str, ...]


@checked
def get_record(opt_state: PyTree, name: str | None = None) -> Record:
    """Return the record that a `record` transformation keeps, wherever it is nested in an optimiser's state.

    Args:
        opt_state: the state, or anything that holds it, such as a flax `TrainState` or `nnx.Optimizer`; with leading
            axes (seeds) from `vmap`. A state that a checkpoint gave back as dictionaries is taken too.
        name: the recorder's name, where there are several.

    Returns:
        The records, oldest first. Outside of `jit`, slots that are not filled yet are left out. Inside, they come
        first, with the step -1.

    Raises:
        InputError: there is no recorder, or there are several of the name; the message says which names there are.
    """
    return replace(_as_record(recorder_state(opt_state, name)), refused_steps=_refused_steps(opt_state))


def recorder_state(opt_state: PyTree, name: str | None = None) -> RecordState:
    """Return the state of a recorder, wherever it is nested in an optimiser's state.

    Args:
        opt_state: the state, or anything that holds it.
        name: the recorder's name, where there are several.

    Raises:
        InputError: there is no recorder, or there are several of the name; the message says which names there are.
    """
    register_with_flax()
    states = [state for node in _nodes(opt_state, _holds_state) for state in _with_inner(_typed(node))]
    names = [state.name for state in states]
    chosen = [state for state in states if name is None or state.name == name]
    if not states:
        raise InputError(
            "there is no recorder in this state; make the optimiser with "
            "optax.chain(vgrad_jax.record(history=512), ...) and give the state that its update returned"
        )
    if not chosen:
        raise InputError(f"there is no recorder named {name!r}; there are: {', '.join(map(repr, names))}")
    if len(chosen) > 1:
        again = "give each a name of its own" if len(set(names)) < len(names) else "say which with name="
        raise InputError(f"there are {len(chosen)} recorders: {', '.join(map(repr, names))}; {again}")
    return chosen[0]


def _holds_state(node: Any) -> bool:
    """Return whether a node is a recorder's state, or the dictionary that a checkpoint made of one."""
    return isinstance(node, RecordState) or (isinstance(node, Mapping) and {"recorded_step", "labels"} <= set(node))


def _typed(node: Any) -> RecordState:
    """Return the state that a node is or holds.

    Raises:
        InputError: the dictionary holds no names of layers.
    """
    if isinstance(node, RecordState):
        return node
    arrays = dict(node)
    label = np.asarray(arrays["labels"])
    try:
        static = json.loads(label.reshape(-1, label.shape[-1])[0].astype(np.uint8).tobytes())
        static = {key: tuple(value) if isinstance(value, list) else value for key, value in static.items()}
        for key, kind in (("window", LossWindow), ("first_break", FirstBreak)):
            arrays[key] = arrays[key] if isinstance(arrays[key], kind) else kind(**arrays[key])
        return RecordState(
            **{
                **dict.fromkeys(("params_log10_rms", "updates_log10_rms", "update_cosine")),
                "inner": (),
                **arrays,
                **static,
            }
        )
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(f"the dictionary {sorted(arrays)} is no state of a recorder: {error}") from None


def _with_inner(state: RecordState) -> list[RecordState]:
    """Return the state and those of the recorders inside the optimiser that it records around."""
    inner = (_typed(node) for node in _nodes(state.inner, _holds_state))
    return [state, *(nested for node in inner for nested in _with_inner(node))]


def _refused_steps(opt_state: PyTree) -> Any:
    """Return the number of steps that `optax.apply_if_finite` refused; None where it is not in the state."""

    def refuses(node: Any) -> bool:
        return isinstance(node, optax.ApplyIfFiniteState)

    states = _nodes(opt_state, refuses)
    if not states:
        return None
    number = next(iter(jax.tree.leaves(states[0].total_notfinite)))
    return number if isinstance(number, jax.core.Tracer) else np.asarray(number)


def _nodes(tree: PyTree, wanted: Callable[[Any], bool]) -> list[Any]:
    """Return the outermost nodes of a tree that are wanted."""
    return [node for node in jax.tree.leaves(tree, is_leaf=wanted) if wanted(node)]


def register_with_flax() -> None:
    """Teach flax's serialisation, where flax is loaded, to save a recorder's state as the dictionary of its arrays."""
    serialization = sys.modules.get("flax.serialization")
    if serialization is None or getattr(serialization, "_vgrad_jax_registered", False):
        return
    for kind in (RecordState, LossWindow, FirstBreak):
        names = [field.name for field in fields(kind) if field.name not in STATIC]

        def to_dict(state: Any, names: list[str] = names) -> dict[str, Any]:
            return {name: serialization.to_state_dict(getattr(state, name)) for name in names}

        def from_dict(state: Any, saved: dict[str, Any], names: list[str] = names) -> Any:
            restore = serialization.from_state_dict
            return replace(state, **{name: restore(getattr(state, name), saved[name], name=name) for name in names})

        serialization.register_serialization_state(kind, to_dict, from_dict)
    serialization._vgrad_jax_registered = True  # type: ignore[attr-defined]


def _as_record(state: RecordState) -> Record:
    # flax's nnx wraps every array of an optimiser's state in a variable.
    arrays: dict[str, Any] = {
        field: next(iter(jax.tree.leaves(getattr(state, field))), None) for field in (*RINGS, *MOMENTS)
    }
    # Under `vmap` alone the steps are numbers, and only what depends on the batch is traced.
    traced = any(isinstance(array, jax.core.Tracer) for array in arrays.values())
    numpy: Any = jnp if traced else np
    if not traced:
        arrays = {field: None if array is None else np.asarray(array) for field, array in arrays.items()}
    step = arrays["recorded_step"]
    order = numpy.argsort(step, axis=-1)
    if not traced:
        filled = int((step >= 0).sum(axis=-1).max(initial=0))
        order = order[..., step.shape[-1] - filled :]

    def oldest_first(field: str) -> Any:
        array = arrays[field]
        if array is None:
            return None
        index = order if array.ndim == order.ndim else order[..., None]
        return numpy.take_along_axis(array, index, axis=order.ndim - 1)

    number = arrays["running_number"]
    variance = arrays["running_squares"] / numpy.maximum(number - 1, 1)

    def of_break(field: str) -> Any:
        array = next(iter(jax.tree.leaves(getattr(state.first_break, field))))
        return array if traced else np.asarray(array)

    return Record(
        paths=state.paths,
        step=oldest_first("recorded_step"),
        **{field: oldest_first(field) for field in SIZES},
        loss=oldest_first("recorded_loss"),
        loss_mean=oldest_first("loss_mean"),
        loss_std=oldest_first("loss_std"),
        update_cosine=oldest_first("update_cosine"),
        first_loss=of_break("first_loss"),
        first_broken_step=of_break("step"),
        first_broken_layers=of_break("layers"),
        first_broken_loss=of_break("in_loss"),
        broken_steps=of_break("steps"),
        loss_before_break=of_break("loss_before"),
        update_before_break=of_break("update_before"),
        params_log10_rms=oldest_first("params_log10_rms"),
        updates_log10_rms=oldest_first("updates_log10_rms"),
        mean_log10_rms=numpy.where(number > 0, arrays["running_mean"], np.nan),
        std_log10_rms=numpy.where(number > 1, numpy.sqrt(variance), np.nan),
        name=state.name,
        counts=state.counts,
        has_matrix=state.has_matrix,
        dtypes=state.dtypes,
    )
