"""Draw the initial networks of many runs.

Each layer is drawn by a program of its own, and layers of one shape share it. The initialisers' numbers are arguments
of the program, so that a grid over scales compiles it once.
"""

import itertools
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Float, Int

from vgrad_jax.compiling import ProgramCache, compiled_quickly
from vgrad_jax.data import Dataset
from vgrad_jax.descriptions import NamedFunction
from vgrad_jax.experiment import Experiment
from vgrad_jax.keys import PRNGKey, layer_key, network_key
from vgrad_jax.nets.data_dependent import fitted_to_data
from vgrad_jax.nets.initializers import initializer_from, initializer_parts
from vgrad_jax.nets.layers import resolved_bias_initializer
from vgrad_jax.nets.mlp import MLP, Layer, Params, init_layer, require_room, with_learned
from vgrad_jax.nets.params import LearnedLayer
from vgrad_jax.training.run import num_logits, rows_to_fit

__all__ = ["initial_networks"]


def initial_networks(experiment: Experiment, dataset: Dataset, keys: jax.Array) -> Params:
    """Draw the parameters that the runs of many keys start from, as `initial_params` does for each key.

    Args:
        experiment: the arm whose network is drawn.
        dataset: its data.
        keys: keys of the runs, `(seed,)`.

    Returns:
        Parameters with a leading `seed` axis.

    >>> from vgrad_jax.data import load_data
    >>> experiment = Experiment()
    >>> params = initial_networks(experiment, load_data(experiment.data), jax.random.split(jax.random.key(0), 3))
    >>> params[0].kernel.shape
    (3, 2, 5)
    """
    mlp = experiment.mlp
    widths = mlp.widths(dataset.train_x.shape[1], num_logits(experiment, dataset))
    require_room(widths, len(keys))
    layers: list[Layer | LearnedLayer] = []
    for index, (fan_in, fan_out) in enumerate(itertools.pairwise(widths)):
        kernel, kernel_numbers = initializer_parts(mlp.kernel_initializer(index, fan_in))
        bias, bias_numbers = initializer_parts(resolved_bias_initializer(mlp.bias_init, fan_in))
        draw = _programs.get((kernel, bias, fan_in, fan_out), partial(_draw_layers, kernel, bias, fan_in, fan_out))
        layers.append(with_learned(mlp, index, draw(keys, np.int32(index), kernel_numbers, bias_numbers)))
    if mlp.data_init is None:
        return tuple(layers)
    plain = replace(mlp, kernel_init="zeros", bias_init="zeros", output_init=None, branch_init=None)
    rows = rows_to_fit(dataset)
    fit = _fits.get((plain, widths, rows.shape), lambda: compiled_quickly(jax.vmap(partial(_fit, plain), (0, None))))
    return fit(tuple(layers), rows)


def _fit(mlp: MLP, params: Params, x: Float[Array, "row feature"]) -> Params:
    return fitted_to_data(params, x, mlp)


_fits: ProgramCache[Callable[..., Params]] = ProgramCache(most=64)


_programs: ProgramCache[Callable[..., Layer]] = ProgramCache(most=64)


def _draw_layers(kernel: NamedFunction, bias: NamedFunction, fan_in: int, fan_out: int) -> Callable[..., Layer]:
    def layer(key: PRNGKey, index: Int[Array, ""], kernel_numbers: Any, bias_numbers: Any) -> Layer:
        return init_layer(
            layer_key(network_key(key), index),
            initializer_from(kernel, kernel_numbers),
            initializer_from(bias, bias_numbers),
            fan_in,
            fan_out,
        )

    return compiled_quickly(jax.vmap(layer, in_axes=(0, None, None, None)))
