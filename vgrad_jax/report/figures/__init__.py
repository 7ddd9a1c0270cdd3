"""Figures of a sweep: each a function of the results that returns a matplotlib `Figure`."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from vgrad_jax.report.figures.accuracy import accuracy_bands, accuracy_curves
from vgrad_jax.report.figures.arms import overview, share_converged
from vgrad_jax.report.figures.depth import profiles_by_depth, share_against_depth
from vgrad_jax.report.figures.effects import interaction_plot
from vgrad_jax.report.figures.gradients import gradient_heatmap, gradient_profiles
from vgrad_jax.report.figures.predictors import predictors_caption, predictors_ranked
from vgrad_jax.report.figures.speed import speed_bars
from vgrad_jax.report.figures.strips import final_accuracy, weight_change
from vgrad_jax.report.figures.theory import seed_histograms
from vgrad_jax.report.figures.times import MOST_BANDS, survival_curves
from vgrad_jax.report.figures.weights import first_layer_paths
from vgrad_jax.report.findings import Findings
from vgrad_jax.report.predictions import seed_laws
from vgrad_jax.results.reading import arms_of
from vgrad_jax.statistics.depth import families
from vgrad_jax.statistics.published import FIRST_EPOCH, SECOND_EPOCH
from vgrad_jax.wording import counted

if TYPE_CHECKING:
    import xarray
    from matplotlib.figure import Figure

__all__ = [
    "DRAWN",
    "accuracy_bands",
    "accuracy_curves",
    "all_figures",
    "final_accuracy",
    "first_layer_paths",
    "gradient_heatmap",
    "gradient_profiles",
    "interaction_plot",
    "overview",
    "predictors_ranked",
    "profiles_by_depth",
    "seed_histograms",
    "share_against_depth",
    "share_converged",
    "speed_bars",
    "survival_curves",
    "weight_change",
]

DRAWN = {
    "share_against_depth": "Curves: share of runs that converge against hidden layers, a line for each family of arms",
    "profiles_by_depth": "Lines: gradient at initialisation by layer, a panel for each family, a line for each depth",
    "overview": "Left, intervals: share of runs that converge in each arm; right, lines: its first gradient by layer",
    "share_converged": "Intervals: share of runs that converge, a line for each arm",
    "law_over_seeds": "Histograms: first layer's gradient over seeds, and the exact law, a panel for each arm",
    "survival": "Step curves: share of runs that have not converged by epoch, a curve for each arm; their counts below",
    "interaction": "Interaction plot: the four arms on two scales, and the effects with their intervals",
    "accuracy": "Bands: training accuracy over epochs, a panel for each arm",
    "gradient_profiles": "Bands: gradient by layer, at initialisation and after the last epoch, a panel for each arm",
    "gradient_heatmap": "Heat maps: gradient by layer and epoch at three quantiles over seeds, a column for each arm",
    "final_accuracy": "Dots: test accuracy after the last epoch of every run, a row for each arm",
    "weight_change": "Dots: change of the first layer's weights in every run, a row for each arm",
    "first_layer_paths": "Bands: distance of the first layer's weights from their start by epoch, a panel for each arm",
    "predictors": "Intervals: area under the ROC curve of each measurement at initialisation",
}
"""Figure name to what is drawn in it: its text for those who do not see it, beside the caption."""

MOST_ARMS_IN_ONE = 12
"""Profiles that can be told apart in one picture."""


def all_figures(results: "xarray.Dataset", findings: Findings) -> "Iterator[tuple[str, str, Figure]]":
    """Every figure with its file name and a caption that says what to look for."""
    summaries = findings.summaries
    n = min(summary.n for summary in summaries)
    seeds = f"{counted(n, 'seed')} an arm" + ("" if n == max(summary.n for summary in summaries) else " or more")
    alike = families(arms_of(results))
    if alike:
        yield (
            "share_against_depth",
            f"Who still learns when it is deeper ({seeds}), in families of arms that differ in depth alone. Look for "
            "where a line falls, and whether that is at the triangle of its colour, the depth at which theory says "
            "that a network forgets what it is shown. A line that falls earlier does so for another reason, such as a "
            "width that is small beside the depth, or a learning rate that suits shallow networks only.",
            share_against_depth(alike, summaries, findings.trainable_depths),
        )
        yield (
            "profiles_by_depth",
            "The gradient at initialisation by layer, darker lines for shallower networks: root mean square over "
            "seeds, and dashed what theory predicts of it. Lines that fall towards layer 0 vanish, lines that rise "
            "explode. Of a softmax theory knows the profile at small logits; large ones lift it as a whole.",
            profiles_by_depth(results, alike),
        )
    if len(summaries) <= MOST_ARMS_IN_ONE:
        yield (
            "overview",
            f"Who learns, and with what gradient each arm starts ({seeds}). Look for arms that share an activation "
            "(colour) and still end far apart: the activation is not what separates them.",
            overview(results, summaries),
        )
    else:
        yield ("share_converged", f"Who learns: every arm in a line ({seeds}).", share_converged(results, summaries))
    laws = seed_laws(results)
    if laws:
        yield (
            "law_over_seeds",
            "The gradient of the first layer at initialisation over the sweep's seeds, for one input and one logit, "
            "and the exact law of ReLU networks with He initialisation over it; only arms that the law is for. Nothing "
            "in it was fitted: small p-values (Kolmogorov-Smirnov) would speak against the code or the random "
            "numbers. Dead networks, with no gradient at all, are counted apart.",
            seed_histograms(laws),
        )
    bands = ", with 95 % intervals" if len(summaries) <= MOST_BANDS else ""
    yield (
        "survival",
        f"Runs that have not converged yet, epoch by epoch{bands}; below, how many they are. A curve that levels off "
        "above zero has runs that no patience would help; curves that cross mean that which arm is better depends on "
        "the budget.",
        survival_curves(results),
    )
    design = findings.design
    if design is not None:
        yield (
            "interaction",
            f"The two changes taken apart: {design.first} and {design.second}, with 95 % intervals. Parallel lines "
            "mean that each does the same whatever the other is; lines that cross, that neither can be judged alone.",
            interaction_plot(design, summaries),
        )
    yield (
        "accuracy",
        "Training accuracy over epochs. The dotted line is what somebody who trains once would have seen; the band is "
        "what they could have seen.",
        accuracy_bands(results),
    )
    # Arms that are all in families have their profiles by depth.
    if len(summaries) <= MOST_ARMS_IN_ONE or sum(len(family.arms) for family in alike) < len(summaries):
        yield (
            "gradient_profiles",
            "Size of each layer's gradient, median and central 90 % of seeds. A line that falls towards layer 0 "
            "vanishes towards the input; a band down to the floor has seeds whose layer is dead, a gradient of exactly "
            "zero. Dashed: the root mean square over seeds that theory predicts at initialisation; it lies above the "
            "median.",
            gradient_profiles(results),
        )
    yield (
        "gradient_heatmap",
        "Depth against time, for the lower tenth of seeds, the median one and the upper tenth. Darker is smaller. "
        "Small everywhere late in training can simply mean solved; small from the first epoch with an accuracy that "
        "stays flat cannot. Rows that differ mean that seeds do.",
        gradient_heatmap(results),
    )
    yield (
        "final_accuracy",
        "Test accuracy after the last epoch, one dot a seed, between what always naming the larger class scores and, "
        "for made data, what the best possible rule would (computed from the noise). Two clumps in one arm mean that "
        "an average would describe no run at all.",
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
    paths = first_layer_paths(results)
    if paths is not None:
        yield (
            "first_layer_paths",
            "The same over the whole training: how far the first layer's weights are from where they began. The "
            "article shows one such path; the dotted line is one seed, the band is what it could have shown.",
            paths,
        )
    if any(one.area is not None for one in findings.predictors):
        yield "predictors", predictors_caption(findings.predictors), predictors_ranked(findings.predictors)
