"""Verdicts on gradients: of a sweep's arms, and as a table for the terminal."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import jax
import numpy as np
from jaxtyping import Bool, Float, Int

from vgrad_jax.data import Dataset
from vgrad_jax.diagnosis import FAULTLESS, HEALTHY, RULES, UNCLEAR, Diagnosis, Finding, diagnose, most_frequent_first
from vgrad_jax.experiment import Experiment
from vgrad_jax.gradients import Record
from vgrad_jax.losses import LOSSES
from vgrad_jax.nets.mlp import Params
from vgrad_jax.results.reading import completed_seeds, data_of, experiment_of, function_of, num_layers, record_of
from vgrad_jax.statistics.geometry import MOST_SEEDS, Geometry, arm_geometries, geometry_of

if TYPE_CHECKING:
    import xarray
    from rich.table import Table

__all__ = [
    "NOT_LEARNED",
    "Courses",
    "arm_verdicts",
    "layer_table",
    "run_verdict",
    "runs_verdict",
    "with_outcomes",
]

NOT_LEARNED = "runs_do_not_learn"
"""Code of the finding of an arm that mostly fails and whose gradients show no fault."""

UNFINISHED = ("too_few_steps", "chance_level")
"""Statuses that a run which reached its accuracy cannot have."""

MOST_RECORDS = 64
"""Most records that are judged: a verdict is over windows of the training."""


class Courses(NamedTuple):
    """Courses of runs over their records."""

    epoch: Int[np.ndarray, " record"]
    log10_rms: Float[np.ndarray, "seed record layer"]
    """Each layer's gradient, log10 root mean square."""
    loss: Float[np.ndarray, "seed record"]
    """Training loss, nats."""

    def thinned(self) -> "Courses":
        """Return the courses at `MOST_RECORDS` records at the most."""
        kept = _kept(len(self.epoch))
        return Courses(self.epoch[kept], self.log10_rms[:, kept], self.loss[:, kept])


_WITHOUT_UPDATES = {name: rule for name, rule in RULES.items() if name != "too_few_steps"}
"""Rules for runs whose records are counted in epochs, where the number of updates in an epoch is not known."""


def arm_verdicts(results: "xarray.Dataset", geometries: Mapping[str, Geometry] | None = None) -> dict[str, Diagnosis]:
    """Judge every arm's gradients over training, from its first 64 finished seeds.

    The verdict rests on the layers' gradients, on the training loss beside chance, and on the rank of the last hidden
    layer. Chance is the best constant prediction. The share of runs that converge is regarded last. An unfit learning
    rate is not told: it takes the sizes of weights and updates, of which a sweep keeps only the ratio. A function is
    judged by the record that it returned, as `diagnose` does. Arms without gradients are left out.

    Args:
        results: of a sweep.
        geometries: from `arm_geometries`, which is called where they are not given.
    """
    measured = arm_geometries(results) if geometries is None else geometries
    verdicts: dict[str, Diagnosis] = {}
    for arm, layers in num_layers(results).items():
        if not layers:
            continue
        function = function_of(results, arm)
        if function is not None:
            verdict = _function_verdict(results, arm, has_outcome=function.criterion is not None)
            verdicts |= {} if verdict is None else {arm: verdict}
            continue
        runs = completed_seeds(results, arm)
        converged = runs["converged"].values
        dataset = data_of(results, arm)
        experiment = None if dataset is None else experiment_of(results, arm)
        verdict = _judged(_courses(runs.isel(seed=slice(MOST_SEEDS)), layers), experiment, dataset, measured.get(arm))
        verdicts[arm] = with_outcomes(verdict, int(converged.sum()), len(converged))
    return verdicts


def _function_verdict(results: "xarray.Dataset", arm: str, *, has_outcome: bool) -> Diagnosis | None:
    """Judge the record that a function returned; None where nothing was recorded."""
    record = record_of(results, arm, MOST_SEEDS)
    if record is None or not record.step.shape[-1]:
        return None
    verdict = diagnose(record)
    if not has_outcome:
        return verdict
    converged = completed_seeds(results, arm)["converged"].values
    return with_outcomes(verdict, int(converged.sum()), len(converged))


def run_verdict(
    experiment: Experiment, dataset: Dataset, params: Params, courses: Courses, *, converged: bool
) -> Diagnosis:
    """Judge a single run as a sweep judges each of its runs.

    Args:
        experiment: its arm.
        dataset: its data.
        params: parameters at initialisation.
        courses: its losses and gradients, with a `seed` axis of length one.
        converged: whether it reached the threshold.
    """
    params = jax.tree.map(lambda leaf: leaf[None], params)
    return runs_verdict(experiment, dataset, params, courses, converged=np.asarray([converged]))


