"""Functions by native code alone, and their distance from `vmap` in units of the last place."""

import jax
import numpy as np

from vgrad_jax.jaxprs import trace
from vgrad_jax.lanes.nests.kernel import make_kernel
from vgrad_jax.lanes.nests.rewriting import is_key, rewritten_part
from vgrad_jax.lanes.nests.support import refusal_of_program

LEAST_NORMAL = np.finfo(np.float32).tiny
LARGEST = np.float32(2.0**127)
FLUSHED = 2.5e-38
"""Floats below this size count as zeros: JAX on a processor flushes them in some operations and not in others."""


def one_of(arguments):
    """The first example of many."""
    return jax.tree.map(lambda leaf: jax.eval_shape(lambda a: a[0], leaf), arguments)


def part_of(function, *arguments):
    closed = trace(jax.jit(function), *one_of(arguments))
    (call,) = closed.jaxpr.eqns
    read = [*closed.jaxpr.constvars, *closed.jaxpr.invars]
    part = rewritten_part([call], read, list(closed.jaxpr.outvars))
    return part._replace(constants=[*part.constants, *closed.consts])


def natively(function, *arguments, width=16):
    """The function's results by one native function; an error if it has no native code."""
    leaves = jax.tree.leaves(arguments)
    part = part_of(function, *arguments)
    assert refusal_of_program(part.closed) is None, refusal_of_program(part.closed)
    varying = [False] * len(part.constants) + [True] * len(leaves)
    kernel = make_kernel(part.closed, varying, len(leaves[0]), width)
    arrays = [jax.random.key_data(leaf) if is_key(leaf) else leaf for leaf in leaves]
    results = jax.jit(lambda *a: kernel(*part.constants, *a))(*arrays)
    structure = jax.tree.structure(jax.eval_shape(function, *one_of(arguments)))
    return jax.tree.unflatten(structure, results)


def by_vmap(function, *arguments):
    return jax.jit(jax.vmap(function))(*arguments)


def units_apart(a, b):
    """The largest distance in units of the last place; infinities, NaN and signs of zeros must be the same."""
    a, b = (np.where(np.abs(array) < FLUSHED, np.copysign(0.0, array), array) for array in map(np.asarray, (a, b)))
    np.testing.assert_array_equal(np.isnan(a), np.isnan(b))
    finite = np.isfinite(a) & np.isfinite(b)
    np.testing.assert_array_equal(a[~finite & ~np.isnan(a)], b[~finite & ~np.isnan(b)])
    zeros = (a == 0) & (b == 0)
    np.testing.assert_array_equal(np.signbit(a[zeros]), np.signbit(b[zeros]))
    units = np.spacing(np.clip(np.abs(b[finite]), LEAST_NORMAL, LARGEST)).astype(np.float64)
    return float(np.max(np.abs(a[finite].astype(np.float64) - b[finite]) / units, initial=0.0))


def assert_same(results, expected, units=0.0, atol=0.0, name=""):
    """Integers and bools are equal; floats differ by so many units in the last place, or by `atol`, at the most."""
    for a, b in zip(jax.tree.leaves(results), jax.tree.leaves(expected), strict=True):
        a = np.broadcast_to(a, b.shape)
        assert a.dtype == b.dtype, name
        if a.dtype != np.float32:
            np.testing.assert_array_equal(a, b, err_msg=name)
            continue
        close = np.abs(a - np.asarray(b)) <= atol if atol else np.zeros(a.shape, bool)
        try:
            distance = units_apart(np.where(close, b, a), b)
        except AssertionError as error:
            raise AssertionError(name) from error
        assert distance <= units, (name, distance)
