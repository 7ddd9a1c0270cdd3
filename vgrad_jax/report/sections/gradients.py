"""Gradients by layer: at both ends of the training, and over all of it."""

from collections.abc import Iterator
from functools import partial

from vgrad_jax.report.figures.gradients import ARMS_IN_A_ROW, gradient_heatmap, gradient_profiles
from vgrad_jax.report.section import Chart, Section
from vgrad_jax.report.sections.arms import MOST_ARMS_IN_ONE
from vgrad_jax.report.study import Study
from vgrad_jax.results.reading import axis_of
from vgrad_jax.statistics.bands import gradient_profile, gradient_quantiles

__all__ = ["SECTION"]


def _compute(study: Study) -> Study | None:
    return study if study.with_layers else None


def _charts(study: Study) -> Iterator[Chart]:
    results, arms = study.results, [arm for arm in study.shown if arm in study.with_layers]
    # Arms that are all in families have their profiles by depth.
    every = study.with_layers
    if len(every) <= MOST_ARMS_IN_ONE or sum(len(family.arms) for family in study.families) < len(every):
        ends = {arm: (gradient_profile(results, arm, 0), gradient_profile(results, arm, -1)) for arm in arms}
        theory = (
            " Dashed: the root mean square over seeds that theory predicts at initialisation; it lies above the median."
            if study.predictions
            else ""
        )
        yield Chart(
            "gradient_profiles",
            "Bands: gradient by layer, at initialisation and after the last epoch, a panel for each arm",
            "Size of each layer's gradient, median and central 90 % of seeds. A line that falls towards layer 0 "
            "vanishes towards the input; a band down to the floor has seeds whose layer is dead, a gradient of exactly "
            f"zero.{theory}{study.shown_in_words}",
            partial(gradient_profiles, ends, study.predictions),
        )
    few = len(arms) <= ARMS_IN_A_ROW
    which = "the lower tenth of seeds, the median one and the upper tenth" if few else "the median seed"
    differ = " Rows that differ mean that seeds do." if few else ""
    yield Chart(
        "gradient_heatmap",
        "Heat maps: gradient by layer and epoch at quantiles over seeds, a map for each arm and quantile",
        f"Depth against time, for {which}. Darker is smaller. "
        "Small everywhere late in training can simply mean solved; small from the first epoch with an accuracy that "
        f"stays flat cannot.{differ}{study.shown_in_words}",
        partial(
            gradient_heatmap,
            {arm: gradient_quantiles(results, arm) for arm in arms},
            {arm: axis for arm in arms if (axis := axis_of(results, arm, "gradient_log10_rms")) is not None},
        ),
    )


SECTION = Section("gradients", _compute, charts=_charts)
