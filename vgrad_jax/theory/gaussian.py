"""Gaussian averages of elementwise functions, by quadrature in float64 on the host."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import numpy as np

from vgrad_jax.nets.activations import activation_function

__all__ = ["Elementwise", "Values", "elementwise", "hermite_coefficients", "nodes"]

FARTHEST = 10.0
"""Standard deviations: beyond is a probability of 1e-23."""
NODES_A_PANEL = 10
KINKS_WITHIN = 30.0
KINK_CELL = 0.0437
"""Width of the cells that are searched for kinks; no round number, so that a kink lies inside a cell."""


class Values(NamedTuple):
    """A function and its derivative at the same points."""

    value: np.ndarray
    first: np.ndarray


class Elementwise(NamedTuple):
    """An elementwise function, ready to be averaged."""

    at: Callable[[np.ndarray], Values]
    """Values in float64 for an array of any shape."""
    kinks: tuple[float, ...]
    """Where the function, its first or its second derivative jumps, within 30 of zero."""


def elementwise(activation: Any) -> Elementwise:
    """An activation with its derivatives by automatic differentiation and its kinks by bisection.

    Args:
        activation: a name from `ACTIVATIONS` or a function of an array.

    >>> elementwise("hard_tanh").kinks
    (-1.0, 1.0)
    >>> elementwise("tanh").kinks
    ()
    """
    return _elementwise(activation)


@lru_cache(maxsize=64)
def _elementwise(activation: Any) -> Elementwise:
    function = activation_function(activation)

    def scalar(x: jax.Array) -> jax.Array:
        return function(x).reshape(())

    first = jax.grad(scalar)
    both = jax.jit(jax.vmap(lambda x: (scalar(x), first(x))))
    with_second = jax.jit(jax.vmap(lambda x: (scalar(x), first(x), jax.grad(first)(x))))
    return Elementwise(
        lambda points: Values(*_in_float64(both, points)), _find_kinks(lambda points: _in_float64(with_second, points))
    )


def _in_float64(function: Callable[[np.ndarray], Any], points: np.ndarray) -> list[np.ndarray]:
    flat = np.ascontiguousarray(points, np.float64).reshape(-1)
    # On the host and with numbers at once, also inside somebody's jit.
    with jax.ensure_compile_time_eval(), jax.enable_x64(True), jax.default_device(jax.devices("cpu")[0]):
        return [np.asarray(part, np.float64).reshape(points.shape) for part in function(flat)]


def _find_kinks(at: Callable[[np.ndarray], list[np.ndarray]]) -> tuple[float, ...]:
    edges = np.arange(-KINKS_WITHIN, KINKS_WITHIN, KINK_CELL) + KINK_CELL / np.pi
    at_edges = at(edges)
    found: list[float] = []
    for order in range(3):
        low, high = edges[:-1], edges[1:]
        left, right = at_edges[order][:-1], at_edges[order][1:]
        for _ in range(40):
            middle = (low + high) / 2
            centre = at(middle)[order]
            in_left = np.abs(centre - left) > np.abs(right - centre)
            low, high = np.where(in_left, low, middle), np.where(in_left, middle, high)
            left, right = np.where(in_left, left, centre), np.where(in_left, centre, right)
        places = (low + high)[np.abs(right - left) > 1e-6 * (1 + np.abs(right))] / 2
        found += [float(place) for place in places if all(abs(place - other) > 1e-6 for other in found)]
    # A kink at a round number is meant to be there.
    return tuple(sorted(round(place, 9) + 0.0 for place in found))


def nodes(function: Elementwise, mean: Any, deviation: Any) -> tuple[np.ndarray, np.ndarray]:
    """Quadrature for averages of `function(mean + deviation z)` and the like, z standard normal.

    Gauss-Legendre on panels that end at the kinks, and that are finer where the function bends.

    Args:
        function: whose kinks are respected.
        mean: any shape.
        deviation: the same shape, not negative.

    Returns:
        z and weights, both `(..., nodes)`; the weights contain the normal density.

    >>> z, weights = nodes(elementwise("relu"), np.zeros(()), np.ones(()))
    >>> round(float(np.sum(weights * np.maximum(z, 0) ** 2)), 12)
    0.5
    """
    mean, deviation = np.asarray(mean, np.float64), np.asarray(deviation, np.float64)
    powers = 2.0 ** np.arange(-2, 11)
    offsets = np.concatenate([-powers[::-1], [0.0], powers])
    around = np.unique(np.concatenate([offsets + centre for centre in (0.0, *function.kinks)]))
    scale = np.where(deviation > 0, deviation, 1.0)[..., None]
    bends = np.where(deviation[..., None] > 0, (around - mean[..., None]) / scale, 0.0)
    steady = np.broadcast_to(np.linspace(-FARTHEST, FARTHEST, 15), (*mean.shape, 15))
    breaks = np.sort(np.concatenate([np.clip(bends, -FARTHEST, FARTHEST), steady], axis=-1), axis=-1)
    points, weights = np.polynomial.legendre.leggauss(NODES_A_PANEL)
    half = np.diff(breaks, axis=-1)[..., None] / 2
    z = (breaks[..., :-1, None] + half) + half * points
    density = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
    flat = (*mean.shape, -1)
    return z.reshape(flat), (half * weights * density).reshape(flat)


def hermite_coefficients(values: np.ndarray, z: np.ndarray, weights: np.ndarray, order: int) -> np.ndarray:
    """Averages with the normalised Hermite polynomials, `E[f(z) He_n(z)] / sqrt(n!)` for n below `order`.

    By Mehler's formula `E[f(z_1) g(z_2)] = sum_n f_n g_n c^n` for standard normals of correlation c.

    Args:
        values: f at the nodes, `(..., nodes)`.
        z: as `nodes` gives them.
        weights: as `nodes` gives them.
        order: number of coefficients.

    Returns:
        `(..., order)`.
    """
    weighted = values * weights
    before, now = np.zeros_like(z), np.ones_like(z)
    found = []
    for n in range(order):
        found.append(np.sum(weighted * now, axis=-1))
        before, now = now, (z * now - np.sqrt(n) * before) / np.sqrt(n + 1)
    return np.stack(found, axis=-1)
