"""Candidates: remedies that apply to a network, in the order in which its diagnosis speaks for them.

Diagnosis ─► status, causes ─┐
CABINET ─────────────────────┼─► single changes, the likeliest first ─► pairs of those that helped
Experiment ──────────────────┘         └─► left out, each with its reason
"""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

from vgrad_jax.diagnosis import Diagnosis
from vgrad_jax.errors import InputError
from vgrad_jax.experiment import Experiment
from vgrad_jax.prescription.cabinet import CABINET, Remedy
from vgrad_jax.sweeps.arms import Trainable
from vgrad_jax.sweeps.experiment_arm import ExperimentArm
from vgrad_jax.training.settings import structure_of

__all__ = ["Candidate", "LeftOut", "pairs", "single_changes"]

MOST_OF_A_KIND = 3
"""Largest number of candidates of a kind, such as activations: they are alike in what they can mend."""

UNASKED = 0.25
"""Share of the candidates for which the diagnosis does not speak, since it may be wrong; the cheapest ones."""

FAR = 100.0
"""Place of a remedy for which the diagnosis does not speak."""


BEFORE_OTHERS = ("initialisation", "activation", "optimizer")
"""Kinds of remedies whose changes come first: they replace fields of which others change one."""


class Candidate(NamedTuple):
    """Change to be tried."""

    name: str
    sentence: str
    """Imperative for people."""
    size: int
    arm: Trainable
    remedies: tuple[Remedy, ...] = ()

    @property
    def source(self) -> str:
        """Papers of its remedies."""
        return "; ".join(dict.fromkeys(remedy.source for remedy in self.remedies))

    @property
    def experiment(self) -> Experiment | None:
        """Changed experiment; None for a function."""
        return self.arm.experiment if isinstance(self.arm, ExperimentArm) else None


class LeftOut(NamedTuple):
    """Remedy that is not tried."""

    name: str
    reason: str


def single_changes(
    experiment: Experiment,
    diagnosis: Diagnosis | None,
    most: int,
    cabinet: Sequence[Remedy] = CABINET,
    *,
    of_a_kind: int = MOST_OF_A_KIND,
) -> tuple[list[Candidate], list[LeftOut]]:
    """Return the remedies that are tried on a network, the likeliest first, and those that are left out.

    Remedies for the diagnosis's causes come first, in the order of the causes. Remedies for its status are next. Of
    equal rank, those for the status come first, then those that need no program of their own, then the smallest ones.

    Args:
        experiment: the untouched network.
        diagnosis: its verdict; None where there is none.
        most: largest number of candidates.
        cabinet: remedies to choose from.
        of_a_kind: largest number of candidates of a kind.
    """
    possible: list[Candidate] = []
    left_out: list[LeftOut] = []
    seen: dict[Experiment, str] = {experiment: "the network as it is"}
    for remedy in cabinet:
        try:
            candidate = _candidate(experiment, (remedy,))
        except InputError as error:
            left_out.append(LeftOut(remedy.name, str(error)))
            continue
        assert candidate.experiment is not None
        if candidate.experiment in seen:
            left_out.append(LeftOut(remedy.name, f"it gives the same as {seen[candidate.experiment]}"))
            continue
        seen[candidate.experiment] = remedy.name
        possible.append(candidate)
    ranks = {candidate.name: _rank(candidate, experiment, diagnosis) for candidate in possible}
    ranked = sorted(possible, key=lambda candidate: ranks[candidate.name])
    asked = [candidate for candidate in ranked if ranks[candidate.name][0] < FAR]
    unasked = [candidate for candidate in ranked if candidate not in asked]
    chosen = _varied(asked, [], most - min(len(unasked), round(UNASKED * most)), of_a_kind)
    for alike in range(1, of_a_kind + 1):  # One of each kind first.
        chosen = _varied(unasked, chosen, most, alike)
    chosen = _varied(asked, chosen, most, of_a_kind)
    names = {candidate.name for candidate in chosen}
    left_out += [
        LeftOut(candidate.name, f"others are likelier: {most} are tried, at most {of_a_kind} of a kind")
        for candidate in ranked
        if candidate.name not in names
    ]
    return chosen, left_out


