"""Compute densities of the squared singular values of a deep network's Jacobian, in wide layers.

The Jacobian is a product of weight matrices W_l and diagonal matrices D_l of slopes phi'(z_l). In wide layers the
factors are free of each other, so their S-transforms multiply (Pennington, Schoenholz and Ganguli 2017,
arXiv:1711.04735, and 2018, arXiv:1802.09979). Let m(x) = sum_k E[s^k] / x^k for the squared singular values s, and M_l
the same for the squared slopes of layer l. Then

    x = (1 + m) / m  prod_l  m zeta_l weight_variance_l (1 + m)^(g_l - 1),    M_l(zeta_l) = m,

where g_l is 1 for independent weights and 0 for orthogonal weights. The density at x is -Im (1 + m) / (pi x), just
above the real axis. All numbers are float64 on the host.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from vgrad_jax.descriptions import whole_number
from vgrad_jax.errors import InputError, unknown_name
from vgrad_jax.theory.free_product import Factor, FreeProduct, squared_slopes

__all__ = ["JacobianLayer", "SpectralDensity", "fuss_catalan", "spectral_density"]

WEIGHTS = ("normal", "orthogonal")
REACH = 1e-12
"""Lower end of the grid over the largest squared singular value: single precision resolves nothing smaller."""
ATOM = 1e-6
"""Probability above which a single node is a point of the law: a smooth function's nodes are lighter."""


class JacobianLayer(NamedTuple):
    """One factor D W of the Jacobian: a square layer of a plain network."""

    activation: Any
    """A name from `ACTIVATIONS` or an elementwise function."""
    variance: float
    """Variance of the layer's preactivations."""
    weight_variance: float
    """Fan-in times the variance of a weight; the squared gain of an orthogonal matrix."""
    weights: str
    """Ensemble: "normal" for any independent weights of mean zero, or "orthogonal"."""


class SpectralDensity(NamedTuple):
    """Law of one squared singular value that is picked at random."""

    squares: Float[np.ndarray, " point"]
    """Grid of squared singular values, increasing, denser towards both ends."""
    density: Float[np.ndarray, " point"]
    """Probability per unit of the squared singular value, at the grid."""
    zero: float
    """Probability of a singular value that is exactly zero."""
    point: tuple[float, float]
    """Squared singular value with a probability of its own, and this probability; NaN and 0 if none has."""
    mean: float
    """Mean squared singular value, zeros included."""
    largest: float
    """Upper end of the law; a finite network's largest value is some percent smaller."""

    def cumulative(self, squares: Any) -> np.ndarray:
        """Return the distribution function at `squares`, of any shape: zeros, density, and point."""
        location, probability = self.point
        log = np.log(self.squares)
        weighted = self.density * self.squares
        integral = np.concatenate([[0.0], np.cumsum((weighted[1:] + weighted[:-1]) / 2 * np.diff(log))])
        # The grid does not reach zero: the probability that is missing to one lies below it.
        below = max(1.0 - probability - integral[-1], self.zero)
        continuous = np.interp(np.log(np.maximum(squares, self.squares[0])), log, below + integral)
        return np.asarray(continuous + probability * (np.asarray(squares) >= location))


