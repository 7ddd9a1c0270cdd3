"""One look at a network in training: losses, accuracies and each layer's gradient, on the full sets."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from vgrad_jax.data import Dataset
from vgrad_jax.gradients.stats import layer_log10_rms
from vgrad_jax.losses import LOSSES, Loss
from vgrad_jax.nets.mlp import MLP, Params, apply_mlp

__all__ = ["Record", "batch_loss", "evaluate", "measure"]


class Record(NamedTuple):
    """What is seen at one moment, with the parameters at that moment."""

    train_loss: Float[Array, ""]
    """Mean over all training rows, in nats."""
    test_loss: Float[Array, ""]
    """Mean over all test rows, in nats."""
    train_accuracy: Float[Array, ""]
    test_accuracy: Float[Array, ""]
    gradient_log10_rms: Float[Array, " layer"]
    """log10 of the root mean square of the full training loss's gradient; -inf where it is exactly zero."""
    update_ratio_log10: Float[Array, " layer"]
    """log10 of the last step's update over the parameters, both as root mean square; NaN before the first step."""


def batch_loss(
    params: Params, batch: tuple[Float[Array, "batch features"], Int[Array, " batch"]], mlp: MLP, loss: Loss
) -> Float[Array, ""]:
    """Mean loss over a batch.

    Args:
        params: the network's parameters.
        batch: examples and their classes.
        mlp: the network.
        loss: from `LOSSES`.
    """
    return _loss_and_correct(params, batch, mlp, loss)[0]


def evaluate(
    params: Params, x: Float[Array, "rows features"], y: Int[Array, " rows"], mlp: MLP, loss_name: str
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Mean loss and accuracy over rows."""
    loss, correct = _loss_and_correct(params, (x, y), mlp, LOSSES[loss_name])
    return loss, jnp.mean(correct)


def measure(params: Params, updates: Params, dataset: Dataset, mlp: MLP, loss_name: str) -> tuple[Record, Params]:
    """Look at a network.

    Args:
        params: its parameters.
        updates: the last step's update; NaN before the first step.
        dataset: both sets.
        mlp: the network.
        loss_name: a name from `LOSSES`.

    Returns:
        The record, and the full training loss's gradient that it was made from.
    """
    train = (jnp.asarray(dataset.train_x), jnp.asarray(dataset.train_y))
    value_and_gradient = jax.value_and_grad(_loss_and_correct, has_aux=True)
    (train_loss, correct), gradient = value_and_gradient(params, train, mlp, LOSSES[loss_name])
    test_loss, test_accuracy = evaluate(
        params, jnp.asarray(dataset.test_x), jnp.asarray(dataset.test_y), mlp, loss_name
    )
    record = Record(
        train_loss=train_loss,
        test_loss=test_loss,
        train_accuracy=jnp.mean(correct),
        test_accuracy=test_accuracy,
        gradient_log10_rms=layer_log10_rms(gradient),
        update_ratio_log10=layer_log10_rms(updates) - layer_log10_rms(params),
    )
    return record, gradient


def _loss_and_correct(
    params: Params, batch: tuple[Float[Array, "batch features"], Int[Array, " batch"]], mlp: MLP, loss: Loss
) -> tuple[Float[Array, ""], Bool[Array, " batch"]]:
    x, y = batch
    logits = jax.vmap(lambda example: apply_mlp(params, example, mlp), axis_name="batch")(x)
    return jnp.mean(jax.vmap(loss.value)(logits, y)), jax.vmap(loss.correct)(logits, y)
