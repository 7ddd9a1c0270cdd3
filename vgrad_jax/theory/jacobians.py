"""Compare the singular values of a network's Jacobian over seeds with their predicted density."""

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from vgrad_jax.data import Dataset
from vgrad_jax.experiment import Experiment
from vgrad_jax.nets.activations import activation_function
from vgrad_jax.nets.laws import bias_law, kernel_law
from vgrad_jax.nets.mlp import MLP, Params
from vgrad_jax.theory.densities import JacobianLayer, SpectralDensity, spectral_density
from vgrad_jax.theory.draws import over_seeds
from vgrad_jax.theory.mean_field import moments
from vgrad_jax.theory.spectra import input_jacobian

__all__ = ["JacobianSpectrum", "jacobian_layers", "jacobian_spectrum"]

MOST_VALUES = 8192
"""Largest number of singular values that are computed: a histogram needs no more."""


class JacobianSpectrum(NamedTuple):
    """Squared singular values of the Jacobian from the first to the last hidden layer's activations."""

    squares: Float[np.ndarray, "seed unit"] | None
    """Measured values at the first training row; None if the theory does not apply."""
    density: SpectralDensity | None
    """Predicted density; None if the theory does not apply."""
    why_not: str
    """Reason in words: "does not apply because ..."; empty if the theory applies."""


def jacobian_spectrum(
    experiment: Experiment, dataset: Dataset, seeds: Sequence[int], study_seed: int = 0
) -> JacobianSpectrum:
    """Draw networks, measure their Jacobians at the first training row, and compute the predicted density.

    Args:
        experiment: the network and its data; nothing is trained.
        dataset: its data.
        seeds: numbers of the draws; draw k is run k of a sweep. Of wide networks the first draws are enough.
        study_seed: seed of the sweep.

    Returns:
        The `JacobianSpectrum`.

    >>> from vgrad_jax.data import load_data
    >>> experiment = Experiment(mlp=MLP(hidden=(16,) * 3, activation="relu"))
    >>> spectrum = jacobian_spectrum(experiment, load_data(experiment.data), range(4))
    >>> spectrum.squares.shape, spectrum.density.zero
    ((4, 16), 0.5)
    """
    mlp, x = experiment.mlp, np.asarray(dataset.train_x[0], np.float64)
    layers = jacobian_layers(mlp, x)
    if isinstance(layers, str):
        return JacobianSpectrum(None, None, f"does not apply because {layers}")
    chosen = list(seeds)[: max(2, math.ceil(MOST_VALUES / mlp.hidden[0]))]
    between = partial(_between_hidden, mlp, jnp.asarray(dataset.train_x[0]))
    jacobians = over_seeds(between, experiment, dataset, chosen, study_seed)
    return JacobianSpectrum(np.linalg.svd(jacobians, compute_uv=False) ** 2, spectral_density(layers), "")


def jacobian_layers(mlp: MLP, x: np.ndarray) -> list[JacobianLayer] | str:
    """Return the factors of the Jacobian between the first and the last hidden layer, or why it has no density.

    Args:
        mlp: the network.
        x: one example, `(features,)`.

    Returns:
        A `JacobianLayer` for each hidden layer but the first, or the reason in words.

    >>> [round(layer.variance, 3) for layer in jacobian_layers(MLP(kernel_init="lecun_normal"), np.ones(2))]
    [0.394, 0.236, 0.167, 0.128]
    """
    if len(mlp.hidden) < 2 or len(set(mlp.hidden)) > 1:
        return "the density is that of square layers: it needs two hidden layers or more, all of one width"
    if mlp.data_init is not None:
        return "the kernels depend on the data"
    if mlp.norm is not None or mlp.residual is not None:
        return "layers are normalised or residual, and then they are no product of weights and slopes"
    width = mlp.hidden[0]
    layers: list[JacobianLayer] = []
    variance, read = 0.0, float(x @ x)
    for index, activation in enumerate(mlp.activations()):
        fan_in = width if index else len(x)
        name = mlp.kernel_initializer(index, fan_in)
        kernel, bias = kernel_law(name, fan_in, width), bias_law(mlp.bias_init, fan_in)
        if kernel is None or bias is None:
            return "an initialiser is a function, and the mean and variance of what it draws are not known"
        if kernel.mean or bias.mean:
            return f"the {'weights' if kernel.mean else 'biases'} have a mean, {kernel.mean or bias.mean:g}"
        variance = kernel.variance * read + bias.variance
        if variance <= 0 or kernel.variance <= 0:
            return "a layer's preactivations are all zero at initialisation"
        if index:
            weights = "orthogonal" if str(name).startswith("orthogonal") else "normal"
            layers.append(JacobianLayer(activation, variance, fan_in * kernel.variance, weights))
        # `read` is the expected squared length of the values that the next layer reads.
        read = width * float(moments(activation, variance)[0])
    if len(layers) == 1 and layers[0].weights == "orthogonal":
        return "a single orthogonal layer has its squared slopes as squared singular values, without a density"
    return layers


def _between_hidden(mlp: MLP, x: Float[Array, " features"], params: Params) -> Float[Array, "width width"]:
    first, *after = mlp.activations()
    hidden = activation_function(first)(x @ params[0].kernel + params[0].bias)
    later = replace(mlp, hidden=mlp.hidden[1:], activation=tuple(after))
    return input_jacobian(params[1:], hidden, later, to="hidden")
