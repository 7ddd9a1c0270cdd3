"""A whole training as one pure function of a description and a key."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Int, PyTree

from vgrad_jax.data import Dataset, load_data
from vgrad_jax.errors import InputError
from vgrad_jax.experiment import Experiment
from vgrad_jax.keys import PRNGKey, epoch_key, network_key, order_key
from vgrad_jax.losses import LOSSES
from vgrad_jax.nets.mlp import Params, init_mlp
from vgrad_jax.optimizers import make_optimizer
from vgrad_jax.training import convergence
from vgrad_jax.training import step as training_step
from vgrad_jax.training.records import Record, batch_loss, evaluate, measure
from vgrad_jax.training.settings import Settings, settings_of
from vgrad_jax.training.shuffle import shuffled

__all__ = [
    "History",
    "Run",
    "advance",
    "epoch_order",
    "initial_params",
    "look",
    "num_logits",
    "start",
    "train",
    "train_from",
]


class History(NamedTuple):
    """One run: its records, and how it ended."""

    records: Record
    """Every field with a leading `record` axis; record 0 is initialisation."""
    epoch: Int[Array, " record"]
    """Completed epochs at each record."""
    outcome: Int[Array, ""]
    """A `vgrad_jax.Outcome`, as a number."""
    epochs_to_converge: Float[Array, ""]
    """Completed epochs until the threshold; NaN when never. Exact whatever is recorded."""
    parameters: Params
    """Parameters after each epoch of `recording.parameters_at`, on a leading axis."""
    gradients: Params
    """The full training loss's gradient after each epoch of `recording.gradients_at`, on a leading axis."""


class Run(NamedTuple):
    """What the next epoch needs, and what the records are made of."""

    state: training_step.TrainState
    updates: Params
    """The last step's update; NaN before the first step."""
    watch: convergence.Watch
    order_key: PRNGKey
    parameters: Params
    gradients: Params


def train(experiment: Experiment, key: PRNGKey, *, dataset: Dataset | None = None) -> History:
    """Train one network.

    Pure: `jax.jit(partial(train, experiment))` and `jax.vmap(partial(train, experiment))` over keys do what
    they say, and neither the records nor their number change the training.

    Args:
        experiment: what to train, on what, for how long.
        key: everything random in this run: initial weights and the order of the rows.
        dataset: data to use instead of `experiment.data`.

    Returns:
        The run's `History`.

    Raises:
        InputError: data and description do not fit.

    >>> from vgrad_jax.experiment import Training
    >>> history = train(Experiment(training=Training(epochs=2)), jax.random.key(0))
    >>> history.epoch.tolist(), history.records.gradient_log10_rms.shape
    ([0, 1, 2], (3, 6))
    """
    dataset = load_data(experiment.data) if dataset is None else dataset
    return train_from(experiment, initial_params(experiment, key, dataset), key, dataset=dataset)


def train_from(
    experiment: Experiment,
    params: Params,
    key: PRNGKey,
    *,
    dataset: Dataset | None = None,
    settings: Settings | None = None,
    rows_at_once: int | None = None,
) -> History:
    """Train from given parameters; `key` orders the rows.

    Differentiable in `params` and `settings`.

    Args:
        experiment: what to train; its initialisers are not used.
        params: where to start.
        key: as in `train`.
        dataset: data to use instead of `experiment.data`.
        settings: numbers to use instead of the experiment's own, as `settings_of` gives them.
        rows_at_once: how the records are computed, see `measure`.
    """
    settings = settings_of(experiment) if settings is None else settings
    dataset = load_data(experiment.data) if dataset is None else dataset
    recording = experiment.recording
    total = experiment.training.epochs
    every = min(recording.every, total)

    def one_epoch(run: Run, epoch: Int[Array, ""]) -> Run:
        run = advance(experiment, dataset, run, epoch, settings)
        return run if every == 1 else _follow(experiment, dataset, run, epoch, settings, rows_at_once)

    def one_record(run: Run, epochs: Int[Array, " epochs"]) -> tuple[Run, Record]:
        def unless_none(run: Run, epoch: Int[Array, ""]) -> tuple[Run, None]:
            return lax.cond(epoch > 0, one_epoch, lambda run, _: run, run, epoch), None

        run, _ = lax.scan(unless_none, run, epochs)
        return look(experiment, dataset, run, jnp.max(epochs), settings, rows_at_once)

    # The epochs that lead to each record, and zeros where there are fewer: none lead to the first. One loop for all
    # of them has everything once in the program, which halves the time to compile it.
    recorded = np.asarray(recording.epochs(total))
    leading = recorded[:, None] - np.arange(every)[::-1]
    leading[1:] *= leading[1:] > recorded[:-1, None]
    run, records = lax.scan(one_record, start(experiment, params, key), jnp.asarray(np.maximum(leading, 0)))
    return History(
        records=records,
        epoch=jnp.asarray(recorded),
        outcome=convergence.outcome(run.watch),
        epochs_to_converge=convergence.epochs_to_converge(run.watch),
        parameters=run.parameters,
        gradients=run.gradients,
    )


