"""Solve the equation for a free product of layers' spectra, in float64.

`densities` states the equation for m(x). The density is read just above the real axis, where m is not known in advance.
Far from the origin m is known: `m ~ mean / x`. The solver starts far out and carries the solution to the axis:

    |                              . o   start: |x| is 1e4 times the largest grid point
    |                         .
    |                    o               1. inwards on a ray, 0.5 radians above the axis, to each grid point in turn
    |               o    |
    |          o    |    |               2. down to 1e-7 radians, all grid points at once
    +----------v----v----v-------------------------> Re x

Each solution is the first guess of the next Newton iteration. The ends of the density come from real minimisation.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from vgrad_jax.theory.gaussian import elementwise, nodes

__all__ = ["Factor", "FreeProduct", "squared_slopes"]

NO_SLOPE = 1e-12
"""Squared slope below which a slope counts as zero."""
LIGHT = 1e-14
"""Probability below which a node of the quadrature is dropped."""
CERTAIN = 1e-6
"""Distance to one within which a probability counts as one."""
MOST_NODES = 64
"""Largest number of nodes in the law of a layer's squared slopes."""
ANGLES = np.geomspace(0.5, 1e-7, 40)
"""Angles above the real axis, in radians: far enough from the branch points at the ends, then down to the axis."""
NEWTON_STEPS = 60
"""Largest number of Newton iterations for one solution."""


class Factor(NamedTuple):
    """Law of one layer's squared slopes, without the slopes that are zero."""

    squares: Float[np.ndarray, " node"]
    """Squared slopes that are not zero."""
    weights: Float[np.ndarray, " node"]
    """Their probabilities; a slope is zero with the remaining probability."""
    times: int
    """Number of layers with this law."""


