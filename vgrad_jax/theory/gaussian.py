"""Average elementwise functions over normal variables, by quadrature in float64 on the host.

A Gauss rule is exact for smooth functions only, and activations have kinks. The line is therefore cut into panels that
end at the kinks, and each panel has a Gauss-Legendre rule of its own:

    |-----|--|-|||-|--|-----|      panels: narrow around the kinks and around zero, wide far out
                 kink

Kinks of any function are located by bisection, on cells of a grid whose halves differ in their change.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float

from vgrad_jax.nets.activations import activated

__all__ = ["Elementwise", "Values", "elementwise", "hermite_coefficients", "nodes"]

FARTHEST = 10.0
"""Largest |z|, in standard deviations: the probability beyond is about 1e-23."""
NODES_A_PANEL = 10
"""Number of Gauss-Legendre nodes in a panel."""
KINKS_WITHIN = 30.0
"""Largest |x| at which a kink is searched for."""
KINK_CELL = 0.0437
"""Width of the cells that are searched for kinks; not round, so that a kink lies inside a cell."""


class Values(NamedTuple):
    """Values of a function and of its first derivative at the same points."""

    value: Float[np.ndarray, "..."]
    first: Float[np.ndarray, "..."]


class Elementwise(NamedTuple):
    """Elementwise function, ready to be averaged."""

    at: Callable[[np.ndarray], Values]
    """Function and derivative in float64, for an array of any shape."""
    kinks: tuple[float, ...]
    """Points where the function, its first, or its second derivative jumps, within 30 of zero."""


def elementwise(activation: Any) -> Elementwise:
    """Return an activation with its derivative, by automatic differentiation, and its kinks, by bisection.

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
    def scalar(x: jax.Array) -> jax.Array:
        return activated(activation, x)

    first = jax.grad(scalar)
    with_first = jax.jit(jax.vmap(lambda x: (scalar(x), first(x))))
    with_second = jax.jit(jax.vmap(lambda x: (scalar(x), first(x), jax.grad(first)(x))))
    return Elementwise(
        lambda points: Values(*_in_float64(with_first, points)),
        _find_kinks(lambda points: _in_float64(with_second, points)),
    )


def _in_float64(function: Callable[[np.ndarray], Any], points: np.ndarray) -> list[np.ndarray]:
    flat = np.ascontiguousarray(points, np.float64).reshape(-1)
    # Evaluated on the host at once, also when the caller is being traced.
    with jax.ensure_compile_time_eval(), jax.enable_x64(True), jax.default_device(jax.devices("cpu")[0]):
        return [np.asarray(part, np.float64).reshape(points.shape) for part in function(flat)]


def _find_kinks(at: Callable[[np.ndarray], list[np.ndarray]]) -> tuple[float, ...]:
    edges = np.arange(-KINKS_WITHIN, KINKS_WITHIN, KINK_CELL) + KINK_CELL / np.pi
    at_edges = np.stack(at(edges))
    orders = np.arange(len(at_edges))
    # Halve every cell 40 times, towards the half with the larger change. Where the function is smooth the change
    # shrinks to nothing; at a jump it stays. The function and its derivatives have cells of their own.
    low, high = (np.tile(end, (len(orders), 1)) for end in (edges[:-1], edges[1:]))
    left, right = at_edges[:, :-1], at_edges[:, 1:]
    for _ in range(40):
        middle = (low + high) / 2
        centre = np.stack(at(middle))[orders, orders]
        in_left = np.abs(centre - left) > np.abs(right - centre)
        low, high = np.where(in_left, low, middle), np.where(in_left, middle, high)
        left, right = np.where(in_left, left, centre), np.where(in_left, centre, right)
    kinks: list[float] = []
    for order in orders:
        jumps = np.abs(right - left)[order] > 1e-6 * (1 + np.abs(right[order]))
        points = (low + high)[order, jumps] / 2
        kinks += [float(point) for point in points if all(abs(point - other) > 1e-6 for other in kinks)]
    # Bisection leaves an error of about 1e-13: a kink is reported at the round number that it stands for.
    return tuple(sorted(round(point, 9) + 0.0 for point in kinks))


def nodes(function: Elementwise, mean: Any, deviation: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return a quadrature for averages over `mean + deviation z`, where z is standard normal.

    Panels end at the function's kinks and are finer where the function may bend: around its kinks and around zero.

    Args:
        function: the function whose kinks the panels respect.
        mean: any shape.
        deviation: the same shape, not negative.

    Returns:
        z and weights, `(..., nodes)` each; the weights contain the normal density.

    >>> z, weights = nodes(elementwise("relu"), np.zeros(()), np.ones(()))
    >>> round(float(np.sum(weights * np.maximum(z, 0) ** 2)), 12)
    0.5
    """
    mean, deviation = np.asarray(mean, np.float64), np.asarray(deviation, np.float64)
    # Panels double in width away from each kink and from zero, in units of the function's argument.
    powers = 2.0 ** np.arange(-2, 11)
    offsets = np.concatenate([-powers[::-1], [0.0], powers])
    around = np.unique(np.concatenate([offsets + centre for centre in (0.0, *function.kinks)]))
    scale = np.where(deviation > 0, deviation, 1.0)[..., None]
    bends = np.where(deviation[..., None] > 0, (around - mean[..., None]) / scale, 0.0)
    # A few even breaks in z keep the panels short against the normal density.
    steady = np.broadcast_to(np.linspace(-FARTHEST, FARTHEST, 15), (*mean.shape, 15))
    breaks = np.sort(np.concatenate([np.clip(bends, -FARTHEST, FARTHEST), steady], axis=-1), axis=-1)
    points, weights = np.polynomial.legendre.leggauss(NODES_A_PANEL)
    half = np.diff(breaks, axis=-1)[..., None] / 2
    z = (breaks[..., :-1, None] + half) + half * points
    density = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
    flat = (*mean.shape, -1)
    return z.reshape(flat), (half * weights * density).reshape(flat)


def hermite_coefficients(values: np.ndarray, z: np.ndarray, weights: np.ndarray, order: int) -> np.ndarray:
    """Return averages with the normalised Hermite polynomials, `E[f(z) He_n(z)] / sqrt(n!)` for n below `order`.

    By Mehler's formula, `E[f(z_1) g(z_2)] = sum_n f_n g_n c^n` for standard normals of correlation c.

    Args:
        values: f at the nodes, `(..., nodes)`.
        z: nodes, as `nodes` returns them.
        weights: weights, as `nodes` returns them.
        order: number of coefficients.

    Returns:
        `(..., order)`.
    """
    weighted = values * weights
    previous, current = np.zeros_like(z), np.ones_like(z)
    coefficients = []
    for n in range(order):
        coefficients.append(np.sum(weighted * current, axis=-1))
        # The three-term recurrence of the normalised polynomials.
        previous, current = current, (z * current - np.sqrt(n) * previous) / np.sqrt(n + 1)
    return np.stack(coefficients, axis=-1)
