"""Recorder of per-layer gradients: one more link in an optax chain.

    gradient ──► record(...) ──► the same gradient
                    │
                    ▼ every n updates
    RecordState: a ring of the latest records, and mean and squared deviations over all records

The ring has `history` slots. Record k is written into slot k modulo `history`, over the oldest record, and `get_record`
sorts the slots by step. Shapes and structure never change, so that the state passes through `jit`, `scan` and `vmap`.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, PyTree

from vgrad_jax.descriptions import whole_number
from vgrad_jax.errors import InputError
from vgrad_jax.gradients.layers import Grouping, LayerMap, map_layers
from vgrad_jax.gradients.recording import SIZES, Record
from vgrad_jax.gradients.stats import AnyArray, LayerStats, stats_of

__all__ = ["RecordState", "get_record", "record"]

# Names of fields are not `count`, `mu` or the like: `optax.tree.get` finds the optimiser's own fields by such names.
RINGS = ("recorded_step", "recorded_loss", *SIZES, "params_log10_rms", "updates_log10_rms")
MOMENTS = ("running_number", "running_mean", "running_squares")


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["seen_updates", *RINGS, *MOMENTS, "inner"],
    meta_fields=["name", "every", "paths", "counts", "has_matrix", "dtypes"],
)
@dataclass(frozen=True)
class RecordState:
    """State of a recorder in the optimiser's state: a ring of records, and moments over all records."""

    seen_updates: Int[AnyArray, "*batch"]
    """Number of calls of `update` so far."""
    recorded_step: Int[AnyArray, "*batch history"]
    """Updates done before the record was taken; -1 where nothing was recorded yet."""
    recorded_loss: Float[AnyArray, "*batch history"]
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
    inner: PyTree
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
    """Record each layer's size at this link of an optax chain, and change nothing.

    The first link of a chain sees the raw gradient, a link behind clipping the clipped gradient, the last the update.
    Inside `optax.apply_if_finite` a recorder never sees the steps that are refused: put it outside. The loss is
    recorded if it is given as optax's extra argument, `optimizer.update(gradients, state, params, value=loss)`.

    The state takes `4 * max(history, 1) * (4 * layers + 2)` bytes, 12 a layer, and 4 a layer and record for each of the
    parameters' and the updates' sizes. Under `vmap` nothing is skipped between records, because both branches of a
    batched condition are computed.

    Args:
        every: record at the updates 0, every, 2 every, ...
        history: number of records that are kept, the latest; 0 keeps the latest record alone. Mean and standard
            deviation over all records are kept in any case.
        name: name by which `get_record` finds it, where there are several.
        around: an optimiser; its updates and the parameters' sizes are recorded too, and so the update-to-weight ratio.
            Then this transformation is the optimiser.
        params: record the parameters' sizes; the optimiser's `update` then needs its `params`.
        per_leaf, stacked, group, include, exclude, order: rules by which leaves become layers; see `gradient_stats`.

    Returns:
        An optax transformation whose state has a fixed structure and is saved with the optimiser's state. It works in
        `jit`, `lax.scan`, `vmap`, `MultiSteps`, `masked`, `multi_transform`, `apply_if_finite`, `inject_hyperparams`.

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
    grouping = Grouping(per_leaf=per_leaf, stacked=stacked, group=group, include=include, exclude=exclude, order=order)
    optimizer = None if around is None else optax.with_extra_args_support(around)
    recorder = _Recorder(str(name), every, size, grouping, optimizer, params or around is not None)
    return optax.GradientTransformationExtraArgs(recorder.init, recorder.update)


@dataclass(frozen=True)
class _Recorder:
    """Settings of a recorder, with the two functions of its optax transformation."""

    name: str
    every: int
    history: int
    grouping: Grouping
    optimizer: optax.GradientTransformationExtraArgs | None
    """The optimiser that is recorded around."""
    with_params: bool

    def init(self, params: PyTree) -> RecordState:
        """Return a state without records; it depends on the shapes of the parameters alone."""
        layers = map_layers(params, self.grouping)
        number = len(layers.paths)

        def empty(*shape: int) -> Float[Array, "..."]:
            return jnp.full(shape, np.nan, jnp.float32)

        return RecordState(
            seen_updates=jnp.zeros((), jnp.int32),
            recorded_step=jnp.full(self.history, -1, jnp.int32),
            recorded_loss=empty(self.history),
            **{field: empty(self.history, number) for field in SIZES},
            params_log10_rms=empty(self.history, number) if self.with_params else None,
            updates_log10_rms=None if self.optimizer is None else empty(self.history, number),
            running_number=jnp.zeros(number, jnp.int32),
            running_mean=jnp.zeros(number, jnp.float32),
            running_squares=jnp.zeros(number, jnp.float32),
            inner=() if self.optimizer is None else self.optimizer.init(params),
            name=self.name,
            every=self.every,
            paths=layers.paths,
            counts=layers.counts,
            has_matrix=layers.has_matrix,
            dtypes=layers.dtypes,
        )

    def update(
        self, gradients: PyTree, state: RecordState, params: PyTree = None, **extra: Any
    ) -> tuple[PyTree, RecordState]:
        """Return the updates (the gradients, where there is no optimiser), and the state with a record if it is due."""
        updates, inner = gradients, state.inner
        if self.optimizer is not None:
            updates, inner = self.optimizer.update(gradients, inner, params, **extra)
        layers = _checked(map_layers(gradients, self.grouping), state)
        if self.with_params and params is None:
            raise InputError(
                f"the recorder {state.name!r} records the parameters' sizes too; call update(gradients, state, params)"
            )
        value = extra.get("value")
        loss = jnp.full((), np.nan, jnp.float32) if value is None else jnp.asarray(value, jnp.float32)

        def written(state: RecordState) -> RecordState:
            sizes = {
                "params_log10_rms": self._log10_rms(params, state) if self.with_params else None,
                "updates_log10_rms": None if self.optimizer is None else self._log10_rms(updates, state),
            }
            return _write(state, stats_of(gradients, layers), loss, sizes)

        # Neither branch changes the inner state, so neither takes or returns it.
        kept = replace(state, inner=())
        if state.every > 1:
            kept = jax.lax.cond(state.seen_updates % state.every == 0, written, lambda state: state, kept)
        else:
            kept = written(kept)
        return updates, replace(kept, seen_updates=state.seen_updates + 1, inner=inner)

    def _log10_rms(self, tree: PyTree, state: RecordState) -> Float[Array, " layer"]:
        layers = _checked(map_layers(tree, self.grouping), state)
        return stats_of(tree, layers).log10_rms.astype(jnp.float32)  # type: ignore[return-value]


def get_record(opt_state: PyTree, name: str | None = None) -> Record:
    """Return the record that a `record` transformation keeps, wherever it is nested in an optimiser's state.

    Args:
        opt_state: the state, or anything that holds it, such as a flax `TrainState` or `nnx.Optimizer`; with leading
            axes (seeds) from `vmap`.
        name: the recorder's name, where there are several.

    Returns:
        The records, oldest first. Outside of `jit`, slots that are not filled yet are left out. Inside, they come
        first, with the step -1.

    Raises:
        InputError: there is no recorder, or there are several of the name; the message says which names there are.
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
    """Return the state and those of the recorders inside the optimiser that it records around."""
    nodes = [node for node in jax.tree.leaves(state.inner, is_leaf=_is_state) if _is_state(node)]
    return [state, *(nested for node in nodes for nested in _with_inner(node))]


