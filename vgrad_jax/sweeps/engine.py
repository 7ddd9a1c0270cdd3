"""Ways to train many seeds of one arm at once.

An engine executes `vgrad_jax.train`; it is never a second set of mathematics. It takes an experiment, its data's
fingerprint and a vector of keys, and returns a `History` with a leading `seed` axis. A faster one is added here, to
`ENGINES`, and has to give what `plain` gives.
"""

from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache, partial
from itertools import pairwise
from threading import Lock
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from vgrad_jax.data import load_data
from vgrad_jax.experiment import Experiment
from vgrad_jax.keys import PRNGKey, run_keys
from vgrad_jax.lanes import NotInLanesError, local_machine, over_lanes
from vgrad_jax.nets.mlp import Params
from vgrad_jax.results.versions import JAX_SETTINGS
from vgrad_jax.sweeps.devices import over_devices, spread
from vgrad_jax.training.initial import initial_networks
from vgrad_jax.training.run import History, num_logits, train_from
from vgrad_jax.training.settings import Settings, settings_of, structure_of

__all__ = ["ENGINES", "Engine", "choose_engine", "plain", "train_seeds"]

LANES = 32
"""Seeds of one program of `lanes`, or twice as many: two vector registers of sixteen, or four, one after the other."""

ROWS_AT_ONCE = 32
"""In the records of `lanes`: a row's activations are 128 bytes a unit, and the first-level cache has 32 or 48 KiB."""

WIDEST_IN_LANES = 16
"""Above it a matrix library's products are the faster ones; `benchmarks/README.md` has the measurements."""

ACCELERATOR_CHUNK = 1024
"""Seeds that `plain` trains together there."""

FEWEST_ON_GPU = 4096
"""Fewer threads leave most of a GPU idle, where `plain` divides each seed's rows among them."""

EPOCHS_A_PARAMETER = 20
"""Epochs of all seeds of an arm, for each parameter of its network, below which `lanes` takes longer to compile than it
saves."""

Engine = Callable[[Experiment, str, jax.Array], History]


def plain(experiment: Experiment, fingerprint: str, keys: jax.Array) -> History:
    """`jit(vmap(train))`: every other engine is held against this one.

    Args:
        experiment: the arm.
        fingerprint: of its data, so that a file that has changed is not answered from the compiled program.
        keys: one for each seed.
    """
    params = _initial(experiment, fingerprint)(keys)
    program = _plain_program(structure_of(experiment), fingerprint, len(keys.sharding.device_set))
    return program(params, keys, settings_of(experiment))


def lanes(experiment: Experiment, fingerprint: str, keys: jax.Array) -> History:
    """`over_lanes(train)`: see `vgrad_jax.lanes`.

    Args:
        experiment: the arm.
        fingerprint: of its data, as in `plain`.
        keys: one for each seed; trained a program at a time on a processor, and all at once on a GPU.

    Raises:
        NotInLanesError: the training does something in a loop that there is no native code for.
    """
    initial = _initial(experiment, fingerprint)
    size = lanes_of_a_program(len(keys))
    settings = {name: np.full(size, value) for name, value in settings_of(experiment).items()}

    def train_group(group: jax.Array) -> History:
        arguments = (initial(group), group, settings)
        return _lanes_program(structure_of(experiment), fingerprint, arguments)(*arguments)

    if len(keys) == size:  # As a rule: what is below has programs of its own for taking apart and putting together.
        return train_group(keys)
    starts = range(0, len(keys), size)
    histories = [train_group(keys[np.minimum(np.arange(s, s + size), len(keys) - 1)]) for s in starts]
    return jax.tree.map(lambda *parts: jnp.concatenate(parts)[: len(keys)], *histories)


