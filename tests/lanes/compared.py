"""A function by native code, and the same by `vmap`."""

import jax
import numpy as np

from vgrad_jax.lanes import over_lanes

LANES = 32


def native(function, *arguments, machine=None):
    """The function's results by native code; an error if XLA had to compute a part of them."""

    def in_a_loop(*arguments):
        return jax.lax.scan(lambda nothing, _: (nothing, function(*arguments)), 0, None, length=1)[1]

    return jax.tree.map(lambda leaf: leaf[0], jax.jit(over_lanes(in_a_loop, machine))(*arguments))


def assert_same(function, *arguments, machine=None, rtol=1e-5, atol=1e-6):
    results = native(function, *arguments, machine=machine)
    expected = jax.jit(jax.vmap(function, in_axes=-1, out_axes=-1))(*arguments)
    for a, b in zip(jax.tree.leaves(results), jax.tree.leaves(expected), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=rtol, atol=atol)


def normal(*shape, key=0):
    return jax.random.normal(jax.random.key(key), (*shape, LANES))
