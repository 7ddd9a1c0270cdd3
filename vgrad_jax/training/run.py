"""Train a network as one pure function of a description and a key, in one nested scan:

    scan over records
        scan over the epochs since the last record
            scan over batches: `step`
            update of the convergence, after every epoch
        `measure_record`: losses, accuracies, gradients; parameters and gradients that are kept

Everything random comes from the key: the initial network, and the order of the rows in each epoch.
"""

from dataclasses import replace
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Int, PyTree

from vgrad_jax.boundary import checked
from vgrad_jax.data import Dataset, load_data
from vgrad_jax.errors import InputError
from vgrad_jax.experiment import Experiment
from vgrad_jax.keys import PRNGKey, epoch_key, network_key, order_key
from vgrad_jax.losses import LOSSES
from vgrad_jax.nets.data_dependent import fitted_to_data
from vgrad_jax.nets.mlp import Params, init_mlp
from vgrad_jax.optimizers import make_optimizer
from vgrad_jax.training import convergence
from vgrad_jax.training import step as training_step
from vgrad_jax.training.convergence import ConvergenceState
from vgrad_jax.training.records import EpochRecord, batch_loss, evaluate, measure
from vgrad_jax.training.settings import Settings, settings_of
from vgrad_jax.training.shuffle import shuffled

__all__ = [
    "History",
    "Run",
    "advance",
    "epoch_order",
    "initial_params",
    "measure_record",
    "num_logits",
    "rows_to_fit",
    "start",
    "train",
    "train_from",
]

ROWS_TO_FIT = 512
"""Most training rows that an initialisation depends on."""


class History(NamedTuple):
    """History of one run: its records, and its outcome."""

    records: EpochRecord
    """Records, every field with a leading `record` axis; record 0 is initialisation."""
    epoch: Int[Array, " record"]
    """Completed epochs at each record."""
    outcome: Int[Array, ""]
    """`vgrad_jax.Outcome` as a number."""
    epochs_to_converge: Float[Array, ""]
    """Completed epochs until the threshold; NaN if the run did not converge. Exact for any recording."""
    parameters: Params
    """Parameters after each epoch of `recording.parameters_at`, on a leading axis."""
    gradients: Params
    """The full training loss's gradient after each epoch of `recording.gradients_at`, on a leading axis."""


class Run(NamedTuple):
    """State of a run between two epochs."""

    state: training_step.TrainState
    updates: Params
    """Update of the last step; NaN before the first step."""
    convergence: ConvergenceState
    order_key: PRNGKey
    """Key of the order of the rows."""
    parameters: Params
    """Parameters that were kept so far, on a leading axis; NaN at epochs to come."""
    gradients: Params
    """Gradients that were kept so far, on a leading axis; NaN at epochs to come."""


