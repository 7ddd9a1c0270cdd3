"""Recorder of per-layer gradients: one more link in an optax chain.

    gradient ──► record(...) ──► the same gradient
                    │
                    ▼ every n updates
    RecordState: a ring of the latest records, and mean and squared deviations over all records

The ring has `history` slots. Record k is written into slot k modulo `history`, over the oldest record, and `get_record`
sorts the slots by step. Shapes and structure never change, so that the state passes through `jit`, `scan` and `vmap`.
"""

import inspect
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, Int, PyTree

from vgrad_jax.boundary import called, checked
from vgrad_jax.descriptions import whole_number
from vgrad_jax.errors import InputError
from vgrad_jax.gradients.layers import Grouping, LayerMap, float_leaves, map_layers
from vgrad_jax.gradients.record_state import RecordState, register_with_flax
from vgrad_jax.gradients.recording import SIZES
from vgrad_jax.gradients.running import FirstBreak, LossWindow, loss_dtype
from vgrad_jax.gradients.stats import LayerStats, size_scale, stats_of
from vgrad_jax.optimizers import STARTING, require_transformation, updated

__all__ = ["record"]


@checked
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
    Inside `optax.apply_if_finite` a recorder never sees the steps that are refused; `get_record` reads their number.
    The loss is recorded if it is given as optax's extra argument, `optimizer.update(..., value=loss)`. Its mean and
    scatter between records are kept too, and so is the first step with a number that is not finite.

    The state takes `4 * max(history, 1) * (4 * layers + 4)` bytes, 13 a layer, and the layers' names. The sizes of the
    parameters and those of the updates take 4 a layer and record each. Between records a step costs one pass over the
    gradient. Under `vmap` nothing is skipped between records: both branches of a batched condition are computed.

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

    >>> from vgrad_jax.gradients import get_record
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
    if around is not None:
        require_transformation("around", around)
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
        register_with_flax()
        layers = map_layers(_trained(params), self.grouping)
        number = len(layers.paths)
        static: dict[str, Any] = {
            "name": self.name,
            "every": self.every,
            "paths": layers.paths,
            "counts": layers.counts,
            "has_matrix": layers.has_matrix,
            "dtypes": layers.dtypes,
        }

        def empty(*shape: int) -> Float[Array, "..."]:
            return jnp.full(shape, np.nan, jnp.float32)

        losses = ("recorded_loss", "loss_mean", "loss_std")
        rings: dict[str, Any] = {field: jnp.full(self.history, np.nan, loss_dtype()) for field in losses}
        rings |= {field: empty(self.history, number) for field in SIZES}
        return RecordState(
            seen_updates=jnp.zeros((), jnp.int32),
            recorded_step=jnp.full(self.history, -1, jnp.int32),
            **rings,
            update_cosine=None if self.optimizer is None else empty(self.history),
            params_log10_rms=empty(self.history, number) if self.with_params else None,
            updates_log10_rms=None if self.optimizer is None else empty(self.history, number),
            running_number=jnp.zeros(number, jnp.int32),
            running_mean=jnp.zeros(number, jnp.float32),
            running_squares=jnp.zeros(number, jnp.float32),
            window=LossWindow.empty(),
            first_break=FirstBreak.empty(number),
            labels=jnp.asarray(np.frombuffer(json.dumps(static).encode(), np.uint8)),
            inner=() if self.optimizer is None else called("init of around", STARTING, self.optimizer.init, params),
            **static,
        )

    def update(
        self, gradients: PyTree, state: RecordState, params: PyTree = None, **extra: Any
    ) -> tuple[PyTree, RecordState]:
        """Return the updates (the gradients, where there is no optimiser), and the state with a record if it is due."""
        updates, inner = gradients, state.inner
        if self.optimizer is not None:
            extra_own = _accepted(self.optimizer.update, extra)
            updates, inner = updated("around", self.optimizer, gradients, inner, params, **extra_own)
        layers = _checked(map_layers(gradients, self.grouping), state)
        if self.with_params and params is None:
            raise InputError(
                f"the recorder {state.name!r} records the parameters' sizes too; call update(gradients, state, params)"
            )
        loss, has_loss = _loss_given(extra.get("value"))

        def written(state: RecordState) -> RecordState:
            sizes: dict[str, Any] = {}
            if self.with_params:
                sizes["params_log10_rms"] = self._log10_rms(params, state)
            if self.optimizer is not None:
                sizes["updates_log10_rms"] = self._log10_rms(updates, state)
                sizes["update_cosine"] = _cosine(_trained(updates), gradients)
            return _write(state, stats_of(gradients, layers), loss, sizes)

        # Neither branch changes the inner state, so neither takes or returns it.
        kept = replace(
            state,
            inner=(),
            window=state.window.add(loss),
            first_break=state.first_break.add(
                jnp.asarray(state.seen_updates), _broken(gradients, layers), loss, has_loss
            ),
        )
        if state.every > 1:
            kept = jax.lax.cond(state.seen_updates % state.every == 0, written, lambda state: state, kept)
        else:
            kept = written(kept)
        return updates, replace(kept, seen_updates=state.seen_updates + 1, inner=inner)

    def _log10_rms(self, tree: PyTree, state: RecordState) -> Float[Array, " layer"]:
        layers = _checked(map_layers(_trained(tree), self.grouping), state)
        return stats_of(_trained(tree), layers).log10_rms.astype(jnp.float32)  # type: ignore[return-value]


