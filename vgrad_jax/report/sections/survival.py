"""Survival: runs that have not converged yet, epoch by epoch."""

from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

from vgrad_jax.report.figures.factor_styles import Styles
from vgrad_jax.report.figures.times import MOST_BANDS, MOST_COUNTED, survival_curves
from vgrad_jax.report.section import Chart, Section
from vgrad_jax.report.study import Study
from vgrad_jax.statistics.survival import SurvivalCurve, survival_curve

__all__ = ["SECTION"]


class Survival(NamedTuple):
    """The survival curves of arms that count time in one unit."""

    curves: dict[str, SurvivalCurve]
    styles: Styles
    budgets: dict[str, float]
    unit: str


def _compute(study: Study) -> list[Survival]:
    """Return the curves of each unit of time, in the order of the arms."""
    units = dict.fromkeys(ends.unit for ends in study.outcomes.values() if ends.unit)
    return [_of_unit(study, unit) for unit in units]


def _of_unit(study: Study, unit: str) -> Survival:
    ends = {arm: own for arm, own in study.outcomes.items() if own.unit == unit}
    curves = {arm: survival_curve(runs.times, runs.converged) for arm, runs in ends.items()}
    return Survival(curves, study.styles, {arm: own.budget for arm, own in ends.items()}, unit)


def _charts(every: list[Survival]) -> Iterator[Chart]:
    for number, survival in enumerate(every):
        unit = survival.unit
        bands = ", with 95 % intervals" if len(survival.curves) <= MOST_BANDS else ""
        counts = "; below, how many they are"
        if len(survival.curves) > MOST_COUNTED:
            counts = f", a panel for each {survival.styles.keys[0].factor}" if survival.styles.keys else ""
        yield Chart(
            f"survival_{unit}" if number else "survival",
            f"Step curves: share of runs that have not converged by {unit}, a curve for each arm; their counts below",
            f"Runs that have not converged yet, {unit} by {unit}{bands}{counts}. A curve that levels "
            "off above zero has runs that no patience would help; curves that cross mean that which arm is better "
            "depends on the budget.",
            partial(survival_curves, *survival),
        )


SECTION = Section("survival", _compute, charts=_charts)
