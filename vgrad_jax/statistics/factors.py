"""Effects of the factors of any set of arms: any number of factors, with any number of levels.

    arms ─► fields that differ ─► factors and levels ─► steps from level to level, averaged over the other factors

A step from one level to another is measured in every combination of the other factors in which both levels have an
arm. Its effect is the mean over these combinations. So a grid with holes is used as far as it goes.
"""

from collections.abc import Collection, Sequence
from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from vgrad_jax.results.reading import own_values
from vgrad_jax.statistics.contrasts import Contrasts
from vgrad_jax.statistics.factorial import factors_of_arms
from vgrad_jax.statistics.intervals import ABSENT, Estimate, bonferroni
from vgrad_jax.statistics.levels import Factor, cells_of, factors_in
from vgrad_jax.statistics.run_outcomes import outcomes

if TYPE_CHECKING:
    import xarray

__all__ = [
    "FactorEffects",
    "GridEffects",
    "Interaction",
    "Level",
    "Step",
    "contrasts_of",
    "final_scores",
    "grid_effects",
]

NOTICEABLE = 0.1
"""Change of a share by which an interaction is worth a sentence: 10 points."""


class Step(NamedTuple):
    """Change of a factor from one level to another, averaged over combinations of the other factors."""

    start: str
    target: str
    combinations: int
    """Number of combinations of the other factors in which both levels have an arm."""
    share: Estimate
    """Change of the share that converges; the intervals of a factor's steps hold together."""
    time: Estimate
    """Change of the mean time within the budget; absent where the arms count no common time."""
    score: Estimate
    """Change of the mean final score."""


class Level(NamedTuple):
    """Level of a factor, averaged over the arms that have it."""

    name: str
    arms: int
    share: Estimate
    time: Estimate
    score: Estimate


class FactorEffects(NamedTuple):
    """A factor with its levels and the steps between them."""

    factor: str
    levels: tuple[Level, ...]
    steps: tuple[Step, ...]
    """Every pair of levels, from the level with the smaller share; the largest change of the share first."""
    combinations: int
    """Number of all combinations of the other factors."""

    @property
    def measure(self) -> str:
        """The first of "share", "time" and "score" in which a step is seen to matter; "" where none is."""
        for measure in ("share", "time", "score"):
            if any(getattr(step, measure).excludes_zero for step in self.steps):
                return measure
        return ""

    @property
    def largest(self) -> Step:
        """The step with the largest change of `measure`; of the share where nothing is seen to matter."""
        measure = self.measure or "share"
        seen = [step for step in self.steps if getattr(step, measure).excludes_zero] or self.steps
        return max(seen, key=lambda step: abs(getattr(step, measure).value))


class Interaction(NamedTuple):
    """Two factors of which one changes what the other does."""

    first: str
    second: str
    step: Step
    """Largest step of the first factor, averaged over all combinations."""
    start: str
    """Level of the second factor."""
    target: str
    """Another level of the second factor."""
    at_start: Estimate
    """Change of the share by the step where the second factor is at `start`."""
    at_target: Estimate
    excess: Estimate
    """`at_target` minus `at_start`; the intervals of all pairs of factors hold together."""


class GridEffects(NamedTuple):
    """Effects of all factors of a set of arms."""

    factors: tuple[FactorEffects, ...]
    """The factor that matters most first."""
    interactions: tuple[Interaction, ...]
    """Interactions that are seen, and are not small."""
    budget: float
    """Time within which the arms are compared."""
    unit: str
    """Unit of the time; empty where the arms count no common time."""


def grid_effects(results: "xarray.Dataset") -> GridEffects | None:
    """Compute the effect of every factor of a sweep's arms.

    Args:
        results: of a sweep.

    Returns:
        None where arms differ in nothing, or no two of them differ in a single factor.

    Raises:
        InputError: an arm without a finished run.
    """
    arms = factors_of_arms(results)
    factors = factors_in(arms)
    contrasts = contrasts_of(results, arms)
    ends = contrasts.ends
    units = {own.unit for own in ends.values()}
    effects = [_effects(contrasts, factors, factor, timed=len(units) == 1) for factor in factors]
    seen = sorted((own for own in effects if own is not None), key=_importance, reverse=True)
    if not seen:
        return None
    return GridEffects(
        factors=tuple(seen),
        interactions=tuple(_interactions(contrasts, factors, seen)),
        budget=max(own.budget for own in ends.values()),
        unit=units.pop() if len(units) == 1 else "",
    )


def contrasts_of(results: "xarray.Dataset", arms: Collection[str]) -> Contrasts:
    """Return the contrasts of some arms.

    Where their budgets differ, each arm has its own, and times are not compared: a longer training is a choice, too.
    """
    ends = {arm: own for arm, own in outcomes(results).items() if arm in arms}
    if len({own.budget for own in ends.values()}) > 1:
        ends = {arm: own._replace(unit="") for arm, own in ends.items()}
    return Contrasts(ends, {arm: values for arm in ends if (values := final_scores(results, arm)) is not None})


