"""Losses of one example by name, each with its criterion of a correct answer, and mean losses for other tasks.

An `Experiment` names a loss of `LOSSES`: its labels are classes, and its convergence is an accuracy. The functions at
the end of this file are for `vgrad_jax.make_train`, whose targets may be any numbers.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, Int, Shaped

from vgrad_jax.errors import InputError

__all__ = ["LOSSES", "Loss", "hinge", "huber", "mean_squared_error", "poisson"]


class Loss(NamedTuple):
    """Loss of one example's logits."""

    value: Callable[[jax.Array, jax.Array], jax.Array]
    """Loss of `(logits, label)`, in nats."""
    correct: Callable[[jax.Array, jax.Array], jax.Array]
    """Score of `(logits, label)`, whose mean over rows is the accuracy: True for a correct class.

    For numbers it is 1 less the squared error. Its mean over the training rows is then the share of their variance that
    is explained, since it is 1. Test rows are measured in the same unit, whatever their own variance is.
    """
    out_features: Callable[[int], int]
    """Number of logits for a number of classes."""
    chance: Callable[[np.ndarray], float]
    """Mean loss of the best constant logits for these labels, in the loss's unit."""
    of_numbers: bool = False
    """True for a loss of numbers; False for a loss of classes."""


def _binary_value(logits: Float[Array, "1"], label: Int[Array, ""]) -> Float[Array, ""]:
    return _softplus((1.0 - 2.0 * label) * logits[0])  # The label is 0 or 1.


@jax.custom_jvp
def _softplus(x: Float[Array, ""]) -> Float[Array, ""]:
    """Compute log(1 + exp(x)), with a derivative in closed form: JAX's own takes four exponentials more."""
    return jnp.maximum(x, 0) + jnp.log1p(jnp.exp(-jnp.abs(x)))


@_softplus.defjvp
def _softplus_jvp(primals: tuple[jax.Array], tangents: tuple[jax.Array]) -> tuple[jax.Array, jax.Array]:
    (x,), (tangent,) = primals, tangents
    smaller = jnp.exp(-jnp.abs(x))  # The value contains the same exponential.
    return _softplus(x), jnp.where(x >= 0, 1, smaller) / (1 + smaller) * tangent


def _binary_correct(logits: Float[Array, "1"], label: Int[Array, ""]) -> Bool[Array, ""]:
    # A NaN is not above zero: without the check, a diverged network would score the share of class 0.
    return ((logits[0] > 0) == (label > 0)) & ~jnp.isnan(logits[0])


def _binary_out_features(classes: int, loss: str = "binary_cross_entropy") -> int:
    if classes > 2:
        raise InputError(f"{loss} is for two classes, and the data has {classes}; use loss='softmax_cross_entropy'")
    return 1


def _softmax_value(logits: Float[Array, " classes"], label: Int[Array, ""]) -> Float[Array, ""]:
    # A product, not an index: the gradient of indexing is a scatter, which runs lane after lane.
    return -jnp.sum(jax.nn.one_hot(label, len(logits), dtype=logits.dtype) * jax.nn.log_softmax(logits))


def _softmax_correct(logits: Float[Array, " classes"], label: Int[Array, ""]) -> Bool[Array, ""]:
    return (jnp.argmax(logits) == label) & ~jnp.any(jnp.isnan(logits))


def _entropy_of_shares(labels: Int[np.ndarray, " rows"]) -> float:
    """Return the entropy of the classes' shares: the best constant logits give each class its share."""
    _, counts = np.unique(labels, return_counts=True)
    shares = counts / len(labels)
    return float(-np.sum(shares * np.log(shares))) + 0.0  # A single class has the entropy 0, not -0.


def _squared_value(logits: Float[Array, "1"], target: Float[Array, ""]) -> Float[Array, ""]:
    return (logits[0] - target) ** 2


def _huber_value(logits: Float[Array, "1"], target: Float[Array, ""]) -> Float[Array, ""]:
    return optax.huber_loss(logits[0], target)


def _explained(logits: Float[Array, "1"], target: Float[Array, ""]) -> Float[Array, ""]:
    # A diverged network explains nothing, and NaN would be no accuracy below every threshold.
    return jnp.nan_to_num(1 - (logits[0] - target) ** 2, nan=-jnp.inf, neginf=-jnp.inf)


def _variance(targets: Float[np.ndarray, " rows"]) -> float:
    return float(np.var(targets))