def runs_verdict(
    experiment: Experiment, dataset: Dataset, params: Params, courses: Courses, *, converged: Bool[np.ndarray, " run"]
) -> Diagnosis:
    """Judge runs of an experiment as a sweep judges them.

    Args:
        experiment: their arm.
        dataset: its data.
        params: parameters at initialisation, with a leading `seed` axis.
        courses: losses and gradients of the same runs.
        converged: whether each run reached the threshold; there may be more runs than courses.
    """
    geometry = geometry_of(experiment, dataset, params)
    verdict = _judged(courses.thinned(), experiment, dataset, geometry)
    return with_outcomes(verdict, int(converged.sum()), len(converged))


def _judged(
    courses: Courses, experiment: Experiment | None, dataset: Dataset | None, geometry: Geometry | None
) -> Diagnosis:
    """Judge each run; where the arm is no `Experiment`, without chance and without the number of updates."""
    hidden = None if geometry is None else geometry.hidden
    if experiment is None or dataset is None:
        return diagnose(_record(courses, 1), rules=_WITHOUT_UPDATES, hidden=hidden)
    updates = -(-len(dataset.train_x) // experiment.training.batch_size)
    chance = LOSSES[experiment.training.loss].chance(np.asarray(dataset.train_y))
    return diagnose(_record(courses, updates), baseline=chance, hidden=hidden)


def with_outcomes(verdict: Diagnosis, converged: int, n: int) -> Diagnosis:
    """Return the verdict with regard to how the runs ended: an arm that mostly fails is neither healthy nor solved.

    Where most runs converged, seeds whose loss has not come far count as "healthy": they reached what was asked. Where
    most runs did not converge, seeds and layers without a fault count as "unclear". The seeds do not vote again:
    the most frequent status stays the verdict where it names a fault, even where unclear seeds are now more. A verdict
    that names no fault becomes "unclear" too, with the finding `NOT_LEARNED`. The rules judge ratios between layers,
    which do not say why the runs failed.

    Args:
        verdict: on the gradients alone.
        converged: runs of the arm that converged.
        n: finished runs of the arm.
    """
    if 2 * converged >= n:
        findings = [finding for finding in verdict.findings if finding.status not in UNFINISHED]
        return _renamed(verdict, _of_learned, findings)
    findings = [finding for finding in verdict.findings if finding.status not in FAULTLESS]
    if verdict.status in FAULTLESS:
        findings.insert(0, _not_learned(converged, n))
    return _renamed(verdict, _of_failed, findings)


def _renamed(verdict: Diagnosis, rename: Callable[[str], str], findings: list[Finding]) -> Diagnosis:
    """Return the verdict with other words for its statuses, and other findings."""
    seeds: Counter[str] = Counter()
    for status, count in verdict.seeds.items():
        seeds[rename(status)] += count
    under_noise: dict[str, float] = {}
    for status, share in verdict.under_noise.items():
        under_noise[rename(status)] = under_noise.get(rename(status), 0.0) + share
    return replace(
        verdict,
        status=rename(verdict.status),
        findings=tuple(findings),
        layers=tuple(replace(layer, status=rename(layer.status)) for layer in verdict.layers),
        seeds=most_frequent_first(seeds),
        under_noise=under_noise,
    )


def _of_learned(status: str) -> str:
    return HEALTHY if status in UNFINISHED else status


def _of_failed(status: str) -> str:
    return UNCLEAR if status in FAULTLESS else status


def _not_learned(converged: int, n: int) -> Finding:
    failed = f"Most runs did not learn: {n - converged} of {n} did" if n > 1 else "The run did"
    return Finding(
        code=NOT_LEARNED,
        status=UNCLEAR,
        layer=None,
        value=converged / n,
        threshold=0.5,
        sentence=f"{failed} not converge before the training ended. The ratios between layers do not say why.",
        advice="Look at the loss and the accuracy over the epochs; try more epochs or another learning rate.",
    )


def _courses(runs: "xarray.Dataset", layers: int) -> Courses:
    kept = _kept(runs.sizes["record"])
    return Courses(
        epoch=runs["epoch"].values[kept],
        log10_rms=runs["gradient_log10_rms"].isel(record=kept, layer=slice(layers)).values,
        loss=runs["train_loss"].isel(record=kept).values,
    )


def _kept(records: int) -> Int[np.ndarray, " kept"]:
    return np.unique(np.linspace(0, records - 1, min(records, MOST_RECORDS)).round().astype(int))


def _record(courses: Courses, updates: int) -> Record:
    """Return courses as a record.

    Args:
        courses: of the runs.
        updates: number of updates in an epoch; a record's step is the number of updates before it.
    """
    sizes = courses.log10_rms
    layers = sizes.shape[-1]
    with np.errstate(invalid="ignore"):  # -inf, of layers without a gradient, has no spread.
        mean, spread = sizes.mean(axis=1), sizes.std(axis=1)
    return Record(
        paths=tuple(f"layer {layer}" for layer in range(layers)),
        step=np.broadcast_to(updates * courses.epoch, sizes.shape[:2]),
        log10_rms=sizes,
        log10_max=sizes,
        zero_fraction=np.isneginf(sizes).astype(np.float32),
        nonfinite_fraction=(np.isnan(sizes) | np.isposinf(sizes)).astype(np.float32),
        loss=courses.loss,
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
