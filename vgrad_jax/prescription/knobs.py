"""Knobs: the arguments of a user's training function that may be changed, and the values that may be tried."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations
from typing import Any

from vgrad_jax.errors import InputError
from vgrad_jax.prescription.candidates import Candidate, LeftOut
from vgrad_jax.sweeps.arm import Arm
from vgrad_jax.sweeps.function_arm import FunctionArm

__all__ = ["Knobs", "knob_changes", "knob_pairs", "untouched_arm"]


@dataclass(frozen=True)
class Knobs:
    """Knobs of a function."""

    untouched: Mapping[str, Any]
    """Name of each knob to its value in the untouched network."""
    others: Mapping[str, Sequence[Any]]
    """Name of each knob to the values that may be tried."""

    def changed(self, arm: Arm, values: Mapping[str, Any]) -> Arm:
        """Return an arm with other values of knobs."""
        return replace(arm, train=partial(arm.train, **{**self.untouched, **values}))


def untouched_arm(
    patient: Any, knobs: Mapping[str, Sequence[Any]] | None, converged: Callable[[Any], Any] | str | None
) -> tuple[Arm, Knobs]:
    """Return a function as an arm, with its knobs.

    Args:
        patient: `train(key, **knobs)`, or an `Arm` of it.
        knobs: name of each knob to its values.
        converged: what counts as converged; None where the arm says it.

    Raises:
        InputError: no function, no knobs, or no word on convergence.
    """
    if not isinstance(patient, Arm) and not callable(patient):
        raise InputError(f"prescribe takes an Experiment, an Arm or a function train(key, **knobs); got {patient!r}")
    if not isinstance(knobs, Mapping) or not knobs:
        raise InputError(
            "a function needs the knobs that may be changed, such as knobs={'learning_rate': [0.01, 0.1]}; "
            f"got {knobs!r}"
        )
    for name, values in knobs.items():
        if isinstance(values, str) or not isinstance(values, Sequence) or not values:
            raise InputError(f"the knob {name!r} needs a list of values, such as [0.01, 0.1]; got {values!r}")
    arm = patient if isinstance(patient, Arm) else Arm(patient)
    arm = arm if converged is None else replace(arm, converged=converged)
    if arm.converged is None:
        raise InputError("a function needs to say when a run converges, such as converged='accuracy >= 0.9'")
    defaults = _defaults(arm.train)
    untouched = {name: defaults.get(name, values[0]) for name, values in knobs.items()}
    others = {name: [value for value in values if value != untouched[name]] for name, values in knobs.items()}
    return arm, Knobs(untouched, others)


def knob_changes(arm: Arm, knobs: Knobs, most: int) -> tuple[list[Candidate], list[LeftOut]]:
    """Return a candidate for each other value of each knob, in the order in which they were given.

    Args:
        arm: the function.
        knobs: its knobs.
        most: largest number of candidates.
    """
    changes = [{name: value} for name, values in knobs.others.items() for value in values]
    left_out = [LeftOut(_name(change), f"{most} are tried") for change in changes[most:]]
    return [_candidate(arm, knobs, change) for change in changes[:most]], left_out


def knob_pairs(arm: Arm, knobs: Knobs, helped: Sequence[Candidate], most: int) -> list[Candidate]:
    """Return pairs of changes of different knobs.

    Args:
        arm: the function.
        knobs: its knobs.
        helped: single changes that helped, the best first.
        most: largest number of pairs.
    """
    changes = {_name({n: v}): {n: v} for n, values in knobs.others.items() for v in values}
    combined = [
        {**changes[helped[first].name], **changes[helped[second].name]}
        for first, second in sorted(combinations(range(len(helped)), 2), key=sum)
    ]
    return [_candidate(arm, knobs, change) for change in combined if len(change) == 2][:most]


def _candidate(arm: Arm, knobs: Knobs, change: Mapping[str, Any]) -> Candidate:
    name = _name(change)
    sentence = " and ".join(f"set {knob} to {value!r}" for knob, value in change.items())
    return Candidate(name, sentence, len(change), FunctionArm(name, knobs.changed(arm, change)))


def _name(change: Mapping[str, Any]) -> str:
    return " + ".join(f"{knob}={value!r}" for knob, value in change.items())


def _defaults(function: Callable[..., Any]) -> dict[str, Any]:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return {}
    return {p.name: p.default for p in parameters if p.default is not inspect.Parameter.empty}
