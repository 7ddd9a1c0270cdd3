"""Schedules of the learning rate by name: functions from the number of a step to the rate, as optax has them.

rate
 │   ┌──┐__         warm-up: from zero in a straight line
 │  ┌┘     └──┐__   then constant, half a cosine, or an exponential
 └──┴─────────────── step
"""

from typing import Any

import optax

from vgrad_jax.descriptions import canonical_call, parse_call
from vgrad_jax.errors import InputError

__all__ = ["CONSTANT", "SCHEDULES", "canonical_schedule", "schedule_of", "schedule_parts"]

CONSTANT = "constant"
"""Name of the schedule that changes nothing."""

SCHEDULES: dict[str, tuple[int, int]] = {CONSTANT: (0, 0), "cosine": (0, 1), "exponential": (1, 1)}
"""Smallest and largest count of the numbers of each schedule, as in "cosine(0.1)".

The number is the rate after the last step, as a share of the learning rate. "cosine" alone ends at zero.
"""


def canonical_schedule(schedule: str) -> str:
    """Return a schedule in its canonical spelling.

    Raises:
        InputError: the name is unknown, or the share is impossible.

    >>> canonical_schedule("cosine( .1 )")
    'cosine(0.1)'
    """
    name, numbers = parse_call("schedule", schedule, SCHEDULES)
    least = 0.0 if name == "cosine" else 1e-12
    if any(not least <= share <= 1 for share in numbers):
        more = "from 0" if name == "cosine" else "above 0"
        raise InputError(f"the schedule {name!r} ends at a share of the learning rate, {more} to 1; got {schedule!r}")
    return canonical_call(name, numbers)


def schedule_parts(schedule: str) -> tuple[str, float]:
    """Return a schedule's name and the share of the learning rate at which it ends.

    >>> schedule_parts("cosine"), schedule_parts("constant")
    (('cosine', 0.0), ('constant', 1.0))
    """
    name, numbers = parse_call("schedule", schedule, SCHEDULES)
    return name, numbers[0] if numbers else float(name == CONSTANT)


def schedule_of(schedule: str, rate: Any, steps: int, warmup: int) -> optax.Schedule:
    """Return the learning rate as a function of the number of steps that were taken.

    Args:
        schedule: a name of `SCHEDULES` with its number.
        rate: learning rate at its highest; may be traced.
        steps: number of steps of the training.
        warmup: number of steps in which the rate rises from zero in a straight line. They are part of `steps`.

    >>> rate_at = schedule_of("cosine", 0.1, 10, 2)
    >>> [round(float(rate_at(step)), 4) for step in (0, 1, 2, 6, 10)]
    [0.0, 0.05, 0.1, 0.05, 0.0]
    """
    name, end = schedule_parts(schedule)
    rest = max(steps - warmup, 1)
    after = {
        CONSTANT: lambda: optax.constant_schedule(rate),
        "cosine": lambda: optax.cosine_decay_schedule(rate, rest, end),
        "exponential": lambda: optax.exponential_decay(rate, rest, end),
    }[name]()
    return optax.join_schedules([optax.linear_schedule(0.0, rate, warmup), after], [warmup]) if warmup else after
