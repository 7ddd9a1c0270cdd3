"""Compute mean-field theory of wide random networks: fixed points, depth scales, and the maps from layer to layer.

In wide layers, preactivations are normal with a variance q_l, and two inputs have a correlation c_l. Both follow maps:

    q_(l+1) = weight_variance E[phi(z)^2] + bias_variance,                                 z of variance q_l
    c_(l+1) = (weight_variance E[phi(z_1) phi(z_2)] + bias_variance) / q_(l+1),     z_1, z_2 of correlation c_l
    chi     = weight_variance E[phi'(z)^2]                   squared gradients' factor per layer towards the input

Weights are independent, with mean zero and variance `weight_variance / fan_in`; biases have the variance
`bias_variance`. `mean_field` solves for the fixed points q_star and c_star. The maps' slopes at the fixed points give
the depth scales. Sources: Poole et al. 2016 (arXiv:1606.05340) and Schoenholz et al. 2017 (arXiv:1611.01232).
"""

import math
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from vgrad_jax.boundary import checked
from vgrad_jax.descriptions import number
from vgrad_jax.nets.activations import canonical_activation
from vgrad_jax.theory.gaussian import Elementwise, elementwise, nodes

__all__ = [
    "LayerMaps",
    "MeanField",
    "correlation_step",
    "layer_maps",
    "mean_field",
    "moments",
]

SMALLEST, LARGEST = 1e-14, 1e8
"""Range of variances that is searched; outside the variance counts as vanishing or as growing without bound."""
AT_ZERO = 1e-30
"""Variance that stands for zero: so small that only the slopes on both sides of zero matter."""
EXACT = 1e-9
"""Distance to one, or to an integer, within which a number counts as exactly equal."""


class MeanField(NamedTuple):
    """Fixed point of a deep random network, and the depth scales on the way. All numbers are floats; none is NaN."""

    q_star: float
    """Variance of a preactivation that is reached from 1. It is 0 if the variance dies out, and inf if it grows without
    bound. It is 1 if every variance stays as it is."""
    chi_1: float
    """E|delta_l|^2 / E|delta_(l+1)|^2: factor of the squared gradient per layer, towards the input."""
    c_star: float
    """Correlation of two inputs that is reached; 1 if q_star is 0 or inf."""
    chi_c: float
    """`weight_variance E[phi'(u_1) phi'(u_2)]` at c_star: factor per layer of differences from c_star."""
    xi_q: float
    """Depth scale of the variance, in layers. It is inf if the variance never settles exponentially, 0 if it settles at
    once, and negative if it grows."""
    xi_c: float
    """Depth scale of the correlation, in layers; inf at criticality. Training reaches about 6 depth scales."""
    xi_grad: float
    """Depth scale of the gradient, `-1 / ln chi_1`, in layers. It is positive if gradients vanish towards the input,
    negative if they explode, and inf at criticality."""
    phase: str
    """Phase: "ordered" (gradients vanish), "chaotic" (gradients explode) or "critical"."""
    note: str
    """Degenerate properties in words; empty if the network has none."""


class LayerMaps(NamedTuple):
    """Numbers of a wide network layer by layer; layer 0 is the first layer given."""

    variance: Float[np.ndarray, " layer"]
    """Variance q_l of a preactivation."""
    chi: Float[np.ndarray, " layer"]
    """`weight_variance E[phi'^2]` at q_l: E|delta_l|^2 / E|delta_(l+1)|^2."""
    correlation: Float[np.ndarray, " layer"]
    """Correlation c_l of two inputs of equal variance."""