def initial_params(experiment: Experiment, key: PRNGKey, dataset: Dataset) -> Params:
    """The parameters that the run of `key` starts from."""
    return init_mlp(network_key(key), experiment.mlp, dataset.train_x.shape[1], num_logits(experiment, dataset))


def num_logits(experiment: Experiment, dataset: Dataset) -> int:
    """How many outputs the network of an experiment has."""
    classes = int(max(dataset.train_y.max(), dataset.test_y.max())) + 1
    return LOSSES[experiment.training.loss].out_features(classes)


def start(experiment: Experiment, params: Params, key: PRNGKey) -> Run:
    """A run before its first epoch."""
    recording = experiment.recording
    return Run(
        state=training_step.init(params, make_optimizer(experiment.optimizer)),
        updates=_filled(params, ()),
        watch=convergence.start_watch(),
        order_key=order_key(key),
        parameters=_filled(params, (len(recording.parameters_at),)),
        gradients=_filled(params, (len(recording.gradients_at),)),
    )


def advance(
    experiment: Experiment, dataset: Dataset, run: Run, epoch: Int[Array, ""], settings: Settings | None = None
) -> Run:
    """One pass over the training rows: the one that completes `epoch`, counted from 1."""
    rows = dataset.train_x.shape[0]
    size = experiment.training.batch_size
    if size > rows:
        raise InputError(f"a batch of {size} needs as many training rows; there are {rows}")
    order = epoch_order(run.order_key, epoch, rows)
    x, y = jnp.asarray(dataset.train_x)[order], jnp.asarray(dataset.train_y)[order]
    one_step = partial(
        training_step.step,
        loss_function=partial(batch_loss, mlp=experiment.mlp, loss=LOSSES[experiment.training.loss]),
        optimizer=make_optimizer(experiment.optimizer, settings),
    )
    scanned, rest = divmod(rows, size)
    split = rows - rest

    def scan_step(
        carry: tuple[training_step.TrainState, Params], batch: tuple[jax.Array, jax.Array]
    ) -> tuple[tuple[training_step.TrainState, Params], jax.Array]:
        state, info = one_step(carry[0], batch)
        return (state, info.updates), info.loss

    batches = (x[:split].reshape(scanned, size, -1), y[:split].reshape(scanned, size))
    (state, updates), losses = lax.scan(scan_step, (run.state, run.updates), batches)
    finite = run.watch.finite & jnp.all(jnp.isfinite(losses))
    if rest:
        state, info = one_step(state, (x[split:], y[split:]))
        updates, finite = info.updates, finite & jnp.isfinite(info.loss)
    return run._replace(state=state, updates=updates, watch=run.watch._replace(finite=finite))


def look(
    experiment: Experiment,
    dataset: Dataset,
    run: Run,
    epoch: Int[Array, ""],
    settings: Settings | None = None,
    rows_at_once: int | None = None,
) -> tuple[Run, Record]:
    """The record after `epoch` completed epochs; the run keeps what it was asked to keep of it."""
    recording, loss_name = experiment.recording, experiment.training.loss
    record, gradient = measure(run.state.params, run.updates, dataset, experiment.mlp, loss_name, rows_at_once)
    run = _watched(experiment, run, epoch, record.train_loss, record.train_accuracy, settings)
    return run._replace(
        parameters=_keep(run.parameters, run.state.params, recording.parameters_at, epoch),
        gradients=_keep(run.gradients, gradient, recording.gradients_at, epoch),
    ), record


def epoch_order(order: PRNGKey, epoch: Int[Array, ""], rows: int) -> Int[Array, " rows"]:
    """The order in which an epoch takes the training rows: a fresh permutation for every epoch."""
    return shuffled(epoch_key(order, epoch), rows)


def _follow(
    experiment: Experiment,
    dataset: Dataset,
    run: Run,
    epoch: Int[Array, ""],
    settings: Settings,
    rows_at_once: int | None,
) -> Run:
    """Looks at convergence alone, after every epoch, so that it does not depend on what is recorded."""
    x, y = jnp.asarray(dataset.train_x), jnp.asarray(dataset.train_y)
    loss, accuracy = evaluate(run.state.params, x, y, experiment.mlp, experiment.training.loss, rows_at_once)
    return _watched(experiment, run, epoch, loss, accuracy, settings)


def _watched(
    experiment: Experiment,
    run: Run,
    epoch: Int[Array, ""],
    loss: Float[Array, ""],
    accuracy: Float[Array, ""],
    settings: Settings | None,
) -> Run:
    threshold = experiment.training.threshold if settings is None else settings["threshold"]
    return run._replace(watch=convergence.watch(run.watch, epoch, accuracy, jnp.isfinite(loss), threshold))


def _filled(params: Params, leading: tuple[int, ...]) -> Params:
    return jax.tree.map(lambda leaf: jnp.full(leading + leaf.shape, jnp.nan, leaf.dtype), params)


def _keep(kept: PyTree, value: PyTree, at: tuple[int, ...], epoch: Int[Array, ""]) -> PyTree:
    if not at:
        return kept
    hit: Bool[Array, " kept"] = jnp.asarray(at) == epoch
    return jax.tree.map(lambda leaf, new: jnp.where(hit.reshape(-1, *(1,) * new.ndim), new[None], leaf), kept, value)
