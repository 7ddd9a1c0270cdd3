"""What a study found, in sentences; every one is computed from the results."""

import math
from typing import TYPE_CHECKING, NamedTuple

from vgrad_jax.diagnosis import Diagnosis
from vgrad_jax.report.predictions import trainable_depths
from vgrad_jax.report.predictors import predictor_sentences
from vgrad_jax.report.verdict import arm_verdicts
from vgrad_jax.results.reading import arms_of
from vgrad_jax.statistics.comparison import Pair, compare_arms
from vgrad_jax.statistics.crossed import Crossed, crossed, crossed_designs
from vgrad_jax.statistics.depth import Reach, families, reaches
from vgrad_jax.statistics.intervals import Estimate, share
from vgrad_jax.statistics.planning import precision_reached
from vgrad_jax.statistics.predictors import Predictor, predictors
from vgrad_jax.statistics.published import (
    QUIET_EPOCHS,
    RELU_ARM,
    TANH_ARM,
    Placement,
    is_the_articles,
    learned_by,
    placements,
)
from vgrad_jax.statistics.sequential import early_stops, precision_of
from vgrad_jax.statistics.summary import ArmSummary, summarise

if TYPE_CHECKING:
    import xarray

__all__ = ["Findings", "find"]

SIGNIFICANT = 0.05


class Findings(NamedTuple):
    """What the table, the page and `--json` show."""

    summaries: list[ArmSummary]
    answer: str
    """One sentence with its numbers."""
    crossed: Crossed | None
    """The article's two changes."""
    design: Crossed | None
    """The crossed design that is shown: the article's, or the only one there is."""
    designs: list[Crossed]
    """Every set of four arms that cross two factors."""
    pairs: list[Pair]
    """All pairs of arms."""
    sentences: list[str]
    """What follows from the effects and the times, after the answer."""
    remarks: list[str]
    """What else stands out: gradients that are exactly zero, runs that diverged."""
    verdicts: dict[str, Diagnosis]
    """Arm name to the verdict on its gradients."""
    predictors: list[Predictor]
    """What at initialisation predicts failure, ranked within each arm and over all."""
    predictor_sentences: list[str]
    placements: list[Placement]
    placement_sentences: list[str]
    """Where the article's single runs fall."""
    reaches: list[Reach]
    """How deep each family of arms that differ in depth alone still converges."""
    trainable_depths: dict[str, float | None]
    """The same as theory has it, by family; None where it does not apply."""


def find(results: "xarray.Dataset") -> Findings:
    """Everything that is said about a sweep's results."""
    arms = arms_of(results)
    summaries = summarise(results)
    design = crossed(results, TANH_ARM, RELU_ARM) if {TANH_ARM, RELU_ARM} <= set(arms) else None
    designs, pairs = crossed_designs(results), compare_arms(results)
    predicting = predictors(results)
    placed = placements(results)
    sentences = [_placement_sentence(placement) for placement in placed]
    if TANH_ARM in arms and is_the_articles(arms[TANH_ARM], TANH_ARM):
        sentences += _quiet_sentence(results)
    alike = families(arms)
    # Where depth is the question no crossed design is; of several the one in which most happens is shown.
    shown = design or (None if alike else max(designs, key=lambda one: abs(one.together.share.value), default=None))
    found, theory = reaches(alike, summaries), trainable_depths(results, alike)
    if design:
        answer = _crossed_answer(design)
    elif found and sum(len(family.arms) for family in alike) == len(arms):
        answer = _depth_answer(found)
    else:
        answer = _ranking_answer(summaries, pairs)
    return Findings(
        summaries=summaries,
        answer=answer,
        crossed=design,
        design=shown,
        designs=designs,
        pairs=pairs,
        sentences=_effect_sentences(shown) + _time_sentences(summaries, pairs) + _precision_sentences(summaries),
        verdicts=arm_verdicts(results),
        predictors=predicting,
        predictor_sentences=predictor_sentences(predicting),
        remarks=[_reach_sentence(reach, theory[reach.family]) for reach in found]
        + _remarks(summaries)
        + _early_stop_remarks(results),
        placements=placed,
        placement_sentences=sentences,
        reaches=found,
        trainable_depths=theory,
    )


