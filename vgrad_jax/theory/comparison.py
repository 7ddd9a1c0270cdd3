"""Compare a network's gradients at initialisation, measured over seeds, with all predictions of theory."""

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
"""Depth that training reaches, in depth scales of the correlation: observed by Schoenholz et al. 2017, not proved."""


class MeanFieldOf(NamedTuple):
    """Mean-field numbers of a network's hidden layers, or the reason why it has none."""

    found: MeanField | None
    """Numbers of the mean-field theory; None if the theory does not apply."""
    weight_variance: float
    """Fan-in times the variance of a weight; NaN if the theory does not apply."""
    bias_variance: float
    """Variance of a bias; NaN if the theory does not apply."""
    why_not: str
    """Reason in words: "does not apply because ..."; empty if the theory applies."""


class Comparison(NamedTuple):
    """Measured gradients of a network at initialisation, and the predictions for them."""

    measured: Float[np.ndarray, "seed layer"]
    """log10 of the root mean square of the full training loss's gradient, input side first."""
    prediction: Prediction
    mean_field: MeanFieldOf
    seed_law: SeedLaw
    jacobian: JacobianSpectrum

    @property
    def measured_log10_rms(self) -> Float[np.ndarray, " layer"]:
        """log10 of the root mean square over seeds as well, the quantity that is predicted."""
        return rms_over_seeds(self.measured)


def compare(experiment: Experiment, num_seeds: int = 128, *, seed: int = 0) -> Comparison:
    """Draw a network many times, measure its gradients, and compute every prediction of theory.

    Args:
        experiment: the network, its data and its loss; nothing is trained.
        num_seeds: number of draws; draw k is run k of a sweep with the same `seed`.
        seed: seed of the study.

    Returns:
        The `Comparison`.

    >>> result = compare(Experiment(mlp=MLP(hidden=(20, 20), kernel_init="lecun_normal")), num_seeds=16)
    >>> result.measured.shape, result.prediction.log10_rms.shape, result.mean_field.found.phase
    ((16, 3), (3,), 'critical')
    """
    num_seeds = whole_number("num_seeds", num_seeds, minimum=2)
    dataset = load_data(experiment.data)
    seed, seeds = whole_number("seed", seed, maximum=MAX_SEED), range(num_seeds)
    return Comparison(
        measured=over_seeds(partial(_profile, experiment, dataset), experiment, dataset, seeds, seed),
        prediction=predict(experiment.mlp, dataset.train_x, dataset.train_y, loss=experiment.training.loss),
        mean_field=mean_field_of(experiment.mlp),
        seed_law=seed_law(experiment, dataset, seeds, seed),
        jacobian=jacobian_spectrum(experiment, dataset, seeds, seed),
    )


def mean_field_of(mlp: MLP) -> MeanFieldOf:
    """Compute the mean-field numbers of a plain network whose hidden layers are alike, or say why it has none.

    >>> mean_field_of(MLP(activation="tanh", kernel_init="uniform(0, 1)")).why_not
    'does not apply because the weights have a mean, 0.5'
    """
    if len(mlp.hidden) < 2:
        return _no_mean_field("there are fewer than two hidden layers")
    if len(set(mlp.activations())) > 1 or len(set(mlp.hidden)) > 1:
        return _no_mean_field("hidden layers differ, and a fixed point needs layers that are alike")
    if mlp.data_init is not None:
        return _no_mean_field("the kernels depend on the data")
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


def trainable_depth(numbers: MeanField) -> float:
    """Estimate how many hidden layers can be trained: six depth scales of the correlation; inf at criticality."""
    return math.inf if math.isinf(numbers.xi_c) or numbers.xi_c < 0 else TRAINABLE * numbers.xi_c


def _no_mean_field(reason: str) -> MeanFieldOf:
    return MeanFieldOf(None, math.nan, math.nan, f"does not apply because {reason}")


def _profile(experiment: Experiment, dataset: Dataset, params: Params) -> Float[Array, " layer"]:
    """Return log10 of the root mean square of each layer's gradient, of the full training loss."""
    rows = jnp.asarray(dataset.train_x), jnp.asarray(dataset.train_y)
    gradient = jax.grad(batch_loss)(params, rows, experiment.mlp, LOSSES[experiment.training.loss])
    return layer_log10_rms(gradient)