def _as_record(state: RecordState) -> Record:
    # flax's nnx wraps every array of an optimiser's state in a variable.
    arrays: dict[str, Any] = {
        field: next(iter(jax.tree.leaves(getattr(state, field))), None) for field in (*RINGS, *MOMENTS)
    }
    traced = isinstance(arrays["recorded_step"], jax.core.Tracer)
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
    return Record(
        paths=state.paths,
        step=oldest_first("recorded_step"),
        **{field: oldest_first(field) for field in SIZES},
        loss=oldest_first("recorded_loss"),
        params_log10_rms=oldest_first("params_log10_rms"),
        updates_log10_rms=oldest_first("updates_log10_rms"),
        mean_log10_rms=numpy.where(number > 0, arrays["running_mean"], np.nan),
        std_log10_rms=numpy.where(number > 1, numpy.sqrt(variance), np.nan),
        name=state.name,
        counts=state.counts,
        has_matrix=state.has_matrix,
        dtypes=state.dtypes,
    )


def _checked(layers: LayerMap, state: RecordState) -> LayerMap:
    """Return the layers if they are the recorder's own.

    Raises:
        InputError: the recorder was initialised with other layers.
    """
    if layers.paths != state.paths:
        raise InputError(
            f"the recorder {state.name!r} was initialised with the layers {', '.join(state.paths)}, but "
            f"is updated with {', '.join(layers.paths)}; initialise the optimiser with the same tree that it updates"
        )
    return layers


def _write(state: RecordState, stats: LayerStats, loss: Float[Array, ""], sizes: dict[str, Any]) -> RecordState:
    """Write one more record into the slot of the oldest, and update the moments."""
    history = state.recorded_step.shape[0]
    slot = (state.seen_updates // state.every) % history
    put: Callable[[Any, Any], Array] = lambda ring, value: jax.lax.dynamic_update_index_in_dim(  # noqa: E731
        ring, jnp.asarray(value, ring.dtype), slot, 0
    )
    values: dict[str, Any] = {"recorded_step": state.seen_updates, "recorded_loss": loss, **sizes}
    values |= {field: getattr(stats, field) for field in SIZES}
    written: dict[str, Any] = {
        field: None if value is None else put(getattr(state, field), value) for field, value in values.items()
    }
    size = jnp.asarray(stats.log10_rms, jnp.float32)
    finite = jnp.isfinite(size)
    number = state.running_number + finite
    deviation = jnp.where(finite, size - state.running_mean, 0)
    mean = state.running_mean + deviation / jnp.maximum(number, 1)
    squares = state.running_squares + deviation * jnp.where(finite, size - mean, 0)
    return replace(state, **written, running_number=number, running_mean=mean, running_squares=squares)