def final_scores(results: "xarray.Dataset", arm: str) -> np.ndarray | None:
    """Return an arm's test accuracies after the last epoch, `(runs,)`; None where one is missing or not finite."""
    accuracy = own_values(results, arm, "test_accuracy")
    if accuracy is None or accuracy.ndim != 2:
        return None
    last: np.ndarray = accuracy.isel({accuracy.dims[1]: -1}).values.astype(np.float64)
    return last if np.isfinite(last).all() else None


def _effects(contrasts: Contrasts, factors: Sequence[Factor], factor: Factor, *, timed: bool) -> FactorEffects | None:
    """Return the levels and steps of a factor; None where no two arms differ in it alone."""
    cells = cells_of(factors, factor, contrasts.ends)
    z = bonferroni(len(factor.levels) * (len(factor.levels) - 1) // 2)
    steps = []
    for start, target in combinations(factor.levels, 2):
        common = [levels for levels in cells.values() if start in levels and target in levels]
        if common:
            steps.append(_step(contrasts, start, target, [(c[start], c[target]) for c in common], timed=timed, z=z))
    if not steps:
        return None
    levels = [_level(contrasts, factor, level, timed=timed) for level in factor.levels]
    return FactorEffects(
        factor.name,
        tuple(level for level in levels if level is not None),
        tuple(sorted(steps, key=lambda step: abs(step.share.value), reverse=True)),
        len(cells),
    )


def _step(
    contrasts: Contrasts, start: str, target: str, pairs: Sequence[tuple[str, str]], *, timed: bool, z: float
) -> Step:
    """Return a step, from the level with the smaller share, or else with the longer time."""
    weights = _difference(pairs)
    change = contrasts.share(weights, z=z)
    time = contrasts.time(weights, z=z) if timed else ABSENT
    if (change.value, -time.value if np.isfinite(time.value) else 0.0) < (0.0, 0.0):
        return _step(contrasts, target, start, [(b, a) for a, b in pairs], timed=timed, z=z)
    return Step(start, target, len(pairs), change, time, contrasts.score(weights, z=z))


def _difference(pairs: Sequence[tuple[str, str]]) -> dict[str, float]:
    """Return the weights of the mean difference of pairs of arms, the second less the first."""
    return {arm: sign / len(pairs) for pair in pairs for arm, sign in zip(pair, (-1.0, 1.0), strict=True)}


def _level(contrasts: Contrasts, factor: Factor, level: str, *, timed: bool) -> Level | None:
    arms = [arm for arm in contrasts.ends if factor.of[arm] == level]
    if not arms:
        return None
    weights = dict.fromkeys(arms, 1 / len(arms))
    time = contrasts.time(weights) if timed else ABSENT
    return Level(level, len(arms), contrasts.share(weights), time, contrasts.score(weights))


def _interactions(
    contrasts: Contrasts, factors: Sequence[Factor], effects: Sequence[FactorEffects]
) -> list[Interaction]:
    """Return the interactions of pairs of factors, by the largest step of each, that are seen and are not small."""
    by_name = {factor.name: factor for factor in factors}
    z = bonferroni(len(effects) * (len(effects) - 1) // 2)
    seen = []
    for first, second in combinations(effects, 2):
        step, other = first.largest, second.largest
        at = {
            level: _pairs_at(contrasts, factors, by_name[first.factor], step, by_name[second.factor], level)
            for level in (other.start, other.target)
        }
        common = set(at[other.start]) & set(at[other.target])
        if not common:
            continue
        before, after = (
            _difference([at[level][key] for key in sorted(common)]) for level in (other.start, other.target)
        )
        excess = contrasts.share({**after, **{arm: -weight for arm, weight in before.items()}}, z=z)
        if excess.excludes_zero and abs(excess.value) >= NOTICEABLE:
            changes = contrasts.share(before), contrasts.share(after)
            seen.append(Interaction(first.factor, second.factor, step, other.start, other.target, *changes, excess))
    return seen


def _pairs_at(
    contrasts: Contrasts, factors: Sequence[Factor], factor: Factor, step: Step, other: Factor, level: str
) -> dict[tuple[str, ...], tuple[str, str]]:
    """Return combinations of the remaining factors to the two arms of a step where another factor has a level."""
    remaining = [own for own in factors if own is not factor and own is not other]
    cells: dict[tuple[str, ...], dict[str, str]] = {}
    for arm in contrasts.ends:
        if other.of[arm] == level:
            cells.setdefault(tuple(own.of[arm] for own in remaining), {}).setdefault(factor.of[arm], arm)
    return {
        key: (levels[step.start], levels[step.target])
        for key, levels in cells.items()
        if step.start in levels and step.target in levels
    }


def _importance(effects: FactorEffects) -> tuple[int, float]:
    """Return the key by which factors are ranked: the measure in which they matter, then how much."""
    rank = {"share": 3, "time": 2, "score": 1, "": 0}[effects.measure]
    return rank, abs(getattr(effects.largest, effects.measure or "share").value)