@checked
def train(experiment: Experiment, key: PRNGKey, *, dataset: Dataset | None = None) -> History:
    """Train one network.

    The function is pure: `jax.jit(partial(train, experiment))` and `jax.vmap(partial(train, experiment))` over keys
    work. The recording never changes the training.

    Args:
        experiment: the network, its data, its optimiser, and the length of the training.
        key: key of everything random in this run: initial weights and the order of the rows.
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


@checked
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

    The function is differentiable in `params` and `settings`.

    Args:
        experiment: the arm to train; its initialisers are not used.
        params: parameters to start from.
        key: key of the run, as in `train`.
        dataset: data to use instead of `experiment.data`.
        settings: numbers to use instead of the experiment's own, as `settings_of` returns them.
        rows_at_once: largest size of a block of rows in the records, see `measure`.

    Returns:
        The run's `History`.
    """
    settings = settings_of(experiment) if settings is None else settings
    dataset = load_data(experiment.data) if dataset is None else dataset
    recording = experiment.recording
    num_epochs = experiment.training.epochs
    every = min(recording.every, num_epochs)

    def train_epoch(run: Run, epoch: Int[Array, ""]) -> Run:
        run = advance(experiment, dataset, run, epoch, settings)
        return run if every == 1 else _check_convergence(experiment, dataset, run, epoch, settings, rows_at_once)

    def train_to_record(run: Run, epochs: Int[Array, " epochs"]) -> tuple[Run, EpochRecord]:
        def train_unless_padded(run: Run, epoch: Int[Array, ""]) -> tuple[Run, None]:
            return lax.cond(epoch > 0, train_epoch, lambda run, _: run, run, epoch), None

        run, _ = lax.scan(train_unless_padded, run, epochs)
        return measure_record(experiment, dataset, run, jnp.max(epochs), settings, rows_at_once)

    # Row r holds the epochs after record r - 1 up to record r, with zeros in front as padding; row 0 is padding alone.
    # A single scan over rows of one length has each epoch's code once, which halves the time to compile.
    recorded = np.asarray(recording.epochs(num_epochs))
    epochs_to_record = recorded[:, None] - np.arange(every)[::-1]
    epochs_to_record[1:] *= epochs_to_record[1:] > recorded[:-1, None]
    run, records = lax.scan(
        train_to_record, start(experiment, params, key), jnp.asarray(np.maximum(epochs_to_record, 0))
    )
    return History(
        records=records,
        epoch=jnp.asarray(recorded),
        outcome=convergence.outcome(run.convergence),
        epochs_to_converge=convergence.epochs_to_converge(run.convergence),
        parameters=run.parameters,
        gradients=run.gradients,
    )


def initial_params(experiment: Experiment, key: PRNGKey, dataset: Dataset) -> Params:
    """Draw the parameters that the run of `key` starts from."""
    drawn = replace(experiment.mlp, data_init=None)
    params = init_mlp(network_key(key), drawn, dataset.train_x.shape[1], num_logits(experiment, dataset))
    if experiment.mlp.data_init is None:
        return params
    return fitted_to_data(params, jnp.asarray(rows_to_fit(dataset)), experiment.mlp)


def rows_to_fit(dataset: Dataset) -> Float[np.ndarray, "row feature"]:
    """Return the training rows that an initialisation depends on: `ROWS_TO_FIT` at the most, evenly spread."""
    count = min(len(dataset.train_x), ROWS_TO_FIT)
    return np.asarray(dataset.train_x)[np.linspace(0, len(dataset.train_x) - 1, count).round().astype(int)]


def num_logits(experiment: Experiment, dataset: Dataset) -> int:
    """Return the number of outputs of an experiment's network.

    Raises:
        InputError: the loss does not fit the targets.
    """
    name = experiment.training.loss
    is_number = bool(jnp.issubdtype(dataset.train_y.dtype, jnp.floating))
    if is_number != LOSSES[name].of_numbers:
        fitting = ", ".join(repr(other) for other, loss in LOSSES.items() if loss.of_numbers == is_number)
        kinds = ("numbers", "classes") if is_number else ("classes", "numbers")
        raise InputError(f"the targets are {kinds[0]}, and {name} is a loss of {kinds[1]}; use one of {fitting}")
    return LOSSES[name].out_features(1 if is_number else int(max(dataset.train_y.max(), dataset.test_y.max())) + 1)


def start(experiment: Experiment, params: Params, key: PRNGKey) -> Run:
    """Return the state of a run before its first epoch."""
    recording = experiment.recording
    return Run(
        # The state of an optimiser is the same for any number of steps.
        state=training_step.init(params, make_optimizer(experiment.optimizer, steps=1)),
        updates=_filled(params, ()),
        convergence=convergence.init(),
        order_key=order_key(key),
        parameters=_filled(params, (len(recording.parameters_at),)),
        gradients=_filled(params, (len(recording.gradients_at),)),
    )


