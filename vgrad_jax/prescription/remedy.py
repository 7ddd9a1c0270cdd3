"""Remedy: a change of an experiment, with what it speaks for, what it cannot cure, and its source."""

from collections.abc import Callable
from typing import NamedTuple

from vgrad_jax.experiment import Experiment

__all__ = ["Remedy"]


class Remedy(NamedTuple):
    """Row of the cabinet."""

    name: str
    kind: str
    """Part of the experiment that it changes; two remedies of a kind exclude each other."""
    sentence: str
    """Imperative for people."""
    change: Callable[[Experiment], Experiment]
    """Function of the untouched experiment; raises an `InputError` where it does not apply."""
    statuses: tuple[str, ...]
    """Verdicts that it speaks for."""
    causes: tuple[str, ...]
    """Words of `vgrad_jax.diagnosis.status.CAUSES` that it speaks for."""
    cannot: str
    """Sentence on what it cannot cure."""
    size: int
    """Size of the change, a judgement of ours.

    1 is a number of the optimiser or the biases. 2 is another start, optimiser, loss or scale. 3 is another activation
    or a longer training. 4 is a further part of the network. A pair has the sum."""
    source: str
    of_branches: str = ""
    """Imperative for a network that has residual branches already; empty where the sentence stays."""

    def sentence_for(self, experiment: Experiment) -> str:
        """Return the imperative for an untouched experiment."""
        return self.sentence if experiment.mlp.residual is None else self.of_branches or self.sentence
