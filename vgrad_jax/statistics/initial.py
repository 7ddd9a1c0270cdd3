"""Measurements of a run before it trains.

Seed k always gives the same run: the initial parameters of run k of a stored sweep are drawn again from its key. The
program that measures is compiled for a network and a number of seeds. The last piece of an arm's runs is filled up to
this number.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache, partial
from typing import TYPE_CHECKING, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from vgrad_jax.compiling import compiled_quickly
from vgrad_jax.data import data_fingerprint, load_data
from vgrad_jax.experiment import Experiment, Training
from vgrad_jax.gradients.forward import forward_pass
from vgrad_jax.nets.mlp import MLP, Params, apply_mlp
from vgrad_jax.numerics import lower_median
from vgrad_jax.results.reading import completed_seeds, data_of, experiment_of, num_layers, study_seed
from vgrad_jax.theory.draws import networks_of_seeds
from vgrad_jax.theory.spectra import input_jacobian

if TYPE_CHECKING:
    import xarray

__all__ = ["MEASUREMENTS", "Measurement", "initial_measurements", "redrawn_parameters"]

ROWS = 16
"""Training rows, spread evenly over the set, on which the input's Jacobian and the units' states are measured."""

SEEDS_AT_ONCE = 2048
JACOBIAN_MEMORY = 256 * 2**20
"""Bytes of the Jacobians of the seeds that are measured at once; wide networks are measured fewer at a time."""

JACOBIAN_LARGEST, JACOBIAN_SMALLEST = "jacobian_largest", "jacobian_smallest"
SATURATED, DEAD = "saturated_share", "dead_share"


class Measurement(NamedTuple):
    """A number that a run has at initialisation."""

    label: str
    """Name in figures and sentences."""
    description: str


MEASUREMENTS: dict[str, Measurement] = {
    "loss": Measurement("loss", "mean loss over all training rows, nats"),
    "smallest_gradient": Measurement(
        "smallest layer's gradient", "the smallest of the layers' gradients, log10 root mean square"
    ),
    "first_over_last_gradient": Measurement(
        "first over last gradient",
        "log10 of the first layer's gradient over the last one's, both root mean square; -inf where the first is zero",
    ),
    JACOBIAN_LARGEST: Measurement(
        "Jacobian, largest singular value",
        "log10 of the largest singular value of d (last hidden layer) / d input, the median over the rows",
    ),
    JACOBIAN_SMALLEST: Measurement(
        "Jacobian, smallest singular value",
        "log10 of the smallest singular value of d (last hidden layer) / d input, the median over the rows",
    ),
    SATURATED: Measurement(
        "saturated units",
        "share of outputs of tanh and sigmoid units, over the rows, with a slope below 2 % of the steepest; mean over "
        "the layers",
    ),
    DEAD: Measurement("dead units", "share of ReLU units that are zero on all of the rows; mean over the layers"),
}
"""Name to meaning; `gradient_0`, `gradient_1`, ... come on top, one for each layer, 0 on the input side."""


def initial_measurements(results: "xarray.Dataset", arm: str) -> dict[str, Float[np.ndarray, " seed"]]:
    """Compute all measurements of an arm's runs at initialisation.

    The loss and the layers' gradients are those of record 0. The other measurements are taken on parameters that are
    drawn again, on 16 training rows. The Jacobian is that of the last hidden layer: the Jacobian of a single logit has
    a single singular value.

    Args:
        results: of a sweep.
        arm: its name.

    Returns:
        Measurement name (see `MEASUREMENTS`) to `(seed,)` values, in the order of the completed seeds. NaN counts as
        larger than any number. Measurements that do not apply are left out. These are shares of units that
        the network lacks, and the Jacobian without hidden layers or with batch norm. Where the data has changed, all
        redrawn measurements are left out.

    Raises:
        InputError: no run of the arm is finished.
    """
    runs = completed_seeds(results, arm)
    experiment = experiment_of(results, arm)
    gradients = runs["gradient_log10_rms"].isel(record=0, layer=slice(num_layers(results)[arm])).values
    gradients = np.where(np.isnan(gradients), np.inf, gradients.astype(np.float64))
    first, last = gradients[:, 0], gradients[:, -1]
    with np.errstate(invalid="ignore"):
        ratio = np.where(np.isneginf(first), -np.inf, first - last)
    measurements = {
        "loss": runs["train_loss"].isel(record=0).values.astype(np.float64),
        **{f"gradient_{layer}": gradients[:, layer] for layer in range(gradients.shape[1])},
        "smallest_gradient": gradients.min(axis=1),
        "first_over_last_gradient": ratio,
    }
    dataset = data_of(results, arm)
    if dataset is not None:
        outputs = Training(batch_size=1, loss=experiment.training.loss)  # The loss decides on their number.
        start = Experiment(mlp=experiment.mlp, data=experiment.data, training=outputs)
        runs_of = tuple(runs["seed"].values.tolist())
        measurements |= _redrawn(start, data_fingerprint(dataset), study_seed(results), runs_of)
    return {name: np.where(np.isnan(values), np.inf, values) for name, values in measurements.items()}


def redrawn_parameters(experiment: Experiment, seed: int, runs: Int[Array | np.ndarray, " seed"]) -> Params:
    """Draw the initial parameters of runs of a sweep again, on a leading axis.

    Args:
        experiment: their arm.
        seed: of the study.
        runs: `(seed,)` numbers of the runs.

    >>> params = redrawn_parameters(Experiment(), 0, np.arange(3))
    >>> params[0].kernel.shape
    (3, 2, 5)
    """
    return networks_of_seeds(experiment, load_data(experiment.data), seed, runs)


@lru_cache(maxsize=64)
def _redrawn(experiment: Experiment, fingerprint: str, seed: int, numbers: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Measure the initial networks of runs; arms that differ in their training share them."""
    del fingerprint  # A file that has changed is measured anew.
    dataset, runs = load_data(experiment.data), np.asarray(numbers)
    rows = np.unique(np.linspace(0, len(dataset.train_x) - 1, ROWS).round().astype(int))
    x = jnp.asarray(dataset.train_x)[rows]
    # Initialisers change no program of measuring.
    plain = replace(experiment.mlp, kernel_init="zeros", bias_init="zeros", output_init=None, branch_init=None)
    widest = max(experiment.mlp.widths(x.shape[1]))
    each = 4 * len(rows) * widest**2
    # A power of two: studies of about the same size share a program.
    size = max(min(SEEDS_AT_ONCE, 2 ** (len(runs) - 1).bit_length(), JACOBIAN_MEMORY // each), 1)
    pieces: list[Mapping[str, np.ndarray]] = []
    for start in range(0, len(runs), size):
        some = runs[start : start + size]
        # The last piece is filled up, so that one program serves all.
        params = redrawn_parameters(experiment, seed, np.resize(some, size))
        measured = dict(jax.device_get(_measuring(plain)(params, x)))
        if "jacobian" in measured:
            ends = _singular_ends(measured.pop("jacobian"))
            measured |= dict(zip((JACOBIAN_LARGEST, JACOBIAN_SMALLEST), map(_log10_middle, ends), strict=True))
        pieces.append({name: values[: len(some)] for name, values in measured.items()})
    return {name: np.concatenate([piece[name] for piece in pieces]).astype(np.float64) for name in pieces[0]}


@lru_cache(maxsize=64)
def _measuring(mlp: MLP) -> Callable[[Params, Array], dict[str, Array]]:
    return compiled_quickly(jax.vmap(partial(_measure, mlp=mlp), in_axes=(0, None)))


def _measure(params: Params, x: Float[Array, "rows features"], *, mlp: MLP) -> dict[str, Float[Array, "..."]]:
    """Measure a network with its parameters at hand; Jacobians are returned as they are."""
    measured: dict[str, Float[Array, ...]] = dict(_units(params, x, mlp))
    if mlp.hidden and mlp.norm != "batch":
        measured["jacobian"] = jax.vmap(lambda row: input_jacobian(params, row, mlp, to="hidden"))(x)
    return measured


def _singular_ends(
    jacobians: Float[np.ndarray, "seed rows width features"],
) -> tuple[Float[np.ndarray, "seed rows"], Float[np.ndarray, "seed rows"]]:
    """Compute the largest and the smallest singular value; a value that rounding can explain is zero.

    The bound is that of `numpy.linalg.matrix_rank`. NumPy computes them: with the SVD in JAX's program, two arms
    measured in two threads were seen to wait for each other for ever.
    """
    finite = np.isfinite(jacobians).all(axis=(-2, -1))
    singular = np.linalg.svd(np.where(finite[..., None, None], jacobians, 0), compute_uv=False)
    largest, smallest = singular[..., 0], singular[..., -1]
    rounding = largest * max(jacobians.shape[-2:]) * np.finfo(jacobians.dtype).eps
    smallest = np.where(smallest > rounding, smallest, 0)
    return np.where(finite, largest, np.inf), np.where(finite, smallest, np.inf)


def _units(params: Params, x: Float[Array, "rows features"], mlp: MLP) -> dict[str, Float[Array, ""]]:
    leaves, tree = jax.tree.flatten(params)

    def logits(leaves: list[Array], x: Float[Array, "rows features"]) -> Float[Array, "rows outputs"]:
        layers = jax.tree.unflatten(tree, leaves)
        return jax.vmap(lambda row: apply_mlp(layers, row, mlp), axis_name="batch")(x)

    stats, _ = forward_pass(logits, leaves, x)
    smooth = np.array([kind in ("tanh", "logistic") for kind in stats.kinds], bool)
    relu = np.array([kind == "relu" for kind in stats.kinds], bool)
    shares = {}
    if smooth.any():
        shares[SATURATED] = jnp.mean(stats.off_fraction[smooth])
    if relu.any():
        shares[DEAD] = jnp.mean(stats.stuck_fraction[relu])
    return shares


def _log10_middle(values: Float[np.ndarray, "seed rows"]) -> Float[np.ndarray, " seed"]:
    """Return log10 of the lower median over rows."""
    with np.errstate(divide="ignore"):
        return np.log10(lower_median(values, axis=1))
