"""Verdict on a network's gradient, with the evidence for it and advice.

    Record, LayerStats or Look ─► evidence of each seed ─► rules ─► findings ─► status of each seed
                                                                                     │ majority
                                            Diagnosis: findings of a typical seed, layers ◄┘

Each seed has a status of its own: the finding with the highest priority. The verdict is the status that most seeds
have. Its findings are those of the seed in the middle of these seeds; its layers are medians over all seeds.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from vgrad_jax.boundary import checked
from vgrad_jax.diagnosis.evidence import Evidence
from vgrad_jax.diagnosis.findings import Finding, Rule, found
from vgrad_jax.diagnosis.profiles import straight_line
from vgrad_jax.diagnosis.rules import RULES
from vgrad_jax.diagnosis.schema import FORMAT
from vgrad_jax.diagnosis.sources import evidence_of
from vgrad_jax.diagnosis.statuses import HEALTHY, TABLE, UNCLEAR, Spread, most_frequent_first, rank, spread_of
from vgrad_jax.diagnosis.symptoms import has_learned, is_of_the_end_alone
from vgrad_jax.diagnosis.thresholds import INSENSITIVE, SIGNIFICANT
from vgrad_jax.gradients.look import Look
from vgrad_jax.gradients.recording import Record
from vgrad_jax.gradients.stats import LayerStats
from vgrad_jax.inspection import NOT_INSPECTED, Hidden, Inspection
from vgrad_jax.numerics import LEVEL, json_value, lower_median, student_quantile, wilson

__all__ = ["Checked", "Diagnosis", "HasLook", "LayerStatus", "diagnose", "statuses_of"]

NOISE_DRAWS = 32
"""Number of draws of the noise of the batches."""


@dataclass(frozen=True)
class LayerStatus:
    """Part of one layer in the verdict."""

    path: str
    status: str
    log10_rms: float
    """Gradient in the late window, median over the seeds."""
    relative_log10: float
    """First gradient relative to the layer with the largest."""
    zero_fraction: float
    update_ratio_log10: float
    """NaN where it was not recorded."""


@dataclass(frozen=True)
class Diagnosis:
    """Verdict on a gradient."""

    status: str
    """One of `STATUSES`, or of a user's rule."""
    findings: tuple[Finding, ...]
    """Findings for the status first, then all others."""
    layers: tuple[LayerStatus, ...]
    """Layers with weights, input side first."""
    attenuation: tuple[float, float, float]
    """Decades a layer by which the gradient shrinks towards the input, at the first record, with a 95 % interval.

    The slope of a straight line for one seed, the mean of the seeds' slopes for several. Negative where the gradient
    grows, NaN for fewer than three layers."""
    seeds: dict[str, int]
    """Number of seeds that each status was given to."""
    under_noise: dict[str, float] = field(default_factory=dict)
    """Share of each verdict when the noise of the batches is drawn again from the records' own scatter.

    Empty where the scatter is not known: without a loss over time, or without noise."""

    @property
    def share(self) -> tuple[float, float, float]:
        """Share of the seeds that have the verdict, with its 95 % interval (Wilson 1927)."""
        number = sum(self.seeds.values())
        value = self.seeds.get(self.status, 0) / number
        low, high = wilson(value, number)
        return value, float(low), float(high)

    @property
    def closest(self) -> str | None:
        """Other verdict that the noise gives most often; None where it never gives another."""
        others = {status: share for status, share in self.under_noise.items() if status != self.status}
        return max(others, key=lambda status: others[status]) if others else None

    def __str__(self) -> str:
        number = sum(self.seeds.values())
        counts = ", ".join(f"{status} {count}" for status, count in self.seeds.items())
        seeds = ""
        if number > 1:
            _, low, high = self.share
            seeds = f"  ({number} seeds: {counts}; share {low:.0%} to {high:.0%})"
        lines = [self.status + seeds]
        if self.closest is not None:
            same = self.under_noise.get(self.status, 0.0)
            lines.append(f"  The noise of the batches keeps this verdict in {same:.0%} of draws; else: {self.closest}.")
        for finding in self.findings:
            layer = f" [{finding.layer}]" if finding.layer else ""
            lines += [f"  {finding.code}{layer}: {finding.sentence}", f"    {finding.advice}"]
        if self.status == UNCLEAR and not self.findings:
            lines.append(f"  {TABLE[UNCLEAR].meaning}")
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values that JSON can hold, in the form of `DIAGNOSIS_SCHEMA`.

        The texts "inf", "-inf" and "nan" stand for numbers that are not finite.
        """
        values = {
            "format": FORMAT,
            "status": self.status,
            "seeds": self.seeds,
            "share": self.share,
            "under_noise": self.under_noise,
            "closest": self.closest,
            "attenuation": self.attenuation,
            "findings": self.findings,
            "layers": [vars(layer) for layer in self.layers],
        }
        return dict(json_value(values))


@runtime_checkable
class HasLook(Protocol):
    """Check of a model before training, such as `InitCheck`."""

    @property
    def look(self) -> Look:
        """The look at the model's loss."""

    @property
    def inspection(self) -> Inspection:
        """Inspection of the loss and its data."""


