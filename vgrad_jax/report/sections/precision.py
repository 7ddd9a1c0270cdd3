"""Precision: how well the shares are known, and the seeds that halve an interval."""

from vgrad_jax.report.section import Section
from vgrad_jax.report.study import Study
from vgrad_jax.statistics.planning import precision_reached
from vgrad_jax.statistics.summary import ArmSummary
from vgrad_jax.wording import counted

__all__ = ["SECTION"]


def _compute(study: Study) -> list[ArmSummary] | None:
    return study.converging or None


def _sentences(summaries: list[ArmSummary]) -> list[str]:
    least = max(summaries, key=lambda summary: summary.converged.half_width)
    reached = precision_reached(least.converged)
    known = f"known to within {100 * reached.half_width:.1f} points"
    more = counted(reached.more_seeds, "more seed")
    if len(summaries) == 1:
        return [f"The share of runs that converge is {known} (n = {least.n}); {more} would halve that."]
    return [
        f"The least certain share of runs that converge is {known} ({least.arm}, n = {least.n}); {more} per arm would "
        "halve that."
    ]


SECTION = Section("precision", _compute, sentences=_sentences)
