"""Randomized asymmetric initialisation (RAI): a layer's kernel and bias, drawn together."""

from typing import Any

import jax
import jax.numpy as jnp

__all__ = ["DEVIATION", "asymmetric"]

DEVIATION = 0.6007
"""Standard deviation of the symmetric numbers times the root of the fan-in."""


def asymmetric(key: jax.Array, shape: tuple[int, ...], dtype: Any = jnp.float32) -> jax.Array:
    """Draw a kernel with its bias as a last row, `(fan_in + 1, fan_out)`.

    A unit, which is a column, has fan_in + 1 numbers. They are normal, with mean 0 and the deviation 0.6007 /
    sqrt(fan_in). One of them, chosen uniformly for each unit, is then replaced by a draw of Beta(2, 1).

    Source: Lu, Shin, Su and Karniadakis 2019, "Dying ReLU and Initialization: Theory and Numerical Examples",
    arXiv:1903.06733.

    Args:
        key: a PRNG key.
        shape: fan_in + 1, at least 2, and fan_out.
        dtype: of the numbers.

    >>> asymmetric(jax.random.key(0), (3 + 1, 5)).shape
    (4, 5)
    """
    rows, units = shape
    normal_key, chosen_key, beta_key = jax.random.split(key, 3)
    normal = DEVIATION / (rows - 1) ** 0.5 * jax.random.normal(normal_key, shape, dtype)
    chosen = jax.random.randint(chosen_key, (1, units), 0, rows)
    # The distribution function of Beta(2, 1) is x^2.
    beta = jnp.sqrt(jax.random.uniform(beta_key, (1, units), dtype))
    return jnp.where(jnp.arange(rows)[:, None] == chosen, beta, normal)
