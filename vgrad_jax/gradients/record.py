"""A recorder of per-layer gradients that is one more link in an optax chain."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import PyTree

from vgrad_jax.descriptions import whole_number
from vgrad_jax.errors import InputError
from vgrad_jax.gradients.layers import Grouping, LayerMap, map_layers
from vgrad_jax.gradients.recording import Record
from vgrad_jax.gradients.stats import LayerStats, stats_of

__all__ = ["RecordState", "get_record", "record"]

STATS = ("log10_rms", "log10_max", "zero_fraction", "nonfinite_fraction")
# Not `count`, `mu` or the like: `optax.tree.get` finds fields by name and must go on finding the optimiser's.
BUFFERS = ("recorded_step", "recorded_loss", *STATS, "params_log10_rms", "updates_log10_rms")


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["seen_updates", *BUFFERS, "running_number", "running_mean", "running_squares", "inner"],
    meta_fields=["name", "every", "paths", "counts", "has_matrix", "dtypes"],
)
@dataclass(frozen=True)
class RecordState:
    """What a recorder keeps in the optimiser's state: a ring of records, and moments over all of them."""

    seen_updates: Any
    """Calls of `update` so far."""
    recorded_step: Any
    """`(history,)`; -1 where nothing was recorded yet."""
    recorded_loss: Any
    log10_rms: Any
    """`(history, layer)`, as the other three fields of `LayerStats`."""
    log10_max: Any
    zero_fraction: Any
    nonfinite_fraction: Any
    params_log10_rms: Any
    """`(history, layer)`; None where not asked for."""
    updates_log10_rms: Any
    running_number: Any
    """`(layer,)`: records in which log10_rms was finite."""
    running_mean: Any
    running_squares: Any
    """Sum of squared deviations from the mean (Welford 1962)."""
    inner: Any
    """State of the optimiser that is recorded around."""
    name: str
    every: int
    paths: tuple[str, ...]
    counts: tuple[int, ...]
    has_matrix: tuple[bool, ...]
    dtypes: tuple[str, ...]


def record(
    every: int = 1,
    history: int = 0,
    name: str = "gradients",
    *,
    around: optax.GradientTransformation | None = None,
    params: bool = False,
    per_leaf: bool = False,
    stacked: str | None = None,
    group: str | None = None,
    include: str | None = None,
    exclude: str | None = None,
    order: tuple[str, ...] | None = None,
) -> optax.GradientTransformationExtraArgs:
    """Record each layer's size of whatever passes through this place of an optax chain, and change nothing.

    The first in a chain sees the raw gradient, one behind clipping the clipped one, the last the update. Inside
    `optax.apply_if_finite` a recorder never sees the steps that are refused: put it outside. The loss is recorded where
    it is given as optax's extra argument, `optimizer.update(gradients, state, params, value=loss)`.

    Its state is small, fixed and known beforehand: `4 * max(history, 1) * (4 * layers + 2)` bytes and 12 a layer (and 4
    a layer and record for each of the parameters' and the updates' sizes). Under `vmap` nothing is skipped between
    records, because both branches of a batched condition are computed.

    Args:
        every: record at the updates 0, every, 2 every, ...
        history: how many records are kept, the latest; 0 keeps the latest one. Mean and standard deviation over all
            records are kept in any case.
        name: what `get_record` finds it by, where there are several.
        around: an optimiser; what it makes of the gradient is recorded too, with the parameters' sizes, and so the
            update-to-weight ratio. Then this transformation is the optimiser.
        params: record the parameters' sizes; the optimiser's `update` then needs its `params`.
        per_leaf, stacked, group, include, exclude, order: which layers; see `gradient_stats`.

    Returns:
        An optax transformation whose state has a structure that does not change: it works in `jit`, `lax.scan`, `vmap`,
        `MultiSteps`, `masked`, `multi_transform`, `apply_if_finite` and `inject_hyperparams`, and is saved with the
        optimiser's state.

    Raises:
        InputError: on initialising, where no layer is left.

    >>> optimizer = optax.chain(record(every=10, history=512), optax.adam(1e-3))
    >>> params = {"Dense_0": {"kernel": jnp.ones((2, 2))}}
    >>> state = optimizer.init(params)
    >>> updates, state = optimizer.update(params, state, params)
    >>> get_record(state)
    Record 'gradients': 1 records x 1 layers, steps 0 to 0
    """
    whole_number("every", every, minimum=1)
    size = max(whole_number("history", history), 1)
    grouping = Grouping(per_leaf, stacked, group, include, exclude, order)
    optimizer = None if around is None else optax.with_extra_args_support(around)
    with_params = params or around is not None

    def init(params: PyTree) -> RecordState:
        layers = map_layers(params, grouping)
        number = len(layers.paths)

        def empty(fill: float, *shape: int) -> jax.Array:
            return jnp.full(shape, fill, jnp.float32)

        return RecordState(
            seen_updates=jnp.zeros((), jnp.int32),
            recorded_step=jnp.full(size, -1, jnp.int32),
            recorded_loss=empty(np.nan, size),
            **{field: empty(np.nan, size, number) for field in STATS},
            params_log10_rms=empty(np.nan, size, number) if with_params else None,
            updates_log10_rms=None if optimizer is None else empty(np.nan, size, number),
            running_number=jnp.zeros(number, jnp.int32),
            running_mean=empty(0.0, number),
            running_squares=empty(0.0, number),
            inner=() if optimizer is None else optimizer.init(params),
            name=str(name),
            every=every,
            paths=layers.paths,
            counts=layers.counts,
            has_matrix=layers.has_matrix,
            dtypes=layers.dtypes,
        )

    def update(
        gradients: PyTree, state: RecordState, params: PyTree = None, **extra: Any
    ) -> tuple[PyTree, RecordState]:
        updates, inner = gradients, state.inner
        if optimizer is not None:
            updates, inner = optimizer.update(gradients, inner, params, **extra)
        layers = _checked(map_layers(gradients, grouping), state)
        if with_params and params is None:
            raise InputError(
                f"the recorder {state.name!r} records the parameters' sizes too; call update(gradients, state, params)"
            )
        value = extra.get("value")
        loss = jnp.full((), np.nan, jnp.float32) if value is None else jnp.asarray(value, jnp.float32)

        def written(state: RecordState) -> RecordState:
            sizes = {
                "params_log10_rms": _log10_rms(params, grouping, state) if with_params else None,
                "updates_log10_rms": _log10_rms(updates, grouping, state) if optimizer is not None else None,
            }
            return _write(state, stats_of(gradients, layers), loss, sizes)

        kept = replace(state, inner=())
        if state.every > 1:
            kept = jax.lax.cond(state.seen_updates % state.every == 0, written, lambda state: state, kept)
        else:
            kept = written(kept)
        return updates, replace(kept, seen_updates=state.seen_updates + 1, inner=inner)

    return optax.GradientTransformationExtraArgs(init, update)


