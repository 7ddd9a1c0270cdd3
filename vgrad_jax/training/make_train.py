"""Maker of a training: from an initialiser and a loss of any framework to a pure function of a key.

key ─► network_key ─► init ─► model ─┐
   ├─► order_key ─► shuffled rows ───┼─► epochs of steps ─► train_loss, evaluation, gradients
   └─► noise_key ─► keys of the loss ┘
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax
from jaxtyping import Array, Float, Int, PyTree

from vgrad_jax.boundary import called, checked
from vgrad_jax.data import Data, Dataset, load_data
from vgrad_jax.descriptions import whole_number
from vgrad_jax.errors import InputError
from vgrad_jax.gradients import get_record, record
from vgrad_jax.gradients.objective import require_callable, scalar_of
from vgrad_jax.gradients.record_state import recorder_state
from vgrad_jax.keys import PRNGKey, epoch_key, network_key, noise_key, order_key
from vgrad_jax.optimizers import STARTING, require_transformation, updated
from vgrad_jax.training.models import SplitModel, split_model
from vgrad_jax.training.shuffle import shuffled

__all__ = ["MadeTraining", "make_train"]

RECORDS = 64
"""Number of records that `record=True` keeps, evenly spread over the training."""

EVALUATED = "evaluated_epoch"
"""Dimension of evaluations that do not come after every epoch."""

ALONE = "evaluation"
"""Name of an evaluation that is a bare number."""


LOSS = "a function f(model, batch) or f(model, batch, key) that gives a scalar"
LOSS_WITH_STATE = "a function f(params, state, batch) or f(params, state, batch, key) that gives (loss, new_state)"
EVALUATION = "a function f(model, held_out), with has_state f(params, state, held_out), that gives numbers"
"""Form of a loss, of one with a state, and of an evaluation, for messages."""

NUMBERS = (jax.Array, np.ndarray, np.generic, bool, int, float, complex)
"""Kinds of numbers in an evaluation."""


class _State(NamedTuple):
    """Everything that a step changes."""

    params: PyTree
    opt_state: PyTree
    state: PyTree


@dataclass(frozen=True, eq=False)
class MadeTraining:
    """A pure training of a key, as `make_train` makes it; it names the dimensions of its results for a sweep."""

    init: Callable[[Any], PyTree]
    loss_fn: Callable[..., Any]
    optimizer: optax.GradientTransformationExtraArgs
    data: PyTree
    held_out: PyTree
    epochs: int
    batch_size: int
    evaluate: Callable[..., Any] | None
    every: int
    has_state: bool
    takes_key: bool

    @property
    def coords(self) -> dict[str, tuple[int, ...]]:
        """Dimension name to its values, of a dimension that does not count from one."""
        return {} if self.every == 1 else {EVALUATED: (*range(self.every, self.epochs, self.every), self.epochs)}

    def dims_of(self, name: str, axes: int) -> tuple[str, ...]:
        """Return the names of a result's dimensions.

        Args:
            name: name of the result.
            axes: number of its axes.
        """
        first = "epoch" if name == "train_loss" or self.every == 1 else EVALUATED
        return (first, *(f"{name}_dim_{axis}" for axis in range(1, axes)))

    def __call__(self, key: PRNGKey) -> dict[str, Any]:
        """Train the run of a key.

        Returns:
            `train_loss`, the mean over each epoch's batches, `(epoch,)`; the evaluations; and `gradients`, a
            `vgrad_jax.Record`, where the optimiser records.
        """
        made = called("init", "a function f(key) that gives a model", self.init, network_key(key))
        model = split_model(made, has_state=self.has_state)
        opt_state = called("init of optimizer", STARTING, self.optimizer.init, model.params)
        start = _State(model.params, opt_state, model.state)

        def epoch(carry: _State, number: Int[Array, ""]) -> tuple[_State, Float[Array, ""]]:
            return self._epoch(model, carry, key, number)

        def epochs(carry: _State, numbers: Int[Array, " epochs"]) -> tuple[_State, tuple[Any, Any]]:
            carry, losses = lax.scan(epoch, carry, numbers)
            return carry, (losses, self._evaluated(model, carry))

        numbers = jnp.arange(1, self.epochs + 1)
        evaluated, rest = divmod(self.epochs, self.every)
        split = self.epochs - rest
        end, (losses, evaluations) = lax.scan(epochs, start, numbers[:split].reshape(evaluated, self.every))
        losses = losses.reshape(-1)
        if rest:
            end, (more, last) = epochs(end, numbers[split:])
            losses = jnp.concatenate([losses, more])
            evaluations = jax.tree.map(lambda values, value: jnp.concatenate([values, value[None]]), evaluations, last)
        results = {"train_loss": losses, **evaluations}
        return results | _gradients(end.opt_state)

    def _epoch(
        self, model: SplitModel, carry: _State, key: PRNGKey, number: Int[Array, ""]
    ) -> tuple[_State, Float[Array, ""]]:
        """Take one pass over the shuffled rows; a smaller last batch is kept."""
        rows = _num_rows(self.data)
        order = shuffled(epoch_key(order_key(key), number), rows)
        scanned, remainder = divmod(rows, self.batch_size)
        steps = scanned + bool(remainder)
        first = (number - 1) * steps

        def step(carry: _State, position: Int[Array, ""]) -> tuple[_State, Float[Array, ""]]:
            chosen = lax.dynamic_slice_in_dim(order, position * self.batch_size, self.batch_size)
            return self._step(model, carry, _rows_of(self.data, chosen), noise_key(key, first + position))

        carry, losses = lax.scan(step, carry, jnp.arange(scanned))
        if not remainder:
            return carry, losses.mean()
        last = _rows_of(self.data, order[rows - remainder :])
        carry, loss = self._step(model, carry, last, noise_key(key, first + scanned))
        return carry, (losses.sum() + loss) / steps

    def _step(self, model: SplitModel, carry: _State, batch: PyTree, key: PRNGKey) -> tuple[_State, Float[Array, ""]]:
        form = LOSS_WITH_STATE if self.has_state else LOSS

        def objective(params: PyTree) -> tuple[Any, PyTree]:
            arguments = model.arguments(params, carry.state)
            returned = called("loss_fn", form, self.loss_fn, *arguments, batch, *((key,) if self.takes_key else ()))
            if not self.has_state:
                return scalar_of(returned), model.state_after(arguments, None)
            if not isinstance(returned, tuple) or len(returned) != 2:
                raise InputError("with has_state=True, loss_fn must return a pair (loss, new_state)")
            return scalar_of(returned[0]), model.state_after(arguments, returned[1])

        (loss, state), gradients = jax.value_and_grad(objective, has_aux=True)(carry.params)
        updates, opt_state = updated("optimizer", self.optimizer, gradients, carry.opt_state, carry.params, value=loss)
        return _State(optax.apply_updates(carry.params, updates), opt_state, state), loss

    def _evaluated(self, model: SplitModel, carry: _State) -> dict[str, Any]:
        """Return the evaluations on the held-out rows, by name."""
        if self.evaluate is None:
            return {}
        arguments = model.arguments(carry.params, carry.state)
        values = called("evaluate", EVALUATION, self.evaluate, *arguments, self.held_out)
        if values is None or not all(isinstance(leaf, NUMBERS) for leaf in jax.tree.leaves(values)):
            raise InputError(f"evaluate must give a number, an array, or a dictionary of them; it gave {values!r}")
        if not isinstance(values, dict):
            return {ALONE: values}
        if "train_loss" in values:
            raise InputError("evaluate must not return 'train_loss', the name of the mean loss of an epoch's batches")
        return values


@checked
def make_train(
    init: Callable[[Any], PyTree],
    loss_fn: Callable[..., Any],
    optimizer: optax.GradientTransformation,
    data: Any,
    *,
    epochs: int,
    batch_size: int,
    record: bool | int | optax.GradientTransformation | None = None,
    evaluate: Callable[..., Any] | None = None,
    held_out: Any = None,
    evaluate_every: int = 1,
    has_state: bool = False,
) -> MadeTraining:
    """Make the pure `train(key)` of a model without a loop: an arm of a sweep.

    The model is a pytree of arrays (bare JAX, flax linen, haiku), an equinox module, or an nnx module. Only its
    floating-point arrays are trained. Functions and whole numbers among its leaves stay as they are. Batch statistics
    and random streams of an nnx module are carried from step to step.

    Args:
        init: from a key to the model; with `has_state` to a pair of parameters and state.
        loss_fn: `f(model, batch)` to the batch's mean loss, or `f(model, batch, key)`, with a key of its own for each
            step. With `has_state`, `f(params, state, batch)` or `f(params, state, batch, key)`, to a pair of loss and
            new state.
        optimizer: any optax optimiser; where it holds a `vgrad_jax.record`, that record is returned.
        data: a pytree of arrays with one leading axis, the rows; or a `vgrad_jax.Data` or `Dataset`.
        epochs: passes over the rows, which are shuffled anew each time as for an `Experiment`.
        batch_size: rows in a batch; a smaller last batch is kept.
        record: number of records of every layer's gradient, evenly spread over the updates. True keeps 64. None and
            False add no recorder. A `vgrad_jax.record` of your own stands before the optimiser.
        evaluate: `f(model, held_out)`, or with `has_state` `f(params, state, held_out)`, to a number or a dictionary of
            numbers, called after each epoch. Each becomes a curve.
        held_out: the rows that `evaluate` gets, as `data`. None gives the test rows of a `Data` or `Dataset`, and
            otherwise the training rows.
        evaluate_every: epochs between two evaluations; the last epoch always has one.
        has_state: whether the loss returns a new state, as of batch norm in flax linen and haiku.

    Returns:
        A function of a key to `train_loss`, the evaluations and `gradients`. It names its dimensions, so that a sweep
        of it has the dimension `epoch`.

    Raises:
        InputError: a number is impossible, the rows do not fit together, or a function is none.

    >>> rows = (np.linspace(-1, 1, 8, dtype=np.float32), np.linspace(-2, 2, 8, dtype=np.float32))
    >>> loss = lambda w, batch: jnp.mean((w * batch[0] - batch[1]) ** 2)
    >>> train = make_train(lambda key: jax.random.normal(key), loss, optax.sgd(0.5), rows, epochs=50, batch_size=4)
    >>> bool(train(jax.random.key(0))["train_loss"][-1] < 1e-6)
    True
    """
    require_callable(loss_fn)
    for name, function in (("init", init), ("evaluate", evaluate)):
        if function is not None and not callable(function):
            raise InputError(f"{name} must be a function; got {function!r}")
    require_transformation("optimizer", optimizer)
    train_rows, test_rows = _rows(data)
    epochs = whole_number("epochs", epochs, minimum=1)
    every = min(whole_number("evaluate_every", evaluate_every, minimum=1), epochs)
    number = _num_rows(train_rows)
    batch_size = whole_number("batch_size", batch_size, minimum=1)
    if batch_size > number:
        raise InputError(f"a batch of {batch_size} needs as many rows; the data has {number}")
    return MadeTraining(
        init=init,
        loss_fn=loss_fn,
        optimizer=_recording(optimizer, record, epochs * -(-number // batch_size)),
        data=train_rows,
        held_out=test_rows if held_out is None else _arrays(held_out, "held_out"),
        epochs=epochs,
        batch_size=batch_size,
        evaluate=evaluate,
        every=every,
        has_state=has_state,
        takes_key=_takes_key(loss_fn, 3 if has_state else 2),
    )


def _rows(data: Any) -> tuple[PyTree, PyTree]:
    """Return the rows for training, and those that are held out."""
    dataset = load_data(data) if isinstance(data, Data) else data
    if isinstance(dataset, Dataset):
        return (dataset.train_x, dataset.train_y), (dataset.test_x, dataset.test_y)
    rows = _arrays(dataset, "data")
    return rows, rows


def _arrays(data: Any, name: str) -> PyTree:
    """Return a pytree of arrays with one number of rows.

    Raises:
        InputError: no arrays, or different numbers of rows.
    """
    if isinstance(data, Dataset):
        return data.test_x, data.test_y
    arrays = jax.tree.map(np.asarray, data)
    leaves = jax.tree.leaves(arrays)
    if not leaves or any(leaf.dtype.kind not in "biufc" or not leaf.ndim for leaf in leaves):
        raise InputError(
            f"{name} must be arrays with a leading axis of rows, such as (x, y); got {type(data).__name__}"
        )
    lengths = {len(leaf) for leaf in leaves}
    if len(lengths) > 1:
        raise InputError(f"the arrays of {name} have {sorted(lengths)} rows; they need one number of rows")
    return arrays


def _num_rows(rows: PyTree) -> int:
    return len(jax.tree.leaves(rows)[0])


def _rows_of(rows: PyTree, chosen: Int[Array, " chosen"]) -> PyTree:
    return jax.tree.map(lambda leaf: jnp.asarray(leaf)[chosen], rows)


def _recording(
    optimizer: optax.GradientTransformation, records: Any, updates: int
) -> optax.GradientTransformationExtraArgs:
    """Return the optimiser, with a recorder around it where records are asked for."""
    if records is None or records is False:
        return optax.with_extra_args_support(optimizer)
    if isinstance(records, optax.GradientTransformation):
        return optax.with_extra_args_support(optax.chain(records, optimizer))
    number = RECORDS if records is True else whole_number("record", records, minimum=1)
    every = max(-(-updates // number), 1)
    return record(every=every, history=-(-updates // every), around=optimizer)


def _gradients(opt_state: PyTree) -> dict[str, Any]:
    """Return the record in an optimiser's state; nothing where there is none."""
    try:
        recorder_state(opt_state)
    except InputError as error:
        if "there is no recorder" in str(error):
            return {}
        raise
    return {"gradients": get_record(opt_state)}


def _takes_key(function: Callable[..., Any], before: int) -> bool:
    """Return whether a loss takes a key as its last argument.

    The argument is needed, or it has a default and a name by which libraries call keys. Any other argument with a
    default is not a key.

    Args:
        function: the loss.
        before: number of arguments before the key.
    """
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return False
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    positional = [parameter for parameter in parameters if parameter.kind in kinds]
    if len(positional) <= before:
        return False
    last = positional[before]
    return last.default is inspect.Parameter.empty or last.name in KEY_NAMES


KEY_NAMES = ("key", "rng", "rngs", "prng_key", "dropout_key", "dropout_rng")
"""Names of an argument that is a random key although it has a default."""
