"""Figures of a sweep: each a function of the results that returns a matplotlib `Figure`."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from vgrad_jax.report.figures.accuracy import accuracy_bands, accuracy_curves
from vgrad_jax.report.figures.arms import overview, share_converged
from vgrad_jax.report.figures.gradients import gradient_heatmap, gradient_profiles
from vgrad_jax.report.figures.speed import speed_bars
from vgrad_jax.report.figures.strips import final_accuracy, weight_change
from vgrad_jax.statistics.published import FIRST_EPOCH, SECOND_EPOCH
from vgrad_jax.statistics.summary import ArmSummary

if TYPE_CHECKING:
    import xarray
    from matplotlib.figure import Figure

__all__ = [
    "accuracy_bands",
    "accuracy_curves",
    "all_figures",
    "final_accuracy",
    "gradient_heatmap",
    "gradient_profiles",
    "overview",
    "share_converged",
    "speed_bars",
    "weight_change",
]


def all_figures(results: "xarray.Dataset", summaries: Sequence[ArmSummary]) -> "Iterator[tuple[str, str, Figure]]":
    """Every figure with its file name and a caption that says what to look for."""
    n = min(summary.n for summary in summaries)
    seeds = f"{n} seeds an arm" if n == max(summary.n for summary in summaries) else f"{n} seeds an arm or more"
    yield (
        "overview",
        f"Who learns, and with what gradient each arm starts ({seeds}). Look for arms that share an activation "
        "(colour) and still end far apart: the activation is not what separates them.",
        overview(results, summaries),
    )
    yield (
        "accuracy",
        "Training accuracy over epochs. The dotted line is what somebody who trains once would have seen; the band is "
        "what they could have seen.",
        accuracy_bands(results),
    )
    yield (
        "gradient_profiles",
        "Size of each layer's gradient, median and central 90 % of seeds. A line that falls towards layer 0 vanishes "
        "towards the input; a band down to the floor has seeds whose layer is dead, a gradient of exactly zero. "
        "Dashed: the root mean square over seeds that theory predicts at initialisation; it lies above the median.",
        gradient_profiles(results),
    )
    yield (
        "gradient_heatmap",
        "Depth against time. Darker is smaller. Small everywhere late in training can simply mean solved; small from "
        "the first epoch with an accuracy that stays flat cannot.",
        gradient_heatmap(results),
    )
    yield (
        "final_accuracy",
        "Test accuracy after the last epoch, one dot a seed. Two clumps in one arm mean that an average would describe "
        "no run at all.",
        final_accuracy(results),
    )
    change = weight_change(results)
    if change is not None:
        yield (
            "weight_change",
            "The article's evidence as a distribution: how far the first layer's weights move from epoch "
            f"{FIRST_EPOCH} to {SECOND_EPOCH}, one dot a seed.",
            change,
        )
