"""Survival: runs that have not converged yet, epoch by epoch."""

from collections.abc import Iterator
from typing import NamedTuple

from vgrad_jax.report.figures.times import MOST_BANDS, survival_curves
from vgrad_jax.report.section import Chart, Section
from vgrad_jax.report.study import Study
from vgrad_jax.statistics.survival import SurvivalCurve, survival_curve

__all__ = ["SECTION"]


class Survival(NamedTuple):
    """The arms' survival curves."""

    curves: dict[str, SurvivalCurve]
    colours: dict[str, str]
    budget: float


def _compute(study: Study) -> Survival:
    curves = {arm: survival_curve(runs.times, runs.converged) for arm, runs in study.outcomes.items()}
    return Survival(curves, study.colours, next(iter(study.outcomes.values())).budget)


def _charts(survival: Survival) -> Iterator[Chart]:
    bands = ", with 95 % intervals" if len(survival.curves) <= MOST_BANDS else ""
    yield Chart(
        "survival",
        "Step curves: share of runs that have not converged by epoch, a curve for each arm; their counts below",
        f"Runs that have not converged yet, epoch by epoch{bands}; below, how many they are. A curve that levels off "
        "above zero has runs that no patience would help; curves that cross mean that which arm is better depends on "
        "the budget.",
        survival_curves(*survival),
    )


SECTION = Section("survival", _compute, charts=_charts)
