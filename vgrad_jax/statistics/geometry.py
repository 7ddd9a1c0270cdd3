"""Geometry of initial networks: how many directions their units, input gradients and tangent kernel have.

    training rows ──► hidden layers ────────────────────────────► logits
                      effective rank of each layer                gradients by the input: one direction or many
                      correlation of the last layer's units       tangent kernel: speeds at which functions are learned

A network whose units are multiples of each other computes one function of its input, whatever its output layer does.
The networks are drawn again: seed k is run k of the sweep. JAX computes values and Jacobians, NumPy their spectra.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache, partial
from typing import TYPE_CHECKING, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from vgrad_jax.compiling import compiled_quickly
from vgrad_jax.data import Data, Dataset
from vgrad_jax.experiment import Experiment
from vgrad_jax.inspection.hidden import Hidden, rank_of
from vgrad_jax.nets.mlp import MLP, Params, apply_mlp, hidden_values
from vgrad_jax.results.reading import arm_names, completed_seeds, data_of, experiment_of, study_seed
from vgrad_jax.theory.draws import networks_of_seeds
from vgrad_jax.training.run import num_logits
from vgrad_jax.wording import counted

if TYPE_CHECKING:
    import xarray

__all__ = ["MOST_SEEDS", "Geometry", "arm_geometries", "effective_rank", "geometry_of"]

MOST_SEEDS = 64
"""Most seeds of an arm that are measured: a verdict judges as many."""
MOST_ROWS = 512
"""Most training rows on which a network is measured, spread evenly over the set."""
FEWEST_ROWS = 64
"""Number of rows below which a network is too large to be measured."""
MOST_VALUES = 2**21
"""Most activations of one network, over all rows and layers."""
TANGENT_ROWS = 128
"""Most rows of the tangent kernel: its first eigenvalues are known from few rows, and it has a row for each."""
MOST_DERIVATIVES = 2**18
"""Most elements of one network's Jacobian of all logits by all parameters, over all rows."""
AT_ONCE = 2**25
"""Most numbers that a call of a program returns."""
EIGENVALUES = 10
"""Number of eigenvalues of the tangent kernel that are kept."""


class Geometry(NamedTuple):
    """Geometry of the initial networks of an arm, a row for each seed."""

    hidden: tuple[Hidden, ...]
    """Correlation and singular values of the last hidden layer that has two units or more."""
    effective_rank: Float[np.ndarray, "seed layer"]
    """Effective rank of each hidden layer, see `effective_rank`."""
    widths: tuple[int, ...]
    """Number of units of each hidden layer."""
    gradient_cosine: Float[np.ndarray, " seed"] | None
    """Mean cosine between the gradients of a logit by the input, over all pairs of rows; None with batch norm."""
    tangent: Float[np.ndarray, "seed eigenvalue"] | None
    """Eigenvalues of the tangent kernel over the largest, the largest first; None where it was not measured."""
    rows: int
    """Number of training rows on which the layers were measured."""
    tangent_rows: int
    """Number of training rows on which gradients and tangent kernel were measured."""
    why_not: str
    """Reason why there are no gradients and no tangent kernel; empty where there are."""

    @property
    def correlation(self) -> Float[np.ndarray, " seed"]:
        """Mean absolute correlation of the units of the last hidden layer."""
        return np.array([layer.correlation for layer in self.hidden])

    @property
    def judged(self) -> int:
        """Index of the last hidden layer that has two units or more."""
        return _judged(self.widths)


def arm_geometries(results: "xarray.Dataset") -> dict[str, Geometry]:
    """Measure the initial networks of each arm's first 64 finished seeds.

    Left out are arms whose data has changed or is gone, arms without a layer of two units, and networks too large.

    Raises:
        InputError: no run of an arm is finished.
    """
    geometries: dict[str, Geometry] = {}
    measured: dict[tuple[MLP, Data, int, bytes], Geometry | None] = {}
    for arm in arm_names(results):
        dataset = data_of(results, arm)
        if dataset is None:
            continue
        experiment = experiment_of(results, arm)
        seeds = completed_seeds(results, arm)["seed"].values[:MOST_SEEDS]
        # Arms that differ in their training start from the same networks.
        same = experiment.mlp, experiment.data, num_logits(experiment, dataset), seeds.tobytes()
        if same not in measured:
            # A power of two: other measurements at initialisation draw as many, and share the programs.
            drawn = np.resize(seeds, 2 ** (len(seeds) - 1).bit_length())
            params = jax.device_get(networks_of_seeds(experiment, dataset, study_seed(results), drawn))
            finished = slice(len(seeds))
            own = jax.tree.map(lambda leaf, finished=finished: leaf[finished], params)
            measured[same] = geometry_of(experiment, dataset, own)
        geometry = measured[same]
        if geometry is not None:
            geometries[arm] = geometry
    return geometries


