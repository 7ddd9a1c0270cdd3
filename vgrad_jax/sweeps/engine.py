"""Ways to train many seeds of one arm at once.

An engine executes `vgrad_jax.train`; it is never a second set of mathematics. It takes an experiment, its data's
fingerprint and a vector of keys, and returns a `History` with a leading `seed` axis. A faster one is added here, to
`ENGINES`, and has to give what `plain` gives.
"""

from collections.abc import Callable
from functools import lru_cache, partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from vgrad_jax.data import load_data
from vgrad_jax.experiment import Experiment
from vgrad_jax.nets.mlp import PRNGKey
from vgrad_jax.sweeps.lanes import COMPILER_OPTIONS, over_lanes
from vgrad_jax.training.run import History, initial_params, train, train_from

__all__ = ["ENGINES", "Engine", "plain", "run_key", "run_keys", "train_seeds"]

LANES = 32
"""Seeds of one program of `lanes`: two vector registers of sixteen."""

ROWS_AT_ONCE = 32
"""In the records of `lanes`: a row's activations are 128 bytes a unit, and the first-level cache has 32 or 48 KiB."""

Engine = Callable[[Experiment, str, jax.Array], History]


def run_key(seed: int, run: int | Int[Array, ""]) -> PRNGKey:
    """The key of run `run` of a study with this seed.

    It depends on nothing else: not on the arm, the number of seeds or the chunk. Run k of every arm therefore sees
    the same random numbers, as far as its shapes allow.

    >>> bool((jax.random.key_data(run_key(0, 7)) == jax.random.key_data(run_key(0, 8))).all())
    False
    """
    return jax.random.fold_in(jax.random.key(seed), run)


def run_keys(seed: int, runs: Int[Array, " seed"]) -> jax.Array:
    """The keys of many runs."""
    return jax.vmap(partial(run_key, seed))(runs)


def plain(experiment: Experiment, fingerprint: str, keys: jax.Array) -> History:
    """`jit(vmap(train))`: every other engine is held against this one.

    Args:
        experiment: the arm.
        fingerprint: of its data, so that a file that has changed is not answered from the compiled program.
        keys: one for each seed.
    """
    return _compiled(experiment, fingerprint)(keys)


@lru_cache(maxsize=256)
def _compiled(experiment: Experiment, fingerprint: str) -> Callable[[jax.Array], History]:
    del fingerprint
    return jax.jit(jax.vmap(partial(train, experiment)))


def lanes(experiment: Experiment, fingerprint: str, keys: jax.Array) -> History:
    """`over_lanes(train)`: see `vgrad_jax.sweeps.lanes`.

    Args:
        experiment: the arm.
        fingerprint: of its data, as in `plain`.
        keys: one for each seed; trained `LANES` at a time.

    Raises:
        NotInLanesError: the training does something that has no rule there.
    """
    program = _compiled_lanes(experiment, fingerprint)
    groups = []
    for start in range(0, len(keys), LANES):
        indices = jnp.minimum(jnp.arange(start, start + LANES), len(keys) - 1)
        groups.append(program(jnp.int32(0), keys[indices]))
    return jax.tree.map(lambda *parts: jnp.concatenate(parts)[: len(keys)], *groups)


@lru_cache(maxsize=256)
def _compiled_lanes(experiment: Experiment, fingerprint: str) -> Callable[[jax.Array, jax.Array], History]:
    del fingerprint
    dataset = load_data(experiment.data)
    mapped = over_lanes(partial(train_from, experiment, dataset=dataset, rows_at_once=ROWS_AT_ONCE))

    def program(zero: jax.Array, keys: jax.Array) -> History:
        # Drawing the parameters is done once, and an orthogonal one needs LAPACK: it stays outside.
        params = jax.vmap(partial(initial_params, experiment, dataset=dataset), out_axes=-1)(keys)
        return jax.tree.map(lambda leaf: jnp.moveaxis(leaf, -1, 0), mapped(zero, params, keys))

    return jax.jit(program, compiler_options=COMPILER_OPTIONS)


ENGINES: dict[str, Engine] = {"plain": plain, "lanes": lanes}


def train_seeds(engine: Engine, experiment: Experiment, fingerprint: str, seed: int, start: int, size: int) -> History:
    """Runs `start` to `start + size` of an arm, on the host."""
    history = engine(experiment, fingerprint, run_keys(seed, jnp.arange(start, start + size)))
    return jax.device_get(history)
