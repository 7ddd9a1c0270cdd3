"""A network's gradients at initialisation, measured over seeds, beside everything that theory says of them."""

import math
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from vgrad_jax.data import Dataset, load_data
from vgrad_jax.descriptions import MAX_SEED, whole_number
from vgrad_jax.experiment import Experiment
from vgrad_jax.gradients.stats import layer_log10_rms
from vgrad_jax.losses import LOSSES
from vgrad_jax.nets.laws import bias_law, kernel_law
from vgrad_jax.nets.mlp import MLP, PRNGKey, apply_mlp
from vgrad_jax.theory.finite_width import LogGradientLaw, goodness_of_fit, log_gradient_law
from vgrad_jax.theory.mean_field import MeanField, mean_field
from vgrad_jax.theory.prediction import Prediction, predict
from vgrad_jax.training.records import batch_loss
from vgrad_jax.training.run import initial_params

__all__ = ["Comparison", "MeanFieldOf", "SeedLaw", "compare", "mean_field_of", "trainable_depth"]

SEEDS_AT_ONCE = 16
TRAINABLE = 6.0
"""Depth scales of the correlation that training reaches: Schoenholz et al. 2017, an observation, not a theorem."""


class MeanFieldOf(NamedTuple):
    """The mean-field numbers of a network's hidden layers, or why there are none."""

    found: MeanField | None
    weight_variance: float
    """Fan-in times the variance of a weight; NaN where there is none."""
    bias_variance: float
    why_not: str


class SeedLaw(NamedTuple):
    """The exact law over seeds of the logit's gradient for one input, and what was measured."""

    log_squares: np.ndarray | None
    """`(seed,)`: ln of the squared norm of the first kernel's gradient; -inf where the network is dead on the input."""
    law: LogGradientLaw | None
    p_value: float
    """Kolmogorov-Smirnov; NaN where the law does not apply."""
    why_not: str


class Comparison(NamedTuple):
    """Measured and predicted."""

    measured: np.ndarray
    """`(seed, layer)`: log10 of the root mean square of the full training loss's gradient, input side first."""
    prediction: Prediction
    mean_field: MeanFieldOf
    seed_law: SeedLaw

    @property
    def measured_log10_rms(self) -> np.ndarray:
        """`(layer,)`: log10 of the root mean square over seeds too, which is what is predicted."""
        with np.errstate(divide="ignore"):
            return np.asarray(0.5 * np.log10(np.mean(10.0 ** (2 * self.measured), axis=0)))


def compare(experiment: Experiment, num_seeds: int = 128, *, seed: int = 0) -> Comparison:
    """Draw a network many times, look at its gradients, and ask the theory.

    Args:
        experiment: the network, its data and its loss; nothing is trained.
        num_seeds: seed k is seed k of a sweep with the same `seed`.
        seed: of the study.

    Returns:
        The `Comparison`.

    >>> found = compare(Experiment(mlp=MLP(hidden=(20, 20), kernel_init="lecun_normal")), num_seeds=16)
    >>> found.measured.shape, found.prediction.log10_rms.shape, found.mean_field.found.phase
    ((16, 3), (3,), 'critical')
    """
    num_seeds = whole_number("num_seeds", num_seeds, minimum=2)
    dataset = load_data(experiment.data)
    base = jax.random.key(whole_number("seed", seed, maximum=MAX_SEED))
    keys = jax.vmap(partial(jax.random.fold_in, base))(jnp.arange(num_seeds))
    look = jax.jit(partial(_look, experiment, dataset))
    profiles, squares = jax.lax.map(look, keys, batch_size=SEEDS_AT_ONCE)
    return Comparison(
        measured=np.asarray(profiles, np.float64),
        prediction=predict(experiment.mlp, dataset.train_x, dataset.train_y),
        mean_field=mean_field_of(experiment.mlp),
        seed_law=_seed_law(experiment.mlp, dataset, np.asarray(squares, np.float64)),
    )


