"""Initial networks of chosen seeds: those that a sweep starts from."""

import itertools
from collections.abc import Callable, Sequence
from functools import lru_cache

import jax
import numpy as np
from jaxtyping import Array, Int, Key, PyTree

from vgrad_jax.data import Dataset
from vgrad_jax.descriptions import NamedFunction
from vgrad_jax.experiment import Experiment
from vgrad_jax.nets.mlp import Layer, Params, PRNGKey, init_layer
from vgrad_jax.sweeps.engine import run_keys
from vgrad_jax.training.run import network_key, num_logits

__all__ = ["COMPILED_QUICKLY", "initial_networks", "over_seeds"]

SEEDS_AT_ONCE = 16


COMPILED_QUICKLY: dict[str, bool | int] = {
    "xla_backend_optimization_level": 0,
    "xla_llvm_disable_expensive_passes": True,
    "xla_cpu_use_fusion_emitters": False,
}
"""Options for programs that run for a fraction of a second, and whose optimisation would take ten."""


def initial_networks(
    experiment: Experiment, dataset: Dataset, study_seed: int, runs: Int[Array | np.ndarray, " seed"]
) -> Params:
    """The parameters that runs of a sweep start from, on a leading axis."""
    mlp = experiment.mlp
    keys = _keys(study_seed)(np.asarray(runs))
    widths = mlp.widths(dataset.train_x.shape[1], num_logits(experiment, dataset))
    # Layer by layer, so that layers of one shape share a program: a deep network's would take long to compile.
    return tuple(
        _layers(mlp.kernel_initializer(index, fan_in), mlp.bias_init, fan_in, fan_out)(keys, np.int32(index))
        for index, (fan_in, fan_out) in enumerate(itertools.pairwise(widths))
    )


@lru_cache(maxsize=64)
def _keys(study_seed: int) -> Callable[[Int[np.ndarray, " seed"]], Key[Array, " seed"]]:
    return jax.jit(lambda runs: jax.vmap(network_key)(run_keys(study_seed, runs)), compiler_options=COMPILED_QUICKLY)


@lru_cache(maxsize=64)
def _layers(
    kernel_init: NamedFunction, bias_init: NamedFunction, fan_in: int, fan_out: int
) -> Callable[[Key[Array, " seed"], np.int32], Layer]:
    def layer(key: PRNGKey, index: Int[Array, ""]) -> Layer:
        return init_layer(jax.random.fold_in(key, index), kernel_init, bias_init, fan_in, fan_out)

    return jax.jit(jax.vmap(layer, in_axes=(0, None)), compiler_options=COMPILED_QUICKLY)


def over_seeds(
    function: Callable[[Params], PyTree],
    experiment: Experiment,
    dataset: Dataset,
    seeds: Sequence[int],
    study_seed: int,
) -> PyTree:
    """A function of a network's parameters, for each of many draws.

    Args:
        function: of the parameters of ONE network.
        experiment: whose network is drawn; nothing is trained.
        dataset: its data.
        seeds: seed k is seed k of a sweep.
        study_seed: of the sweep.

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
        # The last ones are filled up, so that one program serves all.
        chosen = numbers[np.minimum(np.arange(start, start + size), len(numbers) - 1)]
        parts.append(apply(initial_networks(experiment, dataset, study_seed, chosen)))
    return jax.tree.map(lambda *leaves: np.concatenate(leaves)[: len(numbers)].astype(np.float64), *parts)
