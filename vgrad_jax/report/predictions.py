"""The prediction for each arm of a sweep's results."""

from functools import lru_cache
from typing import TYPE_CHECKING

from vgrad_jax.data import Data, data_fingerprint, load_data
from vgrad_jax.errors import InputError
from vgrad_jax.nets.mlp import MLP
from vgrad_jax.sweeps.study import arms_of
from vgrad_jax.theory.prediction import Prediction, predict

if TYPE_CHECKING:
    import xarray

__all__ = ["predictions"]


def predictions(results: "xarray.Dataset") -> dict[str, Prediction]:
    """Arm name to the gradient profile that it should have started with, or to why there is none."""
    found = {}
    for arm, experiment in arms_of(results).items():
        try:
            dataset = load_data(experiment.data)
        except InputError as error:
            found[arm] = Prediction(None, f"does not apply because the data is not there any more: {error}", ())
            continue
        found[arm] = _prediction(experiment.mlp, experiment.data, data_fingerprint(dataset))
    return found


@lru_cache(maxsize=64)
def _prediction(mlp: MLP, data: Data, fingerprint: str) -> Prediction:
    del fingerprint  # A file that has changed is predicted anew.
    dataset = load_data(data)
    return predict(mlp, dataset.train_x, dataset.train_y)