@dataclass(frozen=True)
class Checked:
    """Look at a model's loss, and what the loss says before training."""

    look: Look
    inspection: Inspection = NOT_INSPECTED


@checked
def diagnose(
    record_or_stats: Record | LayerStats | Look,
    *,
    check: HasLook | Look | None = None,
    rules: Mapping[str, Rule] = RULES,
    baseline: float | None = None,
    hidden: Sequence[Hidden] | None = None,
) -> Diagnosis:
    """Judge whether a gradient is healthy, and if not, say what is wrong with it.

    Rules judge the profile over the layers at the first record, and the course of gradients, updates and loss. A fault
    has to last over the latest quarter of the records. Ratios come first. Absolute sizes count only against the range
    of the dtype, so that multiplying the loss by a constant changes nothing.

    Args:
        record_or_stats: from `get_record` or `gradient_stats`. The more was recorded, the more can be told apart: with
            the loss *solved* from *vanishing*, with the updates (`record(around=...)`) a learning rate.
        check: a `check_init` of the same model, for its activations: tells *saturated* and *exploding* by their cause.
        rules: the table; `{**RULES, "mine": Rule(find, source)}` adds a rule, and its status goes before all others.
        baseline: loss of the best constant prediction; where it is not given, that of the check.
        hidden: rank of each seed's last hidden layer before training; where it is not given, that of the check.

    Returns:
        The verdict: "unclear" where the recorded loss does not fall and no rule says why. Where too little of a loss
        was recorded to tell, "healthy" speaks of the profile over the layers alone. With several seeds it is the status
        that most of them have, the worse one where two are equal.

    Raises:
        InputError: nothing was recorded, the check is of another model, or `hidden` of another number of seeds.

    >>> import jax.numpy as jnp
    >>> from vgrad_jax.gradients import gradient_stats
    >>> gradient = [jnp.full((4, 4), 10.0 ** -n) for n in (9, 7, 5, 3, 1)]
    >>> diagnosis = diagnose(gradient_stats(gradient))
    >>> diagnosis.status, diagnosis.findings[0].code, round(diagnosis.attenuation[0], 3)
    ('vanishing', 'gradient_shrinks', 2.0)
    """
    seeds, findings, statuses = _judged(record_or_stats, check, rules, baseline, hidden)
    counts = most_frequent_first(Counter(statuses))
    status = next(iter(counts))
    typical = _typical_seed([seed for seed, own in enumerate(statuses) if own == status], seeds)
    own_first = tuple(sorted(findings[typical], key=lambda finding: finding.status != status))
    return Diagnosis(
        status=status,
        findings=own_first,
        layers=_layers(status, seeds, {finding.layer for finding in own_first if finding.status == status}),
        attenuation=_attenuation(seeds),
        seeds=counts,
        under_noise=_under_noise(seeds, rules),
    )


def statuses_of(
    record_or_stats: Record | LayerStats | Look,
    *,
    check: HasLook | Look | None = None,
    rules: Mapping[str, Rule] = RULES,
    baseline: float | None = None,
) -> list[str]:
    """Return the status of every seed; arguments and errors are those of `diagnose`.

    >>> from vgrad_jax.gradients import gradient_stats
    >>> statuses_of(gradient_stats([np.full((4, 4), 10.0 ** -n) for n in (9, 7, 5, 3, 1)]))
    ['vanishing']
    """
    return _judged(record_or_stats, check, rules, baseline, None)[2]


def _judged(
    record_or_stats: Record | LayerStats | Look,
    check: HasLook | Look | None,
    rules: Mapping[str, Rule],
    baseline: float | None,
    hidden: Sequence[Hidden] | None,
) -> tuple[list[Evidence], list[list[Finding]], list[str]]:
    """Return the evidence, the findings and the status of every seed."""
    before = Checked(check) if isinstance(check, Look) else check
    look, inspection = (None, None) if before is None else (before.look, before.inspection)
    seeds = evidence_of(record_or_stats, look, inspection, baseline, hidden)
    findings = [found(rules, evidence) for evidence in seeds]
    return seeds, findings, [_status(own, evidence) for own, evidence in zip(findings, seeds, strict=True)]