def lanes_of_a_program(seeds: int) -> int:
    """A GPU's lanes are threads, as many as there are seeds.

    A processor's registers are trained one after the other, so that it is faster with more of them only by what XLA
    does around: twice as many as the least, where they fill them.
    """
    if jax.default_backend() == "cpu":
        return 2 * LANES if seeds % (2 * LANES) == 0 else LANES
    return -(-seeds // LANES) * LANES


def auto(experiment: Experiment, fingerprint: str, keys: jax.Array) -> History:
    """`lanes` where it accepts the training, else `plain`."""
    with suppress(NotInLanesError):
        return lanes(experiment, fingerprint, keys)
    size = LANES if jax.default_backend() == "cpu" else ACCELERATOR_CHUNK
    if len(keys) <= size:
        return plain(experiment, fingerprint, keys)
    parts = (plain(experiment, fingerprint, keys[start : start + size]) for start in range(0, len(keys), size))
    return jax.tree.map(lambda *parts: jnp.concatenate(parts), *parts)


ENGINES: dict[str, Engine] = {"auto": auto, "plain": plain, "lanes": lanes}


def choose_engine(experiment: Experiment, num_seeds: int, chunk: int | None = None) -> str:
    """The name of the engine that is fastest for an arm, compilation included.

    It depends on the platform and the precision, the widest layer, and the work that the compilation of `lanes` has to
    pay for; on a GPU, the number of threads that there are seeds for.

    Args:
        experiment: the arm.
        num_seeds: runs of it.
        chunk: seeds trained together, where the user has a wish.

    >>> choose_engine(Experiment(), 5)
    'plain'
    """
    dataset = load_data(experiment.data)
    widths = experiment.mlp.widths(dataset.train_x.shape[1], num_logits(experiment, dataset))
    parameters = sum((fan_in + 1) * fan_out for fan_in, fan_out in pairwise(widths))
    widest = max(experiment.mlp.hidden, default=1)
    single = not jax.config.read("jax_enable_x64")
    if jax.default_backend() != "cpu":
        many = min(num_seeds, chunk or num_seeds) >= FEWEST_ON_GPU
        threads = local_machine()
        # A thread's registers hold the sums of a gradient, or there is too much in memory.
        small = threads is not None and parameters <= threads.sums_beside
        return "auto" if single and many and small and jax.local_device_count() == 1 else "plain"
    enough = num_seeds * experiment.training.epochs >= EPOCHS_A_PARAMETER * parameters
    full = chunk is None or chunk % LANES == 0
    return "auto" if single and widest <= WIDEST_IN_LANES and enough and full else "plain"


@lru_cache(maxsize=256)
def _initial(experiment: Experiment, fingerprint: str) -> Callable[[jax.Array], Params]:
    """The initial parameters of many keys, on a leading axis.

    Outside of the training's program, so that a grid over initialisers compiles it once.
    """
    del fingerprint
    return partial(initial_networks, experiment, load_data(experiment.data))


@lru_cache(maxsize=256)
def _plain_program(structure: Experiment, fingerprint: str, devices: int) -> Callable[..., History]:
    del fingerprint

    def train_one(params: Params, key: PRNGKey, settings: Settings) -> History:
        return train_from(structure, params, key, settings=settings)

    return jax.jit(over_devices(jax.vmap(train_one, in_axes=(0, 0, None)), devices))


_programs: dict[tuple[Any, ...], Callable[..., History] | str] = {}
_locks: dict[tuple[Any, ...], Lock] = {}
_lock_of_locks = Lock()


def _lanes_program(structure: Experiment, fingerprint: str, arguments: tuple[PyTree, ...]) -> Callable[..., History]:
    """Compiled once, whichever thread asks first; that it cannot be, and why, is remembered too."""
    settings = tuple(getattr(jax.config, name) for name in JAX_SETTINGS)
    key = (structure, fingerprint, settings, len(arguments[1]))
    with _lock_of_locks:
        lock = _locks.setdefault(key, Lock())
    with lock:
        if key not in _programs:
            try:
                _programs[key] = _compile_lanes(structure, arguments)
            except NotInLanesError as error:
                _programs[key] = str(error)
    program = _programs[key]
    if isinstance(program, str):
        raise NotInLanesError(program)
    return program


def _compile_lanes(structure: Experiment, arguments: tuple[PyTree, ...]) -> Callable[..., History]:
    dataset = load_data(structure.data)

    rows = ROWS_AT_ONCE if jax.default_backend() == "cpu" else None

    def train_one(params: Params, key: PRNGKey, settings: Settings) -> History:
        return train_from(structure, params, key, dataset=dataset, settings=settings, rows_at_once=rows)

    def program(params: Params, keys: jax.Array, settings: Settings) -> History:
        params = jax.tree.map(lambda leaf: jnp.moveaxis(leaf, 0, -1), params)
        history = over_lanes(train_one)(params, keys, settings)
        return jax.tree.map(lambda leaf: jnp.moveaxis(leaf, -1, 0), history)

    return jax.jit(program).lower(*arguments).compile()


def train_seeds(
    engine: Engine, experiment: Experiment, fingerprint: str, seed: int, start: int, size: int, devices: int = 1
) -> History:
    """Runs `start` to `start + size` of an arm, on the host; an equal share of them on each device."""
    runs = np.arange(start, start + size, dtype=np.int32)  # JAX's own would be compiled for each start.
    keys = spread(run_keys(seed, runs), devices)
    history = engine(experiment, fingerprint, keys)
    return jax.device_get(history)
