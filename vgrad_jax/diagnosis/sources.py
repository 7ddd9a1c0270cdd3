"""Sources of evidence: a record, sizes at one moment, or a look at a loss, with a look before training beside them.

A record has all its records, sizes at one moment and a look are a record of one. Batch axes become a list of seeds.
A look knows the order of the layers, and how a stack is cut. A record has the order of the tree, and may have the stack
as one layer. Its layers are sorted by the look's. Where a stack is one layer, the look's own profile is judged.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from vgrad_jax.diagnosis.evidence import Before, Evidence
from vgrad_jax.diagnosis.profiles import drop_of
from vgrad_jax.diagnosis.symptoms import has_learned
from vgrad_jax.diagnosis.thresholds import FEWEST_RECORDS
from vgrad_jax.errors import InputError
from vgrad_jax.gradients.look import ACTIVATIONS, SMOOTH_ACTIVATIONS, Look
from vgrad_jax.gradients.recording import BETWEEN_RECORDS, OF_TRAINING, SIZES, Record
from vgrad_jax.gradients.stats import LayerStats
from vgrad_jax.inspection import NOT_INSPECTED, Hidden, Inspection
from vgrad_jax.numerics import lower_median

__all__ = ["evidence_of"]

FEWEST_ROWS = 8
"""Number of rows of a batch from which its best constant prediction stands for chance."""


def evidence_of(
    source: Record | LayerStats | Look,
    before: Look | None = None,
    inspection: Inspection | None = None,
    baseline: float | None = None,
    hidden: Sequence[Hidden] | None = None,
) -> list[Evidence]:
    """Return the evidence of every seed.

    Args:
        source: a record, sizes at one moment, or a look at a loss.
        before: a look at the loss before training; where it has another number of seeds than the record, its median.
        inspection: what the loss and its data say before training.
        baseline: loss of the best constant prediction; where it is not given, that of the inspection.
        hidden: each seed's last hidden layer before training; where it is not given, that of the inspection.

    Raises:
        InputError: nothing was recorded, `before` has other layers, or `hidden` another number of seeds.
    """
    if isinstance(source, Look):
        record, before = _record_of_moment(source.stats, source.params_log10_rms, source.loss), source
    elif isinstance(source, LayerStats):
        record = _record_of_moment(source, None, None)
    else:
        record = source
    if not np.shape(record.step)[-1]:
        raise InputError("nothing was recorded yet; diagnose after the first update")
    weights = np.flatnonzero(record.has_matrix) if any(record.has_matrix) else np.arange(len(record.paths))
    if before is None:
        return _with_hidden(_of_record_alone(record, weights, baseline), hidden)
    members = _members(before, record.paths)
    kept = np.array(sorted(weights, key=lambda layer: members[layer]), int)
    arrays = _arrays_by_seed(record, kept)
    arrays |= _activations(before, [members[layer] for layer in kept], len(arrays["log10_rms"]))
    facts = _facts(before, len(kept), inspection or NOT_INSPECTED, baseline)
    return _with_hidden(_made(arrays, _labels(record, kept) | facts), hidden)


def _made(arrays: dict[str, np.ndarray], shared: dict[str, Any]) -> list[Evidence]:
    """Return the evidence of each seed, from arrays with an axis of seeds and from what all seeds share."""
    number = len(arrays["log10_rms"])
    return [Evidence(**shared, **{name: _own(row[seed]) for name, row in arrays.items()}) for seed in range(number)]


def _of_record_alone(record: Record, kept: np.ndarray, baseline: float | None) -> list[Evidence]:
    """Return the evidence of a record without a look: of the active layers, where these are most layers and learned.

    A layer without a gradient may be frozen on purpose. Dead units cut off all layers on the input side instead. So a
    layer between active ones is frozen, and one at an end is dead where the others learn nothing either.
    """

    def of(layers: np.ndarray) -> list[Evidence]:
        return _made(_arrays_by_seed(record, layers), _labels(record, layers) | {"chance": baseline})

    idle = _is_idle(record, kept)
    active = np.flatnonzero(~idle)
    if idle.any() and len(active) > len(kept) / 2:
        evidence = of(kept[active])
        if all(has_learned(own) for own in evidence):
            return evidence
    between = idle & (np.cumsum(~idle) > 0) & (np.cumsum(~idle) < len(active))
    return of(kept[~between])


def _is_idle(record: Record, kept: np.ndarray) -> np.ndarray:
    """Return which layers had no gradient and did not change in any record of any seed."""
    if record.params_log10_rms is None or np.shape(record.step)[-1] < FEWEST_RECORDS:
        return np.zeros(len(kept), bool)
    gradient, size = (_with_one_batch_axis(array, 2) for array in (record.log10_rms, record.params_log10_rms))
    idle = np.isneginf(gradient).all(axis=(0, 1)) & (size == size[:, :1]).all(axis=(0, 1))
    return np.asarray(idle[kept])


def _with_hidden(evidence: list[Evidence], hidden: Sequence[Hidden] | None) -> list[Evidence]:
    """Return the evidence with the last hidden layer of each seed's own network, where it is given."""
    if hidden is None:
        return evidence
    if len(hidden) != len(evidence):
        raise InputError(
            f"hidden needs a layer for each seed: {len(evidence)} were recorded, and {len(hidden)} layers came; "
            "measure the networks of the same seeds"
        )
    return [
        replace(own, before=replace(own.before or Before(), **vars(layer)))
        for own, layer in zip(evidence, hidden, strict=True)
    ]