def geometry_of(experiment: Experiment, dataset: Dataset, params: Params) -> Geometry | None:
    """Measure the geometry of networks at their parameters.

    Args:
        experiment: their arm.
        dataset: its data.
        params: parameters with a leading `seed` axis.

    Returns:
        None for networks that are too large to be measured, and for those without a hidden layer of two units.

    >>> from vgrad_jax.data import load_data
    >>> experiment = Experiment(mlp=MLP(kernel_init="uniform(0, 1)"))
    >>> dataset = load_data(experiment.data)
    >>> geometry = geometry_of(experiment, dataset, networks_of_seeds(experiment, dataset, 0, np.arange(3)))
    >>> bool((geometry.correlation > 0.99).all()), geometry.effective_rank[:, -1].round(1).tolist()
    (True, [1.0, 1.0, 1.0])
    """
    mlp = replace(
        experiment.mlp, kernel_init="zeros", bias_init="zeros", output_init=None, branch_init=None
    )  # Programs are shared.
    rows = min(MOST_ROWS, len(dataset.train_x), MOST_VALUES // max(1, sum(mlp.hidden)))
    if max(mlp.hidden, default=0) < 2 or rows < min(FEWEST_ROWS, len(dataset.train_x)):
        return None
    values = _of_each(_states_program(mlp), params, _evenly(dataset, rows), rows * sum(mlp.hidden))
    inputs = rank_of(np.asarray(_evenly(dataset, rows), np.float64))[1]
    hidden = tuple(Hidden(*rank_of(units), inputs) for units in values[_judged(mlp.hidden)])
    cosine, tangent, tangent_rows, why_not = _derivatives(mlp, dataset, params)
    return Geometry(
        hidden=hidden,
        effective_rank=np.stack([[effective_rank(units) for units in layer] for layer in values], axis=1),
        widths=mlp.hidden,
        gradient_cosine=cosine,
        tangent=tangent,
        rows=rows,
        tangent_rows=tangent_rows,
        why_not=why_not,
    )


def effective_rank(rows: Float[np.ndarray, "row unit"]) -> float:
    """Return the participation ratio of the units' covariance: `(sum of eigenvalues)^2 / (sum of squared eigenvalues)`.

    It is 1 for units that are multiples of each other, and the number of units for independent ones of one size. NaN
    where no unit varies or a value is not finite.

    >>> round(effective_rank(np.outer(np.arange(9.0), [1.0, -2.0, 3.0])), 6)
    1.0
    """
    if not np.isfinite(rows).all():
        return math.nan
    centred = rows - rows.mean(axis=0)
    size = np.abs(centred).max(initial=0)
    if size == 0:
        return math.nan
    covariance = (centred / size).T @ (centred / size)
    return float(np.trace(covariance) ** 2 / np.sum(covariance**2))


def _judged(widths: tuple[int, ...]) -> int:
    return max(layer for layer, width in enumerate(widths) if width > 1)


def _derivatives(
    mlp: MLP, dataset: Dataset, params: Params
) -> tuple[Float[np.ndarray, " seed"] | None, Float[np.ndarray, "seed eigenvalue"] | None, int, str]:
    """Return the input gradients' cosine, the kernel's eigenvalues, the number of rows, and why there are none."""
    if mlp.norm == "batch":
        return None, None, 0, "with batch norm a logit is no function of one example"
    each = params[-1].bias.shape[-1] * sum(leaf[0].size for leaf in jax.tree.leaves(params))
    rows = min(TANGENT_ROWS, len(dataset.train_x))
    if rows * each > MOST_DERIVATIVES:
        return None, None, 0, f"a Jacobian of {counted(each, 'element')} an example is too large"
    jacobians, gradients = _of_each(_derivatives_program(mlp), params, _evenly(dataset, rows), rows * each)
    return (
        np.array([_mean_cosine(gradient) for gradient in gradients]),
        np.stack([_relative_spectrum(jacobian) for jacobian in jacobians]),
        rows,
        "",
    )


def _evenly(dataset: Dataset, rows: int) -> Float[np.ndarray, "row feature"]:
    return np.asarray(dataset.train_x)[np.linspace(0, len(dataset.train_x) - 1, rows).round().astype(int)]


def _of_each(
    program: Callable[..., tuple[Array, ...]], params: Params, x: Float[np.ndarray, "row feature"], numbers: int
) -> list[np.ndarray]:
    """Call a program on a few seeds at a time, and return its values in float64 with the seed axis in front."""
    params = jax.device_get(params)  # Rows of JAX's arrays would be chosen by compiled programs.
    seeds = len(params[-1].bias)
    size = min(seeds, max(1, AT_ONCE // numbers))
    parts = []
    for start in range(0, seeds, size):
        # The last group repeats its last seed, so that one compiled program serves all groups.
        chosen = np.minimum(np.arange(start, start + size), seeds - 1)
        parts.append(jax.device_get(program(jax.tree.map(lambda leaf, chosen=chosen: leaf[chosen], params), x)))
    return [np.concatenate(leaves)[:seeds].astype(np.float64) for leaves in zip(*parts, strict=True)]


@lru_cache(maxsize=64)
def _states_program(mlp: MLP) -> Callable[[Params, Array], tuple[Array, ...]]:
    def states(params: Params, x: Float[Array, "row feature"]) -> tuple[Array, ...]:
        return jax.vmap(partial(hidden_values, mlp=mlp), in_axes=(None, 0), axis_name="batch")(params, x)

    return compiled_quickly(jax.vmap(states, in_axes=(0, None)))


@lru_cache(maxsize=64)
def _derivatives_program(mlp: MLP) -> Callable[[Params, Array], tuple[Array, ...]]:
    def derivatives(params: Params, row: Float[Array, " feature"]) -> tuple[Array, Array]:
        by_params, by_input = jax.jacrev(partial(apply_mlp, mlp=mlp), argnums=(0, 1))(params, row)
        leaves = [leaf.reshape(len(by_input), -1) for leaf in jax.tree.leaves(by_params)]
        return jnp.concatenate(leaves, axis=1), by_input

    return compiled_quickly(jax.vmap(jax.vmap(derivatives, in_axes=(None, 0)), in_axes=(0, None)))


def _mean_cosine(gradients: Float[np.ndarray, "row logit feature"]) -> float:
    """Return the mean cosine of all pairs of rows, the mean over the logits; rows without a gradient are left out."""
    means = []
    for of_logit in np.moveaxis(gradients, 1, 0):
        lengths = np.linalg.norm(of_logit, axis=1)
        kept = np.isfinite(lengths) & (lengths > 0)
        units, n = of_logit[kept] / lengths[kept, None], int(kept.sum())
        if n > 1:
            means.append((np.sum(units.sum(axis=0) ** 2) - n) / (n * (n - 1)))
    return float(np.mean(means)) if means else math.nan


def _relative_spectrum(jacobian: Float[np.ndarray, "row logit parameter"]) -> Float[np.ndarray, " eigenvalue"]:
    """Return the largest eigenvalues of the Jacobian times its transpose, over the largest of them."""
    flat = jacobian.reshape(-1, jacobian.shape[-1])
    kept = min(EIGENVALUES, *flat.shape)
    size = np.abs(flat).max()
    if not np.isfinite(size) or size == 0:
        return np.full(kept, math.nan)
    flat = flat / size
    gram = flat @ flat.T if flat.shape[0] <= flat.shape[1] else flat.T @ flat
    eigenvalues = np.linalg.eigvalsh(gram)[::-1][:kept]
    return np.maximum(eigenvalues, 0) / eigenvalues[0]
