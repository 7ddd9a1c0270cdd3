"""Random keys of a study: its runs, their networks and layers, their orders of rows, and the noise of their losses.

key(seed) --run--> run_key --0--> network_key --layer--> layer_key
                      |
                      +-----1--> order_key --epoch--> epoch_key
                      |
                      +-----2--> noise_key of a step
"""

from functools import partial

import jax
import numpy as np
from jaxtyping import Array, Int, Key, UInt

from vgrad_jax.boundary import checked
from vgrad_jax.descriptions import MAX_SEED, whole_number

__all__ = ["PRNGKey", "epoch_key", "layer_key", "network_key", "noise_key", "order_key", "run_key", "run_keys"]

PRNGKey = Key[Array, ""] | UInt[Array, "2"]
"""A `jax.random.key`, or the older kind, `jax.random.PRNGKey`."""

_Index = int | Int[Array, ""]


@checked
def run_key(seed: int, run: _Index) -> PRNGKey:
    """Return the key of run `run` of a study with this seed.

    The key depends neither on the arm nor on the number of seeds or the chunk. Run k of every arm therefore draws the
    same random numbers, as far as its shapes allow.

    Raises:
        InputError: a number is negative or has more than 32 bits.

    >>> bool((jax.random.key_data(run_key(0, 7)) == jax.random.key_data(run_key(0, 8))).all())
    False
    """
    for name, value in (("seed", seed), ("run", run)):
        if isinstance(value, int):  # A traced number has the 32 bits of its dtype.
            whole_number(name, value, maximum=MAX_SEED)
    return jax.random.fold_in(jax.random.key(seed), run)


def run_keys(seed: int, runs: Int[Array, " seed"] | Int[np.ndarray, " seed"]) -> jax.Array:
    """Return the keys of many runs, `(seed,)`."""
    return _fold_in_each(jax.random.key(seed), runs)


@jax.jit
def _fold_in_each(key: PRNGKey, runs: jax.Array) -> jax.Array:
    return jax.vmap(partial(jax.random.fold_in, key))(runs)


def network_key(key: PRNGKey) -> PRNGKey:
    """Return the key from which the run of `key` draws its network."""
    return jax.random.fold_in(key, 0)


def layer_key(network: PRNGKey, layer: _Index) -> PRNGKey:
    """Return the key from which a network draws a layer; it does not depend on the number of layers."""
    return jax.random.fold_in(network, layer)


def order_key(key: PRNGKey) -> PRNGKey:
    """Return the key from which the run of `key` draws the order of its rows."""
    return jax.random.fold_in(key, 1)


def epoch_key(order: PRNGKey, epoch: _Index) -> PRNGKey:
    """Return the key of the order of the rows in an epoch, counted from 1."""
    return jax.random.fold_in(order, epoch)


def noise_key(key: PRNGKey, step: _Index) -> PRNGKey:
    """Return the key that the loss of a step draws from, as for dropout; steps count from 0."""
    return jax.random.fold_in(jax.random.fold_in(key, 2), step)
