"""Rules on the model before training: output, loss and data, and units that are all alike."""

import math

from vgrad_jax.diagnosis.evidence import Before, Evidence
from vgrad_jax.diagnosis.findings import Finding, finding
from vgrad_jax.diagnosis.statuses import HALF_WAY, MOST_CORRELATED, RANK_ONE, TABLE
from vgrad_jax.diagnosis.symptoms import has_learned, is_solved, stalled
from vgrad_jax.inspection import Hidden

__all__ = ["collinear", "ill_posed", "ill_scaled", "units_are_collinear"]


def _concerns(e: Evidence, status: str) -> list[Finding]:
    """Return the look's concerns that speak for a status: certain ones always, others once training has failed."""
    if e.before is None:
        return []
    failed = e.remaining is not None and not has_learned(e)
    return [
        finding(e, own.code, own.sentence, layer=own.layer, value=own.value, threshold=own.threshold)
        for own in e.before.concerns
        if own.code in TABLE[status].advice and (own.certain or failed)
    ]


def ill_posed(e: Evidence) -> list[Finding]:
    """Find an output, a loss and targets that do not fit together."""
    return [] if is_solved(e) else [*_concerns(e, "ill_posed"), *_kinks(e)]


def _kinks(e: Evidence) -> list[Finding]:
    """Report a term of the loss that has no gradient, because a derivative of it is zero everywhere."""
    terms = [] if e.before is None or has_learned(e) else [why for why in e.before.zeros if not why.path]
    return [finding(e, "no_second_derivative", why.sentence, value=0.0, threshold=0.0) for why in terms]


def ill_scaled(e: Evidence) -> list[Finding]:
    """Find inputs or targets far from the size that a network can fit, where training has failed."""
    return _concerns(e, "ill_scaled")


def units_are_collinear(layer: Before | Hidden) -> bool:
    """Return whether the units of a last hidden layer are all but multiples of each other, and its inputs are not."""
    rich = math.isnan(layer.input_ratio) or layer.input_ratio > 3 * RANK_ONE
    return rich and (layer.correlation > MOST_CORRELATED or layer.singular_ratio < RANK_ONE)


def collinear(e: Evidence) -> list[Finding]:
    """Find a last hidden layer whose units are all but multiples of each other, where the inputs are not."""
    if e.before is None or (e.remaining is not None and e.remaining < HALF_WAY / 2):
        return []
    findings = _concerns(e, "collinear")
    if has_learned(e) and not stalled(e):
        return findings
    before = e.before
    if units_are_collinear(before):
        sentence = (
            f"The units of the last hidden layer have a mean absolute correlation of {before.correlation:.3f} over the "
            f"examples, and its second singular value is {before.singular_ratio:.2g} of the first."
        )
        findings.append(finding(e, "units_collinear", sentence, value=before.correlation, threshold=MOST_CORRELATED))
    return findings
