"""The free product of a network's factors: one complex equation, followed from where its solution is known.

See `densities` for what it means.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from vgrad_jax.theory.gaussian import elementwise, nodes

__all__ = ["Factor", "FreeProduct", "squared_slopes"]

NO_SLOPE = 1e-12
LIGHT = 1e-14
"""A probability that is left out."""
CERTAIN = 1e-6
"""A probability closer to one than this is one."""
MOST_NODES = 64
ANGLES = np.geomspace(0.5, 1e-7, 40)
"""Radians above the real axis: from far enough from the ends' branch points down to the axis."""
NEWTON_STEPS = 60


class Factor(NamedTuple):
    """The law of a layer's squared slopes, but for those that are zero."""

    squares: np.ndarray
    """`(node,)`."""
    weights: np.ndarray
    """`(node,)`: probabilities; what is missing to one are slopes of zero."""
    times: int
    """How many layers have this law."""


def squared_slopes(activation: Any, variance: float) -> tuple[np.ndarray, np.ndarray]:
    """phi'(z)^2 for preactivations of a variance: values and probabilities of a quadrature, zeros left out.

    Args:
        activation: a name from `ACTIVATIONS` or an elementwise function.
        variance: of z.

    >>> [part.tolist() for part in squared_slopes("relu", 3.0)]
    [[1.0], [0.5]]
    """
    function = elementwise(activation)
    deviation = np.asarray(math.sqrt(variance))
    z, weights = nodes(function, np.zeros(()), deviation)
    squares = function.at(deviation * z).first ** 2
    kept = (squares > NO_SLOPE) & (weights > LIGHT)
    values, places = np.unique(squares[kept].round(13), return_inverse=True)
    probability = np.bincount(places, weights=weights[kept])
    if len(values) > MOST_NODES:
        values, probability = _gauss_rule(values, probability)
    probability = np.round(probability, 13)
    total = float(probability.sum())
    # The quadrature's error would pass for a small probability of a slope of zero.
    return values, probability / total if abs(total - 1) < CERTAIN else probability


