"""Bands over training: quantiles over the seeds of an arm, ready to be drawn.

Accuracies and distances are interpolated between seeds. Sizes of gradients may be -inf, which has no mean, so that
their quantiles are sizes of single seeds.
"""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from vgrad_jax.errors import InputError
from vgrad_jax.numerics import finite_quantiles, lower_quantile
from vgrad_jax.results.reading import completed_seeds, own_values
from vgrad_jax.statistics.published import weight_paths
from vgrad_jax.statistics.streaming import record_slices, seed_quantiles

if TYPE_CHECKING:
    import xarray

__all__ = [
    "HEATMAP_SHARES",
    "AccuracyBand",
    "GradientProfile",
    "WeightBand",
    "accuracy_band",
    "gradient_profile",
    "gradient_quantiles",
    "gradients_of",
    "weight_band",
]

HEATMAP_SHARES = (0.1, 0.5, 0.9)
"""Shares of seeds below the quantiles of `gradient_quantiles`."""


class AccuracyBand(NamedTuple):
    """An arm's training accuracy over the records."""

    epochs: Int[np.ndarray, " record"]
    quantiles: Float[np.ndarray, "6 record"]
    """Smallest value, then the 5, 25, 50, 75 and 95 % quantiles over seeds."""
    seed: int
    """The first finished seed."""
    single: Float[np.ndarray, " record"]
    """The accuracy of that seed."""
    n: int


class GradientProfile(NamedTuple):
    """An arm's gradient by layer at a record."""

    quantiles: Float[np.ndarray, "3 layer"]
    """5, 50 and 95 % quantiles over seeds, log10 root mean square; -inf is a gradient of exactly zero."""
    zero_share: float
    """Share of seeds in which a layer has a gradient of exactly zero."""
    smallest: float
    """The smallest finite size of any seed and layer, at most 0."""


class WeightBand(NamedTuple):
    """The distance of an arm's first kernel from its start: mean absolute difference of the weights."""

    epochs: Int[np.ndarray, " kept"]
    quantiles: Float[np.ndarray, "5 kept"]
    """5, 25, 50, 75 and 95 % quantiles over the seeds with a finite distance."""
    single: Float[np.ndarray, " kept"]
    """The distance of the first finished seed; NaN where it is not finite."""
    n: int
    lost: int
    """Seeds whose distance is not finite at some epoch."""


def accuracy_band(results: "xarray.Dataset", arm: str) -> AccuracyBand:
    """Compute quantiles over seeds of an arm's training accuracy.

    Args:
        results: of a sweep.
        arm: its name.
    """
    runs = completed_seeds(results, arm)
    accuracy = runs["train_accuracy"]
    shares = [0.0, 0.05, 0.25, 0.5, 0.75, 0.95]
    quantiles = [finite_quantiles(values, shares) for values in record_slices(accuracy)]
    return AccuracyBand(
        epochs=runs["epoch"].values,
        quantiles=np.concatenate(quantiles, axis=1),
        seed=int(runs["seed"].values[0]),
        single=accuracy[0].values,
        n=len(accuracy),
    )


def gradients_of(results: "xarray.Dataset", arm: str) -> "xarray.DataArray":
    """Return sizes of gradients `(seed, record, layer)` of the arm's own layers, without reading them.

    Raises:
        InputError: the arm recorded no gradients.
    """
    gradients = own_values(results, arm, "gradient_log10_rms")
    if gradients is None:
        raise InputError(f"arm {arm!r} recorded no gradients; return a vg.Record from its function")
    return gradients


def gradient_profile(results: "xarray.Dataset", arm: str, record: int) -> GradientProfile:
    """Compute quantiles over seeds of each layer's gradient at a record.

    Args:
        results: of a sweep.
        arm: its name.
        record: index of the record; 0 is initialisation and -1 the last epoch.
    """
    sizes = gradients_of(results, arm).isel(record=record).values
    return GradientProfile(
        quantiles=np.stack([lower_quantile(sizes, share, skip_nan=True) for share in (0.05, 0.5, 0.95)]),
        zero_share=float(np.isneginf(sizes).any(axis=1).mean()),
        smallest=float(sizes[np.isfinite(sizes)].min(initial=0.0)),
    )


def gradient_quantiles(results: "xarray.Dataset", arm: str) -> Float[np.ndarray, "3 record layer"]:
    """Compute the quantiles `HEATMAP_SHARES` over seeds of each layer's gradient at every record."""
    return seed_quantiles(gradients_of(results, arm), HEATMAP_SHARES)


def weight_band(results: "xarray.Dataset", arm: str) -> WeightBand | None:
    """Compute quantiles over seeds of the first kernel's distance from its start.

    Returns:
        None where the weights were kept at fewer than three epochs, or not at epoch 0.
    """
    paths = weight_paths(results, arm)
    if paths is None:
        return None
    epochs, distance = paths
    return WeightBand(
        epochs=epochs,
        quantiles=finite_quantiles(distance, [0.05, 0.25, 0.5, 0.75, 0.95]),
        single=np.where(np.isfinite(distance[0]), distance[0], np.nan),
        n=len(distance),
        lost=int((~np.isfinite(distance)).any(axis=1).sum()),
    )