def moments(activation: Any, variance: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return E[phi^2], E[phi'^2] and d E[phi^2] / dq for a preactivation of variance q.

    Args:
        activation: a name from `ACTIVATIONS` or an elementwise function.
        variance: q, any shape.

    >>> [float(part.round(8)) for part in moments("relu", 3.0)]
    [1.5, 0.5, 0.5]
    """
    return _moments(elementwise(activation), np.asarray(variance, np.float64))


@checked
def mean_field(activation: Any, weight_variance: float, bias_variance: float) -> MeanField:
    """Compute the fixed point of a deep random network and its depth scales.

    Args:
        activation: a name from `ACTIVATIONS` or any elementwise JAX function.
        weight_variance: fan-in times the variance of a weight.
        bias_variance: variance of a bias.

    Returns:
        A `MeanField`; relative errors are below 1e-8 for smooth activations and for piecewise smooth ones.

    Raises:
        InputError: a negative variance, or an `activation` that is neither a known name nor a function.

    >>> ordered = mean_field("tanh", 1.5, 0.05)
    >>> round(ordered.q_star, 6), round(ordered.chi_1, 6), round(ordered.xi_grad, 6), ordered.phase
    (0.418037, 0.938636, 15.790994, 'ordered')
    >>> mean_field("relu", 2.0, 0.0).note.split("; ")[1]
    'critical: gradients keep their size at any depth'
    """
    function = elementwise(canonical_activation("activation", activation))
    weight = number("weight_variance", weight_variance, at_least=0.0)
    bias = number("bias_variance", bias_variance, at_least=0.0)
    q, slope, note = _fixed_point(function, weight, bias)
    at = min(q, LARGEST) or AT_ZERO
    chi_1 = weight * float(_moments(function, np.asarray(at))[1])
    notes = [note] if note else []
    phase = "critical" if abs(chi_1 - 1) < EXACT else "ordered" if chi_1 < 1 else "chaotic"
    if phase == "critical":
        chi_1 = 1.0
        notes.append("critical: gradients keep their size at any depth")
    c, chi_c = 1.0, chi_1
    if phase == "chaotic" and 0 < q < math.inf:
        c = _fixed_correlation(function, weight, bias, q)
        chi_c = correlation_step(function, weight, bias, q, c)[1]
    if chi_1 == 0:
        notes.append("no gradient passes a layer")
    return MeanField(q, chi_1, c, chi_c, _scale(abs(slope)), _scale(chi_c), _scale(chi_1), phase, "; ".join(notes))


def layer_maps(
    activation: Any,
    weight_variance: float,
    bias_variance: float,
    *,
    depth: int,
    variance: float = 1.0,
    correlation: float = 0.0,
) -> LayerMaps:
    """Compute the variance, the gradient's factor, and the correlation of two inputs, layer by layer.

    Args:
        activation: a name from `ACTIVATIONS` or any elementwise JAX function.
        weight_variance: fan-in times the variance of a weight.
        bias_variance: variance of a bias.
        depth: number of layers.
        variance: variance of the first layer's preactivations.
        correlation: correlation of the first layer's preactivations at two inputs, in [-1, 1].

    Returns:
        `LayerMaps` of `depth` layers.

    >>> layer_maps("relu", 2.0, 0.0, depth=3).correlation.round(8).tolist()
    [0.0, 0.31830989, 0.49373109]
    """
    function = elementwise(canonical_activation("activation", activation))
    q = number("variance", variance, above=0.0)
    c = number("correlation", correlation, at_least=-1.0)
    rows = []
    for _ in range(depth):
        square, gradient, _ = _moments(function, np.asarray(q))
        rows.append((q, weight_variance * float(gradient), c))
        after = weight_variance * float(square) + bias_variance
        c = correlation_step(function, weight_variance, bias_variance, q, c)[0] * q / after if after > 0 else 1.0
        q = max(after, SMALLEST**2)
    return LayerMaps(*(np.asarray(column) for column in zip(*rows, strict=True)))


def correlation_step(function: Elementwise, weight: float, bias: float, q: float, c: float) -> tuple[float, float]:
    """Compute the next layer's covariance over q, and its slope, for preactivations of variance q and correlation c.

    The two preactivations share a part of variance |c| q and are independent given this part. The average is therefore
    a square of one-dimensional averages, which are exact at kinks.

    Args:
        function: the activation.
        weight: fan-in times the variance of a weight.
        bias: variance of a bias.
        q: variance of the preactivations.
        c: correlation of the preactivations, in [-1, 1].

    Returns:
        The covariance over q, and the derivative of the covariance over q with respect to c.
    """
    shared = math.sqrt(min(abs(c), 1.0))
    alone = math.sqrt(max(1 - shared**2, 0.0))
    deviation = math.sqrt(q)
    x, outer = nodes(function, np.asarray(0.0), np.asarray(deviation * max(shared, 1e-3)))
    # Without an independent part the average over it is the function itself.
    if alone < 1e-9:
        at = function.at(deviation * x)
        value, first = at.value, at.first
    else:
        mean = deviation * shared * x
        y, inner = nodes(function, mean, np.full_like(mean, deviation * alone))
        at = function.at(mean[:, None] + deviation * alone * y)
        value, first = (np.sum(inner * part, axis=-1) for part in (at.value, at.first))
    if c < 0:
        # For c < 0 the second preactivation has the shared part with the opposite sign. Nodes need not be symmetric:
        # its averages have nodes of their own.
        y, inner = nodes(function, -deviation * shared * x, np.full_like(x, deviation * alone))
        at = function.at(-deviation * shared * x[:, None] + deviation * alone * y)
        other_value, other_first = (np.sum(inner * part, axis=-1) for part in (at.value, at.first))
    else:
        other_value, other_first = value, first
    covariance = weight * float(np.sum(outer * value * other_value)) + bias
    return covariance / q, weight * float(np.sum(outer * first * other_first))


def _moments(function: Elementwise, q: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    deviation = np.sqrt(q)
    z, weights = nodes(function, np.zeros_like(q), deviation)
    value, first = function.at(deviation[..., None] * z)
    value_at_zero, first_at_zero = function.at(np.zeros(1))
    # d E[phi^2] / dq = E[phi phi' z] / sqrt(q) is right at kinks, unlike E[phi'^2 + phi phi'']. Terms that average to
    # zero are taken off first: at small q they would drown the rest.
    product = (value - value_at_zero) * first + value_at_zero * (first - first_at_zero)
    slope = np.sum(weights * product * z, axis=-1) / deviation
    square, gradient = np.sum(weights * value**2, axis=-1), np.sum(weights * first**2, axis=-1)
    return np.asarray(square), np.asarray(gradient), np.asarray(slope)


def _fixed_point(function: Elementwise, weight: float, bias: float) -> tuple[float, float, str]:
    """Return the variance reached from 1, the variance map's slope at this variance, and a note."""
    from scipy.optimize import brentq

    def growth(log_q: Any) -> Any:
        q = np.asarray(np.exp(log_q))
        return (weight * _moments(function, q)[0] + bias) / q - 1

    def slope(q: float) -> float:
        return weight * float(_moments(function, np.asarray(q))[2])

    up, down = (np.log(np.geomspace(1.0, end, 65)) for end in (LARGEST, SMALLEST))
    start = float(growth(np.asarray(0.0)))
    grid = up if start > 0 else down
    values = growth(grid)
    if np.abs(growth(np.concatenate([down[::16], up[::16]]))).max() < EXACT:
        return 1.0, 1.0, "every variance stays as it is, so there is no single fixed point and 1 stands for all"
    if abs(start) < 1e-14:
        return 1.0, slope(1.0), ""
    # From 1 the variance moves up or down; the first zero of its growth on this side is the fixed point.
    crossings = np.flatnonzero(np.sign(values) != np.sign(start))
    if len(crossings):
        index = crossings[0]
        q = math.exp(brentq(growth, *sorted((grid[index - 1], grid[index])), xtol=1e-15, rtol=1e-14))
        return q, slope(q), ""
    if start > 0:
        return math.inf, slope(LARGEST), "the variance grows without bound; the other numbers are their limits"
    return 0.0, slope(AT_ZERO), "the variance dies out with depth, and the network becomes linear around 0"


def _fixed_correlation(function: Elementwise, weight: float, bias: float, q: float) -> float:
    from scipy.optimize import brentq

    def excess(c: float) -> float:
        return correlation_step(function, weight, bias, q, c)[0] - c

    if excess(0.0) <= EXACT:
        return 0.0
    # The map is convex on [0, 1] with a slope above 1 at c = 1: exactly one fixed point lies below 1.
    below = next((1 - gap for gap in (0.3, 0.1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6) if excess(1 - gap) < 0), None)
    return 1.0 if below is None else float(brentq(excess, 0.0, below, xtol=1e-13, rtol=1e-13))


def _scale(factor: float) -> float:
    """Return `-1 / ln factor`, in layers."""
    if factor <= 0:
        return 0.0
    return math.inf if abs(factor - 1) < EXACT else -1 / math.log(factor)
