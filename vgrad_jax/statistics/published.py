"""The article's own single runs among the seeds.

The published numbers are from Brownlee 2019, "How to Fix the Vanishing Gradients Problem Using the ReLU". Each is the
number of a single run.
"""

import dataclasses
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from vgrad_jax.data import Dataset
from vgrad_jax.experiment import Experiment
from vgrad_jax.presets import article
from vgrad_jax.results.reading import completed_seeds, data_of, experiments_of, function_of
from vgrad_jax.statistics.streaming import record_slices

if TYPE_CHECKING:
    import xarray

__all__ = [
    "FIRST_EPOCH",
    "PUBLISHED",
    "SECOND_EPOCH",
    "Placement",
    "first_layer_change",
    "is_the_articles",
    "learned_by",
    "placements",
    "weight_paths",
]

TANH_ARM, RELU_ARM = "tanh_uniform", "relu_he"
FIRST_EPOCH, SECOND_EPOCH = 50, 100
QUIET_EPOCHS = 200
LEARNED_MARGIN = 0.05
ROUNDING = 1e-6
"""Largest rounding error of an accuracy in float32, in which 280 of 500 is not 0.56 to the last digit."""

PUBLISHED = {
    "test_accuracy": {TANH_ARM: 0.56},
    "first_layer_change": {TANH_ARM: 0.0141, RELU_ARM: 0.3805},
}


class Placement(NamedTuple):
    """A published number among the seeds of its arm."""

    arm: str
    quantity: str
    published: float
    n: int
    quantiles: tuple[float, float, float]
    """5 %, 50 % and 95 % over seeds."""
    share_below: float
    """Share of seeds below the published number; ties count one half."""

    @property
    def inside(self) -> bool:
        """True within the central 90 % of seeds."""
        return self.quantiles[0] - ROUNDING <= self.published <= self.quantiles[2] + ROUNDING


def placements(results: "xarray.Dataset") -> list[Placement]:
    """Place every published number among these results that have the same arm, trained as long.

    A number is left out where no run has a finite number to compare with.
    """
    arms = experiments_of(results)
    placed: list[Placement | None] = []
    for arm, published in PUBLISHED["test_accuracy"].items():
        if arm in arms and is_the_articles(arms[arm], arm) and arms[arm].training == article()[arm].training:
            accuracy = completed_seeds(results, arm)["test_accuracy"].isel(record=-1).values
            placed.append(_place(arm, "test accuracy after the last epoch", published, accuracy))
    for arm, published in PUBLISHED["first_layer_change"].items():
        values = first_layer_change(results, arm) if arm in arms and is_the_articles(arms[arm], arm) else None
        if values is not None:
            quantity = f"mean absolute change of the first layer's weights, epoch {FIRST_EPOCH} to {SECOND_EPOCH}"
            placed.append(_place(arm, quantity, published, values))
    return [placement for placement in placed if placement is not None]


def first_layer_change(results: "xarray.Dataset", arm: str) -> np.ndarray | None:
    """Compute the mean absolute change of the first kernel from epoch 50 to 100, for each seed.

    Returns:
        None where the weights of those epochs were not kept.
    """
    if not {FIRST_EPOCH, SECOND_EPOCH} <= set(_kept_epochs(results, arm)):
        return None
    runs = completed_seeds(results, arm)
    weights, epochs = _first_kernel(runs), runs["parameters_epoch"].values.tolist()
    return _mean_distance(weights[:, epochs.index(SECOND_EPOCH)], weights[:, epochs.index(FIRST_EPOCH)])


def weight_paths(results: "xarray.Dataset", arm: str) -> tuple[np.ndarray, np.ndarray] | None:
    """Compute the mean absolute distance of the first kernel from its start, for each seed at each kept epoch.

    Returns:
        The epochs `(kept,)` and the distances `(seed, kept)`; None where epoch 0 and two others were not kept.
    """
    epochs = np.asarray(_kept_epochs(results, arm))
    if 0 not in epochs or len(epochs) < 3:
        return None
    weights = _first_kernel(completed_seeds(results, arm).sel(parameters_epoch=epochs))
    start = weights[:, np.flatnonzero(epochs == 0)]
    return epochs, _mean_distance(weights, start)


def learned_by(results: "xarray.Dataset", arm: str, epoch: int = QUIET_EPOCHS) -> np.ndarray | None:
    """Return whether each seed had learned anything within `epoch` epochs.

    A seed has learned where its training accuracy is 5 points or more above the larger class's share at some record.
    Always naming the larger class scores that share, so that a network has it for nothing.

    Returns:
        None where the arm trained shorter or the data has changed.
    """
    runs = completed_seeds(results, arm)
    epochs = runs["epoch"].values
    dataset = data_of(results, arm)
    if dataset is None or epochs[-1] < epoch:
        return None
    accuracy = runs["train_accuracy"].isel(record=epochs <= epoch)
    best = np.max([values.max(axis=1) for values in record_slices(accuracy)], axis=0)
    return best >= _larger_class(dataset) + LEARNED_MARGIN


def _mean_distance(weights: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Compute the mean absolute difference over the weights; NaN where no weight is a number, as after divergence."""
    with np.errstate(invalid="ignore", over="ignore"):
        distance = np.abs(weights - others)
        return np.ma.filled(np.ma.array(distance, mask=np.isnan(distance)).mean(axis=-1), np.nan)


def _kept_epochs(results: "xarray.Dataset", arm: str) -> list[int]:
    """Return the epochs at which an arm's parameters were kept; other arms of the sweep may have others."""
    if "parameters" not in results or function_of(results, arm) is not None:
        return []
    experiment = experiments_of(results).get(arm)
    epochs: list[int] = results["parameters_epoch"].values.tolist()
    return epochs if experiment is None else [e for e in epochs if e in experiment.recording.parameters_at]


def _first_kernel(runs: "xarray.Dataset") -> np.ndarray:
    """Return the first kernel's weights, `(seed, kept epoch, weight)`."""
    names = [name for name in runs["parameter"].values.tolist() if name.startswith("0/kernel/")]
    return runs["parameters"].sel(parameter=names).values


def is_the_articles(experiment: Experiment, arm: str) -> bool:
    """Return whether the arm is the article's own, whatever its epochs and its recording."""
    own = article()[arm]
    training = dataclasses.replace(experiment.training, epochs=own.training.epochs)
    return dataclasses.replace(experiment, training=training, recording=own.recording) == own


def _larger_class(dataset: Dataset) -> float:
    """Return the share of the TRAINING rows in their most frequent class; `ceiling.majority_share` is of test rows."""
    return float(np.bincount(dataset.train_y).max() / len(dataset.train_y))


def _place(arm: str, quantity: str, published: float, values: np.ndarray) -> Placement | None:
    values = values[np.isfinite(values)].astype(np.float64)
    if not len(values):
        return None
    low, middle, high = np.quantile(values, [0.05, 0.5, 0.95])
    tied = np.isclose(values, published, rtol=0, atol=ROUNDING)
    below = np.mean((values < published) & ~tied) + 0.5 * np.mean(tied)
    return Placement(arm, quantity, published, len(values), (float(low), float(middle), float(high)), float(below))
