"""Engines: ways to train many seeds of one arm at once.

An engine executes the arm's own training and never repeats its mathematics. It takes an arm, a key for each seed and
an `Execution`. It returns a `History`, or a function's `FunctionRun`, with a leading `seed` axis. A new engine is an
entry of `ENGINES`, and must give the numbers of `plain`.
"""

from collections.abc import Callable, Hashable
from contextlib import suppress

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Key, PyTree

from vgrad_jax.compiling import ProgramCache
from vgrad_jax.keys import run_keys
from vgrad_jax.lanes import NotInLanesError, compile_program, natively, over_lanes, quietly
from vgrad_jax.lanes import lanes as map_over_lanes
from vgrad_jax.results.environment import JAX_SETTINGS
from vgrad_jax.results.functions import FunctionRun
from vgrad_jax.sweeps.arms import Trainable
from vgrad_jax.sweeps.devices import over_devices, spread
from vgrad_jax.sweeps.policy import Execution
from vgrad_jax.training.run import History
from vgrad_jax.training.settings import Settings

__all__ = ["ENGINES", "PROGRAMS", "Engine", "lanes", "lanes_or_plain", "nests", "plain", "refusal", "train_seeds"]

Keys = Key[jax.Array, " seed"]
Runs = History | FunctionRun
"""Results of many runs, with a leading `seed` axis."""
Engine = Callable[[Trainable, Keys, Execution], Runs]

PROGRAMS: ProgramCache[Callable[..., Runs] | str] = ProgramCache(most=16)
"""Compiled programs of all engines; a program takes 5 to 30 MiB.

A text in place of a program is the reason why `lanes` refuses an arm.
"""


def plain(arm: Trainable, keys: Keys, execution: Execution) -> Runs:
    """Train with `jit(vmap(train))`, the reference of all engines.

    Args:
        arm: the arm.
        keys: a key for each seed, `(seed,)`.
        execution: gives the number of devices.
    """
    devices = execution.devices

    def build() -> Callable[..., Runs]:
        train_one = arm.trainer(rows_at_once=None)
        return jax.jit(over_devices(jax.vmap(train_one, in_axes=(0, 0, None)), devices))

    program = PROGRAMS.get(("plain", type(arm), arm.program_key, devices), build)
    assert not isinstance(program, str)
    return program(arm.inputs(keys), keys, arm.settings())


def lanes(arm: Trainable, keys: Keys, execution: Execution) -> Runs:
    """Train with `over_lanes(train)`: native code from `vgrad_jax.lanes`.

    Args:
        arm: the arm.
        keys: a key for each seed, `(seed,)`.
        execution: gives the number of seeds of a program, and of rows that its records evaluate together.

    Raises:
        NotInLanesError: a loop of the training holds an operation without native code, or native code cannot be
            compiled or registered in this process.
    """
    if not arm.size.is_described:
        with quietly():
            return _mapped(arm, keys, execution, None)
    size = execution.lanes
    settings = {name: np.full(size, value) for name, value in arm.settings().items()}

    def train_group(group: Keys) -> Runs:
        arguments = (arm.inputs(group), group, settings)
        return _lanes_program(arm, execution.rows_at_once, arguments)(*arguments)

    if len(keys) == size:  # The usual case: slicing and concatenation are programs of their own.
        return train_group(keys)
    starts = range(0, len(keys), size)
    # Repetitions of the last seed fill up the last group, so that all groups have the same shape and program.
    histories = [train_group(keys[np.minimum(np.arange(s, s + size), len(keys) - 1)]) for s in starts]
    return jax.tree.map(lambda *parts: jnp.concatenate(parts)[: len(keys)], *histories)


def nests(arm: Trainable, keys: Keys, execution: Execution) -> Runs:
    """Train with `vgrad_jax.lanes(train)`: loops of native code, whose length does not grow with the network's width.

    Args:
        arm: the arm.
        keys: a key for each seed, `(seed,)`.
        execution: gives the number of seeds of a program, and of rows that its records evaluate together.
    """
    with natively():
        return _mapped(arm, keys, execution, execution.rows_at_once)