def _trained(tree: PyTree) -> PyTree:
    """Return the part of parameters or updates that the gradient is of: the fast weights of a lookahead."""
    return tree.fast if isinstance(tree, optax.LookaheadParams) else tree


def _accepted(update: Callable[..., Any], extra: dict[str, Any]) -> dict[str, Any]:
    """Return the extra arguments that an optimiser's update takes; some of optax's own take none."""
    parameters = inspect.signature(update).parameters
    if any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters.values()):
        return extra
    return {name: value for name, value in extra.items() if name in parameters}


def _loss_given(value: Any) -> tuple[Float[Array, ""], bool]:
    """Return the loss in the dtype of recorded losses, and whether it was given."""
    if value is None:
        return jnp.full((), np.nan, loss_dtype()), False
    return jnp.asarray(jnp.real(value), loss_dtype()), True


def _broken(gradients: PyTree, layers: LayerMap) -> Bool[Array, " layer"]:
    """Return whether each layer has a leaf with an element that is not finite."""
    finite = [jnp.isfinite(jnp.max(jnp.abs(leaf))) for _, leaf in float_leaves(gradients)]
    return jnp.stack([~jnp.stack([finite[piece.leaf] for piece in pieces]).all() for pieces in layers.pieces])


def _cosine(updates: PyTree, gradients: PyTree) -> Float[Array, ""]:
    """Return the cosine of the update with the gradient, over all leaves; NaN where one of them is zero.

    Both are divided by their largest magnitude first, so that no product underflows or overflows.
    """
    pairs = [[leaf for _, leaf in float_leaves(tree)] for tree in (updates, gradients)]
    if [leaf.shape for leaf in pairs[0]] != [leaf.shape for leaf in pairs[1]]:
        return jnp.full((), np.nan, jnp.float32)
    scales = [size_scale(jnp.max(jnp.stack([jnp.max(jnp.abs(leaf)) for leaf in leaves]))) for leaves in pairs]
    scaled = [[leaf / scale for leaf in leaves] for leaves, scale in zip(pairs, scales, strict=True)]

    def inner(first: list[Any], second: list[Any]) -> Any:
        products = (jnp.real(jnp.sum(a * jnp.conj(b))) for a, b in zip(first, second, strict=True))
        return jnp.sum(jnp.stack(list(products)))

    squares = inner(scaled[0], scaled[0]) * inner(scaled[1], scaled[1])
    cosine = inner(*scaled) / jnp.sqrt(jnp.where(squares > 0, squares, jnp.nan))
    return cosine.astype(jnp.float32)


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
    slot = jnp.asarray(state.seen_updates // state.every) % history
    loss_mean, loss_std = state.window.moments()
    values: dict[str, Any] = {"recorded_step": state.seen_updates, "recorded_loss": loss, **sizes}
    values |= {"loss_mean": loss_mean, "loss_std": loss_std, **{field: getattr(stats, field) for field in SIZES}}
    written: dict[str, Any] = {field: _put(getattr(state, field), value, slot) for field, value in values.items()}
    if "updates_log10_rms" in sizes:
        ratio = sizes["updates_log10_rms"] - sizes["params_log10_rms"]
        written["first_break"] = state.first_break.with_update(ratio)
    size = jnp.asarray(stats.log10_rms, jnp.float32)
    finite = jnp.isfinite(size)
    number = state.running_number + finite
    deviation = jnp.where(finite, size - state.running_mean, 0)
    mean = state.running_mean + deviation / jnp.maximum(number, 1)
    squares = state.running_squares + deviation * jnp.where(finite, size - mean, 0)
    moments: dict[str, Any] = {"running_number": number, "running_mean": mean, "running_squares": squares}
    return replace(state, **written, **moments, window=LossWindow.empty())


def _put(ring: Array, value: Any, slot: Int[Array, ""]) -> Array:
    """Return the ring with a value in one slot.

    A choice of elements, and no slice: slices of a ring without a mesh refuse values that live on one.
    """
    own = jnp.arange(ring.shape[0]) == slot
    return jnp.where(own.reshape(-1, *(1,) * (ring.ndim - 1)), jnp.asarray(value, ring.dtype), ring)
