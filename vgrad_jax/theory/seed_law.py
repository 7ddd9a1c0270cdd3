"""Compare the exact law over seeds of a He-ReLU network's gradient with the networks of chosen seeds."""

import math
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from vgrad_jax.data import Dataset
from vgrad_jax.experiment import Experiment
from vgrad_jax.gradients.stats import layer_log10_rms
from vgrad_jax.nets.laws import kernel_law
from vgrad_jax.nets.mlp import MLP, Params, apply_mlp
from vgrad_jax.theory.draws import over_seeds
from vgrad_jax.theory.finite_width import LogGradientLaw, goodness_of_fit, log_gradient_law

__all__ = ["SeedLaw", "seed_law", "why_no_law"]


class SeedLaw(NamedTuple):
    """Exact law over seeds of the logit's gradient for one input, and the measured gradients."""

    log_squares: Float[np.ndarray, " seed"] | None
    """ln of the first kernel's squared gradient norm; -inf if the network is dead on the input."""
    law: LogGradientLaw | None
    """Law of the logarithms; None if it does not apply."""
    p_value: float
    """Kolmogorov-Smirnov p-value; NaN if the law does not apply."""
    why_not: str
    """Reason in words: "does not apply because ..."; empty if the law applies."""


def seed_law(experiment: Experiment, dataset: Dataset, seeds: Sequence[int], study_seed: int = 0) -> SeedLaw:
    """Measure the networks of these seeds at initialisation, and compare them with their exact law.

    The law describes the first logit's gradient at one input, the first training row: its norm in the first kernel,
    without the bias. A loss over many rows has no such law, so the networks are drawn again and measured.

    Args:
        experiment: the arm; nothing is trained.
        dataset: its data.
        seeds: numbers of the draws; draw k is run k of a sweep.
        study_seed: seed of the sweep.

    Returns:
        The `SeedLaw`.

    >>> from vgrad_jax.data import load_data
    >>> seed_law(Experiment(), load_data(Experiment().data), range(4)).why_not
    'does not apply because the exact law over seeds is that of ReLU networks'
    """
    mlp = experiment.mlp
    why_not = why_no_law(mlp)
    if why_not:
        return SeedLaw(None, None, math.nan, f"does not apply because {why_not}")
    x = np.asarray(dataset.train_x[0], np.float64)
    output_init = mlp.kernel_initializer(len(mlp.hidden), mlp.hidden[-1])
    output_law = kernel_law(output_init, mlp.hidden[-1], 1)
    assert output_law is not None
    squares = over_seeds(
        partial(_log_square, mlp, jnp.asarray(dataset.train_x[0])), experiment, dataset, seeds, study_seed
    )
    law = log_gradient_law(mlp.hidden, len(x), output_law.variance, float(np.linalg.norm(x)), layer=0)
    return SeedLaw(squares, law, goodness_of_fit(squares, law), "")


def why_no_law(mlp: MLP) -> str:
    """Return the reason why the exact law does not apply to this network; empty if it applies."""
    if not mlp.hidden or set(mlp.activations()) != {"relu"}:
        return "the exact law over seeds is that of ReLU networks"
    if mlp.norm is not None or mlp.residual is not None or mlp.bias_init != "zeros":
        return "the exact law over seeds is that of plain networks with biases of zero"
    if mlp.data_init is not None:
        return "the exact law over seeds is that of kernels that do not depend on data"
    inits = {mlp.kernel_initializer(layer, width) for layer, width in enumerate((1, *mlp.hidden[:-1]))}
    if inits != {"fan_in_normal(2.0)"}:
        return "the exact law over seeds needs normal weights that are not truncated: kernel_init 'fan_in_normal(2)'"
    output_init = mlp.kernel_initializer(len(mlp.hidden), mlp.hidden[-1])
    if not str(output_init).startswith(("normal(", "fan_in_normal(")):
        return "the exact law over seeds needs an output layer of normal weights that are not truncated"
    return ""


def _log_square(mlp: MLP, x: Float[Array, " features"], params: Params) -> Float[Array, ""]:
    """Return ln of the squared norm of the first kernel's gradient of the first logit."""
    kernel = jax.grad(lambda layers: apply_mlp(layers, x, mlp)[0])(params)[0].kernel
    size = layer_log10_rms((params[0]._replace(kernel=kernel, bias=jnp.zeros(0, kernel.dtype)),))[0]
    return math.log(10) * 2 * size + math.log(kernel.size)
