"""Watch: the verdict on a training so far, asked for inside the compiled loop.

    optimiser's state ─► record so far ─► host: rules on its latest prefixes ─► number of a status ─► compiled loop
                                              │ all of them must name a fault
                                       verdict of `diagnose`, without noise and advice

The rules are those of `diagnose`, so that an alarm and the verdict afterwards speak of the same thing. Statuses
that are about the end of a training never alarm: it may not be over.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Int, PyTree

from vgrad_jax.boundary import checked
from vgrad_jax.descriptions import whole_number
from vgrad_jax.diagnosis.statuses import FAULTLESS, HEALTHY, STATUSES
from vgrad_jax.diagnosis.verdict import HasLook, statuses_of
from vgrad_jax.gradients.look import Look
from vgrad_jax.gradients.record_state import get_record, recorder_state
from vgrad_jax.gradients.recording import Record
from vgrad_jax.gradients.stats import AnyArray

__all__ = ["Alarm", "watch"]

PATIENCE = 2
"""Number of records in a row that must show a fault, by default; docs/verdicts.md has the false alarms of each."""
SILENT = ("too_few_steps", "chance_level")
"""Statuses of a training that has ended, which alarm at no time."""


@partial(jax.tree_util.register_dataclass, data_fields=["code", "step"], meta_fields=[])
@dataclass(frozen=True)
class Alarm:
    """Answer of `watch` at one step, or at many along the last axis; a pytree whose arrays may have batch axes."""

    code: Int[AnyArray, "*batch"]
    """Place of the status in `STATUSES`; 0 where nothing alarms."""
    step: Int[AnyArray, "*batch"]
    """Updates done before the latest record; -1 where nothing was recorded."""

    @property
    def sounds(self) -> Bool[AnyArray, "*batch"]:
        """True where a fault was found: a condition for `lax.cond` and `lax.while_loop`."""
        numpy: Any = np if isinstance(self.code, np.ndarray) else jnp
        return numpy.asarray(self.code > 0)

    @property
    def status(self) -> Any:
        """Name of the status, an array of names where there are several; "healthy" where nothing alarms."""
        names = np.asarray(STATUSES)[np.asarray(self.code)]
        return str(names) if names.ndim == 0 else names

    def first(self) -> "Alarm":
        """Return the first alarm along the last axis, such as the steps of a `lax.scan`; the last entry without one.

        The alarm of a single step is its own first.
        """
        code, step = np.asarray(self.code), np.asarray(self.step)
        if not code.ndim:
            return self
        sounds = code > 0
        index = np.where(sounds.any(axis=-1), sounds.argmax(axis=-1), code.shape[-1] - 1)[..., None]
        pick = partial(np.take_along_axis, indices=index, axis=-1)
        return Alarm(pick(code)[..., 0], pick(step)[..., 0])

    def __str__(self) -> str:
        if isinstance(self.code, jax.core.Tracer) or np.ndim(self.code):
            return repr(self)
        return f"{self.status} at step {int(self.step)}" if self.sounds else "no alarm"


@checked
def watch(
    opt_state: PyTree,
    *,
    check: HasLook | Look | None = None,
    baseline: float | None = None,
    name: str | None = None,
    patience: int = PATIENCE,
) -> Alarm:
    """Judge a training while it runs, inside or outside of `jit`, from the state of its recorder.

    It asks `diagnose` at every record, and sounds where the latest records all show a fault. At the steps between two
    records it is silent. Compiled code calls Python for it, once a record. Under `vmap` that is once a step for all
    seeds together.

    Args:
        opt_state: the state that the optimiser's `update` returned, with a `record` in it.
        check: a `check_init` of the same model; as in `diagnose`.
        baseline: loss of the best constant prediction; as in `diagnose`.
        name: the recorder's name, where there are several.
        patience: number of records in a row that must show a fault. A record with numbers that are not finite is enough
            alone.

    Returns:
        The alarm, a pytree of integers.

    Raises:
        InputError: there is no such recorder, or the check is of another model.

    >>> import optax
    >>> from vgrad_jax.gradients import record
    >>> optimizer = record(every=5, history=100, around=optax.sgd(3.0))  # A step of 3 doubles the error each time.
    >>> @jax.jit
    ... def train(params):
    ...     def step(carry, _):
    ...         params, state = carry
    ...         loss, gradient = jax.value_and_grad(lambda p: jnp.sum(p**2) / 2)(params)
    ...         updates, state = optimizer.update(gradient, state, params, value=loss)
    ...         return (optax.apply_updates(params, updates), state), watch(state)
    ...     return jax.lax.scan(step, (params, optimizer.init(params)), length=50)[1]
    >>> print(train(jnp.ones((2, 2))).first())
    learning_rate_large at step 10
    """
    whole_number("patience", patience, minimum=1)
    state, record = recorder_state(opt_state, name), get_record(opt_state, name)
    seen = next(iter(jax.tree.leaves(state.seen_updates)))
    judged = partial(_codes, check=check, baseline=baseline, patience=patience)
    if not isinstance(seen, jax.core.Tracer):
        step = np.asarray(record.step)
        latest = step[..., -1] if step.shape[-1] else np.full(step.shape[:-1], -1)
        return Alarm(judged(np.asarray(_due(np.asarray(seen), state.every)), record), latest)
    due = _due(seen, state.every)
    shape = jax.ShapeDtypeStruct(due.shape, jnp.int32)

    def asked() -> Any:
        return jax.pure_callback(judged, shape, due, record, vmap_method="broadcast_all")

    code = jax.lax.cond(jnp.any(due), asked, lambda: jnp.zeros(due.shape, jnp.int32))
    return Alarm(code, record.step[..., -1])


def _due(seen: Any, every: int) -> Any:
    """Return whether the latest update was recorded."""
    return (seen > 0) & ((seen - 1) % every == 0)


def _codes(due: Any, record: Record, **options: Any) -> Int[np.ndarray, "*batch"]:
    """Return the number of every seed's status where a record is due, else 0."""
    due = np.asarray(due)
    if not due.any():
        return np.zeros(due.shape, np.int32)
    return np.where(due, alarm_codes(record, **options), 0).astype(np.int32)


def alarm_codes(
    record: Record, *, patience: int = PATIENCE, check: HasLook | Look | None = None, baseline: float | None = None
) -> Int[np.ndarray, "*batch"]:
    """Return the number of every seed's status after the latest record; 0 where not all of the latest show a fault.

    Args:
        record: so far; slots that are not filled yet have the step -1.
        patience, check, baseline: as in `watch`.
    """
    record = jax.tree.map(np.asarray, record)
    batch = record.step.shape[:-1]
    filled = int((record.step >= 0).sum(axis=-1).max(initial=0))
    if not filled:
        return np.zeros(batch, np.int32)
    record = record.since(record.step.shape[-1] - filled)
    ask = partial(statuses_of, check=check, baseline=baseline)
    now = ask(record)
    sounds = np.array([_alarms(status) for status in now])
    certain = np.array([status == "non_finite" for status in now])
    for before in range(1, patience):
        if not (sounds & ~certain).any():
            break
        earlier = ask(record.until(-before)) if before < filled else [HEALTHY] * len(now)
        sounds &= certain | np.array([_alarms(status) for status in earlier])
    numbers = [STATUSES.index(status) if own else 0 for status, own in zip(now, sounds, strict=True)]
    return np.reshape(numbers, batch).astype(np.int32)


def _alarms(status: str) -> bool:
    return status not in FAULTLESS and status not in SILENT
