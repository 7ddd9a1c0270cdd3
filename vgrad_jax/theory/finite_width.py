"""ReLU networks with He initialisation at finite width: the law over seeds, exactly, not only its mean.

Zero biases, Gaussian weights of variance 2 / fan_in ("fan_in_normal(2)"), one input. A layer's signs can be flipped row
by row without changing the weights' law, so that the Jacobian is in law a product of independent Gaussian matrices and
independent masks that keep a unit with probability 1/2 (this extends Hanin 2018, arXiv:1801.03744, and Hanin and
Rolnick 2018, arXiv:1803.01719). With Q_n a sum of squares of a random half of n standard normals, the squared length of
the activations changes by (2 / n_before) Q_n in a layer of n units, that of the gradient by (2 / n) Q_n, independently.
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
    """Natural logarithm of a kernel's squared gradient norm over seeds, given that the network is alive."""

    mean: float
    variance: float
    widths: tuple[int, ...]
    shift: float
    """What is added to the sum over layers of ln Q."""

    def cumulative(self, values: np.ndarray) -> np.ndarray:
        """The distribution function, by inverting the characteristic function (Gil-Pelaez)."""
        t, phi = self._characteristic()
        wave = phi * np.exp(-1j * np.multiply.outer(np.asarray(values, np.float64) - self.shift, t))
        return np.clip(0.5 - np.sum(wave.imag / t, axis=-1) * (t[1] - t[0]) / np.pi, 0.0, 1.0)

    def density(self, values: np.ndarray) -> np.ndarray:
        """The density of the logarithm."""
        t, phi = self._characteristic()
        wave = phi * np.exp(-1j * np.multiply.outer(np.asarray(values, np.float64) - self.shift, t))
        return np.maximum(np.sum(wave.real, axis=-1) * (t[1] - t[0]) / np.pi, 0.0)

    def _characteristic(self) -> tuple[np.ndarray, np.ndarray]:
        step = 0.05 / math.sqrt(self.variance)
        t = (np.arange(1200) + 0.5) * step
        phi = np.ones_like(t, complex)
        for n in self.widths:
            phi = phi * _characteristic_of_log_q(n, t)
        return t, phi


def log_increment(width: int) -> tuple[float, float]:
    """Mean and variance of ln((2 / n) Q_n) of a layer of n units, given that one unit is alive at least.

    About -5 / (2 n) and 5 / n: a typical network's gradient is smaller than the mean square says.

    >>> [round(value, 8) for value in log_increment(10)]
    [-0.30746101, 0.86673425]
    """
    mean, variance = _log_q(width)
    return mean + math.log(2 / width), variance


def second_moment_ratio(widths: Sequence[int]) -> float:
    """E[M^2] / E[M]^2 of M, the last layer's mean square: the product of 1 + 5 / n over hidden layers.

    >>> second_moment_ratio((5, 10))
    3.0
    """
    return math.prod(1 + 5 / n for n in widths)


def probability_dead(widths: Sequence[int]) -> float:
    """That no gradient at all passes for one input: 1 - prod (1 - 2^-n), for any symmetric weights and no biases.

    For a data set it is an upper bound.

    >>> round(probability_dead((2,) * 10), 3)
    0.944
    """
    return -math.expm1(sum(math.log1p(-(2.0**-n)) for n in widths))


def log_gradient_law(
    widths: Sequence[int], in_features: int, output_variance: float, norm_of_x: float, layer: int
) -> LogGradientLaw:
    """The law of ln ||dlogit / dW_l||^2 of one hidden kernel, over seeds that are alive.

    Args:
        widths: of the hidden layers, input side first.
        in_features: size of the input.
        output_variance: of one weight of the output layer.
        norm_of_x: length of the input.
        layer: which kernel, from 0 on the input side; the output layer is len(widths) and has a factor less.

    >>> law = log_gradient_law((10,) * 4, 10, 0.1, 1.0, layer=2)
    >>> round(law.mean - 4 * log_increment(10)[0] + math.log(2), 12)
    0.0
    """
    before = (in_features, *widths)
    hidden = len(widths)
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
    """The Kolmogorov-Smirnov p-value of measured logarithms, over independent seeds that are alive.

    Args:
        values: ln of the squared norm, `(seed,)`; what is not finite is left out.
        law: what they should follow.
    """
    from scipy import stats

    finite = np.asarray(values, np.float64)
    finite = finite[np.isfinite(finite)]
    return float(stats.kstest(finite, law.cumulative).pvalue) if len(finite) else math.nan


def _halves(width: int) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of units alive and their probabilities, given one at least."""
    from scipy import stats

    alive = np.arange(1, width + 1)
    probability = stats.binom.pmf(alive, width, 0.5)
    return alive, probability / probability.sum()


def _log_q(width: int) -> tuple[float, float]:
    from scipy import special

    alive, probability = _halves(width)
    each = special.digamma(alive / 2) + math.log(2)
    mean = float(probability @ each)
    return mean, float(probability @ (special.polygamma(1, alive / 2) + (each - mean) ** 2))


def _characteristic_of_log_q(width: int, t: np.ndarray) -> np.ndarray:
    from scipy import special

    alive, probability = _halves(width)
    half = alive[:, None] / 2
    powers = np.exp(special.loggamma(half + 1j * t) - special.loggamma(half) + 1j * t * math.log(2))
    return np.asarray(probability @ powers)