def _mapped(arm: Trainable, keys: Keys, execution: Execution, rows_at_once: int | None) -> Runs:
    """Train with `vgrad_jax.lanes`, which leaves to XLA what has no native code."""

    def build() -> Callable[..., Runs]:
        train_one = arm.trainer(rows_at_once)
        return jax.jit(map_over_lanes(train_one, in_axes=(0, 0, None)))

    program = PROGRAMS.get(("mapped over lanes", type(arm), arm.program_key, rows_at_once), build)
    assert not isinstance(program, str)
    # Repetitions of the last seed fill up a last, smaller call, so that all calls have the same shape and program.
    filled = keys[np.minimum(np.arange(execution.chunk), len(keys) - 1)] if len(keys) < execution.chunk else keys
    runs = program(arm.inputs(filled), filled, arm.settings())
    return runs if filled is keys else jax.tree.map(lambda values: values[: len(keys)], runs)


def lanes_or_plain(arm: Trainable, keys: Keys, execution: Execution) -> Runs:
    """Train with `lanes`, or with `plain` where `lanes` refuses the arm; `refusal` then gives the reason.

    The chunk was chosen for `lanes`; `plain` needs more memory for each seed and divides the chunk.
    """
    with suppress(NotInLanesError):
        return lanes(arm, keys, execution)
    size = execution.fall_back_chunk
    on_one_device = execution._replace(devices=1)
    if len(keys) <= size:
        return plain(arm, keys, on_one_device)
    parts = [plain(arm, keys[start : start + size], on_one_device) for start in range(0, len(keys), size)]
    return jax.tree.map(lambda *parts: jnp.concatenate(parts), *parts)


ENGINES: dict[str, Engine] = {"plain": plain, "lanes": lanes, "lanes_or_plain": lanes_or_plain, "nests": nests}


def refusal(arm: Trainable, execution: Execution) -> str | None:
    """Return the reason why `lanes` refused an arm in this process; None where it did not."""
    program = PROGRAMS.peek(_lanes_key(arm, execution.rows_at_once, execution.lanes))
    return program if isinstance(program, str) else None


def train_seeds(arm: Trainable, seed: int, start: int, execution: Execution) -> Runs:
    """Train as many runs of an arm as one call takes; each device trains an equal share.

    Args:
        arm: the arm.
        seed: seed of the study.
        start: number of the first run.
        execution: the engine, and the number of runs.

    Returns:
        The runs' histories, on the host.
    """
    runs = np.arange(start, start + execution.together, dtype=np.int32)  # JAX's arange is a new program for each start.
    keys = spread(run_keys(seed, runs), execution.devices)
    return jax.device_get(ENGINES[execution.engine](arm, keys, execution))


def _lanes_program(arm: Trainable, rows_at_once: int | None, arguments: tuple[PyTree, ...]) -> Callable[..., Runs]:
    """Return the compiled program of an arm; it compiles once per key, and a refusal is cached with its reason."""

    def build() -> Callable[..., Runs] | str:
        try:
            return _compile_lanes(arm, rows_at_once, arguments)
        except NotInLanesError as error:
            return str(error)

    program = PROGRAMS.get(_lanes_key(arm, rows_at_once, len(arguments[1])), build)
    if isinstance(program, str):
        raise NotInLanesError(program)
    return program


def _lanes_key(arm: Trainable, rows_at_once: int | None, lanes: int) -> Hashable:
    jax_settings = tuple(getattr(jax.config, name) for name in JAX_SETTINGS)
    return "lanes", type(arm), arm.program_key, rows_at_once, jax_settings, lanes


def _compile_lanes(arm: Trainable, rows_at_once: int | None, arguments: tuple[PyTree, ...]) -> Callable[..., Runs]:
    """Compile the training of a group of seeds; the seed axis is last inside the program, and first outside."""
    train_one = arm.trainer(rows_at_once)

    def program(inputs: PyTree, keys: jax.Array, settings: Settings) -> Runs:
        inputs = jax.tree.map(lambda leaf: jnp.moveaxis(leaf, 0, -1), inputs)
        history = over_lanes(train_one)(inputs, keys, settings)
        return jax.tree.map(lambda leaf: jnp.moveaxis(leaf, -1, 0), history)

    return compile_program(program, *arguments)
