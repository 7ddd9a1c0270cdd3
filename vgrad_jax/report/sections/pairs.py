"""Pairs of arms: which arm converges more often, and which converges sooner."""

from collections.abc import Collection
from typing import Any, NamedTuple

from vgrad_jax.report.section import Block, Column, Section, Table
from vgrad_jax.report.study import Study
from vgrad_jax.report.words import mean_epochs, p_value, percent
from vgrad_jax.statistics.comparison import Pair
from vgrad_jax.statistics.intervals import Estimate
from vgrad_jax.statistics.summary import ArmSummary
from vgrad_jax.wording import counted

__all__ = ["COLUMNS", "SECTION", "pair_rows"]

MOST_PAIRS = 66
"""Most pairs on the page, those of twelve arms; `tables/pairs.csv` and `summary.json` have all of them."""

SIGNIFICANT = 0.05
"""Adjusted p-value below which two curves differ."""

COLUMNS = (
    Column("pair"),
    Column("converged, points"),
    Column("only one converges"),
    Column("mean epochs"),
    Column("first converges sooner"),
    Column("p"),
)
MEAN = 3
"""Index of the column of mean times."""

NOTE = (
    "Differences are the first arm minus the second, with 95 % intervals. All of them are of runs on the same seeds: "
    "seed k is the same random key in every arm. Only one converges: on how many seeds that is the first arm, and on "
    "how many the second. First converges sooner: on the same seed, ties counting one half. p: exact sign test that "
    "each is as often the first, adjusted for the number of pairs by Benjamini and Hochberg's false discovery rate."
)


class Arms(NamedTuple):
    """The arms, and all pairs of them."""

    summaries: list[ArmSummary]
    pairs: list[Pair]
    units: dict[str, str]
    """Arm name to the unit of its times; empty where convergence has no time."""
    is_ranked: bool
    """True where another section ranks the arms, on common seeds."""
    budget: str
    """The common budget in words, where the arms have several; else empty."""


def _compute(study: Study) -> Arms | None:
    if not study.converging:
        return None
    units = {arm: ends.unit for arm, ends in study.outcomes.items()}
    is_ranked = study.by_factor and len(study.outcomes) > 2
    return Arms(study.comparable, study.pairs, units, is_ranked, study.common_budget)


def _answer(arms: Arms) -> str:
    """Rank the arms by the share of runs that converge, within the budget that all of them have."""
    answer = _ranked(arms)
    return f"Within the first {arms.budget}, which all arms have: {answer}" if arms.budget else answer


def _ranked(arms: Arms) -> str:
    """Rank the arms by the share of runs that converge, as far as they can be told apart."""
    ranked = sorted(arms.summaries, key=lambda summary: summary.converged.value, reverse=True)
    best, worst = ranked[0], ranked[-1]
    if len(ranked) == 1:
        return f"{best.arm} converges in {percent(best.converged)} of {counted(best.n, 'run')}."
    if best.converged.value == worst.converged.value:
        alike = len({summary.n for summary in ranked}) == 1  # Else each arm has an interval of its own.
        shown = percent(best.converged) if alike else f"{best.converged.value:.1%}"
        return (
            f"The arms cannot be told apart by the share of runs that converge: {shown} in each of the {len(ranked)}."
        )
    differ = {frozenset((pair.a, pair.b)) for pair in arms.pairs if pair.comparison.share_difference.excludes_zero}
    if frozenset((best.arm, worst.arm)) not in differ:
        return (
            f"The arms cannot be told apart by the share of runs that converge: from {percent(worst.converged)} "
            f"({worst.arm}) to {percent(best.converged)} ({best.arm})."
        )
    as_good, as_bad = (
        [summary.arm for summary in ranked if summary is not end and frozenset((summary.arm, end.arm)) not in differ]
        for end in (best, worst)
    )
    return (
        f"{best.arm} converges most often, in {percent(best.converged)} of {best.n} runs{_not_told_apart(as_good)}; "
        f"{worst.arm} least often, in {percent(worst.converged)} of {worst.n}{_not_told_apart(as_bad)}."
    )


def _not_told_apart(arms: list[str]) -> str:
    return f" (not told apart from {', '.join(arms)})" if arms else ""