def _own(value: Any) -> Any:
    """Return an array, or a plain number where it has no axes."""
    return value.item() if np.ndim(value) == 0 else value


def _labels(record: Record, kept: np.ndarray) -> dict[str, Any]:
    dtypes = record.dtypes or (None,) * len(record.paths)
    return {
        "paths": tuple(record.paths[layer] for layer in kept),
        "counts": np.asarray(record.counts or (1,) * len(record.paths), float)[kept],
        "smallest": np.array([_log10(dtype, "tiny") for dtype in dtypes])[kept],
        "spacing": np.array([_log10(dtype, "eps") - math.log10(2) for dtype in dtypes])[kept],
    }


def _record_of_moment(stats: LayerStats, params_log10_rms: Any, loss: Any) -> Record:
    """Return sizes at one moment as a record of length one."""
    sizes: dict[str, Any] = {field: np.asarray(getattr(stats, field))[..., None, :] for field in SIZES}
    rms = sizes["log10_rms"]
    batch = rms.shape[:-1]
    return Record(
        paths=stats.paths,
        step=np.zeros(batch, int),
        **sizes,
        loss=np.full(batch, math.nan) if loss is None else np.asarray(loss)[..., None],
        params_log10_rms=None if params_log10_rms is None else np.asarray(params_log10_rms)[..., None, :],
        updates_log10_rms=None,
        mean_log10_rms=rms[..., 0, :],
        std_log10_rms=np.full_like(rms[..., 0, :], math.nan),
        counts=tuple(np.asarray(stats.count).reshape(-1, len(stats.paths))[0].tolist()),
        has_matrix=stats.has_matrix or (True,) * len(stats.paths),
        dtypes=stats.dtypes,
    )


def _arrays_by_seed(record: Record, kept: np.ndarray) -> dict[str, np.ndarray]:
    """Return what was recorded, in float64, with one axis of seeds in front, of the layers that are kept."""
    fields = (*SIZES, "params_log10_rms", "update_ratio_log10")
    by_layer = {field: array for field in fields if (array := getattr(record, field)) is not None}
    arrays = {field: _with_one_batch_axis(array, 2)[..., kept] for field, array in by_layer.items()}
    seeds, records = arrays["log10_rms"].shape[:2]
    given = record.first_broken_loss is not None and np.asarray(record.first_broken_loss).any()
    if given or not np.isnan(np.asarray(record.loss, np.float64)).all():
        arrays["loss"] = _with_one_batch_axis(record.loss, 1)
    arrays["step"] = np.broadcast_to(np.asarray(record.step).reshape(-1, records), (seeds, records))
    for field in BETWEEN_RECORDS:
        if (array := getattr(record, field)) is not None:
            arrays[field] = _with_one_batch_axis(array, 1)
    for field in OF_TRAINING:
        if (array := getattr(record, field)) is not None:
            arrays[field] = np.broadcast_to(np.asarray(array).reshape(-1), (seeds,))
    if record.first_broken_layers is not None:
        arrays["first_broken_layers"] = np.asarray(record.first_broken_layers).reshape(seeds, -1)[:, kept]
    return arrays


