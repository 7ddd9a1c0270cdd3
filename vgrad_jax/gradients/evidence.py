"""What a verdict is made from: numbers of one seed, scale-free where they can be."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax.numpy as jnp
import numpy as np

from vgrad_jax.errors import InputError
from vgrad_jax.gradients.look import Look
from vgrad_jax.gradients.recording import Record
from vgrad_jax.gradients.stats import LayerStats

__all__ = ["Evidence", "evidence_of", "straight_line"]

SMOOTH = ("tanh", "logistic")
EVERY_ACTIVATION = (*SMOOTH, "relu")


@dataclass(frozen=True)
class Evidence:
    """One seed's numbers, of the layers that have weights (of all, where none has), input side first.

    Multiplying the loss by a constant shifts `log10_rms`, `log10_max` and the loss together and changes no property
    that is computed from them, as long as nothing leaves the range of the dtype.
    """

    paths: tuple[str, ...]
    counts: np.ndarray
    """Elements of each layer."""
    smallest: np.ndarray
    """log10 of the smallest normal number of each layer's dtype; NaN where it is not known."""
    log10_rms: np.ndarray
    """`(record, layer)`, as the next three."""
    log10_max: np.ndarray
    zero_fraction: np.ndarray
    nonfinite_fraction: np.ndarray
    params_log10_rms: np.ndarray | None = None
    update_ratio_log10: np.ndarray | None = None
    loss: np.ndarray | None = None
    """`(record,)`."""
    product_log10_rms: np.ndarray | None = None
    """`(layer,)`: preactivations at initialisation; NaN for a layer without a product."""
    saturated_fraction: np.ndarray | None = None
    """`(layer,)`: of the tanh and logistic functions behind a layer; NaN where there are none."""
    stuck_fraction: np.ndarray | None = None
    """`(layer,)`: share of units without a slope for any example; NaN for a layer without an activation."""

    @property
    def records(self) -> int:
        """How many there are."""
        return len(self.log10_rms)

    @property
    def late(self) -> slice:
        """The window that is judged: the latest quarter of the records. What is found has to persist over it."""
        return slice(self.records - max(1, self.records // 4), None)

    @cached_property
    def first_profile(self) -> np.ndarray:
        """log10 RMS by layer at the first record."""
        return self.log10_rms[0]

    @cached_property
    def late_profile(self) -> np.ndarray:
        """log10 RMS by layer, the median over the window."""
        return _middle(self.log10_rms[self.late])

    @cached_property
    def drop(self) -> float:
        """Decades by which the first gradient is smaller on the input side than on the output side.

        Medians of a third of the layers each; the output layer is left out where there are enough others, because its
        gradient follows another law.
        """
        profile = self.first_profile[:-1] if len(self.paths) > 3 else self.first_profile
        third = max(1, len(profile) // 3)
        low, high = float(_middle(profile[:third])), float(_middle(profile[-third:]))
        return high - low if math.isfinite(high) and not math.isnan(low) else 0.0

    @cached_property
    def sensitivity(self) -> np.ndarray | None:
        """`(record, layer)`: log10 of |gradient| |weights| / |loss|, with Euclidean norms.

        By how much the loss changes, relative to itself, at most, when a layer's weights change by as much as they are
        large (Cauchy and Schwarz). None without parameters or loss.
        """
        if self.params_log10_rms is None or self.loss is None:
            return None
        with np.errstate(divide="ignore", invalid="ignore"):
            return self.log10_rms + self.params_log10_rms + np.log10(self.counts) - np.log10(np.abs(self.loss))[:, None]

    @cached_property
    def growth(self) -> float | None:
        """Decades by which preactivations grow from the first product to the largest, at initialisation."""
        if self.product_log10_rms is None:
            return None
        known = self.product_log10_rms[np.isfinite(self.product_log10_rms)]
        if not len(known):
            return None
        return float(known.max() - known[0])

    @cached_property
    def loss_ratio(self) -> float | None:
        """The loss in the window over the first; infinite where it is not finite; None where it cannot be known."""
        if self.loss is None or self.records < 2 or not self.loss[0] > 0:
            return None
        ratio = float(_middle(self.loss[self.late]) / self.loss[0])
        return ratio if math.isfinite(ratio) else math.inf

    @cached_property
    def late_fall(self) -> float | None:
        """The share of itself that the loss lost from the first fifth of the records to the window."""
        if self.loss is None or self.records < 5:
            return None
        early, late = float(self.loss[self.records // 5]), float(_middle(self.loss[self.late]))
        return (early - late) / early if early > 0 and math.isfinite(late) else None

    @cached_property
    def first_broken(self) -> int | None:
        """Number of the first record in which a gradient or the loss is not finite."""
        broken = (self.nonfinite_fraction > 0).any(axis=1)
        if self.loss is not None and np.isfinite(self.loss).any():
            broken = broken | ~np.isfinite(self.loss)
        return int(np.argmax(broken)) if broken.any() else None

    @cached_property
    def shrinkage(self) -> np.ndarray:
        """Decades by which each layer's gradient shrank from the first record to the window."""
        with np.errstate(invalid="ignore"):
            return self.first_profile - self.late_profile


def straight_line(profile: np.ndarray) -> tuple[float, float, float]:
    """Slope of the finite values over their places and its 95 % interval (least squares, Student's t).

    >>> [round(number, 3) for number in straight_line(np.array([-4.0, -3.0, -2.0, -1.0]))]
    [1.0, 1.0, 1.0]
    """
    depth = np.flatnonzero(np.isfinite(profile)).astype(float)
    if len(depth) < 3:
        return math.nan, math.nan, math.nan
    from scipy.special import stdtrit

    values = profile[np.isfinite(profile)]
    off = depth - depth.mean()
    slope = float(off @ values / (off @ off))
    residual = values - values.mean() - slope * off
    error = math.sqrt(float(residual @ residual) / (len(depth) - 2) / float(off @ off))
    half = float(stdtrit(len(depth) - 2, 0.975)) * error
    return slope, slope - half, slope + half


def evidence_of(source: Record | LayerStats | Look, before: Look | None = None) -> list[Evidence]:
    """The evidence of every seed.

    Args:
        source: a record, sizes at one moment, or a look at a loss.
        before: a look at the loss before training, for its activations; where it has another number of seeds than the
            record, their median.

    Raises:
        InputError: nothing was recorded, or `before` has other layers.
    """
    if isinstance(source, Look):
        record = _moment(source.stats, source.params_log10_rms, source.loss)
        before = source
    elif isinstance(source, LayerStats):
        record = _moment(source, None, None)
    else:
        record = source
    if not np.shape(record.step)[-1]:
        raise InputError("nothing was recorded yet; diagnose after the first update")
    kept = np.flatnonzero(record.has_matrix) if any(record.has_matrix) else np.arange(len(record.paths))
    with_layers = ("log10_rms", "log10_max", "zero_fraction", "nonfinite_fraction", "params_log10_rms")
    arrays = {field: _flat(getattr(record, field), 2) for field in with_layers}
    arrays["update_ratio_log10"] = _flat(record.update_ratio_log10, 2)
    arrays = {field: None if array is None else array[..., kept] for field, array in arrays.items()}
    number = len(arrays["log10_rms"])  # type: ignore[arg-type]
    arrays["loss"] = None if np.isnan(record.loss).all() else _flat(record.loss, 1)
    arrays |= _activations(before, record.paths, kept, number)
    common = {
        "paths": tuple(record.paths[n] for n in kept),
        "counts": np.asarray(record.counts, float)[kept],
        "smallest": np.array([_smallest(dtype) for dtype in record.dtypes] or [math.nan] * len(record.paths))[kept],
    }
    return [
        Evidence(**common, **{field: None if array is None else array[seed] for field, array in arrays.items()})  # type: ignore[arg-type]
        for seed in range(number)
    ]


def _moment(stats: LayerStats, parameters: Any, loss: Any) -> Record:
    """Sizes at one moment as a record of one."""
    sizes = (stats.log10_rms, stats.log10_max, stats.zero_fraction, stats.nonfinite_fraction)
    rms, largest, zero, nonfinite = (np.asarray(values)[..., None, :] for values in sizes)
    batch = rms.shape[:-1]
    return Record(
        paths=stats.paths,
        step=np.zeros(batch, int),
        log10_rms=rms,
        log10_max=largest,
        zero_fraction=zero,
        nonfinite_fraction=nonfinite,
        loss=np.full(batch, math.nan) if loss is None else np.asarray(loss)[..., None],
        params_log10_rms=None if parameters is None else np.asarray(parameters)[..., None, :],
        updates_log10_rms=None,
        mean_log10_rms=rms[..., 0, :],
        std_log10_rms=np.full_like(rms[..., 0, :], math.nan),
        counts=tuple(np.asarray(stats.count).reshape(-1, len(stats.paths))[0].tolist()),
        has_matrix=stats.has_matrix or (True,) * len(stats.paths),
        dtypes=stats.dtypes,
    )


def _activations(before: Look | None, paths: tuple[str, ...], kept: np.ndarray, seeds: int) -> dict[str, Any]:
    if before is None:
        return {}
    missing = [path for path in paths if path not in before.stats.paths]
    if missing:
        raise InputError(
            f"the check knows no layer {missing[0]!r}; it has: {', '.join(before.stats.paths)}. Check the same "
            "model that "
            "is recorded, with the same stacked and group"
        )
    places = [before.stats.paths.index(paths[n]) for n in kept]
    fields = {
        "product_log10_rms": before.by_layer("log10_rms", ("product",)),
        "saturated_fraction": before.by_layer("off_fraction", SMOOTH),
        "stuck_fraction": before.by_layer("stuck_fraction", EVERY_ACTIVATION),
    }
    found = {}
    for field, values in fields.items():
        flat = values.reshape(-1, values.shape[-1])[:, places]
        if len(flat) != seeds:  # Other initialisations of the same model: what is usual for it.
            flat = _middle(flat)[None]
        found[field] = np.broadcast_to(flat, (seeds, len(places)))
    return found


def _flat(values: Any, axes: int) -> np.ndarray | None:
    """Batch axes as one."""
    if values is None:
        return None
    array = np.asarray(values, np.float64)
    return array.reshape(int(np.prod(array.shape[: array.ndim - axes])), *array.shape[array.ndim - axes :])


def _smallest(dtype: str) -> float:
    return math.log10(float(jnp.finfo(jnp.dtype(dtype)).tiny))


def _middle(values: np.ndarray) -> Any:
    """The median over the first axis: one of the values, since -inf has no mean."""
    return np.sort(values, axis=0)[(len(values) - 1) // 2]
