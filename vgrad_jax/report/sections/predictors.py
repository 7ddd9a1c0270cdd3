"""Predictors of failure: measurements at initialisation against the ending of a run."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from vgrad_jax.report.figures.predictors import predictors_caption, predictors_ranked
from vgrad_jax.report.section import Block, Chart, Section
from vgrad_jax.report.study import Study
from vgrad_jax.statistics.failure import ALL_ARMS, FEWEST, Predictor, label_of, predictors
from vgrad_jax.wording import counted

__all__ = ["SECTION", "predictor_sentences"]

MOST_NAMED = 6
"""Most arms that a sentence names."""


def _compute(study: Study) -> list[Predictor] | None:
    return predictors(study.results) if study.arms else None


def predictor_sentences(predictors: Sequence[Predictor]) -> list[str]:
    """Write a sentence for each scope: the measurement that predicts failure best there, or that none does.

    Arms whose runs nearly all fare alike tell nothing. They share a sentence, the last one of the arms.

    Args:
        predictors: as `vgrad_jax.statistics.predictors` gives them.
    """
    scopes: dict[str, list[Predictor]] = {}
    for predictor in predictors:
        scopes.setdefault(predictor.scope, []).append(predictor)
    alike = [arm for arm, (first, *_) in scopes.items() if arm != ALL_ARMS and first.too_few]
    if len(alike) < 2:
        return [_sentence(scope, ranked) for scope, ranked in scopes.items()]
    arms = [_sentence(arm, ranked) for arm, ranked in scopes.items() if arm not in (*alike, ALL_ARMS)]
    more = f" and {len(alike) - MOST_NAMED} more" if len(alike) > MOST_NAMED else ""
    together = (
        f"What predicts failure cannot be told in {len(alike)} arms, because fewer than {FEWEST} of their runs "
        f"converged or fewer than {FEWEST} failed: {'; '.join(alike[:MOST_NAMED])}{more}."
    )
    return [*arms, together, *(_sentence(scope, ranked) for scope, ranked in scopes.items() if scope == ALL_ARMS)]


def _sentence(scope: str, ranked: list[Predictor]) -> str:
    told = [predictor for predictor in ranked if predictor.area is not None]
    subject = scope.capitalize() if scope == ALL_ARMS else scope
    if not told:
        reason = ranked[0].why_not.removeprefix("cannot be told: ")
        return f"{subject}: what predicts failure cannot be told ({reason})."
    opening = f"{subject} ({told[0].failed} of {told[0].failed + told[0].converged} runs fail)"
    measurements = f"{counted(len(told), 'measurement')} at initialisation"
    real = [predictor for predictor in told if predictor.real]
    if not real:
        return (
            f"{opening}: none of {measurements} predicts which runs fail, as far as these seeds can tell; the best, "
            f"the {label_of(told[0].measurement)}, has an area under the ROC curve of {_area(told[0])}."
        )
    best = real[0]
    verb = "predicts" if len(real) == 1 else "predict"
    pooled = "; part of this is telling the arms apart" if scope == ALL_ARMS else ""
    return (
        f"{opening}: {len(real)} of {measurements} {verb} which runs fail, best the "
        f"{label_of(best.measurement)}, with an area under the ROC curve of {_area(best)}: {best.direction} values "
        f"mean failure{pooled}."
    )


def _area(predictor: Predictor) -> str:
    """Return the area in the direction in which it is 0.5 or larger."""
    assert predictor.area is not None
    value, low, high, _ = predictor.area
    if value < 0.5:
        value, low, high = 1 - value, 1 - high, 1 - low
    return f"{value:.2f} [{low:.2f}, {high:.2f}]"


def _block(predictors: list[Predictor]) -> Block:
    return Block(
        "What predicts failure?",
        intro="Measurements at initialisation against how the run ends: the area under the ROC curve, 0.5 for a coin "
        "and 1 for knowing.",
        items=predictor_sentences(predictors),
    )


def _charts(predictors: list[Predictor]) -> Iterator[Chart]:
    if any(predictor.area is not None for predictor in predictors):
        yield Chart(
            "predictors",
            "Intervals: area under the ROC curve of each measurement at initialisation",
            predictors_caption(predictors),
            partial(predictors_ranked, predictors),
        )


def _tables(predictors: list[Predictor]) -> dict[str, list[Predictor]]:
    return {"predictors": predictors}


def _numbers(predictors: list[Predictor]) -> dict[str, Any]:
    return {"predictors": predictors, "predictor_sentences": predictor_sentences(predictors)}


SECTION = Section("predictors", _compute, block=_block, charts=_charts, tables=_tables, numbers=_numbers)
