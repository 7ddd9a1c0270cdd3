"""Special functions by the series and rational functions that XLA takes, in single precision."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
from jax import lax

from vgrad_jax.jaxprs import JaxprEqn
from vgrad_jax.lanes.errors import NotInLanesError
from vgrad_jax.lanes.nests.expansions.registry import EXPANSIONS

__all__: list[str] = []

LANCZOS = (
    676.520368121885098567009190444019,
    -1259.13921672240287047156078755283,
    771.3234287776530788486528258894,
    -176.61502916214059906584551354,
    12.507343278686904814458936853,
    -0.13857109526572011689554707,
    9.984369578019570859563e-6,
    1.50563273514931155834e-7,
)
"""Coefficients of Lanczos's approximation of the gamma function with g = 7, after the first."""
FIRST_OF_LANCZOS, G = 0.99999999999980993227684700473478, 7.0

INVERSE_NEAR = (
    2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087, -0.00125372503, -0.00417768164,
    0.246640727, 1.50140941,
)  # fmt: skip
"""Coefficients of the inverse of erf, the highest power's first (Giles, 2012)."""
INVERSE_FAR = (
    -0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773, -0.0076224613, 0.00943887047,
    1.00167406, 2.83297682,
)  # fmt: skip
"""Coefficients near -1 and 1."""

LARGE = 1e9
"""Size from which x^2 + 1 and x^2 are the same number, and the inverse of sinh and of cosh is log(2 x)."""

COMPLEMENT_NEAR = (
    2.326819970068386e-2, -1.387039388740657e-1, 3.687424674597105e-1, -5.824733027278666e-1, 6.210004621745983e-1,
    -4.944515323274145e-1, 3.404879937665872e-1, -2.741127028184656e-1, 5.638259427386472e-1,
)  # fmt: skip
"""Coefficients of erfc from 1 to 2 (Cephes)."""
COMPLEMENT_FAR = (
    -1.047766399936249e1, 1.297719955372516e1, -7.495518717768503e0, 2.921019019210786e0, -1.015265279202700e0,
    4.218463358204948e-1, -2.820767439740514e-1, 5.641895067754075e-1,
)  # fmt: skip
"""Coefficients of erfc from 2 on."""


def _polynomial(x: Any, coefficients: Sequence[float]) -> Any:
    total = jnp.float32(coefficients[0])
    for coefficient in coefficients[1:]:
        total = total * x + jnp.float32(coefficient)
    return total


def erf_inv(x: Any) -> Any:
    """Evaluate the inverse of erf."""
    w = -jnp.log1p(-x * x)
    near = w < 5
    w = jnp.where(near, w - 2.5, jnp.sqrt(w) - 3.0)
    pairs = zip(INVERSE_NEAR, INVERSE_FAR, strict=True)
    total: Any = jnp.zeros_like(x)
    for first, second in pairs:
        total = total * w + jnp.where(near, jnp.float32(first), jnp.float32(second))
    return jnp.where(jnp.abs(x) == 1.0, x * jnp.inf, total * x)


def erfc(x: Any) -> Any:
    """Evaluate 1 - erf(x) without loss of digits for large x."""
    size = jnp.abs(x)
    inverse = 1 / (x * x)
    total = jnp.where(size < 2, _polynomial(inverse, COMPLEMENT_NEAR), _polynomial(inverse, COMPLEMENT_FAR))
    far = jnp.exp(-x * x) * (1 / size) * total
    far = jnp.where(-x * x < -88.7228394, 0.0, far)
    return jnp.where(size < 1, 1 - lax.erf(x), jnp.where(x < 0, 2 - far, far))


def acosh(x: Any) -> Any:
    """Evaluate the inverse of cosh: log1p(t + sqrt(t (t + 2))) with t = x - 1; log(2 x) where that is the same."""
    t = x - 1
    near = jnp.log1p(t + jnp.sqrt(t * (t + 2)))
    value = jnp.where(x < LARGE, near, jnp.log(x) + jnp.float32(math.log(2)))
    return jnp.where(x < 1, jnp.nan, value)


def asinh(x: Any) -> Any:
    """Evaluate the inverse of sinh: log1p(a + a^2 / (1 + sqrt(1 + a^2))) with a = |x|, and the sign of x."""
    size = jnp.abs(x)
    square = size * size
    near = jnp.log1p(size + square / (1 + jnp.sqrt(1 + square)))
    far = jnp.log(size) + jnp.float32(math.log(2))
    return jnp.copysign(jnp.where(size < LARGE, near, far), x)


def atanh(x: Any) -> Any:
    """Evaluate the inverse of tanh: (log1p(x) - log1p(-x)) / 2."""
    return 0.5 * (jnp.log1p(x) - jnp.log1p(-x))


def _lanczos(z: Any) -> tuple[Any, Any]:
    """Return Lanczos's sum and its derivative."""
    total, slope = jnp.float32(FIRST_OF_LANCZOS), jnp.zeros_like(z)
    for number, coefficient in enumerate(LANCZOS, 1):
        slope = slope - coefficient / ((z + number) * (z + number))
        total = total + coefficient / (z + number)
    return total, slope


def lgamma(x: Any) -> Any:
    """Evaluate the logarithm of the gamma function's size."""
    reflected = x < 0.5
    z = jnp.where(reflected, -x, x - 1)
    t = z + (G + 0.5)
    log_t = jnp.float32(math.log(G + 0.5)) + jnp.log1p(z / (G + 0.5))
    log_y = jnp.float32(math.log(2 * math.pi) / 2) + (z + 0.5 - t / log_t) * log_t + jnp.log(_lanczos(z)[0])
    fraction = jnp.abs(x) - jnp.floor(jnp.abs(x))
    fraction = jnp.where(fraction > 0.5, 1 - fraction, fraction)
    sine = jnp.log(jnp.sin(jnp.float32(math.pi) * fraction))
    reflection = jnp.where(jnp.isfinite(sine), jnp.float32(math.log(math.pi)) - sine - log_y, -sine)
    return jnp.where(jnp.isinf(x), jnp.inf, jnp.where(reflected, reflection, log_y))


def digamma(x: Any) -> Any:
    """Evaluate the derivative of the gamma function's logarithm."""
    reflected = x < 0.5
    z = jnp.where(reflected, -x, x - 1)
    total, slope = _lanczos(z)
    t = z + (G + 0.5)
    log_t = jnp.float32(math.log(G + 0.5)) + jnp.log1p(z / (G + 0.5))
    y = log_t + slope / total - G / t
    angle = jnp.float32(math.pi) * (x + jnp.abs(jnp.floor(x + 0.5)))
    value = jnp.where(reflected, y - jnp.float32(math.pi) * jnp.cos(angle) / jnp.sin(angle), y)
    return jnp.where((x <= 0) & (x == jnp.floor(x)), jnp.nan, value)


def _register(name: str, function: Callable[[Any], Any]) -> None:
    def define(equation: JaxprEqn, values: list[Any]) -> Sequence[Any]:
        if values[0].dtype != jnp.float32:
            raise NotInLanesError(f"{name} of {values[0].dtype} has no native code")
        return [function(values[0])]

    EXPANSIONS[name] = define


for _name in ("acosh", "asinh", "atanh", "digamma", "erf_inv", "erfc", "lgamma"):
    _register(_name, globals()[_name])
