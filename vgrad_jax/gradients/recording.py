"""What a recorder saw: a labelled pytree, and its ways out to tables, files, dashboards and a picture."""

import json
import re
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from vgrad_jax.errors import InputError
from vgrad_jax.gradients.stats import LayerStats

if TYPE_CHECKING:
    import pandas
    import xarray
    from matplotlib.figure import Figure

__all__ = ["Record"]

DESCRIPTIONS = {
    "log10_rms": "log10 of the root mean square of the layer's elements",
    "log10_max": "log10 of the largest magnitude",
    "zero_fraction": "share of elements that are exactly zero",
    "nonfinite_fraction": "share of elements that are infinite or NaN",
    "params_log10_rms": "log10 of the root mean square of the parameters",
    "updates_log10_rms": "log10 of the root mean square of the update",
    "update_ratio_log10": "log10 of update over parameters, both as root mean square",
    "loss": "the loss as given to the optimiser",
}
BY_STEP = ("step", "loss")
BY_LAYER = ("mean_log10_rms", "std_log10_rms")
BY_STEP_AND_LAYER = (
    "log10_rms",
    "log10_max",
    "zero_fraction",
    "nonfinite_fraction",
    "params_log10_rms",
    "updates_log10_rms",
)
LABELS = ("name", "paths", "counts", "has_matrix", "dtypes")
FORMAT = "vgrad_jax record 1"


