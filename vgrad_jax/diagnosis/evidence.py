"""Evidence of a verdict: the numbers of one seed, ratios wherever possible.

    Record ─────┐                          first_profile   gradient by layer, first record
    LayerStats ─┼─► Evidence, a seed each  late_profile    gradient by layer, latest quarter of the records
    Look ───────┘                          drop, growth, sensitivity, loss_ratio, ...

A record has all its records, sizes at one moment and a look are a record of one. Layers without weights are left out.
Forward-pass numbers come from a look before training. Batch axes become a list of seeds.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from vgrad_jax.diagnosis.statuses import FEWEST_LAYERS, FEWEST_RECORDS
from vgrad_jax.errors import InputError
from vgrad_jax.gradients.look import ACTIVATIONS, SMOOTH_ACTIVATIONS, Look
from vgrad_jax.gradients.recording import SIZES, Record
from vgrad_jax.gradients.stats import LayerStats
from vgrad_jax.numerics import LEVEL, lower_median

__all__ = ["Evidence", "evidence_of", "straight_line"]

MOST_LAYERS_WITH_OUTPUT = 3
"""Number of layers up to which the output layer takes part in `drop`."""


@dataclass(frozen=True)
class Evidence:
    """Numbers of one seed, of the layers that have weights (of all, where no layer has weights), input side first.

    Multiplying the loss by a constant shifts `log10_rms` and `log10_max`. It changes no property that is computed here,
    as long as nothing leaves the range of the dtype.
    """

    paths: tuple[str, ...]
    counts: Float[np.ndarray, " layer"]
    """Number of elements of each layer."""
    smallest: Float[np.ndarray, " layer"]
    """log10 of the smallest normal number of each layer's dtype; NaN where the dtype is not known."""
    log10_rms: Float[np.ndarray, "record layer"]
    log10_max: Float[np.ndarray, "record layer"]
    zero_fraction: Float[np.ndarray, "record layer"]
    nonfinite_fraction: Float[np.ndarray, "record layer"]
    params_log10_rms: Float[np.ndarray, "record layer"] | None = None
    update_ratio_log10: Float[np.ndarray, "record layer"] | None = None
    loss: Float[np.ndarray, " record"] | None = None
    product_log10_rms: Float[np.ndarray, " layer"] | None = None
    """log10 RMS of the preactivations at initialisation; NaN for a layer without a product."""
    saturated_fraction: Float[np.ndarray, " layer"] | None = None
    """Share of saturated outputs of the tanh and logistic functions behind a layer; NaN where there are none."""
    stuck_fraction: Float[np.ndarray, " layer"] | None = None
    """Share of units without a slope for any example; NaN for a layer without an activation."""

    @property
    def records(self) -> int:
        """Number of records."""
        return len(self.log10_rms)

    @property
    def late(self) -> slice:
        """Late window, the latest quarter of the records: a fault has to persist over it."""
        return slice(self.records - max(1, self.records // 4), None)

    @cached_property
    def first_profile(self) -> Float[np.ndarray, " layer"]:
        """log10 RMS by layer at the first record."""
        return self.log10_rms[0]

    @cached_property
    def late_profile(self) -> Float[np.ndarray, " layer"]:
        """log10 RMS by layer, the median over the late window."""
        return lower_median(self.log10_rms[self.late])

    @cached_property
    def drop(self) -> float:
        """Decades by which the first gradient is smaller on the input side than on the output side.

        Medians of a third of the layers each. The output layer is left out where there are enough others, because its
        gradient follows another law.
        """
        profile = self.first_profile[:-1] if len(self.paths) > MOST_LAYERS_WITH_OUTPUT else self.first_profile
        third = max(1, len(profile) // 3)
        low, high = float(lower_median(profile[:third])), float(lower_median(profile[-third:]))
        return high - low if math.isfinite(high) and not math.isnan(low) else 0.0

    @cached_property
    def sensitivity(self) -> Float[np.ndarray, "record layer"] | None:
        """log10 of |gradient| |weights| / |loss|, with Euclidean norms; None without parameters or loss.

        An upper bound (Cauchy and Schwarz): the loss changes by at most this share of itself when a layer's weights
        change by their own size.
        """
        if self.params_log10_rms is None or self.loss is None:
            return None
        with np.errstate(divide="ignore", invalid="ignore"):
            loss = np.log10(np.abs(self.loss))[:, None]
            return self.log10_rms + self.params_log10_rms + np.log10(self.counts)[None] - loss

    @cached_property
    def growth(self) -> float | None:
        """Decades by which preactivations grow from the first product to the largest, at initialisation."""
        if self.product_log10_rms is None:
            return None
        known = self.product_log10_rms[np.isfinite(self.product_log10_rms)]
        return float(known.max() - known[0]) if len(known) else None

    @cached_property
    def loss_ratio(self) -> float | None:
        """Loss in the late window over the first loss; infinite where it is not finite; None where it is not known."""
        if self.loss is None or self.records < 2 or not self.loss[0] > 0:
            return None
        with np.errstate(invalid="ignore", over="ignore"):
            ratio = float(lower_median(self.loss[self.late]) / self.loss[0])
        return ratio if math.isfinite(ratio) else math.inf

    @cached_property
    def late_fall(self) -> float | None:
        """Share of itself that the loss lost from the end of the first fifth of the records to the late window."""
        if self.loss is None or self.records < FEWEST_RECORDS:
            return None
        early, late = float(self.loss[self.records // 5]), float(lower_median(self.loss[self.late]))
        return (early - late) / early if early > 0 and math.isfinite(late) else None

    @cached_property
    def first_broken(self) -> int | None:
        """Index of the first record in which a gradient or the loss is not finite."""
        broken = (self.nonfinite_fraction > 0).any(axis=1)
        if self.loss is not None and np.isfinite(self.loss).any():
            broken = broken | ~np.isfinite(self.loss)
        return int(np.argmax(broken)) if broken.any() else None

    @cached_property
    def shrinkage(self) -> Float[np.ndarray, " layer"]:
        """Decades by which each layer's gradient shrank from the first record to the late window."""
        with np.errstate(invalid="ignore"):
            return self.first_profile - self.late_profile


def straight_line(profile: Float[np.ndarray, " layer"]) -> tuple[float, float, float]:
    """Fit a line to the finite values over the layers' indices (least squares).

    Returns:
        The slope and its 95 % interval (Student's t); NaN for fewer than three finite values.

    >>> [round(number, 3) for number in straight_line(np.array([-4.0, -3.0, -2.0, -1.0]))]
    [1.0, 1.0, 1.0]
    """
    depth = np.flatnonzero(np.isfinite(profile)).astype(float)
    if len(depth) < FEWEST_LAYERS:
        return math.nan, math.nan, math.nan
    from scipy.special import stdtrit

    values = profile[np.isfinite(profile)]
    offset = depth - depth.mean()
    slope = float(offset @ values / (offset @ offset))
    residual = values - values.mean() - slope * offset
    error = math.sqrt(float(residual @ residual) / (len(depth) - 2) / float(offset @ offset))
    half = float(stdtrit(len(depth) - 2, (1 + LEVEL) / 2)) * error
    return slope, slope - half, slope + half


def evidence_of(source: Record | LayerStats | Look, before: Look | None = None) -> list[Evidence]:
    """Return the evidence of every seed.

    Args:
        source: a record, sizes at one moment, or a look at a loss.
        before: a look at the loss before training, for its activations; where it has another number of seeds than the
            record, their median.

    Raises:
        InputError: nothing was recorded, or `before` has other layers.
    """
    if isinstance(source, Look):
        record, before = _record_of_moment(source.stats, source.params_log10_rms, source.loss), source
    elif isinstance(source, LayerStats):
        record = _record_of_moment(source, None, None)
    else:
        record = source
    if not np.shape(record.step)[-1]:
        raise InputError("nothing was recorded yet; diagnose after the first update")
    kept = np.flatnonzero(record.has_matrix) if any(record.has_matrix) else np.arange(len(record.paths))
    arrays = _arrays_by_seed(record, kept)
    number = len(arrays["log10_rms"])
    if before is not None:
        arrays |= _activations(before, [record.paths[layer] for layer in kept], record.paths, number)
    smallest = [_log10_smallest(dtype) for dtype in record.dtypes] or [math.nan] * len(record.paths)
    labels: dict[str, Any] = {
        "paths": tuple(record.paths[layer] for layer in kept),
        "counts": np.asarray(record.counts, float)[kept],
        "smallest": np.array(smallest)[kept],
    }
    return [Evidence(**labels, **{field: array[seed] for field, array in arrays.items()}) for seed in range(number)]


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
    """Return what was recorded in float64, `(seed, record, layer)` or `(seed, record)`, of the layers that are kept."""
    fields = (*SIZES, "params_log10_rms", "update_ratio_log10")
    by_layer = {field: array for field in fields if (array := getattr(record, field)) is not None}
    arrays = {field: _with_one_batch_axis(array, 2)[..., kept] for field, array in by_layer.items()}
    if not np.isnan(record.loss).all():
        arrays["loss"] = _with_one_batch_axis(record.loss, 1)
    return arrays


def _activations(
    before: Look, kept: list[str], recorded: tuple[str, ...], seeds: int
) -> dict[str, Float[np.ndarray, "seed layer"]]:
    """Return the states of preactivations and activations before training, of the layers that are kept.

    Args:
        before: a look at the loss before training.
        kept: paths of the layers that are judged.
        recorded: paths of all layers of the record; the look must know them.
        seeds: number of seeds in the record.
    """
    missing = [path for path in recorded if path not in before.stats.paths]
    if missing:
        raise InputError(
            f"the check knows no layer {missing[0]!r}; it has: {', '.join(before.stats.paths)}. Check the same "
            "model that is recorded, with the same stacked and group"
        )
    layers = [before.stats.paths.index(path) for path in kept]
    fields = {
        "product_log10_rms": before.by_layer("log10_rms", ("product",)),
        "saturated_fraction": before.by_layer("off_fraction", SMOOTH_ACTIVATIONS),
        "stuck_fraction": before.by_layer("stuck_fraction", ACTIVATIONS),
    }
    by_seed = {}
    for field, values in fields.items():
        flat = values.reshape(-1, values.shape[-1])[:, layers]
        if len(flat) != seeds:  # Other initialisations of the same model: their median is what the model usually has.
            flat = lower_median(flat)[None]
        by_seed[field] = np.broadcast_to(flat, (seeds, len(layers)))
    return by_seed


def _with_one_batch_axis(values: Any, axes: int) -> np.ndarray:
    """Join all but the last `axes` axes into one."""
    array = np.asarray(values, np.float64)
    return array.reshape(int(np.prod(array.shape[: array.ndim - axes])), *array.shape[array.ndim - axes :])


def _log10_smallest(dtype: str) -> float:
    return math.log10(float(jnp.finfo(jnp.dtype(dtype)).tiny))
