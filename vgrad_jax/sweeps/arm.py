"""Arm of a sweep that is a function: a pure training of a key, and what its results mean."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import PyTree
from numpy.typing import ArrayLike

from vgrad_jax.boundary import checked_class
from vgrad_jax.errors import InputError
from vgrad_jax.results.axes import RESERVED

__all__ = ["Arm", "Criterion"]

CRITERION = re.compile(r"\s*([^\s<>=]+)\s*(>=|<=|>|<)\s*(\S+)\s*")
"""A curve's name, a comparison, and a number."""

COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    ">=": lambda curve, threshold: curve >= threshold,
    "<=": lambda curve, threshold: curve <= threshold,
    ">": lambda curve, threshold: curve > threshold,
    "<": lambda curve, threshold: curve < threshold,
}


class Criterion(NamedTuple):
    """Threshold of a curve at which a run converges."""

    curve: str
    comparison: str
    threshold: float

    def reached(self, values: Any) -> Any:
        """Return where the curve is beyond the threshold; a NaN never is."""
        return COMPARISONS[self.comparison](values, self.threshold)


@checked_class
@dataclass(frozen=True, eq=False)
class Arm:
    """An arm of a sweep that is a pure function of a key; a bare function in a sweep is an `Arm` of itself.

    The names of the results are the keys of the returned pytree, joined by underscores. A bare array is called
    "result". A `vgrad_jax.Record` in the pytree becomes the gradients of each layer. Every other leaf becomes a
    variable of the results with the dimensions `arm` and `seed` and its own.

    Args:
        train: `train(key)` to a pytree of arrays; it draws all its random numbers from the key.
        converged: a text such as "accuracy >= 0.9" or "loss <= 0.1", or a function of the returned pytree. The
            function's result is one boolean, or a curve of booleans whose first True is the time to converge. None
            where runs do not converge: every run then just ends.
        factors: name to value of each factor, such as `{"init": "he"}`. Arms that differ in two factors are a crossed
            design.
        dims: variable name to the names of its dimensions, such as `{"train_loss": ("epoch",)}`. Other dimensions are
            numbered: `train_loss_dim_0`.
        coords: dimension name to its values, such as `{"epoch": range(0, 101, 5)}`; others count from one.
        units: variable name to unit.
        descriptions: variable name to description.
        diverged: a function of the returned pytree to one boolean. None: a run diverges where it returns a number that
            is NaN or infinitely large. A run that diverges has not converged.

    Raises:
        InputError: an argument has the wrong form.

    >>> import jax
    >>> Arm(lambda key: {"w": jax.random.normal(key)}, converged="w > 0", factors={"init": "normal"}).criterion
    Criterion(curve='w', comparison='>', threshold=0.0)
    """

    train: Callable[[Any], PyTree]
    _: KW_ONLY
    converged: Callable[[Any], Any] | str | None = None
    factors: Mapping[str, Any] | None = None
    dims: Mapping[str, Sequence[str]] | None = None
    coords: Mapping[str, ArrayLike] | None = None
    units: Mapping[str, str] | None = None
    descriptions: Mapping[str, str] | None = None
    diverged: Callable[[Any], Any] | None = None

    def __post_init__(self) -> None:
        if not callable(self.train):
            raise InputError(f"an Arm needs a function train(key); got {self.train!r}")
        if isinstance(self.converged, str):
            _parsed(self.converged)
        elif self.converged is not None and not callable(self.converged):
            raise InputError(
                f"converged must be a function or a text such as 'accuracy >= 0.9'; got {self.converged!r}"
            )
        if self.diverged is not None and not callable(self.diverged):
            raise InputError(f"diverged must be a function of what train returns; got {self.diverged!r}")
        object.__setattr__(self, "factors", _plain_factors(self.factors))
        object.__setattr__(self, "dims", _checked_dims(self.dims))
        object.__setattr__(self, "coords", _checked_coords(self.coords))
        for name in ("units", "descriptions"):
            texts = getattr(self, name) or {}
            if not isinstance(texts, Mapping) or not all(isinstance(text, str) for text in texts.values()):
                raise InputError(f"{name} must map names of variables to texts; got {texts!r}")
            object.__setattr__(self, name, dict(texts))

    @property
    def criterion(self) -> Criterion | None:
        """The threshold of a curve; None where convergence is a function, or is not defined."""
        return _parsed(self.converged) if isinstance(self.converged, str) else None


def _parsed(text: str) -> Criterion:
    match = CRITERION.fullmatch(text)
    try:
        threshold = float(match.group(3)) if match else math.nan
    except ValueError:
        threshold = math.nan
    if match is None or math.isnan(threshold):
        raise InputError(f"converged must be a curve, a comparison and a number, such as 'loss <= 0.1'; got {text!r}")
    return Criterion(match.group(1), match.group(2), threshold)


def _plain_factors(factors: Any) -> dict[str, Any]:
    """Return the factors as plain values.

    Raises:
        InputError: a factor has no name, or its value is no text, number or boolean.
    """
    if factors is None:
        return {}
    if not isinstance(factors, Mapping):
        raise InputError(f"factors must map names to values, such as {{'init': 'he'}}; got {factors!r}")
    plain: dict[str, Any] = {}
    for name, value in factors.items():
        value = value.item() if isinstance(value, np.generic) else value
        if not isinstance(name, str) or not name or not isinstance(value, str | bool | int | float | None):
            raise InputError(f"a factor is a name with a text, a number or a boolean; got {name!r}: {value!r}")
        plain[name] = value
    return plain


def _checked_dims(dims: Any) -> dict[str, tuple[str, ...]]:
    if dims is None:
        return {}
    if not isinstance(dims, Mapping):
        raise InputError(f"dims must map names of variables to names of dimensions; got {dims!r}")
    checked = {}
    for variable, names in dims.items():
        if not isinstance(names, tuple | list) or not all(
            isinstance(name, str) and name.isidentifier() for name in names
        ):
            raise InputError(
                f"the dimensions of {variable!r} must be a tuple of names, such as ('epoch',); got {names!r}"
            )
        reserved = sorted(set(names) & set(RESERVED))
        if reserved:
            raise InputError(f"the dimension {reserved[0]!r} of {variable!r} is the sweep's own; choose another name")
        if len(set(names)) < len(names):
            raise InputError(f"the dimensions of {variable!r} must differ; got {names!r}")
        checked[variable] = tuple(names)
    return checked


def _checked_coords(coords: Any) -> dict[str, tuple[float | int, ...]]:
    if coords is None:
        return {}
    if not isinstance(coords, Mapping):
        raise InputError(f"coords must map names of dimensions to their values; got {coords!r}")
    checked = {}
    for dimension, values in coords.items():
        array = np.asarray(values)
        if array.ndim != 1 or array.dtype.kind not in "iuf" or not (np.diff(array) > 0).all():
            raise InputError(f"the values of the dimension {dimension!r} must be increasing numbers; got {values!r}")
        checked[dimension] = tuple(array.tolist())
    return checked
