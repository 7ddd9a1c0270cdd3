"""Early stops: arms whose share was known well enough before their last seed."""

from typing import NamedTuple

from vgrad_jax.report.section import Section
from vgrad_jax.report.study import Study
from vgrad_jax.report.words import percent
from vgrad_jax.statistics.early_stopping import EarlyStop, early_stops, precision_of
from vgrad_jax.wording import counted

__all__ = ["SECTION"]


class Stops(NamedTuple):
    """Arms that stopped early."""

    precision: float
    """Half the width of the interval that was asked for."""
    arms: list[EarlyStop]


def _compute(study: Study) -> Stops | None:
    precision = precision_of(study.results)
    stopped = [stop for stop in early_stops(study.results) if stop.stopped and stop.converged.n < stop.most]
    return None if precision is None or not stopped else Stops(precision, stopped)


def _remarks(stops: Stops) -> list[str]:
    arms = "; ".join(
        f"{stop.arm} {percent(stop.converged)} after {counted(stop.converged.n, 'seed')}" for stop in stops.arms
    )
    return [
        f"Stopped early, at a precision of {100 * stops.precision:g} points: {arms}, of {stops.arms[0].most} seeds at "
        "the most. These intervals hold although the data decided when to stop; all others here do not allow for that."
    ]


SECTION = Section("early_stops", _compute, remarks=_remarks)
