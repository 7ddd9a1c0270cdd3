"""Contrasts of arms: weighted sums of their shares, times and scores, with intervals that use the common seeds.

Run k of every arm has the same key, so that arms are correlated. The correlation is measured over seeds and enters the
intervals.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from itertools import combinations
from typing import NamedTuple

import numpy as np

from vgrad_jax.numerics import Z
from vgrad_jax.statistics.intervals import ABSENT, Estimate, contrast, mean, share
from vgrad_jax.statistics.run_outcomes import Outcomes
from vgrad_jax.statistics.survival import restricted_mean

__all__ = ["Contrasts", "Effect", "correlations"]


class Effect(NamedTuple):
    """The effect of a change."""

    share: Estimate
    """Change of the share that converges: positive where more runs do."""
    restricted_mean: Estimate
    """Change of the mean epochs within the budget: negative where runs converge sooner."""


class Contrasts:
    """Arms whose weighted sums have intervals.

    Args:
        ends: arm name to the endings of its runs.
        scores: arm name to a score for each of the same runs, such as the final test accuracy; arms may lack it.
    """

    def __init__(self, ends: Mapping[str, Outcomes], scores: Mapping[str, np.ndarray] | None = None) -> None:
        self.ends, self.scores = ends, scores or {}
        self._estimates: dict[tuple[str, str, float], Estimate] = {}
        self._index = {arm: index for index, arm in enumerate(ends)}

    def effect(self, weights: Mapping[str, float | int], *, z: float = Z) -> Effect:
        """Return the weighted sums of shares and of mean times.

        Args:
            weights: arm name to weight.
            z: standard errors on either side; the default has a level of 95 %.
        """
        return Effect(self.share(weights, z=z), self.time(weights, z=z))

    def share(self, weights: Mapping[str, float | int], *, z: float = Z) -> Estimate:
        """Return the weighted sum of the shares that converge; arguments as `effect`."""
        return self._sum(weights, [self._share(arm, z) for arm in weights], self._of_shares)

    def time(self, weights: Mapping[str, float | int], *, z: float = Z) -> Estimate:
        """Return the weighted sum of the mean times within the budget; absent where an arm has no time."""
        if any(not self.ends[arm].unit for arm in weights):
            return ABSENT
        return self._sum(weights, [self._time(arm, z) for arm in weights], self._of_times)

    def score(self, weights: Mapping[str, float | int], *, z: float = Z) -> Estimate:
        """Return the weighted sum of the mean scores; absent where an arm has none."""
        if any(arm not in self.scores for arm in weights):
            return ABSENT
        return self._sum(weights, [self._score(arm, z) for arm in weights], self._of_scores)

    def _share(self, arm: str, z: float) -> Estimate:
        own = self.ends[arm]
        return self._held("share", arm, z, lambda: share(int(own.converged.sum()), len(own.seeds), z=z))

    def _time(self, arm: str, z: float) -> Estimate:
        own = self.ends[arm]
        return self._held("time", arm, z, lambda: restricted_mean(own.times, own.converged, own.budget, z=z))

    def _score(self, arm: str, z: float) -> Estimate:
        return self._held("score", arm, z, lambda: mean(self.scores[arm], z=z))

    def _held(self, measure: str, arm: str, z: float, compute: Callable[[], Estimate]) -> Estimate:
        """Return an estimate of a single arm, which many contrasts need, and keep it."""
        key = measure, arm, z
        if key not in self._estimates:
            self._estimates[key] = compute()
        return self._estimates[key]

    @cached_property
    def _of_shares(self) -> tuple[np.ndarray, np.ndarray]:
        return correlations(list(self.ends.values()), [arm.converged for arm in self.ends.values()])

    @cached_property
    def _of_times(self) -> tuple[np.ndarray, np.ndarray]:
        return correlations(list(self.ends.values()), [arm.times for arm in self.ends.values()])

    @cached_property
    def _of_scores(self) -> tuple[np.ndarray, np.ndarray]:
        # An arm without scores takes part in no contrast of scores.
        values = [self.scores.get(arm, np.zeros(len(ends.seeds))) for arm, ends in self.ends.items()]
        return correlations(list(self.ends.values()), values)

    def _sum(
        self, weights: Mapping[str, float | int], estimates: Sequence[Estimate], related: tuple[np.ndarray, np.ndarray]
    ) -> Estimate:
        chosen = np.ix_(*[[self._index[arm] for arm in weights]] * 2)
        plain, cautious = (matrix[chosen] for matrix in related)
        coefficients = list(weights.values())
        # A correlation of arms that are subtracted narrows an interval, so there the cautious one is taken.
        subtracted = np.multiply.outer(coefficients, coefficients) < 0
        return contrast(coefficients, estimates, np.where(subtracted, cautious, plain))


def correlations(arms: Sequence[Outcomes], values: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Compute correlations of the arms' means, from runs with the same seed.

    Returns:
        The correlations, and cautious ones. For those a positive covariance is reduced by half of the most that a
        single run can add to it. This is Newcombe's correction (1998, "Improved confidence intervals for the difference
        between binomial proportions based on paired data", method 10). Without it a few pairs that happen to be alike
        would seem to know their difference exactly.
    """
    plain, lower = np.eye(len(arms)), np.eye(len(arms))
    for i, j in combinations(range(len(arms)), 2):
        common, at_i, at_j = np.intersect1d(arms[i].seeds, arms[j].seeds, return_indices=True)
        x, y = values[i][at_i].astype(np.float64), values[j][at_j].astype(np.float64)
        if len(common) > 2 and np.ptp(x) > 0 and np.ptp(y) > 0:
            overlap = len(common) / (len(values[i]) * len(values[j])) ** 0.5
            covariance, spread = np.mean((x - x.mean()) * (y - y.mean())), x.std() * y.std()
            plain[i, j] = plain[j, i] = overlap * covariance / spread
            reduced = max(covariance - np.ptp(x) * np.ptp(y) / (2 * len(common)), 0.0) if covariance > 0 else covariance
            lower[i, j] = lower[j, i] = overlap * reduced / spread
    return plain, lower
