"""Verdicts on the gradients of each arm."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from vgrad_jax.diagnosis import TABLE, UNCLEAR, Diagnosis
from vgrad_jax.report.section import Block, Fold, Section
from vgrad_jax.report.study import Study
from vgrad_jax.report.verdict import NOT_LEARNED, arm_verdicts
from vgrad_jax.statistics.geometry import MOST_SEEDS
from vgrad_jax.statistics.summary import ArmSummary

__all__ = ["SECTION"]


MOST_NAMED = 4
"""Largest number of arms that a remark names; the table of arms has the others."""


class Verdicts(NamedTuple):
    """Verdicts, and the shares of runs that converge."""

    verdicts: dict[str, Diagnosis]
    summaries: list[ArmSummary]
    functions: Sequence[str] = ()
    """Names of the arms that are functions."""


def _compute(study: Study) -> Verdicts | None:
    verdicts = arm_verdicts(study.results, study.geometries)
    summaries = [summary for summary in study.summaries if summary.arm in verdicts]
    return Verdicts(verdicts, summaries, [arm for arm in verdicts if arm in study.functions]) if verdicts else None


def _remarks(arms: Verdicts) -> list[str]:
    """List the arms that did not learn for a reason that neither the verdict nor another remark tells."""
    unexplained = [
        f"{summary.arm} ({summary.converged.value:.0%} converge)"
        for summary in arms.summaries
        if any(finding.code == NOT_LEARNED for finding in arms.verdicts[summary.arm].findings)
        and summary.dead.value + summary.diverged.value < (1 - summary.converged.value) / 2
    ]
    if not unexplained:
        return []
    more = f"; and {len(unexplained) - MOST_NAMED} more" if len(unexplained) > MOST_NAMED else ""
    named = "; ".join(unexplained[:MOST_NAMED])
    return [f"Most runs did not learn, and the ratios between layers do not say why: {named}{more}."]


def _block(arms: Verdicts) -> Block:
    return Block(
        "Verdicts on the gradients",
        intro=f"{_rules(arms)}. Each seed is judged alone. The verdict of an arm "
        f"is the most frequent status among its first {MOST_SEEDS} finished seeds. Where most runs of an arm do not "
        f"converge, healthy and solved seeds count as {UNCLEAR}, and a verdict without a fault becomes {UNCLEAR}. A "
        f"fault stays the verdict, even where more seeds are {UNCLEAR}.",
        folds=[_fold(arm, verdict) for arm, verdict in arms.verdicts.items()],
    )


def _rules(arms: Verdicts) -> str:
    """Say what the rules are on: a function has its record alone."""
    of_experiments = (
        "Rules judge the ratios between layers, the loss over the training beside that of the best constant "
        "prediction, and the rank of the last hidden layer before training"
    )
    of_functions = "the sizes of gradients, weights and updates and on the loss that the recorder saw"
    if not arms.functions:
        return of_experiments
    if len(arms.functions) == len(arms.verdicts):
        return f"Rules judge {of_functions}"
    return f"{of_experiments}; of {', '.join(arms.functions)} they judge {of_functions}"


def _fold(arm: str, verdict: Diagnosis) -> Fold:
    seeds = ", ".join(f"{status} {count}" for status, count in verdict.seeds.items())
    items = [
        f"{f'{finding.layer}: ' if finding.layer else ''}{finding.sentence} {finding.advice}"
        for finding in verdict.findings
        if finding.status == verdict.status
    ]
    return Fold(arm, verdict.status, f"seeds: {seeds}", items, TABLE[verdict.status].meaning)


def _numbers(arms: Verdicts) -> dict[str, Any]:
    return {"verdicts": {arm: verdict.to_dict() for arm, verdict in arms.verdicts.items()}}


SECTION = Section("verdicts", _compute, remarks=_remarks, block=_block, numbers=_numbers)
