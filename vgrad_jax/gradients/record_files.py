"""Arrays and labels of a record's file, checked against each other before a record is made of them."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from vgrad_jax.errors import InputError
from vgrad_jax.texts import parsed_json
from vgrad_jax.wording import is_writable

__all__ = ["checked_arrays", "checked_labels"]

KINDS = {"f": "floating-point numbers", "iu": "whole numbers", "b": "booleans"}
"""Kinds of dtypes, in words."""

SHARES = ("zero_fraction", "nonfinite_fraction")
"""Arrays whose elements are shares, 0 to 1."""


def checked_labels(path: str, text: str, formats: tuple[str, ...]) -> dict[str, Any]:
    """Return the labels of a record's file.

    Args:
        path: the file, for messages.
        text: the labels as JSON.
        formats: formats that can be read, the newest first.

    Returns:
        The labels, and under `arrays` the names of the arrays that were written; None where the format has no list.

    Raises:
        InputError: the text is not that of labels.
    """
    try:
        labels = parsed_json(text, "the text of its labels")
    except InputError as error:
        raise _refusal(path, str(error)) from None
    given = labels.pop("format", None) if isinstance(labels, dict) else None
    if given not in formats:
        raise _refusal(path, f"its format is {given!r}, not {formats[0]!r}")
    element = {"paths": str, "counts": int, "has_matrix": bool, "dtypes": str}
    written = labels.pop("arrays", None)
    if set(labels) != {"name", *element} or not isinstance(labels["name"], str):
        raise _refusal(path, f"its labels are {sorted(map(str, labels))}")
    if given == formats[0] and not (isinstance(written, list) and all(isinstance(name, str) for name in written)):
        raise _refusal(path, f"its list of arrays is {written!r:.80}")
    for label, kind in element.items():
        values = labels[label]
        if not isinstance(values, list) or any(type(value) is not kind for value in values):
            raise _refusal(path, f"its {label} must be a list of {kind.__name__}; got {values!r:.80}")
        if len(values) != len(labels["paths"]) and (values or label == "paths"):
            raise _refusal(path, f"it has {len(labels['paths'])} layers, and {len(values)} {label}")
        labels[label] = tuple(values)
        if kind is str and not all(map(is_writable, [labels["name"], *values])):
            raise _refusal(path, f"its name or its {label} have a NUL or half of a surrogate pair")
    if not labels["paths"] or any(count < 0 for count in labels["counts"]):
        raise _refusal(path, f"it has {len(labels['paths'])} layers of {labels['counts']} elements")
    return labels | {"arrays": written}


def checked_arrays(
    path: str,
    arrays: Mapping[str, np.ndarray],
    layers: int,
    axes: Mapping[str, tuple[str, ...]],
    required: tuple[str, ...],
    written: list[str] | None,
) -> None:
    """Refuse arrays that are not those of one record.

    Args:
        path: the file, for messages.
        arrays: name to array.
        layers: number of layers.
        axes: name to the axes behind those of a batch: "record" and "layer".
        required: names that every record has.
        written: names of all arrays that were written; None where they are not known.

    Raises:
        InputError: an array is unknown or missing, or has another dtype, shape or range than a record's.
    """
    for name in (*required, *arrays):
        if name not in arrays or name not in axes:
            fault = "it lacks" if name not in arrays else "no record has"
            raise _refusal(path, f"{fault} the array {name!r}")
    if written is not None and set(written) != set(arrays):
        raise _refusal(path, f"it was written with the arrays {sorted(written)}, and holds {sorted(arrays)}")
    step = arrays["step"]
    batch, records = step.shape[:-1], step.shape[-1] if step.ndim else 0
    for name, array in arrays.items():
        kinds = _kinds(name)
        shape = (*batch, *(records if axis == "record" else layers for axis in axes[name]))
        if array.dtype.kind not in kinds or array.shape != shape or not step.ndim:
            raise _refusal(
                path,
                f"its {name} must be {KINDS[kinds]} of the shape {shape}, as its step and layers "
                f"say; it holds {array.dtype} of the shape {array.shape}",
            )
        low, high = (0, 1) if name in SHARES else (-1, np.inf) if kinds == "iu" else (-np.inf, np.inf)
        if kinds != "b" and ((array < low) | (array > high)).any():
            raise _refusal(path, f"its {name} holds {array.min()} to {array.max()}, beyond {low} to {high}")


def _refusal(path: str, reason: str) -> InputError:
    return InputError(f"{path!r} holds no record that Record.save wrote: {reason}")


def _kinds(name: str) -> str:
    if name == "step" or name.endswith(("_step", "_steps")):
        return "iu"
    return "b" if name in ("first_broken_layers", "first_broken_loss") else "f"