def squared_slopes(activation: Any, variance: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the law of phi'(z)^2 for normal preactivations z: squares and probabilities, without zeros.

    Args:
        activation: a name from `ACTIVATIONS` or an elementwise function.
        variance: variance of z, whose mean is zero.

    >>> [part.tolist() for part in squared_slopes("relu", 3.0)]
    [[1.0], [0.5]]
    """
    function = elementwise(activation)
    deviation = np.asarray(math.sqrt(variance))
    z, weights = nodes(function, np.zeros(()), deviation)
    squares = function.at(deviation * z).first ** 2
    kept = (squares > NO_SLOPE) & (weights > LIGHT)
    values, inverse = np.unique(squares[kept].round(13), return_inverse=True)
    probability = np.bincount(inverse, weights=weights[kept])
    if len(values) > MOST_NODES:
        values, probability = _gauss_rule(values, probability)
    probability = np.round(probability, 13)
    total = float(probability.sum())
    # Normalised, or the quadrature's error would count as a small probability of a zero slope.
    return values, probability / total if abs(total - 1) < CERTAIN else probability


def _gauss_rule(values: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compress a discrete law into fewer nodes with the same lowest moments, by Lanczos' method."""
    total = float(weights.sum())
    basis = [np.sqrt(weights / total)]
    diagonal: list[float] = []
    off_diagonal: list[float] = []
    for _ in range(MOST_NODES):
        image = values * basis[-1]
        diagonal.append(float(image @ basis[-1]))
        # Orthogonalised twice against all vectors: rounding would otherwise let old directions return.
        rows = np.stack(basis)
        for _ in range(2):
            image = image - rows.T @ (rows @ image)
        length = float(np.linalg.norm(image))
        if length < 1e-13:
            break
        off_diagonal.append(length)
        basis.append(image / length)
    size = len(diagonal)
    upper = np.diag(off_diagonal[: size - 1], 1)
    squares, vectors = np.linalg.eigh(np.diag(diagonal) + upper + upper.T)
    return squares, total * vectors[0] ** 2


class FreeProduct:
    """Equation for m(x), as `densities` states it, of one product of layers.

    Args:
        factors: laws of the layers' squared slopes.
        scale: product of the layers' weight variances.
        independent: number of layers with independent weights.
        orthogonal: number of layers with orthogonal weights.
    """

    def __init__(self, factors: Sequence[Factor], scale: float, independent: int, orthogonal: int) -> None:
        self.times = np.array([f.times for f in factors], np.float64)
        longest = max(len(f.squares) for f in factors)
        # Both are `(factor, node)`; a padded node has no weight and adds nothing.
        self.squares = np.stack([np.pad(f.squares, (0, longest - len(f.squares)), mode="edge") for f in factors])
        self.weights = np.stack([np.pad(f.weights, (0, longest - len(f.weights))) for f in factors])
        self.log_scale = math.log(scale)
        self.depth = independent + orthogonal
        self.orthogonal = orthogonal

    def ends(self) -> tuple[float, float]:
        """Return the smallest and the largest x with a density; the smallest is 0 where the density reaches zero.

        Outside of these ends m is real. The largest x is the minimum of x(m) over m > 0. The smallest x is the maximum
        of x(m) over m < -1.
        """
        from scipy.optimize import minimize_scalar

        def above(log_m: float) -> float:
            return self._log_x_outside(math.exp(log_m))

        high = math.exp(minimize_scalar(above, bounds=(-20.0, 20.0), method="bounded", options={"xatol": 1e-10}).fun)
        if self.orthogonal < self.depth or (self.weights.sum(axis=1) < 1 - CERTAIN).any():
            return 0.0, high

        def below(log_m: float) -> float:
            return -self._log_x_outside(-1 - math.exp(log_m))

        negative_log = minimize_scalar(below, bounds=(-16.0, 20.0), method="bounded", options={"xatol": 1e-10}).fun
        return math.exp(-negative_log), high

    def moments_generating(self, x: np.ndarray) -> np.ndarray:
        """Return m at `x`, increasing, just above the real axis: `(point,)`, complex."""
        far = np.geomspace(1e4 * float(x[-1]), float(x[-1]), 60)[:-1]
        # Far out m and zeta are given by the first moments alone.
        m = np.exp(-1j * ANGLES[0]) * self._mean() / far[0]
        zeta = (self.weights * self.squares).sum(axis=1) / m
        ray = np.empty(len(x), complex)
        zetas = np.empty((len(x), len(zeta)), complex)
        for distance in far:
            m, zeta = self._solve(np.atleast_1d(m), zeta.reshape(1, -1), np.array([distance * np.exp(1j * ANGLES[0])]))
        for index in range(len(x) - 1, -1, -1):
            m, zeta = self._solve(m, zeta, x[index : index + 1] * np.exp(1j * ANGLES[0]))
            ray[index], zetas[index] = m[0], zeta[0]
        # The ray keeps clear of the branch points at the ends. All points then approach them in small steps.
        for angle in ANGLES[1:]:
            ray, zetas = self._solve(ray, zetas, x * np.exp(1j * angle))
        return ray

    def _mean(self) -> float:
        """Return the mean squared singular value."""
        return float(np.exp(self.log_scale + self.times @ np.log((self.weights * self.squares).sum(axis=1))))

    def _solve(self, m: np.ndarray, zeta: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Solve for m, `(point,)`, and zeta, `(point, factor)`, together by Newton's method."""
        for _ in range(NEWTON_STEPS):
            gap = zeta[..., None] - self.squares
            ratio = self.weights * self.squares / gap
            residual = ratio.sum(axis=-1) - m[:, None]
            slope = -(ratio / gap).sum(axis=-1)
            error = (
                (1 - self.orthogonal) * np.log(1 + m)
                + (self.depth - 1) * np.log(m)
                + np.log(zeta) @ self.times
                + self.log_scale
                - np.log(x)
            )
            # All exponents are integers: the error's imaginary part counts modulo 2 pi.
            error = error.real + 1j * np.remainder(error.imag + np.pi, 2 * np.pi) - 1j * np.pi
            # The equations M(zeta) = m are eliminated: a step of m fixes the steps of all zetas, and d ln zeta / dm is
            # known.
            log_zeta_slope = 1 / (slope * zeta)
            growth = (1 - self.orthogonal) / (1 + m) + (self.depth - 1) / m + log_zeta_slope @ self.times
            m_step = (-error + (residual * log_zeta_slope) @ self.times) / growth
            zeta_step = (m_step[:, None] - residual) / slope
            # At most half of the distance to the nearest pole: at m = 0, m = -1, or where zeta is a square.
            with np.errstate(divide="ignore"):
                limit = np.minimum(np.abs(m), np.abs(1 + m)) / np.abs(m_step)
                limit = np.minimum(limit, (np.abs(gap).min(axis=-1) / np.abs(zeta_step)).min(axis=-1))
            damping = np.minimum(1.0, 0.5 * limit)
            m = m + damping * m_step
            zeta = zeta + damping[:, None] * zeta_step
            if np.abs(m_step / m).max() < 1e-12:
                break
        return m, zeta

    def _log_x_outside(self, m: float) -> float:
        """Return ln x at a real m below -1 or above 0, where every zeta is real."""
        from scipy.optimize import brentq

        total = (1 - self.orthogonal) * math.log(abs(1 + m)) + (self.depth - 1) * math.log(abs(m)) + self.log_scale
        for squares, weights, times in zip(self.squares, self.weights, self.times, strict=True):
            present = weights > 0
            s, w = squares[present], weights[present]

            def zeta(log_gap: float, s: np.ndarray = s) -> float:
                # Zeta is above the largest square for m > 0, and between zero and the smallest square for m < -1.
                return float(s.max() * (1 + math.exp(log_gap)) if m > 0 else s.min() / (1 + math.exp(log_gap)))

            def residual(log_gap: float, s: np.ndarray = s, w: np.ndarray = w) -> float:
                return math.log(abs(float((w * s / (zeta(log_gap, s) - s)).sum()))) - math.log(abs(m))

            # A node of small weight may not reach m even this close to its pole. The end is elsewhere then.
            root = brentq(residual, -34.0, 60.0, xtol=1e-13) if residual(-34.0) > 0 else -34.0
            total += times * math.log(zeta(root))
        return total
