"""Arrays that tests start with, made by NumPy: JAX would compile a program for each shape."""

import jax.numpy as jnp
import numpy as np


def normal(*shape, seed=0, scale=1.0):
    return jnp.asarray(scale * np.random.default_rng(seed).normal(size=shape), jnp.float32)


def zeros(*shape):
    return jnp.asarray(np.zeros(shape, np.float32))


def ones(*shape):
    return jnp.asarray(np.ones(shape, np.float32))
