"""Accuracy at the end: every run between always naming a class and the best possible rule."""

from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

from vgrad_jax.report.figures.strips import Reference, Strips, final_accuracy
from vgrad_jax.report.section import Chart, Section
from vgrad_jax.report.study import Study
from vgrad_jax.results.reading import completed_seeds, data_of
from vgrad_jax.statistics.ceiling import bayes_accuracy, majority_share

__all__ = ["SECTION"]


class Endings(NamedTuple):
    """Test accuracies after the last epoch."""

    strips: Strips
    references: list[Reference]


def _compute(study: Study) -> Endings | None:
    if not study.arms:
        return None
    values = {arm: completed_seeds(study.results, arm)["test_accuracy"].isel(record=-1).values for arm in study.arms}
    published = {
        placement.arm: placement.published for placement in study.placements if "accuracy" in placement.quantity
    }
    return Endings(Strips(values, published, study.colours), _references(study))


def _references(study: Study) -> list[Reference]:
    """Return the lines to compare with; none where the arms have different data."""
    if len({experiment.data for experiment in study.arms.values()}) != 1:
        return []
    arm, experiment = next(iter(study.arms.items()))
    references = []
    if data_of(study.results, arm) is not None:
        references.append(Reference(majority_share(experiment.data), ":", "always naming the larger class"))
    ceiling = bayes_accuracy(experiment.data)
    if ceiling is not None:
        references.append(Reference(ceiling, "--", "the best possible rule (Bayes)"))
    return references


def _charts(endings: Endings) -> Iterator[Chart]:
    yield Chart(
        "final_accuracy",
        "Dots: test accuracy after the last epoch of every run, a row for each arm",
        "Test accuracy after the last epoch, one dot a seed, between what always naming the larger class scores and, "
        "for made data, what the best possible rule would (computed from the noise). Two clumps in one arm mean that "
        "an average would describe no run at all.",
        partial(final_accuracy, *endings),
    )


SECTION = Section("final_accuracy", _compute, charts=_charts)
