"""Page of the verdict on one record: what was found, how sure it is, and the evidence drawn."""

import json
import math
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from vgrad_jax.diagnosis import TABLE, Diagnosis, Finding
from vgrad_jax.gradients import Record
from vgrad_jax.numerics import lower_median
from vgrad_jax.report.figures.verdict import layer_sizes, loss_course
from vgrad_jax.report.files import write_page
from vgrad_jax.report.section import Block, Chart, Column, Table
from vgrad_jax.report.templates import picture, rendered, today
from vgrad_jax.wording import counted

__all__ = ["write_verdict"]

COLUMNS = (
    Column("layer", "input side first"),
    Column("status", "the layer's part in the verdict"),
    Column("gradient", "log10 of the root mean square in the latest quarter of the records, median over seeds"),
    Column("to the largest", "log10 of the first gradient over that of the layer with the largest"),
    Column("zeros", "largest share of elements that are exactly zero, in the latest quarter of the records"),
    Column("update / weights", "log10, at the last record"),
)


def write_verdict(record: Record, diagnosis: Diagnosis, path: str | Path, *, baseline: float | None = None) -> None:
    """Write the verdict on a record as one HTML file, with figures inside.

    Args:
        record: what was judged.
        diagnosis: of this record.
        path: of the file; an earlier verdict's page there is replaced.
        baseline: loss of the best constant prediction, to be drawn.

    Raises:
        InputError: the file cannot be written, is a symbolic link, or is another file than a verdict's page.
    """
    from importlib.metadata import version

    seeds = sum(diagnosis.seeds.values())
    records = np.shape(record.step)[-1]
    figures = [picture(chart) for chart in _charts(record, baseline)]
    page = rendered(
        "verdict.html",
        title=f"Verdict on {record.name!r}",
        facts=today(),
        question=(
            f"Does the gradient of this model reach every layer, and do its steps make the loss smaller? "
            f"{counted(records, 'record')} of {counted(len(record.paths), 'layer')}, {counted(seeds, 'seed')}."
        ),
        status=diagnosis.status,
        share=_share(diagnosis),
        meaning=TABLE[diagnosis.status].meaning if diagnosis.status in TABLE else "",
        sureness=_sureness(diagnosis),
        findings=[_words(finding) for finding in diagnosis.findings],
        figures=figures,
        layers=_layers(diagnosis),
        json=json.dumps(diagnosis.to_dict(), indent=2, allow_nan=False),
        version=version("vgrad_jax"),
    )
    write_page(Path(path), page.encode())


def _share(diagnosis: Diagnosis) -> str:
    number = sum(diagnosis.seeds.values())
    if number == 1:
        return ""
    _, low, high = diagnosis.share
    return f"in {diagnosis.seeds[diagnosis.status]} of {number} seeds (95 % interval {low:.0%} to {high:.0%})"


def _sureness(diagnosis: Diagnosis) -> list[str]:
    """Return sentences on other seeds and on the noise of the batches."""
    sentences = []
    others = {status: count for status, count in diagnosis.seeds.items() if status != diagnosis.status}
    if others:
        words = ", ".join(f"{status} in {count}" for status, count in others.items())
        sentences.append(f"Other seeds have another verdict: {words}.")
    if diagnosis.under_noise:
        same = diagnosis.under_noise.get(diagnosis.status, 0.0)
        closest = diagnosis.closest
        rest = "and gives no other." if closest is None else f"and most often gives {closest} instead."
        sentences.append(f"The noise of the batches, drawn again, keeps this verdict in {same:.0%} of draws {rest}")
    slope, low, high = diagnosis.attenuation
    if math.isfinite(slope):
        way = "shrinks" if slope >= 0 else "grows"
        factor = 10 ** abs(slope)
        sentences.append(
            f"At the first record the gradient {way} by a factor of {factor:.3g} for each layer towards the input "
            f"(slope of log10: {slope:.2f}, 95 % interval {low:.2f} to {high:.2f})."
        )
    return sentences


def _words(finding: Finding) -> dict[str, Any]:
    return {
        **finding._asdict(),
        "value": f"{finding.value:.3g}",
        "threshold": f"{finding.threshold:.3g}",
        "causes": ", ".join(finding.causes),
    }


def _layers(diagnosis: Diagnosis) -> Block:
    def row(layer: Any) -> list[str]:
        ratio = layer.update_ratio_log10
        numbers = (f"{layer.log10_rms:.1f}", f"{layer.relative_log10:.1f}", f"{layer.zero_fraction:.0%}")
        return [layer.path, layer.status, *numbers, "-" if math.isnan(ratio) else f"{ratio:.1f}"]

    table = Table("Layers, input side first", COLUMNS, [row(layer) for layer in diagnosis.layers])
    return Block("Layer by layer", table=table)


def _charts(record: Record, baseline: float | None) -> list[Chart]:
    steps = np.asarray(record.step).reshape(-1, np.shape(record.step)[-1])[0]
    late = len(steps) - max(1, len(steps) // 4)
    loss = _by_seed(record.loss, 1)
    charts = []
    if len(steps) > 1 and np.isfinite(loss).any():
        charts.append(
            Chart(
                "loss",
                "Loss over the steps: a line for each seed, the window that the verdict rests on shaded.",
                "A verdict compares the start with the shaded steps. A loss that stays at the dashed line is no better "
                "than a constant prediction.",
                partial(loss_course, steps, loss, late, baseline, _first_break(record)),
            )
        )
    sizes = _by_seed(record.log10_rms, 2)
    ratio = record.update_ratio_log10
    updates = None if ratio is None else lower_median(_by_seed(ratio, 2)[:, late:], axis=1)
    charts.append(
        Chart(
            "layers",
            "Sizes by layer: the gradient at the first record and at the end, and updates over weights.",
            "A line that falls by several decades towards the left is a gradient that does not reach the input side. "
            "A whole line that sinks is a loss that is solved, or a training that stands still.",
            partial(layer_sizes, record.paths, sizes[:, 0], lower_median(sizes[:, late:], axis=1), updates),
        )
    )
    if len(steps) > 1:
        charts.append(
            Chart(
                "gradient",
                "Gradient by layer and step: colour is log10 of the root mean square, the loss is below.",
                "Look for rows of another colour (layers that stand out), and for columns where the colour changes "
                "(steps at which something happened).",
                record.plot,
            )
        )
    return charts


def _by_seed(values: Any, axes: int) -> Float[np.ndarray, "seed *rest"]:
    array = np.asarray(values, np.float64)
    return array.reshape(-1, *array.shape[array.ndim - axes :])


def _first_break(record: Record) -> int | None:
    """Return the first broken step of the seed that broke first; None where none did."""
    if record.first_broken_step is None:
        return None
    steps = np.asarray(record.first_broken_step).reshape(-1)
    broken = steps[steps >= 0]
    return int(broken.min()) if broken.size else None
