"""A network's gradients at initialisation, measured over seeds, beside everything that theory says of them."""

import math
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from vgrad_jax.data import Dataset, load_data
from vgrad_jax.descriptions import MAX_SEED, whole_number
from vgrad_jax.experiment import Experiment
from vgrad_jax.gradients.stats import layer_log10_rms
from vgrad_jax.losses import LOSSES
from vgrad_jax.nets.laws import bias_law, kernel_law
from vgrad_jax.nets.mlp import MLP, Params
from vgrad_jax.numerics import rms_over_seeds
from vgrad_jax.theory.draws import over_seeds
from vgrad_jax.theory.jacobians import JacobianSpectrum, jacobian_spectrum
from vgrad_jax.theory.mean_field import MeanField, mean_field
from vgrad_jax.theory.prediction import Prediction, predict
from vgrad_jax.theory.seed_law import SeedLaw, seed_law
from vgrad_jax.training.records import batch_loss

__all__ = ["Comparison", "MeanFieldOf", "compare", "mean_field_of", "trainable_depth"]

TRAINABLE = 6.0
"""Depth scales of the correlation that training reaches: Schoenholz et al. 2017, an observation, not a theorem."""


class MeanFieldOf(NamedTuple):
    """The mean-field numbers of a network's hidden layers, or why there are none."""

    found: MeanField | None
    weight_variance: float
    """Fan-in times the variance of a weight; NaN where there is none."""
    bias_variance: float
    why_not: str


class Comparison(NamedTuple):
    """Measured and predicted."""

    measured: np.ndarray
    """`(seed, layer)`: log10 of the root mean square of the full training loss's gradient, input side first."""
    prediction: Prediction
    mean_field: MeanFieldOf
    seed_law: SeedLaw
    jacobian: JacobianSpectrum

    @property
    def measured_log10_rms(self) -> np.ndarray:
        """`(layer,)`: log10 of the root mean square over seeds too, which is what is predicted."""
        return rms_over_seeds(self.measured)


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
    seed, seeds = whole_number("seed", seed, maximum=MAX_SEED), range(num_seeds)
    return Comparison(
        measured=over_seeds(partial(_profile, experiment, dataset), experiment, dataset, seeds, seed),
        prediction=predict(experiment.mlp, dataset.train_x, dataset.train_y),
        mean_field=mean_field_of(experiment.mlp),
        seed_law=seed_law(experiment, dataset, seeds, seed),
        jacobian=jacobian_spectrum(experiment, dataset, seeds, seed),
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


def _profile(experiment: Experiment, dataset: Dataset, params: Params) -> Float[Array, " layer"]:
    rows = jnp.asarray(dataset.train_x), jnp.asarray(dataset.train_y)
    gradient = jax.grad(batch_loss)(params, rows, experiment.mlp, LOSSES[experiment.training.loss])
    return layer_log10_rms(gradient)
