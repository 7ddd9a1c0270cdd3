"""Trainings of candidates: the same seeds for each, a round at a time, on all cores.

Every round of a candidate has the same number of seeds, and therefore one compiled program. Candidates that differ in
numbers or initialisers share the program.
"""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Bool, Float

from vgrad_jax.experiment import Experiment, Recording
from vgrad_jax.prescription.candidates import Candidate
from vgrad_jax.results.functions import FunctionRun
from vgrad_jax.sweeps.engine import Runs, train_seeds
from vgrad_jax.sweeps.policy import execution_of, local_platform
from vgrad_jax.training.convergence import Outcome

__all__ = ["RECORDS", "Trials", "Work", "stacked", "with_few_records"]

RECORDS = 32
"""Records of a training, beside that at initialisation: enough for a verdict, and measuring costs little."""


class Work(NamedTuple):
    """Outcomes of a candidate's runs."""

    converged: Bool[np.ndarray, " seed"]
    test_score: Float[np.ndarray, " seed"]
    """Accuracy on the test rows at the end, in [0, 1]; 0 where it is not finite, and NaN for a function."""
    train_score: Float[np.ndarray, " seed"]
    """Accuracy on the training rows at the end, in [0, 1]; for a function 1 where it converged, and else 0."""


@dataclass
class Trials:
    """Trainings of many candidates.

    Args:
        seed: seed of the study; run k of every candidate has the same key.
        step: seeds of a round.
        report: function that is called with the number of new trainings.
    """

    seed: int
    step: int
    report: Callable[[int], None]
    work: dict[str, list[Work]] = field(default_factory=dict)

    def train(self, candidates: Iterable[Candidate], start: int, count: int) -> dict[str, Runs]:
        """Train a round of every candidate.

        Args:
            candidates: to be trained.
            start: number of the first seed.
            count: number of seeds that count, at most `step`.

        Returns:
            Name of each candidate to its runs, on the host; those beyond `count` fill up the round.
        """
        platform = local_platform()
        execution = execution_of("plain", self.step, platform)._replace(devices=1)

        def one(candidate: Candidate) -> Runs:
            runs = train_seeds(candidate.arm, self.seed, start, execution)
            self.report(count)
            return runs

        chosen = list(candidates)
        workers = platform.cores if platform.is_cpu else 1
        with ThreadPoolExecutor(workers) as executor:
            futures = {candidate.name: executor.submit(one, candidate) for candidate in chosen}
            try:
                results = {name: future.result() for name, future in futures.items()}
            except BaseException:
                executor.shutdown(wait=True, cancel_futures=True)
                raise
        for name, runs in results.items():
            self.work.setdefault(name, []).append(_work(runs, count))
        return results

    def of(self, name: str) -> Work:
        """Return all runs of a candidate so far."""
        return Work(*(np.concatenate(parts) for parts in zip(*self.work[name], strict=True)))


def with_few_records(experiment: Experiment) -> Experiment:
    """Return the experiment with few records; recording never changes the training."""
    every = -(-experiment.training.epochs // RECORDS)
    return replace(experiment, recording=Recording(every=every))


def _work(runs: Runs, count: int) -> Work:
    converged = np.asarray(runs.outcome)[:count] == Outcome.CONVERGED
    if isinstance(runs, FunctionRun):
        return Work(converged, np.full(count, np.nan), converged.astype(float))
    scores = (runs.records.test_accuracy, runs.records.train_accuracy)
    test, train = (_bounded(np.asarray(values, np.float64)[:count, -1]) for values in scores)
    return Work(converged, test, train)


def _bounded(scores: Float[np.ndarray, " seed"]) -> Float[np.ndarray, " seed"]:
    """Return scores in [0, 1]: explained variances may be negative, and a diverged run has no finite one."""
    return np.clip(np.nan_to_num(scores, nan=0.0, neginf=0.0, posinf=0.0), 0.0, 1.0)


def stacked(rounds: Iterable[Any]) -> Any:
    """Return rounds of results as one, along the leading seed axis."""
    return jax.tree.map(lambda *parts: np.concatenate([np.asarray(part) for part in parts]), *rounds)
