"""Record of a recorder: a labelled pytree, and its conversions to tables, files, dashboards and a figure."""

import json
import re
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from jaxtyping import Bool, Float, Int

from vgrad_jax.archives import read_arrays
from vgrad_jax.boundary import checked
from vgrad_jax.errors import InputError
from vgrad_jax.gradients.record_files import checked_arrays, checked_labels
from vgrad_jax.gradients.stats import AnyArray, LayerStats
from vgrad_jax.numerics import lower_median

if TYPE_CHECKING:
    import pandas
    import xarray
    from matplotlib.figure import Figure

__all__ = ["Record"]

LONG_NAMES = {
    "log10_rms": "log10 of the root mean square of the layer's elements",
    "log10_max": "log10 of the largest magnitude",
    "zero_fraction": "share of elements that are exactly zero",
    "nonfinite_fraction": "share of elements that are infinite or NaN",
    "params_log10_rms": "log10 of the root mean square of the parameters",
    "updates_log10_rms": "log10 of the root mean square of the update",
    "update_ratio_log10": "log10 of update over parameters, both as root mean square",
    "loss": "the loss as given to the optimiser",
    "loss_mean": "mean of the losses since the record before",
    "loss_std": "standard deviation of the losses since the record before",
    "update_cosine": "cosine of the update with the gradient",
    "first_broken_step": "first step with a number that was not finite; -1 for none",
}
BETWEEN_RECORDS = ("loss_mean", "loss_std", "update_cosine")
BY_STEP = ("step", "loss", *BETWEEN_RECORDS)
BY_LAYER = ("mean_log10_rms", "std_log10_rms", "first_broken_layers")
OF_TRAINING = (
    "first_loss",
    "first_broken_step",
    "first_broken_loss",
    "broken_steps",
    "loss_before_break",
    "update_before_break",
    "refused_steps",
)
SIZES = ("log10_rms", "log10_max", "zero_fraction", "nonfinite_fraction")
BY_STEP_AND_LAYER = (*SIZES, "params_log10_rms", "updates_log10_rms")
LAYER_LABELS = ("paths", "counts", "has_matrix", "dtypes")
LABELS = ("name", *LAYER_LABELS)
REQUIRED = ("step", "loss", *SIZES, "mean_log10_rms", "std_log10_rms")
"""Arrays that every record has."""
FORMAT = "vgrad_jax record 3"
FORMATS = (FORMAT, "vgrad_jax record 2", "vgrad_jax record 1")
"""Formats that `Record.load` reads, the newest first.

The first format has no loss between records and no first break, and the first two have no list of the arrays.
"""


