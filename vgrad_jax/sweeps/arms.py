"""Arms of a sweep, checked before anything is trained."""

from collections.abc import Mapping
from typing import Any

from vgrad_jax.errors import InputError
from vgrad_jax.experiment import Experiment

__all__ = ["check_arms"]


def check_arms(arms: Any) -> dict[str, Experiment]:
    """The arms, refused where they cannot stand in one table.

    Raises:
        InputError: no arms, something else than experiments, or arms with other epochs, recording or threshold.
    """
    if not isinstance(arms, Mapping) or not arms:
        raise InputError(f"arms must be a mapping of names to Experiments, with one at least; got {arms!r}")
    for name, experiment in arms.items():
        if not isinstance(name, str) or not name:
            raise InputError(f"an arm's name must be a text; got {name!r}")
        if not isinstance(experiment, Experiment):
            raise InputError(f"arm {name!r} must be an Experiment; got {experiment!r}")
    first_name, first = next(iter(arms.items()))
    for name, experiment in arms.items():
        if experiment.training.threshold != first.training.threshold:
            raise InputError(
                f"all arms of a sweep need the same threshold, or converging means different things; {first_name!r} "
                f"has {first.training.threshold}, {name!r} {experiment.training.threshold}"
            )
        if (experiment.recording, experiment.training.epochs) != (first.recording, first.training.epochs):
            raise InputError(
                f"all arms of a sweep need the same epochs and recording; {first_name!r} has {first.training.epochs} "
                f"epochs and {first.recording}, {name!r} has {experiment.training.epochs} and {experiment.recording}"
            )
    return dict(arms)
