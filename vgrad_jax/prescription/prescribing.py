"""Prescribing: the smallest change that mends a network, and the best one.

untouched network ─► many seeds ─► sick? ─► verdict ─► candidates ─► race ─► smallest, best
                                                            └─ nothing works ─► pairs of those that helped ─► race
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from vgrad_jax.boundary import called, checked
from vgrad_jax.descriptions import MAX_SEED, number, whole_number
from vgrad_jax.diagnosis import Diagnosis
from vgrad_jax.errors import InputError
from vgrad_jax.experiment import Experiment
from vgrad_jax.prescription.candidates import Candidate, LeftOut, pairs, single_changes
from vgrad_jax.prescription.judging import function_verdict, verdict_of
from vgrad_jax.prescription.knobs import knob_changes, knob_pairs, untouched_arm
from vgrad_jax.prescription.prescription import Prescription, Tried, share_of, tried
from vgrad_jax.prescription.racing import Race, log_evidence, run_race
from vgrad_jax.prescription.trials import Trials, Work, with_few_records
from vgrad_jax.statistics.intervals import Estimate
from vgrad_jax.sweeps.arm import Arm
from vgrad_jax.sweeps.engine import PROGRAMS, Runs
from vgrad_jax.sweeps.experiment_arm import ExperimentArm
from vgrad_jax.sweeps.function_arm import FunctionArm
from vgrad_jax.sweeps.progress import seldom

__all__ = ["UNTOUCHED", "Case", "PrescriptionInterrupted", "Visit", "prescribe"]

Progress = Callable[[int, str], None]

STEP = 8
"""Seeds of a round."""

KEPT = 0.05
"""Accuracy below the threshold with which the runs that converged may end, on average."""

UNTOUCHED = "untouched"
"""Name of the network as it is."""


class PrescriptionInterrupted(KeyboardInterrupt):
    """Ctrl-C in a race; `prescription` holds what was found so far."""

    def __init__(self, prescription: Prescription) -> None:
        super().__init__("interrupted; the changes that were tried so far are kept")
        self.prescription = prescription


@checked
def prescribe(
    patient: Experiment | Arm | Callable[..., Any],
    *,
    seeds: int = 32,
    knobs: Mapping[str, Sequence[Any]] | None = None,
    converged: Callable[[Any], Any] | str | None = None,
    most: int = 12,
    enough: float = 0.75,
    seed: int = 0,
    progress: bool | Progress = True,
) -> Prescription:
    """Say what mends a network that does not learn: the smallest change that works, and the best one.

    The untouched network is trained over all seeds. If it is sick, its diagnosis orders the cabinet's remedies, and
    `most` of them race on the same seeds. Where no single change works, pairs of those that helped race as well.

    A change works when three things hold. At least the share `enough` of its runs converge. Over the common seeds more
    of them converge than of the untouched network's, by a confidence sequence of the paired differences. And the runs
    of an experiment that converged end with the threshold's accuracy less 0.05 at least, on average. The
    chance that any change is wrongly said to be better than the untouched network is 5 % at most. The chance that the
    change with the largest true share is dropped, if that share is `enough`, is also 5 % at most. Both hold although
    the race looks after every round. `vgrad_jax.prescription.racing` has the proof and its sources.

    Args:
        patient: an experiment; or a function `train(key, **knobs)`, or an `Arm` of one.
        seeds: largest number of runs of each candidate.
        knobs: for a function, the name of each argument to the values that may be tried. The untouched value is the
            argument's default, or the first value where it has none.
        converged: for a function, what counts as converged, as for `vgrad_jax.Arm`.
        most: largest number of single changes.
        enough: share of runs that must converge, in (0, 1].
        seed: seed of the study.
        progress: True shows a line of progress; a function is called with the trainings done and what is trained.

    Raises:
        InputError: an argument is impossible, or nothing in the cabinet applies.
        PrescriptionInterrupted: Ctrl-C; it holds what was found.

    >>> import jax
    >>> def train(key, rate=0.1):
    ...     return {"score": rate + 0.01 * jax.random.uniform(key)}
    >>> prescribe(train, knobs={"rate": [0.2, 1.0]}, converged="score >= 1", seeds=16, progress=False).smallest.name
    'rate=1.0'
    """
    seeds = whole_number("seeds", seeds, minimum=1)
    most = whole_number("most", most, minimum=1)
    enough = number("enough", enough, above=0.0)
    if enough > 1:
        raise InputError(f"enough is a share of runs, 1 at the most; got {enough!r}")
    seed = whole_number("seed", seed, maximum=MAX_SEED)
    case = _experiment_case(patient, knobs, converged) if isinstance(patient, Experiment) else None
    if case is None:
        assert not isinstance(patient, Experiment)
        case = _function_case(patient, knobs, converged)
    with _reporting(progress) as report, PROGRAMS.room_for(4 * most):
        return Visit(case, seeds, most, enough, Trials(seed, min(STEP, seeds), report)).prescribe()


@dataclass(frozen=True)
class Case:
    """A network, and the changes that it may have."""

    control: Candidate | None
    """Untouched network; None where it cannot be trained."""
    refusal: str
    judge: Callable[[Sequence[Runs], Work, int], Diagnosis | None]
    singles: Callable[[Diagnosis | None, int], tuple[list[Candidate], list[LeftOut]]]
    pairs: Callable[[Sequence[Candidate], int], list[Candidate]]


def _experiment_case(experiment: Experiment, knobs: Mapping[str, Sequence[Any]] | None, converged: Any) -> Case:
    if knobs is not None or converged is not None:
        raise InputError("knobs= and converged= go with a function; an Experiment has the cabinet and its threshold")
    experiment = with_few_records(experiment)
    refusal = ""
    try:
        arm = ExperimentArm(experiment)
        for layer, fan_in in enumerate(arm.widths[:-1]):
            experiment.mlp.kernel_initializer(layer, fan_in)
        control: Candidate | None = Candidate(UNTOUCHED, "", 0, arm)
    except InputError as error:
        control, refusal = None, str(error)

    def judge(rounds: Sequence[Runs], work: Work, seed: int) -> Diagnosis:
        return verdict_of(experiment, rounds, work, seed)

    return Case(
        control,
        refusal,
        judge,
        lambda diagnosis, most: single_changes(experiment, diagnosis, most),
        lambda helped, most: pairs(experiment, helped, most),
    )


def _function_case(patient: Any, knobs: Mapping[str, Sequence[Any]] | None, converged: Any) -> Case:
    arm, values = untouched_arm(patient, knobs, converged)

    def judge(rounds: Sequence[Runs], work: Work, seed: int) -> Diagnosis | None:
        del seed
        return function_verdict(control.arm, rounds, work)

    control = Candidate(UNTOUCHED, "", 0, FunctionArm(UNTOUCHED, values.changed(arm, {})))
    return Case(
        control,
        "",
        judge,
        lambda _, most: knob_changes(arm, values, most),
        lambda helped, most: knob_pairs(arm, values, helped, most),
    )


@dataclass
class Visit:
    """A prescription in the making."""

    case: Case
    seeds: int
    most: int
    enough: float
    trials: Trials
    verdict: Diagnosis | None = None

    def prescribe(self) -> Prescription:
        """Return the prescription.

        Raises:
            PrescriptionInterrupted: Ctrl-C after the untouched network was trained.
        """
        untouched = self._untouched()
        if untouched.share.value >= self.enough:
            return self._written(untouched, None, {}, [])
        singles, left_out = self.case.singles(self.verdict, self.most)
        if not singles:
            raise InputError(
                f"no remedy applies to this network: {left_out[0].reason if left_out else 'none is known'}"
            )
        most_pairs = min(max(1, self.most // 2), len(singles) * (len(singles) - 1) // 2)
        race = Race(self._control_outcomes(), len(singles) + most_pairs, self.enough)
        candidates: dict[str, Candidate] = {}
        try:
            self._race(race, candidates, singles)
            if not race.working:
                combined = self.case.pairs(self._helped(singles), most_pairs)
                self._race(race, candidates, combined)
        except KeyboardInterrupt:
            answer = self._written(untouched, race, candidates, left_out)
            raise PrescriptionInterrupted(replace(answer, interrupted=True)) from None
        return self._written(untouched, race, candidates, left_out)

    def _untouched(self) -> Tried:
        control = self.case.control
        if control is None:
            absent = Estimate(0.0, 0.0, 0.0, 0)
            return Tried(UNTOUCHED, "", absent, float("nan"), False, "cannot be trained")
        rounds = [
            self.trials.train([control], start, min(self.trials.step, self.seeds - start))[UNTOUCHED]
            for start in range(0, self.seeds, self.trials.step)
        ]
        work = self.trials.of(UNTOUCHED)
        share = share_of(work)
        if share.value < self.enough:
            self.verdict = self.case.judge(rounds, work, self.trials.seed)
        return Tried(UNTOUCHED, "", share, float(np.mean(work.test_score)), False, "untouched", 0, control.experiment)

    def _control_outcomes(self) -> np.ndarray:
        """Return the outcomes that every change is compared with; a network that cannot be trained never converges."""
        if self.case.control is None:
            return np.zeros(self.seeds)
        return self.trials.of(UNTOUCHED).converged.astype(float)

    def _race(self, race: Race, candidates: dict[str, Candidate], new: Sequence[Candidate]) -> None:
        candidates |= {candidate.name: candidate for candidate in new}
        race.enter({candidate.name: candidate.size for candidate in new})

        def train(names: list[str], start: int, count: int) -> dict[str, np.ndarray]:
            self.trials.train([candidates[name] for name in names], start, count)
            race.lost = {name for name in race.outcomes if name in self.trials.work and self._is_lost(candidates[name])}
            return {name: self.trials.work[name][-1].converged.astype(float) for name in names}

        run_race(race, train, self.trials.step)

    def _is_lost(self, candidate: Candidate) -> bool:
        """Return whether the runs that converged end below the threshold, as with too large a learning rate."""
        work = self.trials.of(candidate.name)
        if candidate.arm.threshold is None or not work.converged.any():
            return False
        return float(work.train_score[work.converged].mean()) < candidate.arm.threshold - KEPT

    def _helped(self, singles: Sequence[Candidate]) -> list[Candidate]:
        """Return the single changes with the largest gain in shares, and then in accuracy on the training rows."""
        before = self.trials.of(UNTOUCHED).train_score if self.case.control is not None else np.zeros(self.seeds)

        def gain(candidate: Candidate) -> tuple[float, float]:
            work = self.trials.of(candidate.name)
            evidence = float(log_evidence(work.train_score - before[: len(work.train_score)]))
            return float(work.converged.mean()), evidence / len(work.train_score)

        return sorted(singles, key=gain, reverse=True)

    def _written(
        self, untouched: Tried, race: Race | None, candidates: Mapping[str, Candidate], left_out: list[LeftOut]
    ) -> Prescription:
        done = (
            []
            if race is None
            else [
                tried(candidate, self.trials.of(name), race)
                for name, candidate in candidates.items()
                if name in self.trials.work and len(race.outcomes[name])
            ]
        )
        done.sort(key=lambda row: (not row.works, -row.share.value, -_or_zero(row.score), row.size))
        working = [row for row in done if row.works]
        smallest = min(working, key=lambda row: (row.size, -row.share.value, -_or_zero(row.score)), default=None)
        ahead = working if race is None else [row for row in working if row.name in race.in_the_running] or working
        best = max(ahead, key=lambda row: (_or_zero(row.score), row.share.value, -row.size), default=None)
        return Prescription(
            untouched=untouched,
            verdict=self.verdict,
            refusal=self.case.refusal,
            tried=tuple(done),
            left_out=tuple(left_out),
            smallest=smallest,
            best=best,
            rivals=tuple(row.name for row in ahead if best is not None and row.name != best.name),
            enough=self.enough,
            was_fine=race is None,
        )


def _or_zero(score: float) -> float:
    return 0.0 if np.isnan(score) else score


@contextmanager
def _reporting(progress: bool | Progress) -> Iterator[Callable[[int], None]]:
    """Yield a function of the number of new trainings, which shows how many there are."""
    done = 0

    def count(new: int, show: Progress) -> None:
        nonlocal done
        done += new
        show(done, "trainings done")

    if progress is False:
        yield lambda new: None
    elif progress is True:
        from rich.console import Console

        console = Console(stderr=True)
        if not console.is_terminal:
            line = seldom(lambda text: console.print(text, highlight=False))
            yield lambda new: count(new, lambda total, text: line(f"prescribing: {total} {text}", False))
            return
        with console.status("prescribing: compiling") as status:
            yield lambda new: count(new, lambda total, text: status.update(f"prescribing: {total} {text}"))
    else:
        show = partial(called, "progress", "True, False, or a function f(done, text)", progress)
        yield lambda new: count(new, show)
