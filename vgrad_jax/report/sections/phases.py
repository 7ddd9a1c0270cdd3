"""Phases: gradients per layer at initialisation over the phase diagram of mean-field theory."""

from collections.abc import Sequence
from functools import partial

import numpy as np

from vgrad_jax.report.figures.phases import measured_phases
from vgrad_jax.report.section import Chart, Column, table_section
from vgrad_jax.report.study import Study
from vgrad_jax.statistics.phases import Phase, phases_of

__all__ = ["SECTION"]

NEAR = 0.05
"""Distance in log10 per layer below which measurement and theory agree for the eye."""

COLUMNS = (
    Column("arm"),
    Column("weights", "fan-in times the variance of a weight"),
    Column("biases", "variance of a bias"),
    Column("phase", "ordered: gradients vanish; chaotic: they explode; critical: neither"),
    Column("measured", "log10 of the factor of a logit's gradient per layer towards the input, with its 95 % interval"),
    Column("theory", "the same in theory, for wide networks of this depth"),
    Column("deep limit", "half of log10 chi_1: the factor where the variance of the layers has settled"),
)


def _compute(study: Study) -> list[Phase] | None:
    return phases_of(study.results) if study.arms and not study.functions else None


def _sentences(phases: Sequence[Phase]) -> list[str]:
    off = [own for own in phases if not abs(own.measured.value - own.predicted) < NEAR]
    agree = len(phases) - len(off)
    text = f"Theory's factor of the gradient per layer is met to {NEAR:g} decades in {agree} of {len(phases)} arms."
    if off:
        worst = max(off, key=lambda own: np.nan_to_num(abs(own.measured.value - own.predicted), nan=np.inf))
        text += (
            f" The largest difference is that of {worst.arm}: {worst.measured.value:+.2f} "
            f"[{worst.measured.low:+.2f}, {worst.measured.high:+.2f}] measured, {worst.predicted:+.2f} in theory."
        )
    return [text]


def _cells(own: Phase) -> list[str]:
    return [
        own.arm,
        f"{own.weight_variance:g}",
        f"{own.bias_variance:.2g}",
        own.phase,
        f"{own.measured.value:+.3f} [{own.measured.low:+.3f}, {own.measured.high:+.3f}]",
        f"{own.predicted:+.3f}",
        f"{own.limit:+.3f}",
    ]


def _chart(phases: Sequence[Phase]) -> Chart:
    return Chart(
        "phases",
        "Phase diagram: colour is theory's factor of the gradient per layer, dots are the measured arms",
        "Where gradients vanish (blue) and explode (red) at initialisation, by the variances of weights and biases. "
        "The background is mean-field theory of deep networks, the dots are measured, with log10 of the factor per "
        "layer. A dot that can hardly be seen agrees.",
        partial(measured_phases, phases),
    )


SECTION = table_section(
    "phases",
    _compute,
    heading="Vanishing, exploding, or neither",
    table=("Table of phases", COLUMNS),
    cells=_cells,
    chart=_chart,
    sentences=_sentences,
)