def _varied(ranked: Sequence[Candidate], chosen: Sequence[Candidate], most: int, of_a_kind: int) -> list[Candidate]:
    """Return the chosen candidates and more of the ranked ones, up to `most` and at most `of_a_kind` of a kind."""
    result = list(chosen)
    for candidate in ranked:
        alike = sum(other.remedies[0].kind == candidate.remedies[0].kind for other in result)
        if len(result) < most and alike < of_a_kind and candidate not in result:
            result.append(candidate)
    return result


def pairs(experiment: Experiment, helped: Sequence[Candidate], most: int) -> list[Candidate]:
    """Return pairs of changes of different kinds, of which the best of each kind takes part.

    Args:
        experiment: the untouched network.
        helped: single changes that helped, the best first; the best ones are paired first.
        most: largest number of pairs.
    """
    combined: dict[Experiment, Candidate] = {}
    singles = {candidate.experiment for candidate in helped}
    best_of_kinds: dict[str, Candidate] = {}
    for candidate in helped:
        best_of_kinds.setdefault(candidate.remedies[0].kind, candidate)
    helped = list(best_of_kinds.values())
    by_rank = sorted(combinations(range(len(helped)), 2), key=sum)
    for first, second in by_rank:
        remedies = (*helped[first].remedies, *helped[second].remedies)
        try:
            if _contradict(helped[first], helped[second], experiment):
                continue
            candidate = _candidate(experiment, remedies)
        except InputError:
            continue
        if candidate.experiment is not None and candidate.experiment not in singles:
            combined.setdefault(candidate.experiment, candidate)
    return list(combined.values())[:most]


def _candidate(experiment: Experiment, remedies: tuple[Remedy, ...]) -> Candidate:
    """Return a candidate.

    Raises:
        InputError: a remedy does not apply, or the changed network cannot be trained.
    """
    changed = experiment
    for remedy in sorted(remedies, key=lambda remedy: remedy.kind not in BEFORE_OTHERS):
        changed = remedy.change(changed)
    arm = ExperimentArm(changed)
    for layer, fan_in in enumerate(arm.widths[:-1]):
        changed.mlp.kernel_initializer(layer, fan_in)  # "critical" may have no edge of chaos.
    return Candidate(
        " + ".join(remedy.name for remedy in remedies),
        ", and ".join(remedy.sentence_for(experiment) for remedy in remedies),
        sum(remedy.size for remedy in remedies),
        arm,
        remedies,
    )


def _contradict(first: Candidate, second: Candidate, experiment: Experiment) -> bool:
    """Return whether both changes set a field, each to a value of its own: the later one would undo the other.

    Changes of the kinds `BEFORE_OTHERS` have no order among themselves, so that both orders must give the same network.
    Another change comes after them, and both stay.
    """
    if any(candidate.remedies[0].kind not in BEFORE_OTHERS for candidate in (first, second)):
        return False
    change, change_more = first.remedies[0].change, second.remedies[0].change
    return change(change_more(experiment)) != change_more(change(experiment))


def _rank(candidate: Candidate, experiment: Experiment, diagnosis: Diagnosis | None) -> tuple[float, bool, bool, int]:
    """Return the place of a candidate in the order: the smaller the earlier."""
    assert candidate.experiment is not None
    remedy = candidate.remedies[0]
    # A cause may be of two directions, such as a learning rate; the status says which.
    is_for_status = diagnosis is not None and diagnosis.status in remedy.statuses
    same_program = structure_of(candidate.experiment) == structure_of(experiment)
    return _distance(remedy, diagnosis), not is_for_status, not same_program, candidate.size


def _distance(remedy: Remedy, diagnosis: Diagnosis | None) -> float:
    """Return 0 and above for a remedy that the diagnosis speaks for, and a large number for another."""
    if diagnosis is None:
        return 0.0
    causes: Mapping[str, int] = _causes(diagnosis)
    ranks = [float(causes[cause]) for cause in remedy.causes if cause in causes]
    if diagnosis.status in remedy.statuses:
        ranks.append(float(len(causes)))
    return min(ranks, default=FAR)


def _causes(diagnosis: Diagnosis) -> dict[str, int]:
    """Return the causes of the findings for the verdict's status, each with its place."""
    causes: dict[str, int] = {}
    for finding in diagnosis.findings:
        if not finding.is_note:
            for cause in finding.causes:
                causes.setdefault(cause, len(causes))
    return causes