def _under_noise(seeds: list[Evidence], rules: Mapping[str, Rule]) -> dict[str, float]:
    """Judge again with the noise of the batches drawn anew; nothing where there is none.

    The draws are spread over the seeds, and are the same at every call.
    """
    noisy = [e for e in seeds if e.course is not None and e.course.scatter > 0 and e.course.finite.all()]
    if not noisy:
        return {}
    rng = np.random.default_rng(0)
    counts: Counter[str] = Counter()
    for draw in range(NOISE_DRAWS):
        evidence = noisy[draw % len(noisy)]
        course = evidence.course
        again = replace(evidence, drawn=None if course is None else course.resampled(rng))
        counts[_status(found(rules, again), again)] += 1
    return {status: count / NOISE_DRAWS for status, count in most_frequent_first(counts).items()}


def _status(findings: list[Finding], evidence: Evidence) -> str:
    """Return the status with the highest priority; without findings the loss decides.

    A status of a user's own rule goes before all others.
    """
    statuses = {finding.status for finding in findings if not finding.is_note}
    if statuses:
        return min(statuses, key=lambda status: (rank(status), status))
    course = evidence.course
    if course is not None and course.is_offset and course.from_start and course.fall < -SIGNIFICANT * course.error:
        return UNCLEAR  # A loss that may be negative rose: nothing shows whether it was meant to.
    if (evidence.remaining is None or evidence.late_fall is None) and not is_of_the_end_alone(evidence):
        return HEALTHY  # A look at one moment, or no loss: the profile is all there is.
    return HEALTHY if has_learned(evidence) else UNCLEAR


def _typical_seed(members: list[int], seeds: list[Evidence]) -> int:
    """Return the seed whose gradient is in the middle of the seeds that have the status."""
    sizes = [float(np.nan_to_num(seeds[seed].first_profile, posinf=1e3, neginf=-1e3).mean()) for seed in members]
    return members[int(np.argsort(sizes, kind="stable")[(len(sizes) - 1) // 2])]


def _attenuation(seeds: list[Evidence]) -> tuple[float, float, float]:
    """Return the slope of log10 RMS over the layers with a 95 % interval: of one seed, or of the seeds' mean."""
    lines = [straight_line(evidence.first_profile) for evidence in seeds]
    if len(lines) == 1:
        return lines[0]
    slopes = np.sort([slope for slope, _, _ in lines if math.isfinite(slope)])
    if len(slopes) < 2:
        return math.nan, math.nan, math.nan
    mean = float(slopes.mean())
    half = student_quantile(len(slopes) - 1, (1 + LEVEL) / 2) * float(slopes.std(ddof=1)) / math.sqrt(len(slopes))
    return mean, mean - half, mean + half


def _layers(status: str, seeds: list[Evidence], named: set[str | None]) -> tuple[LayerStatus, ...]:
    """Return every layer's numbers, medians over the seeds, and its part in the verdict.

    Args:
        status: the verdict.
        seeds: the evidence of every seed.
        named: layers that the findings name.
    """
    late = _median_over_seeds([evidence.late_profile for evidence in seeds])
    first = _median_over_seeds([evidence.first_profile for evidence in seeds])
    zeros = _median_over_seeds([evidence.zero_fraction[evidence.late].max(axis=0) for evidence in seeds])
    broken = np.mean([(evidence.nonfinite_fraction > 0).any(axis=0) for evidence in seeds], axis=0) > 0.5
    updates = [evidence.update_ratio_log10[-1] for evidence in seeds if evidence.update_ratio_log10 is not None]
    ratio = _median_over_seeds(updates) if updates else np.full(len(late), math.nan)
    finite = first[np.isfinite(first)]
    relative = first - (float(finite.max()) if len(finite) else 0.0)
    spread = spread_of(status)

    def status_of_layer(layer: int, path: str) -> str:
        if broken[layer]:
            return "non_finite"
        if spread is Spread.ALL:
            return status
        if np.isneginf(late[layer]):
            return "dead"
        weak = path in named or relative[layer] < INSENSITIVE
        return status if spread is Spread.ACTIVE or (spread is Spread.ATTENUATED and weak) else HEALTHY

    return tuple(
        LayerStatus(
            path=path,
            status=status_of_layer(layer, path),
            log10_rms=float(late[layer]),
            relative_log10=float(relative[layer]),
            zero_fraction=float(zeros[layer]),
            update_ratio_log10=float(ratio[layer]),
        )
        for layer, path in enumerate(seeds[0].paths)
    )


def _median_over_seeds(values: list[Float[np.ndarray, " layer"]]) -> Float[np.ndarray, " layer"]:
    return lower_median(np.stack(values))
