"""Compute the exact law over seeds of the gradient in ReLU networks with He initialisation, at finite width.

The network has zero biases, normal weights of variance 2 / fan_in ("fan_in_normal(2)"), and one input. Flipping the
signs of a layer's rows leaves the weights' law unchanged. The Jacobian is therefore, in law, a product of independent
normal matrices and independent masks that keep a unit with probability 1/2. This extends Hanin 2018 (arXiv:1801.03744)
and Hanin and Rolnick 2018 (arXiv:1803.01719).

Let Q_n be the sum of squares of a random half of n standard normals. A layer of n units multiplies the activations'
squared length by (2 / n_before) Q_n. It multiplies the gradient's squared length by (2 / n) Q_n on the way back. Layers
are independent, so ln of a kernel's squared gradient is a sum over layers. Its characteristic function is the product
of the characteristic functions of ln Q_n.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

__all__ = [
    "LogGradientLaw",
    "goodness_of_fit",
    "log_gradient_law",
    "log_increment",
    "probability_dead",
    "second_moment_ratio",
]


class LogGradientLaw(NamedTuple):
    """Law over seeds of ln of a kernel's squared gradient norm, given that the network is alive."""

    mean: float
    """Mean of the logarithm."""
    variance: float
    """Variance of the logarithm."""
    widths: tuple[int, ...]
    """Number of units in each hidden layer."""
    shift: float
    """Constant that is added to the sum over layers of ln Q."""

    def cumulative(self, values: np.ndarray) -> np.ndarray:
        """Return the distribution function, by inverting the characteristic function (Gil-Pelaez)."""
        t, phi = self._characteristic()
        wave = phi * np.exp(-1j * np.multiply.outer(np.asarray(values, np.float64) - self.shift, t))
        return np.clip(0.5 - np.sum(wave.imag / t, axis=-1) * (t[1] - t[0]) / np.pi, 0.0, 1.0)

    def density(self, values: np.ndarray) -> np.ndarray:
        """Return the density of the logarithm."""
        t, phi = self._characteristic()
        wave = phi * np.exp(-1j * np.multiply.outer(np.asarray(values, np.float64) - self.shift, t))
        return np.maximum(np.sum(wave.real, axis=-1) * (t[1] - t[0]) / np.pi, 0.0)

    def _characteristic(self) -> tuple[np.ndarray, np.ndarray]:
        """Return a grid of t and the characteristic function of the sum of ln Q at it, `(t,)` each."""
        step = 0.05 / math.sqrt(self.variance)
        t = (np.arange(1200) + 0.5) * step
        phi = np.ones_like(t, complex)
        for n in self.widths:
            phi = phi * _characteristic_of_log_q(n, t)
        return t, phi


def log_increment(width: int) -> tuple[float, float]:
    """Return the mean and variance of ln((2 / n) Q_n) of a layer of n units, given that at least one unit is alive.

    They are about -5 / (2 n) and 5 / n: a typical network's gradient is smaller than the mean square.

    Args:
        width: number of units n.

    >>> [round(value, 8) for value in log_increment(10)]
    [-0.30746101, 0.86673425]
    """
    mean, variance = _log_q(width)
    return mean + math.log(2 / width), variance


def second_moment_ratio(widths: Sequence[int]) -> float:
    """Compute E[M^2] / E[M]^2 of M, the last layer's mean square: the product of 1 + 5 / n over hidden layers.

    >>> second_moment_ratio((5, 10))
    3.0
    """
    return math.prod(1 + 5 / n for n in widths)


def probability_dead(widths: Sequence[int]) -> float:
    """Compute the probability that no gradient passes for one input: 1 - prod (1 - 2^-n).

    It holds for any symmetric weights without biases. For a data set it is an upper bound.

    >>> round(probability_dead((2,) * 10), 3)
    0.944
    """
    return -math.expm1(sum(math.log1p(-(2.0**-n)) for n in widths))


def log_gradient_law(
    widths: Sequence[int], in_features: int, output_variance: float, norm_of_x: float, layer: int
) -> LogGradientLaw:
    """Return the law of ln ||dlogit / dW_l||^2 of one kernel, over seeds that are alive.

    Args:
        widths: number of units in each hidden layer, input side first.
        in_features: size of the input.
        output_variance: variance of one weight of the output layer.
        norm_of_x: length of the input.
        layer: number of the kernel, from 0 on the input side; len(widths) is the output layer.

    Returns:
        The `LogGradientLaw`.

    >>> law = log_gradient_law((10,) * 4, 10, 0.1, 1.0, layer=2)
    >>> round(law.mean - 4 * log_increment(10)[0] + math.log(2), 12)
    0.0
    """
    before = (in_features, *widths)
    hidden = len(widths)
    # The output kernel's gradient is the last activations alone, without a backward part.
    if layer == hidden:
        shift = sum(math.log(2 / before[k]) for k in range(hidden))
    else:
        forward = sum(math.log(2 / before[k]) for k in range(layer))
        backward = sum(math.log(2 / widths[k]) for k in range(layer, hidden - 1))
        shift = forward + backward + math.log(output_variance)
    shift += 2 * math.log(norm_of_x)
    parts = [_log_q(n) for n in widths]
    mean = math.fsum(part[0] for part in parts) + shift
    return LogGradientLaw(mean, math.fsum(part[1] for part in parts), tuple(widths), shift)


def goodness_of_fit(values: np.ndarray, law: LogGradientLaw) -> float:
    """Compute the Kolmogorov-Smirnov p-value of measured logarithms, over independent seeds that are alive.

    Args:
        values: ln of the squared norm, `(seed,)`; values that are not finite are left out.
        law: the law to test them against.

    Returns:
        The p-value; NaN if no value is finite.
    """
    from scipy import stats

    finite = np.asarray(values, np.float64)
    finite = finite[np.isfinite(finite)]
    return float(stats.kstest(finite, law.cumulative).pvalue) if len(finite) else math.nan


def _halves(width: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the possible numbers of units alive and their probabilities, given at least one."""
    from scipy import stats

    alive = np.arange(1, width + 1)
    probability = stats.binom.pmf(alive, width, 0.5)
    return alive, probability / probability.sum()


def _log_q(width: int) -> tuple[float, float]:
    """Return the mean and variance of ln Q, given that at least one unit is alive."""
    from scipy import special

    alive, probability = _halves(width)
    each = special.digamma(alive / 2) + math.log(2)
    mean = float(probability @ each)
    return mean, float(probability @ (special.polygamma(1, alive / 2) + (each - mean) ** 2))


def _characteristic_of_log_q(width: int, t: np.ndarray) -> np.ndarray:
    """Return the characteristic function of ln Q at `t`, given that at least one unit is alive."""
    from scipy import special

    alive, probability = _halves(width)
    half = alive[:, None] / 2
    powers = np.exp(special.loggamma(half + 1j * t) - special.loggamma(half) + 1j * t * math.log(2))
    return np.asarray(probability @ powers)