def mean_field_of(mlp: MLP) -> MeanFieldOf:
    """The mean-field numbers of a plain network whose hidden layers are alike, or why there are none.

    >>> mean_field_of(MLP(activation="tanh", kernel_init="uniform(0, 1)")).why_not
    'does not apply because the weights have a mean, 0.5'
    """
    if len(mlp.hidden) < 2:
        return _no_mean_field("there are fewer than two hidden layers")
    if len(set(mlp.activations())) > 1 or len(set(mlp.hidden)) > 1:
        return _no_mean_field("hidden layers differ, and a fixed point needs layers that are alike")
    if mlp.norm is not None or mlp.residual is not None:
        return _no_mean_field("layers are normalised or residual; the factor per layer is in `theory.factors`")
    width = mlp.hidden[0]
    kernel, bias = kernel_law(mlp.kernel_initializer(1, width), width, width), bias_law(mlp.bias_init, width)
    if kernel is None or bias is None:
        return _no_mean_field("an initialiser is a function, and the variance of what it draws is not known")
    if kernel.mean or bias.mean:
        return _no_mean_field(f"the {'weights' if kernel.mean else 'biases'} have a mean, {kernel.mean or bias.mean:g}")
    weight = width * kernel.variance
    return MeanFieldOf(mean_field(mlp.activations()[0], weight, bias.variance), weight, bias.variance, "")


def trainable_depth(found: MeanField) -> float:
    """Hidden layers that training should reach, about six depth scales of the correlation; inf at criticality."""
    return math.inf if math.isinf(found.xi_c) or found.xi_c < 0 else TRAINABLE * found.xi_c


def _no_mean_field(reason: str) -> MeanFieldOf:
    return MeanFieldOf(None, math.nan, math.nan, f"does not apply because {reason}")


def _look(experiment: Experiment, dataset: Dataset, key: PRNGKey) -> tuple[jax.Array, jax.Array]:
    """The loss's profile, and ln of the squared gradient of one logit for one input in the first kernel."""
    mlp, loss = experiment.mlp, LOSSES[experiment.training.loss]
    params = initial_params(experiment, key, dataset)
    x, y = jnp.asarray(dataset.train_x), jnp.asarray(dataset.train_y)
    profile = layer_log10_rms(jax.grad(batch_loss)(params, (x, y), mlp, loss))
    if mlp.norm == "batch":
        return profile, jnp.asarray(jnp.nan)
    kernel = jax.grad(lambda layers: apply_mlp(layers, x[0], mlp)[0])(params)[0].kernel
    size = layer_log10_rms((params[0]._replace(kernel=kernel, bias=jnp.zeros(0, kernel.dtype)),))[0]
    return profile, math.log(10) * 2 * size + math.log(kernel.size)


def _seed_law(mlp: MLP, dataset: Dataset, squares: np.ndarray) -> SeedLaw:
    why_not = _why_no_law(mlp)
    if why_not:
        return SeedLaw(None, None, math.nan, f"does not apply because {why_not}")
    x = np.asarray(dataset.train_x[0], np.float64)
    output = mlp.kernel_initializer(len(mlp.hidden), mlp.hidden[-1])
    variance = kernel_law(output, mlp.hidden[-1], 1)
    assert variance is not None
    law = log_gradient_law(mlp.hidden, len(x), variance.variance, float(np.linalg.norm(x)), layer=0)
    return SeedLaw(squares, law, goodness_of_fit(squares, law), "")


def _why_no_law(mlp: MLP) -> str:
    if not mlp.hidden or set(mlp.activations()) != {"relu"}:
        return "the exact law over seeds is that of ReLU networks"
    if mlp.norm is not None or mlp.residual is not None or mlp.bias_init != "zeros":
        return "the exact law over seeds is that of plain networks with biases of zero"
    inits = {mlp.kernel_initializer(layer, width) for layer, width in enumerate((1, *mlp.hidden[:-1]))}
    if inits != {"fan_in_normal(2.0)"}:
        return "the exact law over seeds needs normal weights that are not truncated: kernel_init 'fan_in_normal(2)'"
    output = mlp.kernel_initializer(len(mlp.hidden), mlp.hidden[-1])
    if not str(output).startswith(("normal(", "fan_in_normal(")):
        return "the exact law over seeds needs an output layer of normal weights that are not truncated"
    return ""
