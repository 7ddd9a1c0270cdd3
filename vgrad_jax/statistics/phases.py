"""Gradients per layer at initialisation beside mean-field theory, for arms that differ in their variances.

variances of weights and biases ─► variance and chi of each layer ─► factor of the gradient per layer ◄─ drawn networks

The gradient is that of the first logit at one training row. A loss of many rows has another profile, since rows that a
deep network takes for one another cancel in it.
"""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from vgrad_jax.data import Dataset
from vgrad_jax.experiment import Experiment
from vgrad_jax.gradients.stats import layer_log10_rms
from vgrad_jax.nets.laws import kernel_law
from vgrad_jax.nets.mlp import MLP, Layer, Params, apply_mlp
from vgrad_jax.numerics import rms_over_seeds
from vgrad_jax.results.reading import completed_seeds, data_of, experiments_of, study_seed
from vgrad_jax.statistics.intervals import Estimate
from vgrad_jax.theory.comparison import MeanFieldOf, mean_field_of
from vgrad_jax.theory.draws import over_seeds
from vgrad_jax.theory.mean_field import layer_maps, moments

if TYPE_CHECKING:
    import xarray

__all__ = ["Phase", "log10_factor", "phases_of"]

FEWEST = 6
"""Fewest pairs of variances that are a phase diagram."""
MOST_SEEDS = 64
RESAMPLES = 400


class Phase(NamedTuple):
    """An arm in the plane of the variances."""

    arm: str
    activation: str
    weight_variance: float
    """Fan-in times the variance of a weight."""
    bias_variance: float
    phase: str
    measured: Estimate
    """log10 of the factor of the gradient per layer towards the input, from root mean squares over seeds."""
    predicted: float
    """The same in theory, for networks of this depth that are wide."""
    limit: float
    """Half of log10 chi_1: what layers reach whose variance has settled."""


def phases_of(results: "xarray.Dataset") -> list[Phase] | None:
    """Return the arms in the plane of the variances.

    The factor is that of the kernels between hidden layers. The input's and the output's kernels have other factors.
    Of more than 64 finished seeds the first are taken.

    Returns:
        None where theory does not apply to an arm, data are gone, activations differ, or fewer than six pairs of
        variances are there.
    """
    arms = experiments_of(results)
    same = len({own.mlp.activations()[:1] for own in arms.values()}) == 1
    if not same or len(arms) < FEWEST or any(len(own.mlp.hidden) < 3 for own in arms.values()):
        return None  # Before theory is computed, which takes a second.
    fields = {arm: (own, mean_field_of(own.mlp)) for arm, own in arms.items()}
    pairs = {(theory.weight_variance, theory.bias_variance) for _, theory in fields.values()}
    if any(theory.found is None for _, theory in fields.values()) or len(pairs) < len(fields):
        return None
    phases = []
    for arm, (experiment, theory) in fields.items():
        dataset = data_of(results, arm)
        if dataset is None:
            return None
        seeds = completed_seeds(results, arm)["seed"].values[:MOST_SEEDS].tolist()
        phases.append(_phase(arm, experiment, dataset, theory, seeds, study_seed(results)))
    return phases


def _phase(
    arm: str, experiment: Experiment, dataset: Dataset, theory: MeanFieldOf, seeds: Sequence[int], study_seed: int
) -> Phase:
    assert theory.found is not None
    mlp, x, chi = experiment.mlp, dataset.train_x[0], theory.found.chi_1
    sizes = over_seeds(partial(_kernel_sizes, mlp, jnp.asarray(x)), experiment, dataset, seeds, study_seed)
    return Phase(
        arm,
        str(mlp.activations()[0]),
        round(theory.weight_variance, 9),
        round(theory.bias_variance, 9),
        theory.found.phase,
        log10_factor(sizes),
        _slope(_predicted_sizes(mlp, np.asarray(x, np.float64), theory)),
        0.5 * float(np.log10(chi)) if chi > 0 else -np.inf,
    )


def _kernel_sizes(mlp: MLP, x: Float[Array, " features"], params: Params) -> Float[Array, " kernel"]:
    """Return log10 of the root mean square of the first logit's gradient for each kernel between hidden layers."""
    gradient = jax.grad(lambda layers: apply_mlp(layers, x, mlp)[0])(params)
    kernels = tuple(Layer(layer.kernel, jnp.zeros(0, layer.kernel.dtype)) for layer in gradient[1:-1])
    return layer_log10_rms(kernels)


def _predicted_sizes(mlp: MLP, x: Float[np.ndarray, " features"], theory: MeanFieldOf) -> Float[np.ndarray, " kernel"]:
    """Compute the same sizes in theory, up to a common factor, `(kernel,)`.

    The squared gradient of a kernel is that of its layer's preactivations times the squared length of its input. From
    layer to layer the former changes by chi, and the latter is E[phi^2] of the layer before.
    """
    first = kernel_law(mlp.kernel_initializer(0, len(x)), len(x), mlp.hidden[0])
    assert first is not None
    variance = first.variance * float(x @ x) + theory.bias_variance
    activation, depth = mlp.activations()[0], len(mlp.hidden)
    maps = layer_maps(activation, theory.weight_variance, theory.bias_variance, depth=depth, variance=variance)
    square, _, _ = moments(activation, maps.variance)
    with np.errstate(divide="ignore"):
        backward = np.append(np.cumsum(np.log10(maps.chi[-2:0:-1]))[::-1], 0.0)
        return 0.5 * (backward + np.log10(square[:-1]))


def log10_factor(sizes: Float[np.ndarray, "seed layer"]) -> Estimate:
    """Return log10 of the factor per layer towards the input: the slope of root mean squares, bootstrapped over seeds.

    Args:
        sizes: log10 of gradients at initialisation, layers from the input side on, two at least.

    >>> log10_factor(np.array([[-3.0, -2.0, -1.0], [-3.0, -2.0, -1.0]]))[:3]
    (-1.0, -1.0, -1.0)
    """
    known = sizes[np.isfinite(sizes).all(axis=1)]
    if len(known) < 2:
        return Estimate(np.nan, np.nan, np.nan, 0)
    rng = np.random.default_rng(0)
    drawn = [_slope(rms_over_seeds(known[rng.integers(0, len(known), len(known))])) for _ in range(RESAMPLES)]
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Estimate(_slope(rms_over_seeds(known)), float(low), float(high), len(known))


def _slope(sizes: Float[np.ndarray, " layer"]) -> float:
    """Return the slope of log10 sizes per layer towards the input, by least squares."""
    return round(-float(np.polyfit(np.arange(len(sizes)), sizes, 1)[0]), 12)