@partial(
    jax.tree_util.register_dataclass, data_fields=[*BY_STEP, *BY_STEP_AND_LAYER, *BY_LAYER], meta_fields=list(LABELS)
)
@dataclass(frozen=True, repr=False)
class Record:
    """Sizes of each layer over time; a pytree, whose arrays are `(..., record, layer)` with batch axes in front.

    Layer 0 is on the input side. One seed of many is `jax.tree.map(lambda array: array[k], record)`.
    """

    paths: tuple[str, ...]
    """Names of the layers."""
    step: Any
    """`(..., record)`: updates done before the record was taken; -1 where nothing was recorded yet."""
    log10_rms: Any
    """log10 of the root mean square; -inf where every element is zero."""
    log10_max: Any
    zero_fraction: Any
    nonfinite_fraction: Any
    loss: Any
    """`(..., record)`; NaN where it was not given."""
    params_log10_rms: Any
    """Of the parameters before the update; None where not recorded, as the next."""
    updates_log10_rms: Any
    mean_log10_rms: Any
    """`(..., layer)`: over all records since the start, those that are no longer kept as well."""
    std_log10_rms: Any
    name: str = "gradients"
    counts: tuple[int, ...] = ()
    """Elements of each layer."""
    has_matrix: tuple[bool, ...] = ()
    dtypes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        steps = np.asarray(self.step) if not isinstance(self.step, jax.core.Tracer) else np.empty(0)
        number = self.step.shape[-1]
        span = f", steps {steps.min()} to {steps.max()}" if steps.size else ""
        batch = f"{self.step.shape[:-1]} x " if self.step.ndim > 1 else ""
        return f"Record {self.name!r}: {batch}{number} records x {len(self.paths)} layers{span}"

    @property
    def update_ratio_log10(self) -> Any:
        """log10 of update over parameters, `(..., record, layer)`; None where the two were not recorded."""
        if self.updates_log10_rms is None or self.params_log10_rms is None:
            return None
        return self.updates_log10_rms - self.params_log10_rms

    def stats(self, index: int = -1) -> LayerStats:
        """One record alone, by default the last."""
        chosen = {field: getattr(self, field)[..., index, :] for field in BY_STEP_AND_LAYER[:4]}
        count = np.broadcast_to(np.asarray(self.counts), chosen["log10_rms"].shape)
        return LayerStats(paths=self.paths, **chosen, count=count, has_matrix=self.has_matrix, dtypes=self.dtypes)

    def select(self, pattern: str) -> "Record":
        """Only the layers whose path a regular expression matches.

        Raises:
            InputError: it matches none.
        """
        kept = [n for n, path in enumerate(self.paths) if re.search(pattern, path)]
        if not kept:
            raise InputError(f"no layer matches {pattern!r}; there are: {', '.join(self.paths)}")
        arrays: dict[str, Any] = {
            field: None if (array := getattr(self, field)) is None else array[..., np.asarray(kept)]
            for field in (*BY_STEP_AND_LAYER, *BY_LAYER)
        }
        labels: dict[str, Any] = {label: tuple(getattr(self, label)[n] for n in kept) for label in LABELS[1:]}
        return replace(self, **arrays, **labels)

    def to_dataset(self) -> "xarray.Dataset":
        """As an `xarray.Dataset` with the dimensions `record` and `layer`, and `seed` (or `batch_0`, ...) in front."""
        import xarray

        batch = _batch_names(np.ndim(self.step) - 1)
        variables: dict[str, Any] = {"loss": ((*batch, "record"), np.asarray(self.loss))}
        arrays = {field: getattr(self, field) for field in BY_STEP_AND_LAYER}
        for field, array in {**arrays, "update_ratio_log10": self.update_ratio_log10}.items():
            if array is not None:
                variables[field] = ((*batch, "record", "layer"), np.asarray(array))
        for field in BY_LAYER:
            variables[field] = ((*batch, "layer"), np.asarray(getattr(self, field)))
        dataset = xarray.Dataset(
            variables,
            coords={
                "step": ((*batch, "record"), np.asarray(self.step)),
                "layer": list(self.paths),
                "count": ("layer", np.asarray(self.counts)),
            },
            attrs={"name": self.name},
        )
        for field, description in DESCRIPTIONS.items():
            if field in dataset:
                dataset[field].attrs["long_name"] = description
        return dataset

    def to_frame(self) -> "pandas.DataFrame":
        """As a tidy `pandas.DataFrame`: one row for each layer of each record (of each seed)."""
        dataset = self.to_dataset().drop_vars([*BY_LAYER])
        return dataset.to_dataframe().reset_index()

    def to_scalars(self, index: int = -1) -> dict[str, float]:
        """One record as the flat dictionary that W&B's `log` takes, and TensorBoard's `add_scalar` one by one.

        Raises:
            InputError: there are several seeds; a dashboard has one line a name.

        Returns:
            Names such as `gradients/Dense_0/log10_rms`, and numbers; with `gradients/loss` where it was recorded.
        """
        if np.ndim(self.step) > 1:
            raise InputError(
                f"this record has batch axes of the sizes {np.shape(self.step)[:-1]}, a dashboard one line a name; "
                "give one of them: jax.tree.map(lambda array: array[0], record).to_scalars()"
            )
        names = {field: getattr(self, field) for field in BY_STEP_AND_LAYER}
        names["update_ratio_log10"] = self.update_ratio_log10
        scalars = {
            f"{self.name}/{path}/{field}": float(array[index, number])
            for number, path in enumerate(self.paths)
            for field, array in names.items()
            if array is not None
        }
        loss = float(self.loss[index])
        return scalars if np.isnan(loss) else {f"{self.name}/loss": loss, **scalars}

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
        labels = json.dumps({"format": FORMAT, **{label: getattr(self, label) for label in LABELS}})
        try:
            with Path(path).open("wb") as file:
                np.savez_compressed(file, labels=np.asarray(labels), **arrays)
        except OSError as error:
            raise InputError(f"cannot write the record {str(path)!r}: {error.strerror or error}") from None

    @classmethod
    def load(cls, path: str | Path) -> "Record":
        """A record that `save` wrote. Nothing in the file is executed.

        Raises:
            InputError: there is no such file, or it holds no record.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                labels = json.loads(str(file["labels"]))
                arrays = {name: file[name] for name in file.files if name != "labels"}
            if labels.pop("format") != FORMAT:
                raise KeyError("format")
            labels = {label: tuple(value) if isinstance(value, list) else value for label, value in labels.items()}
            missing = {"params_log10_rms": None, "updates_log10_rms": None}
            return cls(**{**missing, **arrays, **labels})
        except FileNotFoundError:
            raise InputError(f"there is no file {str(path)!r}; expected a record that Record.save wrote") from None
        except Exception as error:  # NumPy and zipfile raise many kinds for a file that is not theirs.
            raise InputError(f"{str(path)!r} holds no record that Record.save wrote: {error}") from None

    def plot(self) -> "Figure":
        """One picture: layers against steps, in a log scale, with the layers that stand out most on top."""
        from vgrad_jax.gradients.figures import record_heatmap

        return record_heatmap(self)


def _batch_names(axes: int) -> tuple[str, ...]:
    return ("seed",) if axes == 1 else tuple(f"batch_{n}" for n in range(axes))
