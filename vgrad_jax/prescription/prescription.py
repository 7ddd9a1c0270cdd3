"""Prescription: what was wrong, what was tried, and what works."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from vgrad_jax.diagnosis import TABLE, Diagnosis
from vgrad_jax.experiment import Experiment
from vgrad_jax.numerics import json_value
from vgrad_jax.prescription.candidates import Candidate, LeftOut
from vgrad_jax.prescription.racing import Race
from vgrad_jax.prescription.trials import Work
from vgrad_jax.statistics.intervals import Estimate
from vgrad_jax.statistics.time_uniform import confidence_sequence
from vgrad_jax.wording import counted

__all__ = ["Prescription", "Tried", "share_of", "tried"]


class Tried(NamedTuple):
    """Network that was trained over seeds, and what came of it."""

    name: str
    sentence: str
    """Imperative for people; empty for the untouched network."""
    share: Estimate
    """Share of the runs that converge, with a time-uniform 95 % interval, and the number of seeds."""
    score: float
    """Mean accuracy on the test rows at the end, in [0, 1]; NaN for a function."""
    works: bool
    """True where the change mends the network, as `prescribe` defines it."""
    fate: str
    """Why the race ended for it."""
    size: int = 0
    """Size of the change, see `vgrad_jax.prescription.cabinet.Remedy`; 0 for the untouched network."""
    experiment: Experiment | None = None
    """Changed experiment; None for a function."""
    cannot: str = ""
    """Sentence on what the change cannot cure."""
    source: str = ""

    @property
    def words(self) -> str:
        """Sentence with the numbers."""
        share, low, high, n = self.share
        score = "" if np.isnan(self.score) else f"; mean test score {self.score:.2f}"
        return f"{self.sentence or self.name}: {share:.0%} of {n} runs converge [{low:.0%}, {high:.0%}]{score}"


@dataclass(frozen=True)
class Prescription:
    """Answer on a network that may be sick: the verdict, the changes that were tried, and those that mend it."""

    untouched: Tried
    verdict: Diagnosis | None
    """Verdict on the untouched network's runs that do not converge; None for a function without a record."""
    refusal: str
    """Why the untouched network cannot be trained at all; empty where it can."""
    tried: tuple[Tried, ...]
    """Changes that were tried, those that work first, then by their share of runs that converge."""
    left_out: tuple[LeftOut, ...]
    """Remedies that were not tried, each with the reason."""
    smallest: Tried | None
    """The smallest change that works."""
    best: Tried | None
    """The change that works with the most runs that converge; of those that cannot be told apart, the highest score."""
    rivals: tuple[str, ...]
    """Changes that cannot be told apart from the best at the stated error."""
    enough: float
    """Share of runs that must converge."""
    was_fine: bool
    """True where the untouched network reached `enough`: nothing was tried."""
    interrupted: bool = False
    """True where Ctrl-C ended the race early."""

    @property
    def helps(self) -> bool:
        """True where something works, or nothing was wrong."""
        return self.was_fine or self.smallest is not None

    @property
    def closest(self) -> Tried | None:
        """Change with the largest share, where some were tried and none works."""
        return self.tried[0] if self.tried and self.smallest is None else None

    def sentences(self) -> Iterator[str]:
        """Yield the answer: what is wrong, the smallest change that works, and the best one."""
        share, low, high, n = self.untouched.share
        if self.was_fine:
            yield f"Nothing to mend: {share:.0%} of {n} runs converge as it is [{low:.0%}, {high:.0%}]."
            return
        if self.refusal:
            yield f"The network cannot be trained as it is: {self.refusal}."
        else:
            yield f"As it is, {share:.0%} of {n} runs converge [{low:.0%}, {high:.0%}]; {self.enough:.0%} are enough."
        if self.verdict is not None:
            meaning = TABLE[self.verdict.status].meaning if self.verdict.status in TABLE else ""
            yield f"Verdict on the runs that do not: {self.verdict.status}. {meaning}".strip()
            yield from (f"Evidence: {finding.sentence}" for finding in self.verdict.findings[:2])
        if self.smallest is None:
            yield f"Nothing works among {counted(len(self.tried), 'change')} that were tried."
            if self.closest is not None and self.closest.share.value > self.untouched.share.value:
                yield f"The closest, which is not proven: {self.closest.words}."
        else:
            yield f"The smallest change that works: {self.smallest.words}."
            assert self.best is not None
            yield f"The best: {self.best.words}."
            if self.rivals:
                yield f"Cannot be told apart from the best: {', '.join(self.rivals)}."
        if self.interrupted:
            yield "The race was interrupted: later seeds and pairs were not tried."

    def __str__(self) -> str:
        return "\n".join(self.sentences())

    def to_dict(self) -> dict[str, Any]:
        """Return plain values that JSON can hold; an experiment is a nested dictionary."""
        return dict(
            json_value(
                {
                    "format": "vgrad_jax prescription 1",
                    "was_fine": self.was_fine,
                    "helps": self.helps,
                    "enough": self.enough,
                    "interrupted": self.interrupted,
                    "refusal": self.refusal,
                    "untouched": _plain(self.untouched),
                    "verdict": None if self.verdict is None else self.verdict.to_dict(),
                    "smallest": None if self.smallest is None else self.smallest.name,
                    "best": None if self.best is None else self.best.name,
                    "rivals": list(self.rivals),
                    "tried": [_plain(row) for row in self.tried],
                    "left_out": [row._asdict() for row in self.left_out],
                    "sentences": list(self.sentences()),
                }
            )
        )


def _plain(row: Tried) -> dict[str, Any]:
    values = row._asdict()
    return {**values, "experiment": None if row.experiment is None else row.experiment.to_dict()}


def share_of(work: Work) -> Estimate:
    """Return the share of runs that converge, with a time-uniform 95 % interval."""
    n, good = len(work.converged), int(work.converged.sum())
    low, high = confidence_sequence(np.array([good]), np.array([n]))
    return Estimate(good / max(n, 1), float(low[0]), float(high[0]), n)


def tried(candidate: Candidate, work: Work, race: Race) -> Tried:
    """Return what came of a candidate in a race."""
    works = candidate.name in race.working
    return Tried(
        candidate.name,
        candidate.sentence,
        share_of(work),
        float(np.mean(work.test_score)),
        works,
        _fate(candidate.name, race, works),
        candidate.size,
        candidate.experiment,
        " ".join(dict.fromkeys(remedy.cannot for remedy in candidate.remedies)),
        candidate.source,
    )


def _fate(name: str, race: Race, works: bool) -> str:
    n = len(race.outcomes[name])
    if name in race.hopeless:
        return f"dropped after {n} seeds: at most {race.hopeless[name]:.0%} can converge, {race.enough:.0%} are asked"
    if name in race.worse:
        also = "works, but " if works else ""
        return f"{also}{race.worse[name]} is better, shown after {n} seeds"
    if works:
        return "works"
    if name in race.proven & race.lost:
        return "runs converge, but lose it again before the end"
    if name in race.proven:
        return f"helps, but fewer than {race.enough:.0%} of the runs converge"
    return f"not shown to be better than the untouched network within {n} seeds"