def _huber_chance(targets: Float[np.ndarray, " rows"]) -> float:
    from scipy.optimize import minimize_scalar
    from scipy.special import huber as value

    bounds = (float(np.min(targets)), float(np.max(targets)))
    return float(minimize_scalar(lambda constant: np.mean(value(1, constant - targets)), bounds=bounds).fun)


def _hinge_value(logits: Float[Array, "1"], label: Int[Array, ""]) -> Float[Array, ""]:
    return optax.hinge_loss(logits[0], 2.0 * label - 1.0)


def _hinge_chance(labels: Int[np.ndarray, " rows"]) -> float:
    """Return twice the share of the smaller class: the best constant logit is 1 or -1, with a loss of 2 where wrong."""
    share = float(np.mean(np.asarray(labels) > 0))
    return 2 * min(share, 1 - share)


LOSSES: dict[str, Loss] = {
    "binary_cross_entropy": Loss(_binary_value, _binary_correct, _binary_out_features, _entropy_of_shares),
    "softmax_cross_entropy": Loss(_softmax_value, _softmax_correct, lambda classes: classes, _entropy_of_shares),
    "hinge": Loss(_hinge_value, _binary_correct, partial(_binary_out_features, loss="hinge"), _hinge_chance),
    "squared_error": Loss(_squared_value, _explained, lambda _: 1, _variance, of_numbers=True),
    "huber": Loss(_huber_value, _explained, lambda _: 1, _huber_chance, of_numbers=True),
}
"""Losses by name, computed from logits: cross-entropies in nats; of numbers in units of the targets' variance."""


def mean_squared_error(
    predictions: Float[Array | np.ndarray, "*rows"], targets: Float[Array | np.ndarray, "*rows"]
) -> Float[Array, ""]:
    """Compute the mean of the squared differences.

    >>> float(mean_squared_error(jnp.array([1.0, 2.0]), jnp.array([1.0, 4.0])))
    2.0
    """
    return jnp.mean(optax.squared_error(_same_shape(predictions, targets), jnp.asarray(targets)))


def huber(
    predictions: Float[Array | np.ndarray, "*rows"],
    targets: Float[Array | np.ndarray, "*rows"],
    delta: float | int = 1.0,
) -> Float[Array, ""]:
    """Compute Huber's (1964) loss: half the square of a difference up to `delta`, and a straight line beyond.

    >>> float(huber(jnp.array([0.5, 3.0]), jnp.zeros(2)))  # the mean of 0.125 and 2.5
    1.3125
    """
    return jnp.mean(optax.huber_loss(_same_shape(predictions, targets), jnp.asarray(targets), delta=delta))


def hinge(logits: Float[Array | np.ndarray, "*rows"], labels: Shaped[Array | np.ndarray, "*rows"]) -> Float[Array, ""]:
    """Compute the mean hinge loss of two classes, `max(0, 1 - s z)` with `s` 1 for class 1 and -1 for class 0.

    Args:
        logits: positive for class 1.
        labels: 0 or 1, or booleans.

    >>> float(hinge(jnp.array([2.0, -0.5]), jnp.array([1, 1])))
    0.75
    """
    signs = 2 * jnp.asarray(labels, float) - 1
    return jnp.mean(optax.hinge_loss(_same_shape(logits, labels), signs))


def poisson(
    log_rates: Float[Array | np.ndarray, "*rows"], counts: Shaped[Array | np.ndarray, "*rows"]
) -> Float[Array, ""]:
    """Compute the mean negative log-likelihood of counts, without the term that is free of the rates.

    Args:
        log_rates: natural logarithms of the expected counts, as a network's outputs.
        counts: what was counted.

    >>> round(float(poisson(jnp.log(jnp.array([2.0])), jnp.array([3]))), 4)  # 2 - 3 log(2)
    -0.0794
    """
    rates = _same_shape(log_rates, counts)
    return jnp.mean(jnp.exp(rates) - jnp.asarray(counts) * rates)


def _same_shape(predictions: Any, targets: Any) -> jax.Array:
    """Return predictions as an array, and refuse targets that would be broadcast.

    Raises:
        InputError: the shapes differ, as `(rows, 1)` and `(rows,)`, whose differences would be `(rows, rows)`.
    """
    if jnp.shape(predictions) != jnp.shape(targets):
        raise InputError(
            f"predictions and targets need one shape; got {jnp.shape(predictions)} and {jnp.shape(targets)}: index or "
            "reshape the network's output, such as output[:, 0]"
        )
    return jnp.asarray(predictions)