def advance(
    experiment: Experiment, dataset: Dataset, run: Run, epoch: Int[Array, ""], settings: Settings | None = None
) -> Run:
    """Train for one pass over the training rows: the pass that completes `epoch`, counted from 1."""
    rows = dataset.train_x.shape[0]
    size = experiment.training.batch_size
    if size > rows:
        raise InputError(f"a batch of {size} needs at least {size} training rows; the data has {rows}")
    order = epoch_order(run.order_key, epoch, rows)
    x, y = jnp.asarray(dataset.train_x)[order], jnp.asarray(dataset.train_y)[order]
    take_step = partial(
        training_step.step,
        loss_function=partial(batch_loss, mlp=experiment.mlp, loss=LOSSES[experiment.training.loss]),
        optimizer=make_optimizer(experiment.optimizer, settings, steps=experiment.training.epochs * -(-rows // size)),
    )
    scanned, remainder = divmod(rows, size)
    split = rows - remainder

    def scan_step(
        carry: tuple[training_step.TrainState, Params], batch: tuple[jax.Array, jax.Array]
    ) -> tuple[tuple[training_step.TrainState, Params], jax.Array]:
        state, info = take_step(carry[0], batch)
        return (state, info.updates), info.loss

    batches = (x[:split].reshape(scanned, size, -1), y[:split].reshape(scanned, size))
    (state, updates), losses = lax.scan(scan_step, (run.state, run.updates), batches)
    finite = run.convergence.finite & jnp.all(jnp.isfinite(losses))
    # The last, smaller batch has another shape, so that the scan cannot take it.
    if remainder:
        state, info = take_step(state, (x[split:], y[split:]))
        updates, finite = info.updates, finite & jnp.isfinite(info.loss)
    return run._replace(state=state, updates=updates, convergence=run.convergence._replace(finite=finite))


def measure_record(
    experiment: Experiment,
    dataset: Dataset,
    run: Run,
    epoch: Int[Array, ""],
    settings: Settings | None = None,
    rows_at_once: int | None = None,
) -> tuple[Run, EpochRecord]:
    """Measure the record after `epoch` completed epochs, update the convergence, and keep parameters and gradients."""
    recording, loss_name = experiment.recording, experiment.training.loss
    record, gradient = measure(run.state.params, run.updates, dataset, experiment.mlp, loss_name, rows_at_once)
    run = _with_convergence(experiment, run, epoch, record.train_loss, record.train_accuracy, settings)
    return run._replace(
        parameters=_keep(run.parameters, run.state.params, recording.parameters_at, epoch),
        gradients=_keep(run.gradients, gradient, recording.gradients_at, epoch),
    ), record


def epoch_order(order: PRNGKey, epoch: Int[Array, ""], rows: int) -> Int[Array, " rows"]:
    """Return the order in which an epoch takes the training rows: a new permutation for every epoch."""
    return shuffled(epoch_key(order, epoch), rows)


def _check_convergence(
    experiment: Experiment,
    dataset: Dataset,
    run: Run,
    epoch: Int[Array, ""],
    settings: Settings,
    rows_at_once: int | None,
) -> Run:
    """Update the convergence alone, after every epoch, so that it does not depend on the recorded epochs."""
    x, y = jnp.asarray(dataset.train_x), jnp.asarray(dataset.train_y)
    loss, accuracy = evaluate(run.state.params, x, y, experiment.mlp, experiment.training.loss, rows_at_once)
    return _with_convergence(experiment, run, epoch, loss, accuracy, settings)


def _with_convergence(
    experiment: Experiment,
    run: Run,
    epoch: Int[Array, ""],
    loss: Float[Array, ""],
    accuracy: Float[Array, ""],
    settings: Settings | None,
) -> Run:
    threshold = experiment.training.threshold if settings is None else settings["threshold"]
    return run._replace(convergence=convergence.update(run.convergence, epoch, accuracy, jnp.isfinite(loss), threshold))


def _filled(params: Params, leading: tuple[int, ...]) -> Params:
    return jax.tree.map(lambda leaf: jnp.full(leading + leaf.shape, jnp.nan, leaf.dtype), params)


def _keep(kept: PyTree, value: PyTree, at: tuple[int, ...], epoch: Int[Array, ""]) -> PyTree:
    if not at:
        return kept
    is_epoch: Bool[Array, " kept"] = jnp.asarray(at) == epoch
    return jax.tree.map(
        lambda leaf, new: jnp.where(is_epoch.reshape(-1, *(1,) * new.ndim), new[None], leaf), kept, value
    )