def _members(before: Look, recorded: tuple[str, ...]) -> list[list[int]]:
    """Return the look's layers that each recorded layer is made of, or is a part of.

    Raises:
        InputError: the look has no such layer.
    """
    known = before.stats.paths
    members = []
    for path in recorded:
        own = [index for index, name in enumerate(known) if name == path or name.startswith(f"{path}/")]
        own = own or [index for index, name in enumerate(known) if path.startswith(f"{name}/")]
        if not own:
            raise InputError(
                f"the check knows no layer {path!r}; it has: {', '.join(known)}. Check the same model that is "
                "recorded, with the same stacked and group"
            )
        members.append(own)
    return members


def _activations(before: Look, members: list[list[int]], seeds: int) -> dict[str, Float[np.ndarray, "seed layer"]]:
    """Return the states of preactivations and activations before training, of the layers that are kept.

    Args:
        before: a look at the loss before training.
        members: layers of the look that each layer is made of.
        seeds: number of seeds in the record.
    """
    fields = {
        "product_log10_rms": before.by_layer("log10_rms", ("product",)),
        "saturated_fraction": before.by_layer("off_fraction", SMOOTH_ACTIVATIONS),
        "stuck_fraction": before.by_layer("stuck_fraction", ACTIVATIONS),
    }
    by_seed = {}
    for field, values in fields.items():
        flat = values.reshape(-1, values.shape[-1])
        columns = np.stack([np.fmax.reduce(flat[:, own], axis=1) for own in members], axis=1)
        if len(columns) != seeds:  # Other initialisations of the model: their median is what the model usually has.
            columns = lower_median(columns)[None]
        by_seed[field] = np.broadcast_to(columns, (seeds, len(members)))
    return by_seed


def _facts(before: Look, layers: int, inspection: Inspection, baseline: float | None) -> dict[str, Any]:
    """Return what is known of the model as a whole before training.

    Args:
        before: a look at the loss.
        layers: number of layers that are judged.
        inspection: what the loss and its data say.
        baseline: loss of the best constant prediction, where the caller gave it.
    """
    weights = np.flatnonzero(before.stats.has_matrix)
    sizes, touched = (
        np.asarray(array, np.float64).reshape(-1, len(before.stats.paths))
        for array in (before.stats.log10_rms, before.touched_fraction)
    )
    profile = lower_median(sizes - 0.5 * np.log10(np.where(touched > 0, touched, 1)))
    hidden = inspection.hidden
    facts = Before(
        kinds=frozenset(before.forward.kinds) - {"product"},
        drop=drop_of(profile[weights]) if len(weights) > layers else None,
        concerns=inspection.concerns,
        zeros=inspection.zeros,
        nonfinite=inspection.nonfinite,
        **({} if hidden is None else vars(hidden)),
    )
    enough = inspection.chance_rows >= FEWEST_ROWS
    if baseline is not None or not enough:
        return {"before": facts, "chance": baseline}
    return {
        "before": facts,
        "chance": inspection.chance,
        # Constants that no data were fitted to are exact.
        "chance_rows": inspection.chance_rows if inspection.chance_constants else None,
        "chance_constants": inspection.chance_constants or None,
        "chance_is_partial": inspection.chance_is_partial,
    }


def _with_one_batch_axis(values: Any, axes: int) -> np.ndarray:
    """Join all but the last `axes` axes into one."""
    array = np.asarray(values, np.float64)
    return array.reshape(int(np.prod(array.shape[: array.ndim - axes])), *array.shape[array.ndim - axes :])


def _log10(dtype: str | None, number: str) -> float:
    return math.nan if dtype is None else math.log10(float(getattr(jnp.finfo(jnp.dtype(dtype)), number)))