def _gauss_rule(values: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fewer nodes with the same first moments: Lanczos' method, each vector kept orthogonal to all before."""
    total = float(weights.sum())
    basis = [np.sqrt(weights / total)]
    diagonal: list[float] = []
    beside: list[float] = []
    for _ in range(MOST_NODES):
        image = values * basis[-1]
        diagonal.append(float(image @ basis[-1]))
        rows = np.stack(basis)
        for _ in range(2):
            image = image - rows.T @ (rows @ image)
        length = float(np.linalg.norm(image))
        if length < 1e-13:
            break
        beside.append(length)
        basis.append(image / length)
    size = len(diagonal)
    off = np.diag(beside[: size - 1], 1)
    found, vectors = np.linalg.eigh(np.diag(diagonal) + off + off.T)
    return found, total * vectors[0] ** 2


class FreeProduct:
    """The equation for m at x, of `densities`.

    Args:
        factors: the layers' squared slopes.
        scale: product of the weight variances.
        independent: number of layers with independent weights.
        orthogonal: number of layers with orthogonal weights.
    """

    def __init__(self, factors: Sequence[Factor], scale: float, independent: int, orthogonal: int) -> None:
        self.times = np.array([f.times for f in factors], np.float64)
        longest = max(len(f.squares) for f in factors)
        # `(factor, node)`: a node of no weight adds nothing.
        self.squares = np.stack([np.pad(f.squares, (0, longest - len(f.squares)), mode="edge") for f in factors])
        self.weights = np.stack([np.pad(f.weights, (0, longest - len(f.weights))) for f in factors])
        self.log_scale = math.log(scale)
        self.depth = independent + orthogonal
        self.orthogonal = orthogonal

    def ends(self) -> tuple[float, float]:
        """The smallest and the largest x with a density; 0 where it reaches down to zero.

        Outside of them m is real: above one from where x has its smallest value for m > 0, below the other from where
        x has its largest value for m < -1.
        """
        from scipy.optimize import minimize_scalar

        def above(log_m: float) -> float:
            return self._log_x_outside(math.exp(log_m))

        high = math.exp(minimize_scalar(above, bounds=(-20.0, 20.0), method="bounded", options={"xatol": 1e-10}).fun)
        if self.orthogonal < self.depth or (self.weights.sum(axis=1) < 1 - CERTAIN).any():
            return 0.0, high

        def below(log_m: float) -> float:
            return -self._log_x_outside(-1 - math.exp(log_m))

        found = minimize_scalar(below, bounds=(-16.0, 20.0), method="bounded", options={"xatol": 1e-10}).fun
        return math.exp(-found), high

    def moments_generating(self, x: np.ndarray) -> np.ndarray:
        """m at `x`, increasing, just above the real axis: `(point,)`, complex."""
        far = np.geomspace(1e4 * float(x[-1]), float(x[-1]), 60)[:-1]
        m = np.exp(-1j * ANGLES[0]) * self._mean() / far[0]
        zeta = (self.weights * self.squares).sum(axis=1) / m
        ray = np.empty(len(x), complex)
        zetas = np.empty((len(x), len(zeta)), complex)
        for distance in far:
            m, zeta = self._solve(np.atleast_1d(m), zeta.reshape(1, -1), np.array([distance * np.exp(1j * ANGLES[0])]))
        for place in range(len(x) - 1, -1, -1):
            m, zeta = self._solve(m, zeta, x[place : place + 1] * np.exp(1j * ANGLES[0]))
            ray[place], zetas[place] = m[0], zeta[0]
        for angle in ANGLES[1:]:
            ray, zetas = self._solve(ray, zetas, x * np.exp(1j * angle))
        return ray

    def _mean(self) -> float:
        return float(np.exp(self.log_scale + self.times @ np.log((self.weights * self.squares).sum(axis=1))))

    def _solve(self, m: np.ndarray, zeta: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Newton's method for m, `(point,)`, and zeta, `(point, factor)`, at once."""
        for _ in range(NEWTON_STEPS):
            gap = zeta[..., None] - self.squares
            ratio = self.weights * self.squares / gap
            missed = ratio.sum(axis=-1) - m[:, None]
            slope = -(ratio / gap).sum(axis=-1)
            error = (
                (1 - self.orthogonal) * np.log(1 + m)
                + (self.depth - 1) * np.log(m)
                + np.log(zeta) @ self.times
                + self.log_scale
                - np.log(x)
            )
            # Powers are whole numbers: another branch of a logarithm changes nothing.
            error = error.real + 1j * np.remainder(error.imag + np.pi, 2 * np.pi) - 1j * np.pi
            through = 1 / (slope * zeta)
            growth = (1 - self.orthogonal) / (1 + m) + (self.depth - 1) / m + through @ self.times
            step = (-error + (missed * through) @ self.times) / growth
            move = (step[:, None] - missed) / slope
            # Not past a place where something is infinite.
            with np.errstate(divide="ignore"):
                room = np.minimum(np.abs(m), np.abs(1 + m)) / np.abs(step)
                room = np.minimum(room, (np.abs(gap).min(axis=-1) / np.abs(move)).min(axis=-1))
            part = np.minimum(1.0, 0.5 * room)
            m = m + part * step
            zeta = zeta + part[:, None] * move
            if np.abs(step / m).max() < 1e-12:
                break
        return m, zeta

    def _log_x_outside(self, m: float) -> float:
        from scipy.optimize import brentq

        total = (1 - self.orthogonal) * math.log(abs(1 + m)) + (self.depth - 1) * math.log(abs(m)) + self.log_scale
        for squares, weights, times in zip(self.squares, self.weights, self.times, strict=True):
            present = weights > 0
            s, w = squares[present], weights[present]

            def zeta(log_gap: float, s: np.ndarray = s) -> float:
                # Above the largest square, or between zero and the smallest.
                return float(s.max() * (1 + math.exp(log_gap)) if m > 0 else s.min() / (1 + math.exp(log_gap)))

            def missed(log_gap: float, s: np.ndarray = s, w: np.ndarray = w) -> float:
                return math.log(abs(float((w * s / (zeta(log_gap, s) - s)).sum()))) - math.log(abs(m))

            # Right beside a node of small weight m may still be short of what is asked: the end is elsewhere.
            root = brentq(missed, -34.0, 60.0, xtol=1e-13) if missed(-34.0) > 0 else -34.0
            total += times * math.log(zeta(root))
        return total