def _crossed_answer(design: Crossed) -> str:
    return (
        f"{design.conclusion}: against {design.start}, changing only the {design.second} "
        f"({design.second_only}) changes the share of runs that converge by "
        f"{_points(design.second_alone.share)}, changing only the {design.first} ({design.first_only}) by "
        f"{_points(design.first_alone.share)}, and both ({design.both}) by {_points(design.together.share)}."
    )


def _effect_sentences(design: Crossed | None) -> list[str]:
    if design is None:
        return []
    parts = [
        f"changing the {name} changes the share that converges by {_points(effect.share)} and the mean time within the "
        f"budget by {_epochs(effect.restricted_mean)}"
        for name, effect in ((design.second, design.second_main), (design.first, design.first_main))
    ]
    interaction = design.interaction.share
    if interaction.low > 0 or interaction.high < 0:
        end = (
            f"the two depend on each other: where the {design.second} is changed as well, changing the {design.first} "
        )
        end += f"does {_points(interaction)} more"
    else:
        end = f"that the two depend on each other is not seen (interaction {_points(interaction)})"
    return [f"Averaged over both settings of the other, {parts[0]}, and {parts[1]}; {end}."]


def _time_sentences(summaries: list[ArmSummary], pairs: list[Pair]) -> list[str]:
    """The arm that converges soonest, against the next."""
    if len(summaries) < 2:
        return []
    if not any(summary.converged.value for summary in summaries):
        return ["No run of any arm converges within the budget."]
    ranked = sorted(summaries, key=lambda one: (one.restricted_mean_epochs.value, -one.converged.value))
    first, second = ranked[:2]
    pair = next(pair for pair in pairs if {pair.a, pair.b} == {first.arm, second.arm})
    faster = pair.comparison.probability_a_faster if pair.a == first.arm else 1 - pair.comparison.probability_a_faster
    sure = pair.logrank_p_adjusted < SIGNIFICANT
    return [
        f"{first.arm} {'converges soonest' if sure else 'is seen to converge soonest'}, after {_mean(first)}; "
        f"{second.arm} is next with {_mean(second)}. Of two runs, one of each, the former is the faster in "
        f"{faster:.0%} (ties count one half); {'the curves differ' if sure else 'the curves cannot be told apart'} "
        f"(log-rank test, p {_p(pair.logrank_p_adjusted)} after adjusting for {len(pairs)} pairs)."
    ]


def _ranking_answer(summaries: list[ArmSummary], pairs: list[Pair]) -> str:
    ranked = sorted(summaries, key=lambda summary: summary.converged.value, reverse=True)
    best, worst = ranked[0], ranked[-1]
    if len(ranked) == 1:
        return f"{best.arm} converges in {_percent(best.converged)} of {best.n} runs."
    differ = {
        frozenset((pair.a, pair.b))
        for pair in pairs
        if pair.comparison.share_difference.low > 0 or pair.comparison.share_difference.high < 0
    }
    if frozenset((best.arm, worst.arm)) not in differ:
        return (
            f"The arms cannot be told apart by the share of runs that converge: from {_percent(worst.converged)} "
            f"({worst.arm}) to {_percent(best.converged)} ({best.arm})."
        )
    as_good, as_bad = (
        [one.arm for one in ranked if one is not end and frozenset((one.arm, end.arm)) not in differ]
        for end in (best, worst)
    )
    return (
        f"{best.arm} converges most often, in {_percent(best.converged)} of {best.n} runs{_not_told_apart(as_good)}; "
        f"{worst.arm} least often, in {_percent(worst.converged)} of {worst.n}{_not_told_apart(as_bad)}."
    )


def _not_told_apart(arms: list[str]) -> str:
    return f" (not told apart from {', '.join(arms)})" if arms else ""


def _precision_sentences(summaries: list[ArmSummary]) -> list[str]:
    """What more seeds would bring, for the arm that is known least."""
    least = max(summaries, key=lambda summary: summary.converged.half_width)
    reached = precision_reached(least.converged)
    return [
        f"Shares are known to {100 * reached.half_width:.1f} points or better ({least.arm}, n = {least.n}); to halve "
        f"that takes {reached.more_seeds} more seeds an arm."
    ]


