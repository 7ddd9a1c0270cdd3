"""Weights of the first layer: the article's evidence as a distribution over seeds."""

from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

from vgrad_jax.report.figures.strips import Strips, weight_change
from vgrad_jax.report.figures.weights import first_layer_paths
from vgrad_jax.report.section import Chart, Section
from vgrad_jax.report.study import Study
from vgrad_jax.results.reading import arm_names
from vgrad_jax.statistics.bands import WeightBand, weight_band
from vgrad_jax.statistics.published import FIRST_EPOCH, SECOND_EPOCH, first_layer_change

__all__ = ["SECTION"]


class Weights(NamedTuple):
    """Changes of the first layer's weights, of the arms whose weights were kept."""

    changes: Strips
    bands: dict[str, WeightBand]
    shown: str


def _compute(study: Study) -> Weights:
    arms = arm_names(study.results)
    changes = {arm: first_layer_change(study.results, arm) for arm in arms}
    bands = {arm: weight_band(study.results, arm) for arm in study.shown}
    published = {placement.arm: placement.published for placement in study.placements if "change" in placement.quantity}
    return Weights(
        Strips({arm: change for arm, change in changes.items() if change is not None}, published, study.colours),
        {arm: band for arm, band in bands.items() if band is not None},
        study.shown_in_words,
    )


def _charts(weights: Weights) -> Iterator[Chart]:
    if weights.changes.values:
        yield Chart(
            "weight_change",
            "Dots: change of the first layer's weights in every run, a row for each arm",
            "The article's evidence as a distribution: how far the first layer's weights move from epoch "
            f"{FIRST_EPOCH} to {SECOND_EPOCH}, one dot a seed.",
            partial(weight_change, weights.changes, FIRST_EPOCH, SECOND_EPOCH),
        )
    if weights.bands:
        yield Chart(
            "first_layer_paths",
            "Bands: distance of the first layer's weights from their start by epoch, a panel for each arm",
            "The same over the whole training: how far the first layer's weights are from where they began. The "
            "article shows one such path; the dotted line is one seed, the band is what it could have shown."
            f"{weights.shown}",
            partial(first_layer_paths, weights.bands),
        )


SECTION = Section("weights", _compute, charts=_charts)
