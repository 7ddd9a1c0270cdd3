"""Crossed designs: two changes taken apart."""

from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

from vgrad_jax.report.figures.effects import interaction_plot
from vgrad_jax.report.section import Chart, Section
from vgrad_jax.report.study import MOST_PANELS, Study
from vgrad_jax.report.words import epochs, points
from vgrad_jax.statistics.contrasts import Effect
from vgrad_jax.statistics.factorial import Crossed, crossed, crossed_designs
from vgrad_jax.statistics.published import RELU_ARM, TANH_ARM
from vgrad_jax.statistics.run_outcomes import alike
from vgrad_jax.statistics.summary import ArmSummary

__all__ = ["SECTION"]

FACTORS_AND_ARMS = ("first", "second", "start", "first_only", "second_only", "both")
"""Fields of a design that are labels; the others are effects."""


class Designs(NamedTuple):
    """The crossed designs among the arms."""

    article: Crossed | None
    """The article's two changes, of which the sentences and the figure tell; other grids are told factor by factor."""
    every: list[Crossed]
    """Every set of four arms that cross two factors."""
    summaries: list[ArmSummary]
    unit: str
    """Unit of the times to converge; "time" where arms differ, empty where convergence has no time."""
    budget: float = 0.0
    """Time that a run counts as which never converges, in `unit`."""


def _compute(study: Study) -> Designs:
    has_article = {TANH_ARM, RELU_ARM} <= set(study.arms)
    article = crossed(study.results, TANH_ARM, RELU_ARM) if has_article else None
    # Of many arms that are told factor by factor, there are hundreds of sets of four.
    every = [] if study.by_factor and len(study.names) > MOST_PANELS else crossed_designs(study.results)
    has_time = article is not None and all(study.outcomes[arm].unit for arm in (article.start, article.both))
    budget = min(own.budget for own in alike(study.outcomes).values()) if has_time else 0.0
    return Designs(article, every, study.comparable, study.unit if has_time else "", budget)


def _answer(designs: Designs) -> str | None:
    design = designs.article
    if design is None:
        return None
    return (
        f"{design.conclusion}: against {design.start}, changing only the {design.second} "
        f"({design.second_only}) changes the share of runs that converge by "
        f"{points(design.second_alone.share)}, changing only the {design.first} ({design.first_only}) by "
        f"{points(design.first_alone.share)}, and both ({design.both}) by {points(design.together.share)}."
    )


def _sentences(designs: Designs) -> list[str]:
    design = designs.article
    if design is None:
        return []
    second, first = (
        _main_effect(name, other, effect, designs.unit)
        for name, other, effect in (
            (design.second, design.first, design.second_main),
            (design.first, design.second, design.first_main),
        )
    )
    interaction = design.interaction.share
    if interaction.excludes_zero:
        dependence = (
            f"The two depend on each other: where the {design.second} is changed as well, the effect of changing the "
            f"{design.first} differs by {points(interaction)}."
        )
    else:
        dependence = f"That the two depend on each other is not seen (interaction {points(interaction)})."
    never = f" Runs that never converge count as {designs.budget:g}." if designs.unit else ""
    return [f"{second} {first} {dependence}{never}"]


def _main_effect(factor: str, other: str, effect: Effect, unit: str) -> str:
    time = f" and the mean time to converge by {epochs(effect.restricted_mean, unit)}" if unit else ""
    return (
        f"Changing the {factor}, averaged over both choices of the {other}, changes the share of runs that converge by "
        f"{points(effect.share)}{time}."
    )


def _charts(designs: Designs) -> Iterator[Chart]:
    design = designs.article
    if design is not None:
        yield Chart(
            "interaction",
            "Interaction plot: the four arms on two scales, and the effects with their intervals",
            f"The two changes taken apart: {design.first} and {design.second}, with 95 % intervals. Parallel lines "
            "mean that each does the same whatever the other is; lines that cross, that neither can be judged alone.",
            partial(interaction_plot, design, designs.summaries, designs.unit),
        )


def _tables(designs: Designs) -> dict[str, list[dict[str, Any]]]:
    return {"effects": [row for design in designs.every for row in _effects(design)]}


def _effects(design: Crossed) -> Iterator[dict[str, Any]]:
    fields = design._asdict()
    labels = {name: fields.pop(name) for name in FACTORS_AND_ARMS}
    for name, effect in fields.items():
        yield {**labels, "effect": name, **effect._asdict()}


def _numbers(designs: Designs) -> dict[str, Any]:
    return {
        "crossed": None if designs.article is None else _plain(designs.article),
        "designs": [_plain(design) for design in designs.every],
    }


def _plain(design: Crossed) -> dict[str, Any]:
    return {**design._asdict(), "cause": design.cause, "conclusion": design.conclusion}


SECTION = Section(
    "crossed",
    _compute,
    answer=_answer,
    sentences=_sentences,
    charts=_charts,
    tables=_tables,
    numbers=_numbers,
)