def spectral_density(layers: Sequence[JacobianLayer], points: int = 400) -> SpectralDensity:
    """Compute the density of the squared singular values of a product of square layers.

    Args:
        layers: the factors; their order does not matter.
        points: number of points in the grid.

    Returns:
        A `SpectralDensity`; linear layers of orthogonal weights have a point and no density.

    Raises:
        InputError: no layers, an unknown ensemble of weights, or a single orthogonal layer with a smooth activation:
            its squared singular values are its squared slopes.

    >>> relu = spectral_density([JacobianLayer("relu", 1.0, 2.0, "normal")] * 2)
    >>> round(relu.largest, 6), relu.zero, round(relu.mean, 9)
    (11.09017, 0.5, 1.0)
    >>> spectral_density([JacobianLayer("identity", 1.0, 0.25, "orthogonal")] * 3).point
    (0.015625, 1.0)
    """
    whole_number("points", points, minimum=10)
    if not layers:
        raise InputError("a Jacobian's spectrum needs at least one layer; got none")
    for layer in layers:
        if layer.weights not in WEIGHTS:
            raise unknown_name("weights", layer.weights, WEIGHTS)
    slopes = {layer: squared_slopes(layer.activation, layer.variance) for layer in dict.fromkeys(layers)}
    factors = [Factor(*slopes[layer], layers.count(layer)) for layer in slopes]
    orthogonal = sum(layer.weights == "orthogonal" for layer in layers)
    scale = math.prod(layer.weight_variance for layer in layers)
    product = FreeProduct(factors, scale, len(layers) - orthogonal, orthogonal)
    mean = scale * math.prod(float(f.squares @ f.weights) ** f.times for f in factors)
    # The kernels of free factors overlap as little as they can: the layer with the most zeros decides.
    zero = max(0.0, *(1 - float(f.weights.sum()) for f in factors))
    point = (math.nan, 0.0)
    # With orthogonal weights alone a point remains. Its probability is one minus the sum over layers of 1 - p, where p
    # belongs to the layer's heaviest node.
    if orthogonal == len(layers):
        probability = math.fsum(f.times * (float(f.weights.max()) - 1) for f in factors) + 1
        if probability > ATOM:
            location = scale * math.prod(float(f.squares[f.weights.argmax()]) ** f.times for f in factors)
            point = (location, min(probability, 1.0))
    zero = 0.0 if zero < ATOM else zero
    if point[1] + zero > 1 - ATOM:
        grid = np.geomspace(point[0] * REACH, point[0], points)
        return SpectralDensity(grid, np.zeros(points), zero, point, mean, point[0])
    if len(layers) == orthogonal == 1:
        raise InputError(
            "a single orthogonal layer has its squared slopes as squared singular values, without a density"
        )
    low, high = product.ends()
    grid = _between(max(low, REACH * high), high, points)
    density = np.maximum(-product.moments_generating(grid).imag / grid / np.pi, 0.0)
    return SpectralDensity(grid, density, zero, point, mean, high)


def fuss_catalan(depth: int, points: int = 400) -> SpectralDensity:
    """Compute the law of a product of `depth` square Gaussian matrices of variance 1 / width, in closed form.

    For u in (0, pi / (depth + 1)), the squared singular value and its density are

        x = sin(u (depth + 1))^(depth + 1) / (sin u sin(u depth)^depth)
        density = sin(u)^2 sin(u depth)^(depth - 1) / (pi sin(u (depth + 1))^depth)

    The moments are Fuss and Catalan's numbers (Penson and Zyczkowski 2011, arXiv:1103.3453). The parametrisation is
    Haagerup and Moeller's (2013, arXiv:1206.5300). Depth 1 gives Marchenko and Pastur's law.

    Args:
        depth: number of matrices.
        points: number of points in the grid.

    >>> law = fuss_catalan(1)
    >>> x = law.squares
    >>> bool(np.allclose(law.density, np.sqrt(np.maximum(4 - x, 0) / x) / (2 * np.pi)))
    True
    """
    whole_number("depth", depth, minimum=1)
    # Even steps of the logarithm towards x = 0, and of u towards the upper end.
    largest = math.exp((depth + 1) * math.log(depth + 1) - depth * math.log(depth))
    to_zero = np.pi / (depth + 1) * np.geomspace(REACH ** (1 / (depth + 1)), 0.5, points // 2, endpoint=False)
    u = np.concatenate(
        [np.pi / (depth + 1) - to_zero, np.linspace(0.5, 1e-6, points - points // 2) * np.pi / (depth + 1)]
    )
    above, at = np.sin(u * (depth + 1)), np.sin(u * depth)
    squares = np.exp((depth + 1) * np.log(above) - np.log(np.sin(u)) - depth * np.log(at))
    density = np.exp(2 * np.log(np.sin(u)) + (depth - 1) * np.log(at) - depth * np.log(above)) / np.pi
    return SpectralDensity(squares, density, 0.0, (math.nan, 0.0), 1.0, largest)


def _between(low: float, high: float, points: int) -> np.ndarray:
    """Return a grid of the logarithm that is denser at both ends, where a density may end like a root."""
    turn = np.cos(np.linspace(np.pi, 0, points + 2)[1:-1])
    return np.asarray(np.exp((math.log(low) + math.log(high)) / 2 + (math.log(high) - math.log(low)) / 2 * turn))
