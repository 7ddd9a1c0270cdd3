"""Laws of the initialisers: mean and variance of the elements that each draws."""

import math
from typing import NamedTuple

from vgrad_jax.descriptions import NamedFunction, parse_call
from vgrad_jax.nets.asymmetric import DEVIATION
from vgrad_jax.nets.initializers import INITIALIZERS, RAI

__all__ = ["TRUNCATED_VARIANCE", "Law", "bias_law", "kernel_law"]

TRUNCATED_VARIANCE = 0.8796256610342398**2
"""Variance of a standard normal that is truncated at two standard deviations."""


class Law(NamedTuple):
    """Mean and variance of one element."""

    mean: float
    variance: float


def kernel_law(initializer: NamedFunction, fan_in: int, fan_out: int) -> Law | None:
    """Return the mean and variance of a kernel's elements.

    Args:
        initializer: a name from `INITIALIZERS`, except "critical", or a function.
        fan_in: number of rows of the kernel.
        fan_out: number of columns of the kernel.

    Returns:
        The law; None for a function, whose law is unknown. The numbers of a unit of "rai" are not independent.

    >>> kernel_law("he_uniform", 5, 3).variance, kernel_law("uniform(0, 1)", 5, 3).mean
    (0.4, 0.5)
    """
    if not isinstance(initializer, str):
        return None
    name, values = parse_call("initializer", initializer, INITIALIZERS)
    simple = _simple(name, values)
    if simple is not None:
        return simple
    if name == RAI:
        # Of fan_in + 1 numbers one is of Beta(2, 1), with mean 2/3 and second moment 1/2.
        mean = 2 / 3 / (fan_in + 1)
        return Law(mean, (DEVIATION**2 + 1 / 2) / (fan_in + 1) - mean**2)
    scale = values[0] if values else 1.0
    variances = {
        "fan_avg": 2 * scale / (fan_in + fan_out),
        "fan_in": scale / fan_in,
        "glorot": 2 / (fan_in + fan_out),
        "he": 2 / fan_in,
        "lecun": 1 / fan_in,
        # Columns have the length `scale`; rows do if the kernel is wider than high.
        "orthogonal": scale**2 / max(fan_in, fan_out),
        "pytorch": 1 / (3 * fan_in),
    }
    family = name.removesuffix("_normal").removesuffix("_uniform")
    return Law(0.0, variances[family]) if family in variances else None


def bias_law(initializer: NamedFunction, fan_in: int) -> Law | None:
    """Return the mean and variance of a bias in a layer of this fan-in; None for a function.

    >>> bias_law("normal(0.5)", fan_in=3)
    Law(mean=0.0, variance=0.25)
    """
    if not isinstance(initializer, str):
        return None
    name, values = parse_call("initializer", initializer, INITIALIZERS)
    return Law(0.0, 1 / (3 * fan_in)) if name == "pytorch" else _simple(name, values)


def _simple(name: str, values: tuple[float, ...]) -> Law | None:
    """Return the law of an initialiser that does not depend on the shape; None for any other."""
    if name == "zeros":
        return Law(0.0, 0.0)
    if name == "constant":
        return Law(values[0], 0.0)
    if name == "normal":
        return Law(0.0, values[0] ** 2)
    if name == "truncated_normal":
        return Law(0.0, TRUNCATED_VARIANCE * values[0] ** 2)
    if name == "uniform":
        return Law(math.fsum(values) / 2, (values[1] - values[0]) ** 2 / 12)
    return None
