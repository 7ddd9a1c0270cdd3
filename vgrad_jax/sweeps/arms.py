"""Arms of a sweep: the protocol through which a sweep, its engines and its store see a training.

    Experiment ─────► ExperimentArm ─┐
    Arm, function ──► FunctionArm ───┼─► Trainable ─► policy (engine, chunk, ...) ─► engine ─► results
    an object of another kind ───────┘

Policy, engines and results know this protocol alone. An object of a class with these members is therefore swept like
an `Experiment`. Its parameters and whole gradients cannot be kept: their names are those of a multilayer perceptron.
"""

from collections.abc import Callable, Hashable, Mapping
from typing import Any, Protocol, runtime_checkable

import jax
from jaxtyping import PyTree

from vgrad_jax.errors import InputError
from vgrad_jax.experiment import Experiment
from vgrad_jax.results.functions import FunctionRun
from vgrad_jax.results.schema import Layout
from vgrad_jax.sweeps.arm import Arm
from vgrad_jax.sweeps.experiment_arm import ExperimentArm
from vgrad_jax.sweeps.function_arm import FunctionArm
from vgrad_jax.sweeps.size import ArmSize
from vgrad_jax.training.run import History
from vgrad_jax.training.settings import Settings
from vgrad_jax.wording import is_writable

__all__ = ["Trainable", "check_arms"]


@runtime_checkable
class Trainable(Protocol):
    """Training of an arm: pure, with an identity, a description and a size.

    On a cluster an arm is sent to other processes, so it must be picklable there.
    """

    @property
    def layout(self) -> Layout:
        """Axes of the arm's results."""

    @property
    def size(self) -> ArmSize:
        """Size of one training: it decides the engine, the chunk and the estimate of memory."""

    @property
    def threshold(self) -> float | None:
        """Accuracy at which a run counts as converged, which arms with one share; None where there is none."""

    @property
    def program_key(self) -> Hashable:
        """Key of the compiled program: arms with equal keys share the program."""

    def describe(self) -> dict[str, Any]:
        """Return plain values that identify the arm.

        Raises:
            InputError: the arm holds a value that cannot be written down, such as a function without a name.
        """

    def fingerprint(self) -> str:
        """Return a digest of the data as they are at this moment."""

    def inputs(self, keys: jax.Array) -> PyTree:
        """Return the program's inputs for many runs, such as initial parameters, with a leading `seed` axis."""

    def settings(self) -> Settings:
        """Return the numbers that the program takes for all runs, such as a learning rate."""

    def trainer(self, rows_at_once: int | None) -> Callable[[PyTree, Any, Settings], History | FunctionRun]:
        """Return the pure training of one run, a function of its inputs, its key and the settings.

        The function depends on `program_key` and `rows_at_once` alone.

        Args:
            rows_at_once: largest number of rows that a record evaluates together; None for all rows.
        """


def check_arms(arms: Any) -> dict[str, Trainable]:
    """Return the arms of a sweep as objects with the protocol `Trainable`.

    Args:
        arms: arm name to `Experiment`, `Arm`, function or `Trainable`.

    Raises:
        InputError: no arms; a value that is no arm; a function that cannot be traced; or arms that differ in the
            threshold.
    """
    if not isinstance(arms, Mapping) or not arms:
        raise InputError(
            f"arms must be a mapping of names to Experiments, Arms or functions, with one at least; got {arms!r}"
        )
    checked = {}
    for name, value in arms.items():
        if not isinstance(name, str) or not name:
            raise InputError(f"an arm's name must be a text; got {name!r}")
        if not is_writable(name):
            raise InputError(
                f"an arm's name must be a text that files can hold; {name!r} has a NUL or half of a surrogate pair"
            )
        checked[name] = _as_trainable(name, value)
    thresholds = {name: arm.threshold for name, arm in checked.items() if arm.threshold is not None}
    first_name, first = next(iter(thresholds.items()), ("", None))
    for name, threshold in thresholds.items():
        if threshold != first:
            raise InputError(
                f"all arms of a sweep need the same threshold, or converging means different things; {first_name!r} "
                f"has {first}, {name!r} {threshold}"
            )
    return checked


MEMBERS = tuple(name for name in vars(Trainable) if not name.startswith("_"))
"""Names of the members of an arm."""


def missing_members(value: Any) -> list[str]:
    """Return the members of an arm that a value lacks.

    Names alone are looked up: an error inside a property of the user's is not mistaken for a missing member.
    """
    return sorted(MEMBERS) if isinstance(value, type) else sorted(set(MEMBERS) - set(dir(value)))


def _as_trainable(name: str, value: Any) -> Trainable:
    if isinstance(value, Experiment):
        return ExperimentArm(value)
    if isinstance(value, Arm):
        return FunctionArm(name, value)
    missing = missing_members(value)
    if not missing:
        trainable: Trainable = value
        return trainable
    if callable(value) and not isinstance(value, type):
        return FunctionArm(name, Arm(value))
    raise InputError(
        f"arm {name!r} must be an Experiment, an Arm, a function of a key, or have the members of a Trainable; "
        f"{value!r} lacks {', '.join(missing)}"
    )