def get_record(opt_state: PyTree, name: str | None = None) -> Record:
    """The record that a `record` transformation keeps, wherever it is nested in an optimiser's state.

    Args:
        opt_state: the state, or anything that holds it, such as a flax `TrainState` or `nnx.Optimizer`; with leading
            axes (seeds) from `vmap`.
        name: which one, where there are several.

    Returns:
        What was recorded, oldest first. Outside of `jit` the places not yet filled are left out; inside they come
        first, with the step -1.

    Raises:
        InputError: there is none, or there are several of the name; the message says which names there are.
    """
    nodes = jax.tree.leaves(opt_state, is_leaf=_is_state)
    states = [state for node in nodes if _is_state(node) for state in _with_inner(node)]
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
    return _as_record(chosen[0])


def _is_state(node: Any) -> bool:
    return isinstance(node, RecordState)


def _with_inner(state: RecordState) -> list[RecordState]:
    inside = [node for node in jax.tree.leaves(state.inner, is_leaf=_is_state) if _is_state(node)]
    return [state, *(found for node in inside for found in _with_inner(node))]


def _as_record(state: RecordState) -> Record:
    # flax's nnx wraps every array of an optimiser's state in a variable.
    arrays: dict[str, Any] = {
        field: next(iter(jax.tree.leaves(getattr(state, field))), None)
        for field in (*BUFFERS, "running_number", "running_mean", "running_squares")
    }
    step = arrays["recorded_step"]
    traced = isinstance(step, jax.core.Tracer)
    numpy: Any = jnp if traced else np
    if not traced:
        arrays = {field: None if array is None else np.asarray(array) for field, array in arrays.items()}
        step = arrays["recorded_step"]
    order = numpy.argsort(step, axis=-1)
    if not traced:
        order = order[..., step.shape[-1] - int((step >= 0).sum(axis=-1).max(initial=0)) :]

    def ordered(field: str) -> Any:
        array = arrays[field]
        if array is None:
            return None
        index = order if array.ndim == order.ndim else order[..., None]
        return numpy.take_along_axis(array, index, axis=order.ndim - 1)

    number = arrays["running_number"]
    variance = arrays["running_squares"] / numpy.maximum(number - 1, 1)
    return Record(
        paths=state.paths,
        step=ordered("recorded_step"),
        **{field: ordered(field) for field in STATS},
        loss=ordered("recorded_loss"),
        params_log10_rms=ordered("params_log10_rms"),
        updates_log10_rms=ordered("updates_log10_rms"),
        mean_log10_rms=numpy.where(number > 0, arrays["running_mean"], np.nan),
        std_log10_rms=numpy.where(number > 1, numpy.sqrt(variance), np.nan),
        name=state.name,
        counts=state.counts,
        has_matrix=state.has_matrix,
        dtypes=state.dtypes,
    )


def _checked(layers: LayerMap, state: RecordState) -> LayerMap:
    if layers.paths != state.paths:
        raise InputError(
            f"the recorder {state.name!r} was initialised with the layers {', '.join(state.paths)}, but "
            f"is updated with {', '.join(layers.paths)}; initialise the optimiser with the same tree that it updates"
        )
    return layers


def _log10_rms(tree: PyTree, grouping: Grouping, state: RecordState) -> jax.Array:
    return stats_of(tree, _checked(map_layers(tree, grouping), state)).log10_rms.astype(jnp.float32)


def _write(state: RecordState, stats: LayerStats, loss: jax.Array, sizes: dict[str, Any]) -> RecordState:
    """The state with one more record in the place of the oldest."""
    history = state.recorded_step.shape[0]
    place = (state.seen_updates // state.every) % history
    put: Callable[[jax.Array, Any], jax.Array] = lambda buffer, value: jax.lax.dynamic_update_index_in_dim(  # noqa: E731
        buffer, jnp.asarray(value, buffer.dtype), place, 0
    )
    values: dict[str, Any] = {"recorded_step": state.seen_updates, "recorded_loss": loss, **sizes}
    values |= {field: getattr(stats, field) for field in STATS}
    written: dict[str, Any] = {
        field: None if value is None else put(getattr(state, field), value) for field, value in values.items()
    }
    size = stats.log10_rms.astype(jnp.float32)
    finite = jnp.isfinite(size)
    number = state.running_number + finite
    off = jnp.where(finite, size - state.running_mean, 0)
    mean = state.running_mean + off / jnp.maximum(number, 1)
    squares = state.running_squares + off * jnp.where(finite, size - mean, 0)
    return replace(state, **written, running_number=number, running_mean=mean, running_squares=squares)
