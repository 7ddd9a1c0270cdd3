"""Accuracy over epochs: the runs of an arm, and a run that somebody might have seen alone."""

from collections.abc import Iterator

from vgrad_jax.report.figures.accuracy import accuracy_bands
from vgrad_jax.report.section import Chart, Section
from vgrad_jax.report.study import Study
from vgrad_jax.statistics.bands import AccuracyBand, accuracy_band

__all__ = ["SECTION"]


def _compute(study: Study) -> dict[str, AccuracyBand] | None:
    # A function's accuracy is one of its own curves.
    return {arm: accuracy_band(study.results, arm) for arm in study.names if arm not in study.functions} or None


def _charts(bands: dict[str, AccuracyBand]) -> Iterator[Chart]:
    yield Chart(
        "accuracy",
        "Bands: training accuracy over epochs, a panel for each arm",
        "Training accuracy over epochs. The dotted line is what somebody who trains once would have seen; the band is "
        "what they could have seen.",
        accuracy_bands(bands),
    )


SECTION = Section("accuracy", _compute, charts=_charts)
