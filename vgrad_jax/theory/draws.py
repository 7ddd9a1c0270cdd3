"""Draw the initial networks of chosen seeds again: the networks that a sweep starts from."""

from collections.abc import Callable, Sequence
from functools import lru_cache, partial

import jax
import numpy as np
from jaxtyping import Array, Int, PyTree

from vgrad_jax.compiling import compiled_quickly
from vgrad_jax.data import Dataset
from vgrad_jax.experiment import Experiment
from vgrad_jax.keys import run_keys
from vgrad_jax.nets.mlp import Params
from vgrad_jax.training.initial import initial_networks

__all__ = ["networks_of_seeds", "over_seeds"]

SEEDS_AT_ONCE = 16
"""Number of networks that one call of a compiled program takes."""


def networks_of_seeds(
    experiment: Experiment, dataset: Dataset, study_seed: int, runs: Int[Array | np.ndarray, " seed"]
) -> Params:
    """Draw the parameters that runs of a sweep start from, with a leading `seed` axis."""
    return initial_networks(experiment, dataset, _keys(study_seed)(np.asarray(runs)))


@lru_cache(maxsize=64)
def _keys(study_seed: int) -> Callable[[Int[np.ndarray, " seed"]], jax.Array]:
    return compiled_quickly(partial(run_keys, study_seed))


def over_seeds(
    function: Callable[[Params], PyTree],
    experiment: Experiment,
    dataset: Dataset,
    seeds: Sequence[int],
    study_seed: int,
) -> PyTree:
    """Compute a function of a network's parameters for each of many draws.

    Args:
        function: function of the parameters of ONE network.
        experiment: the arm whose network is drawn; nothing is trained.
        dataset: its data.
        seeds: numbers of the draws; draw k is run k of a sweep.
        study_seed: seed of the sweep.

    Returns:
        The function's values in float64 on the host, with a leading `seed` axis.

    >>> from vgrad_jax.data import load_data
    >>> experiment = Experiment()
    >>> first = over_seeds(lambda params: params[0].kernel, experiment, load_data(experiment.data), [3, 5], 0)
    >>> first.shape, first.dtype.name
    ((2, 2, 5), 'float64')
    """
    apply = jax.jit(jax.vmap(function))
    numbers = np.asarray(seeds, np.int32)
    size = min(SEEDS_AT_ONCE, len(numbers))
    parts = []
    for start in range(0, len(numbers), size):
        # The last group repeats its last seed up to the full size, so that one compiled program serves all groups.
        chosen = numbers[np.minimum(np.arange(start, start + size), len(numbers) - 1)]
        parts.append(apply(networks_of_seeds(experiment, dataset, study_seed, chosen)))
    return jax.tree.map(lambda *leaves: np.concatenate(leaves)[: len(numbers)].astype(np.float64), *parts)