def _depth_answer(found: list[Reach]) -> str:
    ranked = sorted(found, key=lambda reach: reach.deepest or 0, reverse=True)
    reached = ", ".join(
        f"{reach.family} {_layers(reach.deepest) if reach.deepest else 'not even the shallowest'}"
        f"{' or more' if reach.deepest and reach.next_depth is None else ''} "
        f"({_percent(reach.share)} of {reach.share.n})"
        for reach in ranked
    )
    return f"How many hidden layers a network may have for at least half of its runs to converge: {reached}."


def _reach_sentence(reach: Reach, theory: float | None) -> str:
    if reach.deepest is None:
        seen = f"not even the shallowest network converges in half of its runs, but in {_percent(reach.share)}"
    elif reach.next_depth is None or reach.next_share is None:
        seen = f"at least half of the runs converge at every depth, {_percent(reach.share)} at {_layers(reach.deepest)}"
    else:
        seen = (
            f"at least half of the runs converge up to {_layers(reach.deepest)}, {_percent(reach.share)} there and "
            f"{_percent(reach.next_share)} at {reach.next_depth}"
        )
    if theory is None:
        return f"{reach.family}: {seen}; mean-field theory does not apply."
    said = "any depth" if math.isinf(theory) else f"about {theory:.0f}"
    return f"{reach.family}: {seen}; theory's trainable depth, six depth scales of the correlation, is {said}."


def _layers(count: int) -> str:
    return f"{count} hidden layer{'' if count == 1 else 's'}"


def _remarks(summaries: list[ArmSummary]) -> list[str]:
    remarks = []
    for summary in summaries:
        if summary.dead.value >= 0.05:
            remarks.append(
                f"{summary.arm}: {_percent(summary.dead)} of runs end with a gradient of exactly zero in the "
                f"first layer: those networks are dead there, not slow."
            )
        if summary.diverged.value:
            remarks.append(f"{summary.arm}: {_percent(summary.diverged)} of runs diverged (a loss was not finite).")
    return remarks


def _early_stop_remarks(results: "xarray.Dataset") -> list[str]:
    precision = precision_of(results)
    stopped = [stop for stop in early_stops(results) if stop.stopped and stop.converged.n < stop.most]
    if precision is None or not stopped:
        return []
    arms = "; ".join(f"{stop.arm} {_percent(stop.converged)} after {stop.converged.n} seeds" for stop in stopped)
    return [
        f"Stopped early, at a precision of {100 * precision:g} points: {arms}, of {stopped[0].most} seeds at the most. "
        f"These intervals hold although the data decided when to stop; all others here do not allow for that."
    ]


def _placement_sentence(placement: Placement) -> str:
    low, middle, high = placement.quantiles
    style = ".1%" if "accuracy" in placement.quantity else ".4f"
    where = "within the central 90 % of seeds" if placement.inside else "outside the central 90 % of seeds"
    return (
        f"{placement.arm}, {placement.quantity}: the article's run has {placement.published:{style}}; over "
        f"{placement.n} seeds the median is {middle:{style}}, the central 90 % {low:{style}} to {high:{style}}, and "
        f"{placement.share_below:.0%} of seeds are below the article's: {where}."
    )


def _quiet_sentence(results: "xarray.Dataset") -> list[str]:
    learned = learned_by(results, TANH_ARM)
    if learned is None:
        return []
    quiet = share(int((~learned).sum()), len(learned))
    return [
        f"{TANH_ARM}: the article's run learned nothing in the first {QUIET_EPOCHS} epochs; here the same holds for "
        f"{_percent(quiet)} of {quiet.n} seeds (training accuracy never 5 points above always naming one class)."
    ]


def _percent(estimate: Estimate) -> str:
    return f"{estimate.value:.1%} [{estimate.low:.1%}, {estimate.high:.1%}]"


def _points(estimate: Estimate) -> str:
    value, low, high = (100 * number for number in estimate[:3])
    return f"{value:+.1f} points [{low:+.1f}, {high:+.1f}]"


def _epochs(estimate: Estimate) -> str:
    return f"{estimate.value:+.0f} epochs [{estimate.low:+.0f}, {estimate.high:+.0f}]"


def _mean(summary: ArmSummary) -> str:
    mean = summary.restricted_mean_epochs
    return f"a mean of {mean.value:.0f} epochs within the budget [{mean.low:.0f}, {mean.high:.0f}]"


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"= {value:.2g}"
