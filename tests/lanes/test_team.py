"""A team's members compute together what one thread does: on the processor, with barriers and exchanges of Python."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.lanes import emulated
from vgrad_jax.lanes import emit, gpu, over_lanes, scan
from vgrad_jax.lanes.machine import THREADS

LANES = THREADS.group


@pytest.fixture(autouse=True)
def kernels(monkeypatch):
    """The texts of all kernels, which run on the processor."""
    texts = []

    def register(text, platform, make):
        texts.append(text)
        return emulated.register(text, platform, make)

    monkeypatch.setattr(gpu, "register", register)
    return texts


def normal(*shape, key=0):
    return jax.random.normal(jax.random.key(key), (*shape, LANES))


def results(function, *arguments):
    """The results of a team, and of `vmap`."""
    expected = jax.jit(jax.vmap(function, in_axes=-1, out_axes=-1))(*arguments)
    return jax.jit(over_lanes(function, THREADS))(*arguments), expected


def assert_same(function, *arguments):
    for a, b in zip(*map(jax.tree.leaves, results(function, *arguments)), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def steps(kernel, bias, batches):
    """Train a layer by steps of gradient descent, a batch each."""

    def step(parameters, rows):
        def loss(kernel, bias):
            return jnp.mean(jnp.tanh(rows @ kernel + bias[None]) ** 2)

        value, gradients = jax.value_and_grad(loss, (0, 1))(*parameters)
        return jax.tree.map(lambda p, g: p - g, parameters, gradients), value

    return jax.lax.scan(step, (kernel, bias), batches)


@pytest.mark.parametrize("rows", [1, 3, 4, 18])
def test_rows_are_divided_among_the_members(rows):
    """With fewer rows than members, as many, and with some that are left over."""
    assert_same(steps, normal(2, 3), normal(3, key=1), normal(2, rows, 2, key=2))


def test_totals_of_each_kind(kernels):
    def totals(x, numbers):
        def of_rows(carry, _):
            return carry, (jnp.tanh(x).max(0), x.min(), (x > 1).any(), numbers.sum(), jnp.tanh(x) * 2)

        return jax.lax.scan(of_rows, 0, None, length=1)[1]

    assert_same(totals, normal(70, 2), jax.random.randint(jax.random.key(1), (70, LANES), -9, 9))
    assert any("shfl.sync.idx" in text for text in kernels), "the larger of 0 and -0 depends on the order"


def test_members_get_the_same_zero():
    """The larger of 0 and -0 is the second: the members compare in different orders."""

    def largest(x):
        return jax.lax.scan(lambda carry, row: (carry + 1, (row.max(), 1 / row.max())), 0.0, x)[1]

    zeros = jnp.broadcast_to(jnp.array([0.0, -0.0] * 40)[:, None], (80, LANES))
    signs = np.asarray(jax.jit(over_lanes(largest, THREADS))(zeros[None])[1])
    assert np.isinf(signs).all()


def test_scratch_memory_beside_shared_memory(monkeypatch, kernels):
    monkeypatch.setattr(gpu, "SHARED", 0)
    assert_same(steps, normal(2, 3), normal(3, key=1), normal(2, 6, 2, key=2))
    assert not any("@shared" in text for text in kernels)


def weighted(x, features):
    """Read rows in a loop of many sums that other members wrote in the loop before, which divides them differently."""

    def step(carry, _):
        return carry / 2, jnp.tanh(x * carry) @ features / x.size

    return jax.lax.scan(step, jnp.float32(0.5), None, length=3)


CASES = {
    emit: (weighted, normal(200), normal(200, THREADS.sums_beside + 1, key=1)),
    scan: (steps, normal(2, 3), normal(3, key=1), normal(3, 18, 2, key=2)),
}


@pytest.mark.parametrize("module", CASES)
def test_a_missing_barrier_is_seen(monkeypatch, module):
    assert_same(*CASES[module])
    monkeypatch.setattr(module, "wait", lambda code: None)
    pairs = zip(*map(jax.tree.leaves, results(*CASES[module])), strict=True)
    assert not all(np.allclose(a, b, rtol=1e-4) for a, b in pairs)


def test_functions_by_the_instructions_of_a_gpu():
    x = jnp.concatenate([jnp.linspace(-12, 12, 997), jnp.array([0.0, -0.0, 1e-30, jnp.inf, -jnp.inf, jnp.nan, 88.0])])
    x = jnp.pad(x, (0, -len(x) % LANES)).reshape(-1, LANES)

    def in_a_loop(x):
        return jax.lax.scan(lambda carry, x: (carry, (jnp.tanh(x), 1 / (1 + x * x))), 0, x)[1]

    tanh, quotient = jax.jit(over_lanes(in_a_loop, THREADS))(x)
    exact = np.tanh(np.asarray(x, np.float64))
    np.testing.assert_allclose(tanh, exact, rtol=4 * np.finfo(np.float32).eps)
    np.testing.assert_array_equal(np.signbit(tanh), np.signbit(exact))
    np.testing.assert_allclose(quotient, 1 / (1 + np.asarray(x, np.float64) ** 2), rtol=1e-6)
