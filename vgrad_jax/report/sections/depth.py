"""Depth: how many hidden layers a network may have and still learn."""

import math
from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from vgrad_jax.numerics import rms_over_seeds
from vgrad_jax.report.figures.depth import FamilyProfiles, profiles_by_depth, share_against_depth
from vgrad_jax.report.predictions import trainable_depths
from vgrad_jax.report.section import Chart, Section
from vgrad_jax.report.study import Study
from vgrad_jax.report.words import percent
from vgrad_jax.statistics.bands import gradients_of
from vgrad_jax.statistics.depth import Family, Reach, reaches
from vgrad_jax.wording import counted

__all__ = ["SECTION", "family_profiles"]


class Depth(NamedTuple):
    """Families of arms that differ in depth alone."""

    study: Study
    reaches: list[Reach]
    trainable: dict[str, float | None]
    """Family name to theory's trainable depth; None where theory does not apply."""
    leads: bool
    """True where the depths are the headline."""


def _compute(study: Study) -> Depth:
    return Depth(
        study=study,
        reaches=reaches(study.families, study.summaries),
        trainable=trainable_depths(study.results, study.families),
        leads=study.depth_leads,
    )


def family_profiles(study: Study, family: Family) -> FamilyProfiles:
    """Return a family's first gradients, measured and predicted."""
    measured = {}
    for depth, arm in family.arms.items():
        sizes = gradients_of(study.results, arm).isel(record=0).values.astype(np.float64)
        measured[depth] = rms_over_seeds(np.where(np.isnan(sizes), -np.inf, sizes))
    return FamilyProfiles(family.name, measured, {depth: study.predictions[arm] for depth, arm in family.arms.items()})


def _answer(depth: Depth) -> str | None:
    if not depth.leads:
        return None
    ranked = sorted(depth.reaches, key=lambda reach: reach.deepest or 0, reverse=True)
    reached = ", ".join(
        f"{reach.family} {_layers(reach.deepest) if reach.deepest else 'not even the shallowest'}"
        f"{' or more' if reach.deepest and reach.next_depth is None else ''} "
        f"({percent(reach.share)} of {reach.share.n})"
        for reach in ranked
    )
    return f"How many hidden layers a network may have for at least half of its runs to converge: {reached}."


def _remarks(depth: Depth) -> list[str]:
    return [_remark(reach, depth.trainable[reach.family]) for reach in depth.reaches]


def _remark(reach: Reach, theory: float | None) -> str:
    if reach.deepest is None:
        seen = f"not even the shallowest network converges in half of its runs, but in {percent(reach.share)}"
    elif reach.next_depth is None or reach.next_share is None:
        seen = f"at least half of the runs converge at every depth, {percent(reach.share)} at {_layers(reach.deepest)}"
    else:
        seen = (
            f"at least half of the runs converge up to {_layers(reach.deepest)}, {percent(reach.share)} there and "
            f"{percent(reach.next_share)} at {reach.next_depth}"
        )
    if theory is None:
        return f"{reach.family}: {seen}; mean-field theory does not apply."
    said = "any depth" if math.isinf(theory) else f"about {theory:.0f}"
    return f"{reach.family}: {seen}; theory's trainable depth, six depth scales of the correlation, is {said}."


def _layers(count: int) -> str:
    return counted(count, "hidden layer")


def _charts(depth: Depth) -> Iterator[Chart]:
    study = depth.study
    if not study.families:
        return
    yield Chart(
        "share_against_depth",
        "Curves: share of runs that converge against hidden layers, a line for each family of arms",
        f"Who still learns when it is deeper ({study.seeds}), in families of arms that differ in depth alone. Look for "
        "where a line falls, and whether that is at the triangle of its colour, the depth at which theory says "
        "that a network forgets what it is shown. A line that falls earlier does so for another reason, such as a "
        "width that is small beside the depth, or a learning rate that suits shallow networks only.",
        partial(share_against_depth, study.families, study.summaries, depth.trainable),
    )
    yield Chart(
        "profiles_by_depth",
        "Lines: gradient at initialisation by layer, a panel for each family, a line for each depth",
        "The gradient at initialisation by layer, darker lines for shallower networks: root mean square over "
        "seeds, and dashed what theory predicts of it. Lines that fall towards layer 0 vanish, lines that rise "
        "explode. Of a softmax theory knows the profile at small logits; large ones lift it as a whole.",
        partial(profiles_by_depth, [family_profiles(study, family) for family in study.families]),
    )


def _numbers(depth: Depth) -> dict[str, Any]:
    return {"depth": [{**reach._asdict(), "trainable_depth": depth.trainable[reach.family]} for reach in depth.reaches]}


SECTION = Section("depth", _compute, answer=_answer, remarks=_remarks, charts=_charts, numbers=_numbers)
