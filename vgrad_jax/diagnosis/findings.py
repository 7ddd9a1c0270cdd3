"""Finding: one fault, or one fact beside the verdict, with the numbers that it rests on."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from vgrad_jax.boundary import called
from vgrad_jax.diagnosis.evidence import Evidence
from vgrad_jax.diagnosis.statuses import NOTES, status_of
from vgrad_jax.errors import InputError

__all__ = ["Finding", "Rule", "finding", "found"]


class Finding(NamedTuple):
    """Fault, or reason for a small gradient, with the numbers that it rests on."""

    code: str
    """Word for the finding that scripts can rely on."""
    status: str
    """Verdict that it speaks for."""
    layer: str | None
    """Layer that shows it most clearly; None where it is about all layers."""
    value: float
    threshold: float
    sentence: str
    advice: str
    causes: tuple[str, ...] = ()
    """Words of `CAUSES` for what is probably to blame, most likely first; empty for a fact that is no fault."""

    @property
    def is_note(self) -> bool:
        """Return whether it is a fact beside the verdict, and no fault."""
        return self.code in NOTES


class Rule(NamedTuple):
    """Row of the table of rules."""

    find: Callable[[Evidence], list[Finding]]
    source: str


def found(rules: Mapping[str, Any], evidence: Evidence) -> list[Finding]:
    """Return the findings of all rules.

    Args:
        rules: name to rule.
        evidence: the evidence of one seed.

    Raises:
        InputError: a rule of the user's is none, or gives no list of findings.
    """
    findings: list[Finding] = []
    for name, rule in rules.items():
        if not isinstance(rule, Rule):
            raise InputError(f"the rule {name!r} must be a Rule(find, source); got {rule!r}")
        own = called(f"the rule {name!r}", "a function of the evidence that gives findings", rule.find, evidence)
        if not isinstance(own, list | tuple) or not all(isinstance(entry, Finding) for entry in own):
            raise InputError(f"the rule {name!r} must give a list of findings; it gave {own!r}")
        findings += own
    return findings


def finding(
    e: Evidence,
    code: str,
    sentence: str,
    *,
    layer: str | None = None,
    value: float,
    threshold: float,
    causes: tuple[str, ...] | None = None,
) -> Finding:
    """Complete a finding by the status, advice and causes of its code, in words that fit the model.

    Args:
        e: the evidence, for the model's activations.
        code: the code, a key of the table of statuses or of `NOTES`.
        sentence: what was found, with its numbers.
        layer: the layer that shows it most clearly.
        value: the number that was found.
        threshold: the number that it was held against.
        causes: likely causes, where the evidence says more than the code.
    """
    status, remedy = status_of(code)
    advice = remedy.advice.replace("{variance}", _variance(e))
    return Finding(code, status, layer, value, threshold, sentence, advice, remedy.causes if causes is None else causes)


def _variance(e: Evidence) -> str:
    kinds = e.before.kinds if e.before is not None else frozenset()
    if "relu" in kinds:
        return "2 / fan-in (he_normal)"
    if kinds & {"tanh", "logistic"}:
        return "1 / fan-in (lecun_normal)"
    return "2 / fan-in for ReLU (he_normal) or 1 / fan-in for tanh (lecun_normal)"
