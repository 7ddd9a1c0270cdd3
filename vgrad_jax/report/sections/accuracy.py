"""Accuracy over epochs: the runs of an arm, and a run that somebody might have seen alone."""

from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

from vgrad_jax.report.figures.accuracy import accuracy_bands
from vgrad_jax.report.section import Chart, Section
from vgrad_jax.report.study import Study
from vgrad_jax.statistics.bands import AccuracyBand, accuracy_band

__all__ = ["SECTION"]


class Bands(NamedTuple):
    """Accuracies of the arms that are shown."""

    of: dict[str, AccuracyBand]
    shown: str


def _compute(study: Study) -> Bands | None:
    # A function's accuracy is one of its own curves.
    bands = {arm: accuracy_band(study.results, arm) for arm in study.shown if arm not in study.functions}
    return Bands(bands, study.shown_in_words) if bands else None


def _charts(bands: Bands) -> Iterator[Chart]:
    yield Chart(
        "accuracy",
        "Bands: training accuracy over epochs, a panel for each arm",
        "Training accuracy over epochs. The dotted line is what somebody who trains once would have seen; the band is "
        f"what they could have seen.{bands.shown}",
        partial(accuracy_bands, bands.of),
    )


SECTION = Section("accuracy", _compute, charts=_charts)
