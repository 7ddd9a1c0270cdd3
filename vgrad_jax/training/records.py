"""Measure a network in training: losses, accuracies and each layer's gradient, on the full sets.

Rows can be taken in equal blocks, so that a block's activations stay in the processor's cache. A mean over all rows is
then the mean of the blocks' means.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, PyTree, Shaped

from vgrad_jax.data import Dataset
from vgrad_jax.gradients.stats import layer_log10_rms
from vgrad_jax.losses import LOSSES, Loss
from vgrad_jax.nets.mlp import MLP, Params, apply_mlp

__all__ = ["EpochRecord", "batch_loss", "evaluate", "measure"]


class EpochRecord(NamedTuple):
    """Measurements of a network at one recorded epoch, with the parameters of this epoch."""

    train_loss: Float[Array, ""]
    """Mean loss over all training rows, in nats."""
    test_loss: Float[Array, ""]
    """Mean loss over all test rows, in nats."""
    train_accuracy: Float[Array, ""]
    """Share of the training rows with a correct prediction."""
    test_accuracy: Float[Array, ""]
    """Share of the test rows with a correct prediction."""
    gradient_log10_rms: Float[Array, " layer"]
    """log10 of the root mean square of the full training loss's gradient; -inf if it is exactly zero."""
    update_ratio_log10: Float[Array, " layer"]
    """log10 of the last update over the parameters, both as root mean square; NaN before the first step."""


def batch_loss(
    params: Params, batch: tuple[Float[Array, "batch features"], Shaped[Array, " batch"]], mlp: MLP, loss: Loss
) -> Float[Array, ""]:
    """Compute the mean loss over a batch.

    Args:
        params: the network's parameters.
        batch: examples and their classes.
        mlp: the network.
        loss: a loss from `LOSSES`.
    """
    return _loss_and_accuracy(params, batch, mlp, loss)[0]


def evaluate(
    params: Params,
    x: Float[Array, "rows features"],
    y: Shaped[Array, " rows"],
    mlp: MLP,
    loss_name: str,
    rows_at_once: int | None = None,
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Compute the mean loss and the accuracy over rows.

    Args:
        params: the network's parameters.
        x: examples.
        y: their classes.
        mlp: the network.
        loss_name: a name from `LOSSES`.
        rows_at_once: largest size of a block of rows, see `measure`.
    """
    loss_and_accuracy = partial(_loss_and_accuracy, params, mlp=mlp, loss=LOSSES[loss_name])
    return _mean_over_blocks(loss_and_accuracy, (x, y), _block_size(len(x), mlp, rows_at_once))


def measure(
    params: Params,
    updates: Params,
    dataset: Dataset,
    mlp: MLP,
    loss_name: str,
    rows_at_once: int | None = None,
) -> tuple[EpochRecord, Params]:
    """Measure losses, accuracies and gradients of a network on both sets.

    Args:
        params: its parameters.
        updates: the update of the last step; NaN before the first step.
        dataset: training rows and test rows.
        mlp: the network.
        loss_name: a name from `LOSSES`.
        rows_at_once: largest size of a block of rows; None takes all rows at once, as batch norm always does. Blocks
            change only the order of the sums over rows.

    Returns:
        The record, and the full training loss's gradient.
    """
    train = (jnp.asarray(dataset.train_x), jnp.asarray(dataset.train_y))
    test_x, test_y = jnp.asarray(dataset.test_x), jnp.asarray(dataset.test_y)
    value_and_gradient = jax.value_and_grad(_loss_and_accuracy, has_aux=True)
    (train_loss, train_accuracy), gradient = _mean_over_blocks(
        partial(value_and_gradient, params, mlp=mlp, loss=LOSSES[loss_name]),
        train,
        _block_size(len(train[0]), mlp, rows_at_once),
    )
    test_loss, test_accuracy = evaluate(params, test_x, test_y, mlp, loss_name, rows_at_once)
    record = EpochRecord(
        train_loss=train_loss,
        test_loss=test_loss,
        train_accuracy=train_accuracy,
        test_accuracy=test_accuracy,
        gradient_log10_rms=layer_log10_rms(gradient),
        update_ratio_log10=layer_log10_rms(updates) - layer_log10_rms(params),
    )
    return record, gradient


def _loss_and_accuracy(
    params: Params, batch: tuple[Float[Array, "batch features"], Shaped[Array, " batch"]], mlp: MLP, loss: Loss
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    x, y = batch
    logits = jax.vmap(lambda example: apply_mlp(params, example, mlp), axis_name="batch")(x)
    return jnp.mean(jax.vmap(loss.value)(logits, y)), jnp.mean(jax.vmap(loss.correct)(logits, y))


def _block_size(rows: int, mlp: MLP, rows_at_once: int | None) -> int:
    """Return the largest size of equal blocks: the mean of their means is the mean over rows."""
    if rows_at_once is None or mlp.norm == "batch":  # Batch norm depends on the rows of a block.
        return rows
    return max(size for size in range(1, min(rows_at_once, rows) + 1) if rows % size == 0)


def _mean_over_blocks(function: Callable[[PyTree], PyTree], batch: PyTree, size: int) -> PyTree:
    """Compute `function(batch)`, a tree of means over the batch's rows, from its values for blocks of rows."""
    rows = len(jax.tree.leaves(batch)[0])
    if size == rows:
        return function(batch)
    blocks = jax.tree.map(lambda leaf: leaf.reshape(-1, size, *leaf.shape[1:]), batch)

    def add(total: PyTree, block: PyTree) -> tuple[PyTree, None]:
        return jax.tree.map(jnp.add, total, function(block)), None

    shapes = jax.eval_shape(function, jax.tree.map(lambda leaf: leaf[0], blocks))
    total, _ = lax.scan(add, jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes), blocks)
    return jax.tree.map(lambda leaf: leaf * (size / rows), total)
