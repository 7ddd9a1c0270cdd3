"""Race of candidates on common seeds, with a stated chance of error.

    round of seeds ─► outcomes in [0, 1] ─► paired differences ─► evidence ─► who is worse, who works, who cannot

Evidence is the wealth of a bet that starts at 1. Let differences d in [-1, 1] have a mean of zero or less, and let p be
in [1/2, 1]. Each gain multiplies the wealth by `(2 p)^d`, and each loss by `(2 - 2 p)^(-d)`. Each factor is at most
`1 + (2 p - 1) d`, since an exponential is convex. The wealth is therefore a supermartingale. The mixture over a uniform
p is one as well. By Ville's
inequality (1939) it ever reaches 1 / a with a chance of at most a. So the race may look after every round. For runs
that converge or do not, it is the beta-binomial mixture of Howard et al. 2021 (arXiv:1810.08240) for the pairs whose
outcomes differ: a sequential form of McNemar's test. Waudby-Smith and Ramdas 2024 (arXiv:2010.09686) bet on bounded
outcomes in this way.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from vgrad_jax.numerics import LEVEL

__all__ = ["ERROR", "Race", "is_below", "log_evidence", "run_race", "upper_bound"]

ERROR = round(1 - LEVEL, 12)
"""Chance that the true best candidate is dropped; and, apart from it, that a candidate is wrongly said to work."""

Outcomes = Float[np.ndarray, " seed"]


def log_evidence(differences: Float[np.ndarray, "*arms seed"]) -> Float[np.ndarray, "*arms"]:
    """Compute the natural logarithm of the evidence that differences have a mean above zero.

    Args:
        differences: `(..., seed)`, in [-1, 1].

    >>> bool(log_evidence(np.ones(16)) > np.log(1000)), float(log_evidence(np.zeros(16)))
    (True, 0.0)
    """
    from scipy.special import betainc, betaln

    gains = np.maximum(differences, 0.0).sum(axis=-1) + 1.0
    losses = np.maximum(-differences, 0.0).sum(axis=-1) + 1.0
    # The mixture is 2 * integral over p in [1/2, 1] of (2 p)^gains (2 - 2 p)^losses.
    with np.errstate(divide="ignore"):  # A bet that is lost for good underflows to zero.
        upper_half = np.log(betainc(losses, gains, 0.5))
    return np.asarray(np.log(2.0) * (gains + losses - 1.0) + betaln(gains, losses) + upper_half)


def is_below(outcomes: Outcomes, mean: float, error: float) -> bool:
    """Return whether `upper_bound` of the outcomes is below a mean in (0, 1].

    >>> is_below(np.zeros(8), 0.75, 0.05), is_below(np.zeros(8), 0.4, 0.05)
    (True, False)
    """
    from scipy.special import betaln, xlog1py, xlogy

    good, n = float(np.sum(outcomes)), len(outcomes)
    if good >= mean * n:
        return False
    return bool(xlogy(good, mean) + xlog1py(n - good, -mean) < np.log(error) + betaln(good + 1, n - good + 1))


def upper_bound(outcomes: Outcomes, error: float) -> float:
    """Compute a time-uniform upper bound of the mean of outcomes in [0, 1].

    It inverts the beta-binomial mixture of `vgrad_jax.statistics.time_uniform`, which also holds for fractions, since
    an exponential is convex.

    Args:
        outcomes: of the seeds so far.
        error: chance that the bound is ever below the mean.

    >>> round(upper_bound(np.zeros(8), 0.05), 2)
    0.48
    """
    from scipy.optimize import brentq
    from scipy.special import betaln, xlog1py, xlogy

    good, n = float(np.sum(outcomes)), len(outcomes)
    least = np.log(error) + betaln(good + 1, n - good + 1)

    def beyond(mean: float) -> float:
        return float(xlogy(good, mean) + xlog1py(n - good, -mean) - least)

    start, end = good / n if n else 0.0, 1 - 1e-12
    return 1.0 if beyond(end) >= 0 else float(brentq(beyond, start, end))


@dataclass
class Race:
    """State of a race.

    Args:
        control: outcomes of the untouched network, in [0, 1], for all seeds that candidates may have.
        most: largest number of candidates that are ever entered; the error is divided among them.
        enough: mean outcome that a candidate must reach to work.
    """

    control: Outcomes
    most: int
    enough: float
    outcomes: dict[str, np.ndarray] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    worse: dict[str, str] = field(default_factory=dict)
    """Name of each candidate that is out of the running for the best, to the one that is better."""
    hopeless: dict[str, float] = field(default_factory=dict)
    """Name of each candidate that cannot reach `enough`, to the bound of its mean."""
    proven: set[str] = field(default_factory=set)
    """Candidates whose mean is proven to be above that of the untouched network."""

    lost: set[str] = field(default_factory=set)
    """Candidates whose runs do not keep at the end what they had reached; they do not work."""

    def enter(self, sizes: Mapping[str, int]) -> None:
        """Add candidates, each with the size of its change."""
        assert len(self.sizes) + len(sizes) <= self.most
        self.sizes |= sizes
        self.outcomes |= {name: np.zeros(0) for name in sizes}

    @property
    def running(self) -> list[str]:
        """Names of the candidates that train another round, in the order of entry."""
        smallest = min((self.sizes[name] for name in self.working), default=None)

        def may_be_smallest(name: str) -> bool:
            return name not in self.proven and (smallest is None or self.sizes[name] < smallest)

        return [
            name
            for name, outcomes in self.outcomes.items()
            if len(outcomes) < len(self.control)
            and name not in self.hopeless
            and (name not in self.worse or may_be_smallest(name))
        ]

    @property
    def working(self) -> list[str]:
        """Names of the candidates that work: proven to be better than the untouched network, with enough runs."""
        kept = self.proven - self.lost
        return [name for name in self.outcomes if name in kept and self.outcomes[name].mean() >= self.enough]

    @property
    def in_the_running(self) -> list[str]:
        """Names of the candidates of which none is proven to be worse than another."""
        return [name for name in self.outcomes if name not in self.worse and name not in self.hopeless]

    def add(self, outcomes: Mapping[str, Sequence[float] | np.ndarray]) -> None:
        """Add a round of outcomes and judge.

        Args:
            outcomes: name of each candidate that trained to the outcomes of its next seeds.
        """
        for name, new in outcomes.items():
            self.outcomes[name] = np.concatenate([self.outcomes[name], np.asarray(new, float)])
        names = list(self.outcomes)
        values, is_run = self._padded(names)
        against_control = np.where(is_run, values - self.control[: values.shape[1]], 0.0)
        better = log_evidence(against_control) >= -np.log(ERROR / self.most)
        self.proven |= {name for name, is_better in zip(names, better, strict=True) if is_better}
        for name, own in outcomes.items():
            if len(own) and is_below(self.outcomes[name], self.enough, ERROR / 2 / self.most):
                self.hopeless[name] = upper_bound(self.outcomes[name], ERROR / 2 / self.most)
        # Seeds that one of two lacks have the difference zero, which is no evidence.
        pairs = np.where(is_run[:, None] & is_run[None], values[:, None] - values[None], 0.0)
        evidence = log_evidence(pairs)
        for index, name in enumerate(names):
            best = int(np.argmax(evidence[:, index]))
            if name not in self.worse and evidence[best, index] >= -np.log(ERROR / 2 / self.most):
                self.worse[name] = names[best]

    def _padded(self, names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Return the outcomes as one array `(candidate, seed)`, and where there are any."""
        lengths = np.array([len(self.outcomes[name]) for name in names])
        values = np.zeros((len(names), lengths.max()))
        for row, name in zip(values, names, strict=True):
            row[: len(self.outcomes[name])] = self.outcomes[name]
        return values, np.arange(lengths.max()) < lengths[:, None]


def run_race(race: Race, train: Callable[[list[str], int, int], Mapping[str, np.ndarray]], step: int) -> None:
    """Train rounds until every candidate is decided or has all seeds.

    Args:
        race: with its candidates entered.
        train: function of names, the first seed and the number of seeds, to each name's outcomes.
        step: seeds of a round.
    """
    while names := race.running:
        starts: dict[int, list[str]] = {}
        for name in names:
            starts.setdefault(len(race.outcomes[name]), []).append(name)
        start = min(starts)
        race.add(train(starts[start], start, min(step, len(race.control) - start)))
