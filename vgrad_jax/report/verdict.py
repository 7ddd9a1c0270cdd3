"""Verdicts on gradients: of a sweep's arms, and as a table for the terminal."""

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from vgrad_jax.diagnosis import FAULTLESS, UNCLEAR, Diagnosis, Finding, diagnose, most_frequent_first
from vgrad_jax.gradients import Record
from vgrad_jax.results.reading import completed_seeds, num_layers

if TYPE_CHECKING:
    import xarray
    from rich.table import Table

__all__ = ["MOST_SEEDS", "NOT_LEARNED", "arm_verdicts", "layer_table", "with_outcomes"]

NOT_LEARNED = "runs_do_not_learn"
"""Code of the finding of an arm that mostly fails and whose gradients show no fault."""

MOST_SEEDS, MOST_RECORDS = 64, 64
"""Most seeds and records that are judged: a verdict is the majority's, over windows of the training."""


def arm_verdicts(results: "xarray.Dataset") -> dict[str, Diagnosis]:
    """Judge every arm's gradients over training, from its first 64 finished seeds.

    The verdict rests on the layers' gradients, the training loss, and the share of runs that converge. An unfit
    learning rate is not told: it takes the sizes of weights and updates, of which a sweep keeps only the ratio.
    """
    verdicts = {}
    for arm, layers in num_layers(results).items():
        runs = completed_seeds(results, arm)
        converged = runs["converged"].values
        verdict = diagnose(_record(runs.isel(seed=slice(MOST_SEEDS)), layers))
        verdicts[arm] = with_outcomes(verdict, int(converged.sum()), len(converged))
    return verdicts


def with_outcomes(verdict: Diagnosis, converged: int, n: int) -> Diagnosis:
    """Return the verdict with regard to how the runs ended: an arm that mostly fails is neither healthy nor solved.

    Where most runs did not converge, seeds and layers without a fault count as "unclear". The seeds do not vote again:
    the most frequent status stays the verdict where it names a fault, even where unclear seeds are now more. A verdict
    that names no fault becomes "unclear" too, with the finding `NOT_LEARNED`. The rules judge ratios between layers,
    which do not say why the runs failed.

    Args:
        verdict: on the gradients alone.
        converged: runs of the arm that converged.
        n: finished runs of the arm.
    """
    if 2 * converged >= n:
        return verdict
    seeds: Counter[str] = Counter()
    for status, count in verdict.seeds.items():
        seeds[_of_failed(status)] += count
    findings = [finding for finding in verdict.findings if finding.status not in FAULTLESS]
    if verdict.status in FAULTLESS:
        findings.insert(0, _not_learned(converged, n))
    return replace(
        verdict,
        status=_of_failed(verdict.status),
        findings=tuple(findings),
        layers=tuple(replace(layer, status=_of_failed(layer.status)) for layer in verdict.layers),
        seeds=most_frequent_first(seeds),
    )


def _of_failed(status: str) -> str:
    return UNCLEAR if status in FAULTLESS else status


def _not_learned(converged: int, n: int) -> Finding:
    return Finding(
        code=NOT_LEARNED,
        status=UNCLEAR,
        layer=None,
        value=converged / n,
        threshold=0.5,
        sentence=f"Most runs did not learn: {n - converged} of {n} did not converge within the budget. The ratios "
        "between layers do not say why.",
        advice="Look at the loss and the accuracy over the epochs; a longer budget or another learning rate may tell.",
    )


def _record(runs: "xarray.Dataset", layers: int) -> Record:
    total = runs.sizes["record"]
    kept = np.unique(np.linspace(0, total - 1, min(total, MOST_RECORDS)).round().astype(int))
    sizes = runs["gradient_log10_rms"].isel(record=kept, layer=slice(layers)).values
    with np.errstate(invalid="ignore"):  # -inf, of layers without a gradient, has no spread.
        mean, spread = sizes.mean(axis=1), sizes.std(axis=1)
    return Record(
        paths=tuple(f"layer {layer}" for layer in range(layers)),
        step=np.broadcast_to(runs["epoch"].values[kept], sizes.shape[:2]),
        log10_rms=sizes,
        log10_max=sizes,
        zero_fraction=np.isneginf(sizes).astype(np.float32),
        nonfinite_fraction=(np.isnan(sizes) | np.isposinf(sizes)).astype(np.float32),
        loss=runs["train_loss"].isel(record=kept).values,
        params_log10_rms=None,
        updates_log10_rms=None,
        mean_log10_rms=mean,
        std_log10_rms=spread,
        # Counts of parameters matter for the weights' part in the loss alone, and results hold no weights.
        counts=(1,) * layers,
        has_matrix=(True,) * layers,
        dtypes=("float32",) * layers,
    )


def layer_table(diagnosis: Diagnosis) -> "Table":
    """Return a table of every layer's part in a verdict, input side first."""
    from rich.table import Table

    table = Table(title="layers, input side first", title_justify="left")
    table.add_column("layer", no_wrap=True)
    headings = ("status", "gradient, log10 RMS", "to the largest", "zeros", "update / weights, log10")
    for heading in headings:
        table.add_column(heading, justify="right")
    for layer in diagnosis.layers:
        numbers = (layer.log10_rms, layer.relative_log10)
        table.add_row(
            layer.path,
            layer.status,
            *(f"{number:.1f}" for number in numbers),
            f"{layer.zero_fraction:.0%}",
            "-" if layer.update_ratio_log10 != layer.update_ratio_log10 else f"{layer.update_ratio_log10:.1f}",
        )
    return table
