"""A verdict on a network's gradient, with the evidence for it and what to do."""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vgrad_jax.gradients.evidence import Evidence, evidence_of, straight_line
from vgrad_jax.gradients.look import Look
from vgrad_jax.gradients.recording import Record
from vgrad_jax.gradients.rules import PRIORITY, RULES, Finding, Rule
from vgrad_jax.gradients.stats import LayerStats
from vgrad_jax.gradients.symptoms import HARDLY, INSENSITIVE

if TYPE_CHECKING:
    from vgrad_jax.gradients.check import InitCheck

__all__ = ["STATUSES", "Diagnosis", "LayerStatus", "diagnose"]

STATUSES = ("healthy", *PRIORITY, "unclear")
"""Every verdict there is, but for those of a user's own rules."""


@dataclass(frozen=True)
class LayerStatus:
    """One layer's part in it."""

    path: str
    status: str
    log10_rms: float
    """Of the gradient in the window, median over the seeds."""
    relative_log10: float
    """To the layer with the largest gradient."""
    zero_fraction: float
    update_ratio_log10: float
    """NaN where it was not recorded."""


@dataclass(frozen=True)
class Diagnosis:
    """The verdict."""

    status: str
    """One of `STATUSES`, or of a user's rule."""
    findings: tuple[Finding, ...]
    """What speaks for it first, then everything else that was found."""
    layers: tuple[LayerStatus, ...]
    """Layers with weights, input side first."""
    attenuation: tuple[float, float, float]
    """Decades a layer by which the gradient shrinks towards the input, at the first record, with a 95 % interval.

    Of the line's slope for one seed, of the seeds' mean for several. Negative: it grows. NaN for fewer than three
    layers."""
    seeds: dict[str, int]
    """How many seeds each status was given to."""

    def __str__(self) -> str:
        number = sum(self.seeds.values())
        others = ", ".join(f"{status} {count}" for status, count in self.seeds.items())
        lines = [f"{self.status}" + (f"  ({number} seeds: {others})" if number > 1 else "")]
        for finding in self.findings:
            where = f" [{finding.layer}]" if finding.layer else ""
            lines += [f"  {finding.code}{where}: {finding.sentence}", f"    {finding.advice}"]
        if self.status == "unclear":
            lines.append(
                "  The gradient shows no fault, and the loss does not fall: the reason is not in what was recorded."
            )
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Plain values that JSON can hold; a number that is not finite is None."""
        return {
            "status": self.status,
            "seeds": dict(self.seeds),
            "attenuation": [_plain(value) for value in self.attenuation],
            "findings": [{name: _plain(value) for name, value in f._asdict().items()} for f in self.findings],
            "layers": [{name: _plain(value) for name, value in vars(layer).items()} for layer in self.layers],
        }


def diagnose(
    record_or_stats: "Record | LayerStats | Look",
    *,
    check: "InitCheck | Look | None" = None,
    rules: Mapping[str, Rule] = RULES,
) -> Diagnosis:
    """Whether a gradient is healthy, and if not, what is wrong with it.

    What is judged: the profile over the layers at the first record, how gradients, updates and the loss go on from
    there, and whether it lasts over the latest quarter of the records. Ratios come first; absolute sizes count only
    against the range of the dtype, so multiplying the loss by a constant changes nothing.

    Args:
        record_or_stats: from `get_record` or `gradient_stats`. The more was recorded, the more can be told apart: with
            the loss *solved* from *vanishing*, with the updates (`record(around=...)`) a learning rate.
        check: a `check_init` of the same model, for its activations: tells *saturated* and *exploding* by their cause.
        rules: the table; `{**RULES, "mine": Rule(find, source)}` adds one, and its status goes before all others.

    Returns:
        The verdict. "unclear" where the recorded loss does not fall and no rule says why; where too little of a loss
        was recorded to tell, "healthy" speaks of the profile over the layers alone. With several seeds the status that
        most of them have, the worse one where two are equal.

    Raises:
        InputError: nothing was recorded, or the check is of another model.

    >>> import jax.numpy as jnp
    >>> from vgrad_jax.gradients.stats import gradient_stats
    >>> gradient = [jnp.full((4, 4), 10.0 ** -n) for n in (9, 7, 5, 3, 1)]
    >>> diagnosis = diagnose(gradient_stats(gradient))
    >>> diagnosis.status, diagnosis.findings[0].code, round(diagnosis.attenuation[0], 3)
    ('vanishing', 'gradient_shrinks', 2.0)
    """
    before = check if check is None or isinstance(check, Look) else check.look
    seeds = evidence_of(record_or_stats, before)
    found = [[finding for rule in rules.values() for finding in rule.find(evidence)] for evidence in seeds]
    statuses = [_status(findings, evidence) for findings, evidence in zip(found, seeds, strict=True)]
    counts = Counter(statuses)
    rank = {status: place for place, status in enumerate([*PRIORITY, "unclear", "healthy"])}
    ordered = sorted(counts, key=lambda status: (-counts[status], rank.get(status, -1)))
    status = ordered[0]
    typical = _typical([n for n, own in enumerate(statuses) if own == status], seeds)
    findings = sorted(found[typical], key=lambda finding: finding.status != status)
    return Diagnosis(
        status=status,
        findings=tuple(findings),
        layers=_layers(status, seeds, tuple(findings)),
        attenuation=_attenuation(seeds),
        seeds={name: counts[name] for name in ordered},
    )


def _status(findings: list[Finding], evidence: Evidence) -> str:
    found = {finding.status for finding in findings}
    own = sorted(found.difference(PRIORITY))
    if own:
        return own[0]
    for status in PRIORITY:
        if status in found:
            return status
    fall, ratio = evidence.late_fall, evidence.loss_ratio
    if ratio is None or fall is None:  # One look, or no loss: the profile is all there is.
        return "healthy"
    return "healthy" if ratio < HARDLY else "unclear"


def _typical(members: list[int], seeds: list[Evidence]) -> int:
    """The seed whose gradient is in the middle of those that have the status."""
    sizes = [float(np.nan_to_num(seeds[n].first_profile, posinf=1e3, neginf=-1e3).mean()) for n in members]
    return members[int(np.argsort(sizes, kind="stable")[(len(sizes) - 1) // 2])]


def _attenuation(seeds: list[Evidence]) -> tuple[float, float, float]:
    lines = [straight_line(evidence.first_profile) for evidence in seeds]
    if len(lines) == 1:
        return lines[0]
    slopes = np.sort([line[0] for line in lines if math.isfinite(line[0])])
    if len(slopes) < 2:
        return math.nan, math.nan, math.nan
    from scipy.special import stdtrit

    mean = float(slopes.mean())
    half = float(stdtrit(len(slopes) - 1, 0.975) * slopes.std(ddof=1) / math.sqrt(len(slopes)))
    return mean, mean - half, mean + half


def _layers(status: str, seeds: list[Evidence], findings: tuple[Finding, ...]) -> tuple[LayerStatus, ...]:
    late = _middle([evidence.late_profile for evidence in seeds])
    first = _middle([evidence.first_profile for evidence in seeds])
    zeros = _middle([np.sort(e.zero_fraction[e.late], axis=0)[-1] for e in seeds])
    broken = np.mean([(e.nonfinite_fraction > 0).any(axis=0) for e in seeds], axis=0) > 0.5
    updates = [e.update_ratio_log10[-1] for e in seeds if e.update_ratio_log10 is not None]
    ratio = _middle(updates) if updates else np.full(len(late), math.nan)
    finite = first[np.isfinite(first)]
    largest = float(finite.max()) if len(finite) else 0.0
    named = {finding.layer for finding in findings if finding.status == status}

    def of_layer(n: int, path: str) -> str:
        if broken[n]:
            return "non_finite"
        if status in ("healthy", "solved", "unclear", "underflow", "learning_rate_small", "learning_rate_large"):
            return status
        if np.isneginf(late[n]):
            return "dead"
        if status in ("vanishing", "saturated") and (path in named or first[n] - largest < INSENSITIVE):
            return status
        return status if status not in ("vanishing", "saturated", "dead") else "healthy"

    return tuple(
        LayerStatus(
            path, of_layer(n, path), float(late[n]), float(first[n] - largest), float(zeros[n]), float(ratio[n])
        )
        for n, path in enumerate(seeds[0].paths)
    )


def _middle(values: list[np.ndarray]) -> np.ndarray:
    return np.sort(np.stack(values), axis=0)[(len(values) - 1) // 2]


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
