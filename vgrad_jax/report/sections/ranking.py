"""Ranking: which arms could be the best, and which cannot."""

from typing import Any

from vgrad_jax.report.section import Block, Column, Section, Table
from vgrad_jax.report.study import Study
from vgrad_jax.report.words import percent
from vgrad_jax.statistics.intervals import Estimate
from vgrad_jax.statistics.ranking import RankedArm, Ranking, rank_arms
from vgrad_jax.wording import counted

__all__ = ["SECTION"]

MOST_NAMED = 4
"""Most arms that a sentence names."""

NOTE = (
    "An arm is left out where another one is seen to learn more often. Arms that cannot be told apart by that are "
    "ordered by the mean time, and then by the final test accuracy, where a difference is seen. All pairs are compared "
    "on common seeds, and their intervals hold together at 95 %. The intervals in the table are of each arm alone."
)


def _compute(study: Study) -> Ranking | None:
    """Return the ranking of a grid's arms; the article and two arms are compared by pairs."""
    return rank_arms(study.results) if study.by_factor and len(study.outcomes) > 2 else None


def _sentences(ranking: Ranking) -> list[str]:
    count, best = len(ranking.arms), [row for row in ranking.arms if row.best]
    first = best[0]
    if len(best) == 1:
        among = sum(row.learns_most for row in ranking.arms)
        why = "it learns most often" if among == 1 else f"of {among} that are not told apart by how often they learn"
        return [f"First of the {count} arms is {first.arm} ({why}): {_numbers_of(first, ranking.unit)}."]
    if len(best) == count:
        return [f"No arm is seen to be better than another: each of the {count} could be the best."]
    return [
        f"{len(best)} of the {count} arms come first and cannot be told apart ({_named([row.arm for row in best])}). "
        f"Of these, {first.arm} has the best numbers: {_numbers_of(first, ranking.unit)}."
    ]


def _numbers_of(row: RankedArm, unit: str) -> str:
    parts = [f"{percent(row.share)} of its runs learn"]
    if unit:
        parts.append(f"after a mean of {counted(row.time.value, unit, form='.1f')}")
    if row.score.n:
        parts.append(f"with a final test accuracy of {row.score.value:.1%}")
    return ", ".join(parts)


def _named(arms: list[str]) -> str:
    more = f" and {len(arms) - MOST_NAMED} more" if len(arms) > MOST_NAMED else ""
    return f"{'; '.join(arms[:MOST_NAMED])}{more}"


def _block(ranking: Ranking) -> Block:
    scored = any(row.score.n for row in ranking.arms)
    columns = [Column("arm"), Column("learns"), *([Column(f"mean {ranking.unit}s")] if ranking.unit else [])]
    columns += [Column("final accuracy")] if scored else []
    columns.append(Column("comes first", of_words=True))
    rows = [
        [
            row.arm,
            percent(row.share),
            *([_cell(row.time)] if ranking.unit else []),
            *([percent(row.score)] if scored else []),
            _verdict(row),
        ]
        for row in ranking.arms
    ]
    return Block("Which arm is best", table=Table("Ranking of the arms", columns, rows), note=NOTE)


def _verdict(row: RankedArm) -> str:
    if row.best:
        return "yes"
    return "no: learns less often" if not row.learns_most else "no: slower" if not row.fastest else "no: less accurate"


def _cell(estimate: Estimate) -> str:
    return f"{estimate.value:.1f} [{estimate.low:.1f}, {estimate.high:.1f}]" if estimate.n else "-"


def _tables(ranking: Ranking) -> dict[str, list[Any]]:
    return {"ranking": list(ranking.arms)}


def _numbers(ranking: Ranking) -> dict[str, Any]:
    return {"ranking": ranking.arms}


SECTION = Section("ranking", _compute, sentences=_sentences, block=_block, tables=_tables, numbers=_numbers)