@partial(
    jax.tree_util.register_dataclass,
    data_fields=[*BY_STEP, *BY_STEP_AND_LAYER, *BY_LAYER, *OF_TRAINING],
    meta_fields=list(LABELS),
)
@dataclass(frozen=True, repr=False)
class Record:
    """Sizes of each layer over time; a pytree whose arrays may have batch axes in front.

    Layer 0 is on the input side. The record of seed k alone is `jax.tree.map(lambda array: array[k], record)`.
    """

    paths: tuple[str, ...]
    """Names of the layers."""
    step: Int[AnyArray, "*batch record"]
    """Updates done before the record was taken; -1 where nothing was recorded yet."""
    log10_rms: Float[AnyArray, "*batch record layer"]
    """log10 of the root mean square; -inf where every element is zero."""
    log10_max: Float[AnyArray, "*batch record layer"]
    zero_fraction: Float[AnyArray, "*batch record layer"]
    nonfinite_fraction: Float[AnyArray, "*batch record layer"]
    loss: Float[AnyArray, "*batch record"]
    """Loss as given to the optimiser; NaN where it was not given."""
    params_log10_rms: Float[AnyArray, "*batch record layer"] | None
    """Sizes of the parameters before the update; None where they were not recorded."""
    updates_log10_rms: Float[AnyArray, "*batch record layer"] | None
    """Sizes of the update; None where they were not recorded."""
    mean_log10_rms: Float[AnyArray, "*batch layer"]
    """Mean over all records since the start, also over those that are no longer kept."""
    std_log10_rms: Float[AnyArray, "*batch layer"]
    name: str = "gradients"
    counts: tuple[int, ...] = ()
    """Number of elements of each layer."""
    has_matrix: tuple[bool, ...] = ()
    dtypes: tuple[str, ...] = ()
    loss_mean: Float[AnyArray, "*batch record"] | None = None
    """Mean of the losses since the record before."""
    loss_std: Float[AnyArray, "*batch record"] | None = None
    """Standard deviation of the losses since the record before; NaN for one loss."""
    update_cosine: Float[AnyArray, "*batch record"] | None = None
    """Cosine of the update with the gradient: negative where the update goes downhill."""
    first_loss: Float[AnyArray, "*batch"] | None = None
    """Loss of the first step, also where the ring no longer holds it."""
    first_broken_step: Int[AnyArray, "*batch"] | None = None
    """First step with a number that was not finite, whether it was recorded or not; -1 where there was none."""
    first_broken_layers: Bool[AnyArray, "*batch layer"] | None = None
    """True for layers whose gradient was not finite at that step."""
    first_broken_loss: Bool[AnyArray, "*batch"] | None = None
    """True where the loss was not finite at that step."""
    broken_steps: Int[AnyArray, "*batch"] | None = None
    """Number of steps with a number that was not finite."""
    loss_before_break: Float[AnyArray, "*batch"] | None = None
    """Exponential mean of the losses before the first break, or so far, with a memory of about ten steps."""
    update_before_break: Float[AnyArray, "*batch"] | None = None
    """log10 of update over weights in the largest layer, at the last record before the first break."""
    refused_steps: Int[AnyArray, "*batch"] | None = None
    """Number of steps that `optax.apply_if_finite` refused; None where it is not in the state."""

    def __repr__(self) -> str:
        steps = np.asarray(self.step) if not isinstance(self.step, jax.core.Tracer) else np.empty(0)
        number = self.step.shape[-1]
        span = f", steps {steps.min()} to {steps.max()}" if steps.size else ""
        batch = f"{self.step.shape[:-1]} x " if self.step.ndim > 1 else ""
        return f"Record {self.name!r}: {batch}{number} records x {len(self.paths)} layers{span}"

    @property
    def update_ratio_log10(self) -> Float[AnyArray, "*batch record layer"] | None:
        """log10 of update over parameters; None where the two were not recorded."""
        updates: Any = self.updates_log10_rms
        if updates is None or self.params_log10_rms is None:
            return None
        with np.errstate(invalid="ignore"):  # Weights of zero with no update have no ratio: NaN.
            return updates - self.params_log10_rms

    def stats(self, index: int = -1) -> LayerStats:
        """Return the sizes of one record, by default the last."""
        sizes = {field: getattr(self, field)[..., index, :] for field in SIZES}
        count = np.broadcast_to(np.asarray(self.counts), sizes["log10_rms"].shape)
        return LayerStats(paths=self.paths, **sizes, count=count, has_matrix=self.has_matrix, dtypes=self.dtypes)

    def until(self, stop: int) -> "Record":
        """Return the record of some time ago: without the records from number `stop` on, which may be negative.

        Moments over all records, and the first break, stay those of the whole training.
        """
        return self._cut(slice(stop))

    def since(self, start: int) -> "Record":
        """Return the record without its first `start` records; moments stay those of the whole training."""
        return self._cut(slice(start, None))

    def _cut(self, kept: slice) -> "Record":
        by_step = {field: getattr(self, field) for field in BY_STEP}
        by_layer = {field: getattr(self, field) for field in BY_STEP_AND_LAYER}
        return replace(
            self,
            **{field: array[..., kept] for field, array in by_step.items() if array is not None},
            **{field: array[..., kept, :] for field, array in by_layer.items() if array is not None},
        )

    @checked
    def select(self, pattern: str) -> "Record":
        """Keep only the layers whose path a regular expression matches.

        Raises:
            InputError: it matches no layer.
        """
        kept = [layer for layer, path in enumerate(self.paths) if re.search(pattern, path)]
        if not kept:
            raise InputError(f"no layer matches {pattern!r}; there are: {', '.join(self.paths)}")
        arrays: dict[str, Any] = {
            field: None if (array := getattr(self, field)) is None else array[..., np.asarray(kept)]
            for field in (*BY_STEP_AND_LAYER, *BY_LAYER)
        }
        labels: dict[str, Any] = {label: tuple(getattr(self, label)[layer] for layer in kept) for label in LAYER_LABELS}
        return replace(self, **arrays, **labels)

    def to_dataset(self) -> "xarray.Dataset":
        """Return a dataset with the dimensions `record` and `layer`, and `seed` (or `batch_0`, ...) in front."""
        import xarray

        batch = _batch_names(np.ndim(self.step) - 1)
        variables: dict[str, Any] = {"loss": ((*batch, "record"), np.asarray(self.loss))}
        for field, array in self._by_step_and_layer().items():
            variables[field] = ((*batch, "record", "layer"), np.asarray(array))
        for field, dims in (*((f, ("record",)) for f in BY_STEP[2:]), *((f, ("layer",)) for f in BY_LAYER)):
            if (array := getattr(self, field)) is not None:
                variables[field] = ((*batch, *dims), np.asarray(array))
        for field in OF_TRAINING:
            if (array := getattr(self, field)) is not None:
                variables[field] = (batch, np.asarray(array))
        dataset = xarray.Dataset(
            variables,
            coords={
                "step": ((*batch, "record"), np.asarray(self.step)),
                "layer": list(self.paths),
                "count": ("layer", np.asarray(self.counts)),
            },
            attrs={"name": self.name},
        )
        for field, description in LONG_NAMES.items():
            if field in dataset:
                dataset[field].attrs["long_name"] = description
        return dataset

    def to_frame(self) -> "pandas.DataFrame":
        """Return a tidy `pandas.DataFrame`: a row for each layer of each record (of each seed)."""
        dataset = self.to_dataset().drop_vars([*BY_LAYER, *OF_TRAINING], errors="ignore")
        return dataset.to_dataframe().reset_index()

    @checked
    def to_scalars(self, index: int = -1) -> dict[str, float]:
        """Return a record as the flat dictionary that W&B's `log` takes, and TensorBoard's `add_scalar` item by item.

        Returns:
            Names such as `gradients/Dense_0/log10_rms`, and numbers; with `gradients/loss` where it was recorded.

        Raises:
            InputError: there are several seeds; a dashboard has one line a name.
        """
        if np.ndim(self.step) > 1:
            raise InputError(
                f"this record has batch axes of the sizes {np.shape(self.step)[:-1]}, a dashboard one line a name; "
                "give one of them: jax.tree.map(lambda array: array[0], record).to_scalars()"
            )
        scalars = {
            f"{self.name}/{path}/{field}": float(array[index, layer])
            for layer, path in enumerate(self.paths)
            for field, array in self._by_step_and_layer().items()
        }
        loss = float(self.loss[index])
        return scalars if np.isnan(loss) else {f"{self.name}/loss": loss, **scalars}

    @checked
    def save(self, path: str | Path) -> None:
        """Write a NumPy `.npz` of numbers and text, which cannot hold code; `load` reads it.

        Raises:
            InputError: it cannot be written.
        """
        arrays: dict[str, Any] = {
            field.name: np.asarray(value)
            for field in fields(self)
            if field.name not in LABELS and (value := getattr(self, field.name)) is not None
        }
        # A damaged list of the archive's files can leave an array out; the labels say which there were.
        own = {"format": FORMAT, "arrays": list(arrays), **{label: getattr(self, label) for label in LABELS}}
        labels = json.dumps(own)
        try:
            with Path(path).open("wb") as file:
                np.savez_compressed(file, labels=np.asarray(labels), **arrays)
        except OSError as error:
            raise InputError(f"cannot write the record {str(path)!r}: {error.strerror or error}") from None

    @classmethod
    @checked
    def load(cls, path: str | Path) -> "Record":
        """Read a record that `save` wrote. Nothing in the file is executed.

        Raises:
            InputError: there is no such file, or it holds no record.
        """
        arrays = read_arrays(path, "record that Record.save wrote")
        text = arrays.pop("labels", np.asarray("null"))
        labels = checked_labels(str(path), str(text) if text.shape == () else "null", FORMATS)
        axes: dict[str, tuple[str, ...]] = dict.fromkeys(BY_STEP, ("record",)) | dict.fromkeys(OF_TRAINING, ())
        axes |= dict.fromkeys(BY_STEP_AND_LAYER, ("record", "layer")) | dict.fromkeys(BY_LAYER, ("layer",))
        checked_arrays(str(path), arrays, len(labels["paths"]), axes, REQUIRED, labels.pop("arrays"))
        missing: dict[str, Any] = {"params_log10_rms": None, "updates_log10_rms": None}
        return cls(**{**missing, **arrays, **labels})

    def plot(self) -> "Figure":
        """Draw layers against steps in a log scale, the worst layers on top; seeds by their median."""
        from vgrad_jax.gradients.figures import record_heatmap

        sizes = np.asarray(self.log10_rms, np.float64)
        loss = np.asarray(self.loss, np.float64)
        return record_heatmap(
            self.name,
            self.paths,
            np.asarray(self.step)[(0,) * (np.ndim(self.step) - 1)],
            lower_median(sizes.reshape(-1, *sizes.shape[-2:])) if sizes.size else sizes.reshape(0, len(self.paths)),
            lower_median(loss.reshape(-1, loss.shape[-1])) if loss.size else loss.reshape(0),
        )

    def _by_step_and_layer(self) -> dict[str, Any]:
        """Return what was recorded of each layer at each step, by name."""
        arrays = {field: getattr(self, field) for field in BY_STEP_AND_LAYER}
        arrays["update_ratio_log10"] = self.update_ratio_log10
        return {field: array for field, array in arrays.items() if array is not None}


def _batch_names(axes: int) -> tuple[str, ...]:
    return ("seed",) if axes == 1 else tuple(f"batch_{axis}" for axis in range(axes))
