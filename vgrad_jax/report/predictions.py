"""Theory of each arm of a sweep's results: first gradients, the law over seeds, and trainable depths."""

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from vgrad_jax.data import Data, data_fingerprint, load_data
from vgrad_jax.nets.mlp import MLP
from vgrad_jax.results.reading import completed_seeds, data_of, experiments_of, study_seed
from vgrad_jax.statistics.depth import Family
from vgrad_jax.theory.comparison import mean_field_of, trainable_depth
from vgrad_jax.theory.prediction import MOST_ROWS, Prediction, predict
from vgrad_jax.theory.seed_law import SeedLaw, seed_law, why_no_law

if TYPE_CHECKING:
    import xarray

__all__ = ["predictions", "seed_laws", "trainable_depths"]

DATA_IS_GONE = "does not apply because the data is not there any more, or is not what it was"

MANY_ARMS = 12
FEWER_ROWS = 128
"""Rows of a prediction where arms are many: some hundredths of a decade less exact, and faster."""
MOST_SEEDS = 1024
"""Most seeds of an arm that are compared with the exact law: enough to see a tenth of a standard deviation."""


def predictions(results: "xarray.Dataset") -> dict[str, Prediction]:
    """Predict the gradient profile of every arm at initialisation, or say why there is no prediction."""
    arms, predicted = experiments_of(results), {}
    rows = MOST_ROWS if len(arms) <= MANY_ARMS else FEWER_ROWS
    for arm, experiment in arms.items():
        dataset = data_of(results, arm)
        if dataset is None:
            predicted[arm] = Prediction(None, DATA_IS_GONE, ())
            continue
        fingerprint, loss = data_fingerprint(dataset), experiment.training.loss
        predicted[arm] = _prediction(experiment.mlp, experiment.data, loss, fingerprint, rows)
    return predicted


def seed_laws(results: "xarray.Dataset") -> dict[str, SeedLaw]:
    """Compare the initial networks of finished runs with the exact law over seeds, for arms that have a law.

    Results hold the gradient of the loss over all rows, of which no law is known. So the networks are drawn again, seed
    k of an arm as it was in the sweep. Arms whose data is gone or has changed are left out. Of more than 1024 seeds the
    first are taken.
    """
    laws = {}
    for arm, experiment in experiments_of(results).items():
        dataset = None if why_no_law(experiment.mlp) else data_of(results, arm)
        if dataset is None:
            continue
        seeds = completed_seeds(results, arm)["seed"].values[:MOST_SEEDS].tolist()
        laws[arm] = seed_law(experiment, dataset, seeds, study_seed(results))
    return laws


def trainable_depths(results: "xarray.Dataset", families: Sequence[Family]) -> dict[str, float | None]:
    """Return family name to the hidden layers that theory says can be trained; None where it does not apply."""
    arms, depths = experiments_of(results), {}
    for family in families:
        mean_field = mean_field_of(arms[family.arms[max(family.arms)]].mlp).found
        depths[family.name] = None if mean_field is None else trainable_depth(mean_field)
    return depths


@lru_cache(maxsize=64)
def _prediction(mlp: MLP, data: Data, loss: str, fingerprint: str, rows: int) -> Prediction:
    del fingerprint  # A file that has changed is predicted anew.
    dataset = load_data(data)
    return predict(mlp, dataset.train_x, dataset.train_y, loss=loss, most_rows=rows)
