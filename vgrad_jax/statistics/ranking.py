"""Ranking of arms: which arm could be the best, and which cannot.

    all arms ─► learns most often ─► of these, the shortest mean time ─► of these, the best final score

An arm that is seen to learn less often than another one is left out. All pairs of arms are compared, with Bonferroni's
correction (1936) for their number. With a confidence of 95 %, no arm that learns most often is left out. Later stages
order arms that cannot be told apart by their shares. They are no statement on the shares.
"""

from itertools import permutations
from typing import TYPE_CHECKING, NamedTuple

from vgrad_jax.statistics.contrasts import Contrasts
from vgrad_jax.statistics.factors import contrasts_of
from vgrad_jax.statistics.intervals import Estimate, bonferroni
from vgrad_jax.statistics.run_outcomes import outcomes

if TYPE_CHECKING:
    import xarray

__all__ = ["RankedArm", "Ranking", "rank_arms", "ranked"]


class RankedArm(NamedTuple):
    """An arm in a ranking."""

    arm: str
    share: Estimate
    time: Estimate
    """Mean time within the budget; absent where arms count no common time."""
    score: Estimate
    """Mean final score; absent where an arm has none."""
    learns_most: bool
    """True if no other arm is seen to converge in a larger share of runs."""
    fastest: bool
    """True if, among the arms that may converge most, none is seen to take a shorter mean time."""
    best: bool
    """True if, among those that may be the fastest, none is seen to have a better final score."""


class Ranking(NamedTuple):
    """Arms, the best first."""

    arms: tuple[RankedArm, ...]
    unit: str
    """Unit of the times; empty where arms count no common time."""


def rank_arms(results: "xarray.Dataset") -> Ranking:
    """Rank the arms of a sweep whose runs can converge.

    Arms are paired by seed. Times are within the smallest budget.

    Raises:
        InputError: an arm without a finished run.
    """
    return ranked(contrasts_of(results, outcomes(results)))


def ranked(contrasts: Contrasts) -> Ranking:
    """Rank arms by share, then time, then score."""
    arms = list(contrasts.ends)
    units = {own.unit for own in contrasts.ends.values()}
    timed, scored = len(units) == 1 and "" not in units, all(arm in contrasts.scores for arm in arms)
    z = bonferroni(len(arms) * (len(arms) - 1) // 2)
    most = [arm for arm in arms if not _beaten(contrasts, "share", arm, arms, z)]
    fastest = [arm for arm in most if not (timed and _beaten(contrasts, "time", arm, most, z))]
    best = [arm for arm in fastest if not (scored and _beaten(contrasts, "score", arm, fastest, z))]
    rows = [
        RankedArm(
            arm,
            contrasts.share({arm: 1}),
            contrasts.time({arm: 1}),
            contrasts.score({arm: 1}),
            arm in most,
            arm in fastest,
            arm in best,
        )
        for arm in arms
    ]
    return Ranking(tuple(sorted(rows, key=lambda row: _key(row, timed, scored))), units.pop() if timed else "")


def _beaten(contrasts: Contrasts, measure: str, arm: str, others: list[str], z: float) -> bool:
    """Return whether another arm is seen to be better: a larger share or score, or a shorter time."""
    sum_of = getattr(contrasts, measure)
    better = (sum_of({other: 1, arm: -1}, z=z) for own, other in permutations(others, 2) if own == arm)
    return any(change.high < 0 if measure == "time" else change.low > 0 for change in better)


def _key(row: RankedArm, timed: bool, scored: bool) -> tuple[bool, bool, bool, float, float, float]:
    """Return the sort key of an arm: arms that may be the best first, then by the estimates."""
    return (
        not row.best,
        not row.fastest,
        not row.learns_most,
        -row.share.value,
        row.time.value if timed else 0.0,
        -row.score.value if scored else 0.0,
    )