def _sentences(arms: Arms) -> list[str]:
    """Compare the arm with the shortest mean time with the next arm."""
    if len(arms.summaries) < 2 or arms.is_ranked:
        return []
    if not any(summary.converged.value for summary in arms.summaries):
        return ["No run of any arm converges before its training ends."]
    (unit, *others) = dict.fromkeys(arms.units[summary.arm] for summary in arms.summaries)
    if others or not unit:  # Times in two units are not compared.
        return []
    ranked = sorted(
        arms.summaries, key=lambda summary: (summary.restricted_mean_epochs.value, -summary.converged.value)
    )
    first, second = ranked[:2]
    first_mean, second_mean = (mean_epochs(summary.restricted_mean_epochs, unit) for summary in (first, second))
    pair = next(pair for pair in arms.pairs if {pair.a, pair.b} == {first.arm, second.arm})
    sooner = pair.sooner.value if pair.a == first.arm else 1 - pair.sooner.value
    adjusted = f" after adjusting for {len(arms.pairs)} pairs" if len(arms.pairs) > 1 else ""
    test = f"exact sign test, p {p_value(pair.sooner_p_adjusted)}{adjusted}"
    never = f"runs that never converge count as {pair.comparison.budget:g}"
    beats = f"on the same seed {first.arm} is faster {sooner:.0%} of the time (ties count one half; {test})"
    if not pair.common:
        return []
    if pair.sooner_p_adjusted >= SIGNIFICANT > pair.logrank_p_adjusted:
        return [
            f"{first.arm} takes the shortest time on average, {first_mean}; {second.arm} is next with {second_mean} "
            f"({never}). The curves differ (log-rank test, p {p_value(pair.logrank_p_adjusted)}{adjusted}), but "
            f"neither arm is always ahead: {beats}."
        ]
    if pair.sooner_p_adjusted >= SIGNIFICANT:
        return [
            f"Which arm converges soonest cannot be told: on average {first.arm} takes {first_mean} and {second.arm} "
            f"{second_mean} ({never}); {beats}."
        ]
    if sooner <= 0.5:
        return [
            f"{first.arm} takes the shortest time on average, {first_mean}; {second.arm} is next with {second_mean} "
            f"({never}). But {beats}."
        ]
    return [
        f"{first.arm} converges soonest, after a mean of {first_mean}; {second.arm} is next with {second_mean} "
        f"({never}); {beats}."
    ]


def pair_rows(pairs: list[Pair], untimed: Collection[str] = ()) -> list[tuple[str, ...]]:
    """Return the cells of `COLUMNS`, as text; arms whose convergence has no time have no mean."""
    return [
        (
            f"{pair.a} and {pair.b}",
            _difference(pair.comparison.share_difference, 100),
            f"{pair.only_a} and {pair.only_b} of {pair.common}",
            "-" if pair.a in untimed else _difference(pair.comparison.restricted_mean_difference),
            _share(pair.sooner) if pair.common else "-",
            "< 0.001" if pair.sooner_p_adjusted < 0.001 else f"{pair.sooner_p_adjusted:.3f}",
        )
        for pair in pairs
    ]


def _share(estimate: Estimate) -> str:
    return f"{estimate.value:.0%} [{estimate.low:.0%}, {estimate.high:.0%}]"


def _difference(estimate: Estimate, scale: float = 1.0) -> str:
    value, low, high = (scale * number for number in estimate[:3])
    return f"{value:+.0f} [{low:+.0f}, {high:+.0f}]"


def _block(arms: Arms) -> Block | None:
    if not 0 < len(arms.pairs) <= MOST_PAIRS:
        return None
    untimed = [arm for arm, unit in arms.units.items() if not unit]
    cells = pair_rows(arms.pairs, untimed)
    units = set(arms.units.values()) - {""}
    columns = [*COLUMNS]
    if units != {"epoch"}:
        columns[MEAN] = Column(f"mean {units.pop()}s" if len(units) == 1 else "mean time")
    return Block("Every pair of arms", table=Table("Table of pairs of arms", columns, cells), note=NOTE)


def _tables(arms: Arms) -> dict[str, list[Pair]]:
    return {"pairs": arms.pairs}


def _numbers(arms: Arms) -> dict[str, Any]:
    return {"pairs": arms.pairs}


SECTION = Section(
    "pairs", _compute, answer=_answer, sentences=_sentences, block=_block, tables=_tables, numbers=_numbers
)
