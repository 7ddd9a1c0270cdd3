"""Compute the edge of chaos of wide random networks: the weight variance at which gradients keep their size.

On the edge, chi_1 = 1 at the fixed point q of the variance (see `mean_field`). Both conditions give a line:

    weight_variance = 1 / E[phi'^2],    bias_variance = q - E[phi^2] / E[phi'^2]

The second equation is solved for q: on a grid of q first, and then within the cell where its sign changes.
"""

import math
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from vgrad_jax.boundary import checked
from vgrad_jax.descriptions import number
from vgrad_jax.nets.activations import canonical_activation
from vgrad_jax.theory.mean_field import AT_ZERO, EXACT, LARGEST, moments

__all__ = ["Critical", "critical_point", "critical_weight_variance"]


class Critical(NamedTuple):
    """Edge of chaos for a bias variance."""

    weight_variance: float
    """Fan-in times the weight's variance; NaN if no weight variance is critical, and `note` then says why."""
    q_star: float
    """Variance of a preactivation on the edge."""
    stable: bool
    """True if a variance nearby converges to q_star, or at least stays where it is."""
    note: str
    """Special properties of the edge in words; empty if it has none."""


@checked
def critical_weight_variance(activation: Any, bias_variance: float = 0.0) -> float:
    """Compute the weight variance (fan-in times a weight's variance) on the edge of chaos, where chi_1 is 1.

    Args:
        activation: a name from `ACTIVATIONS` or any elementwise JAX function.
        bias_variance: variance of a bias.

    Returns:
        The variance, at the smallest q if several are critical. NaN if none is; `critical_point` says why.

    >>> round(critical_weight_variance("tanh", 0.05), 8), critical_weight_variance("relu", 0.0)
    (1.76095464, 2.0)
    """
    return critical_point(activation, bias_variance).weight_variance


def critical_point(activation: Any, bias_variance: float = 0.0) -> Critical:
    """Compute the edge of chaos: the weight variance, the preactivations' variance q, and the stability of this point.

    Args:
        activation: a name from `ACTIVATIONS` or any elementwise JAX function.
        bias_variance: variance of a bias.

    Returns:
        The `Critical` point of the smallest q.
    """
    name = canonical_activation("activation", activation)
    return _critical_point(name, number("bias_variance", bias_variance, at_least=0.0))


@lru_cache(maxsize=256)
def _critical_point(activation: Any, bias: float) -> Critical:
    from scipy.optimize import brentq

    def excess(log_q: Any) -> Any:
        q = np.asarray(np.exp(log_q))
        square, gradient, _ = moments(activation, q)
        with np.errstate(divide="ignore", invalid="ignore"):
            return (q - square / gradient - bias) / (q + bias)

    grid = np.log(np.geomspace(1e-10, LARGEST, 181))
    values = excess(grid)
    scale_free = np.abs(values + bias / (np.exp(grid) + bias)) < EXACT
    # Scale-free activations, such as ReLU: the critical weight variance is the same at every q.
    if scale_free.all():
        weight = _snapped(1 / float(moments(activation, np.asarray(1.0))[1]))
        if bias == 0:
            return Critical(weight, 1.0, True, "every variance stays as it is, and 1 stands for all")
        return Critical(weight, math.inf, False, "gradients keep their size; the variance grows with every layer")
    if bias == 0 and abs(values[0]) < 1e-6:
        # If phi(0) = 0, the critical line ends at q = 0, where the network is linear.
        gradient = float(moments(activation, np.asarray(AT_ZERO))[1])
        weight = _snapped(1 / gradient)
        if weight * float(moments(activation, np.asarray(0.01))[0]) > 0.01 * (1 + EXACT):
            return Critical(weight, 0.0, False, "every variance above 0 grows, away from this fixed point")
        return Critical(weight, 0.0, True, "the variance dies out, as a power of the depth")
    # Otherwise the smallest q at which the line crosses the bias variance from below.
    for low, high in zip(range(len(grid) - 1), range(1, len(grid)), strict=True):
        if np.isfinite(values[[low, high]]).all() and values[low] < 0 <= values[high]:
            q = math.exp(brentq(excess, grid[low], grid[high], xtol=1e-14, rtol=1e-14))
            _, gradient, slope = (float(part) for part in moments(activation, np.asarray(q)))
            stable = abs(slope / gradient) < 1
            return Critical(1 / gradient, q, stable, "" if stable else "the variance moves away from this fixed point")
    return Critical(
        math.nan, math.nan, False, f"no weight variance is critical for this activation with the bias variance {bias:g}"
    )


def _snapped(value: float) -> float:
    """Return the nearest integer if `value` is within `EXACT` of it, and else `value`."""
    return float(round(value)) if abs(value - round(value)) < EXACT else value
