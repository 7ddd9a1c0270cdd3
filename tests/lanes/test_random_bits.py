"""Random bits as native code against JAX's own, bit for bit."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vgrad_jax.lanes import interpreter, over_lanes
from vgrad_jax.lanes.random_bits import threefry_bits


@pytest.fixture
def drawn(monkeypatch):
    """Number of words of each draw by native code."""
    numbers = []

    def counted(key_data, words):
        numbers.append(words)
        return threefry_bits(key_data, words)

    monkeypatch.setattr(interpreter, "threefry_bits", counted)
    return numbers


def assert_drawn_alike(function, keys):
    bits = jax.jit(over_lanes(function))(keys)
    np.testing.assert_array_equal(bits, jax.vmap(function, out_axes=-1)(keys))


@pytest.mark.parametrize("shape", [(), (1,), (5,), (64,), (3, 24), (2, 3, 70), (300, 300)])
def test_bits_are_jaxs(shape, drawn):
    keys = jax.random.split(jax.random.key(3), 32)
    assert_drawn_alike(lambda key: jax.random.bits(jax.random.fold_in(key, 8), shape), keys)
    assert drawn == [math.prod(shape)]


def test_numbers_that_are_made_of_bits_in_a_loop(drawn):
    def function(key):
        def iteration(total, number):
            uniform = jax.random.uniform(jax.random.fold_in(key, number), (3,))
            return total + uniform * (jax.random.bits(key, (3,)) % jnp.uint32(7)), uniform

        return jax.lax.scan(iteration, jnp.zeros(3), jnp.arange(4))[1]

    assert_drawn_alike(function, jax.random.split(jax.random.key(1), 32))
    assert set(drawn) == {3}
    assert len(drawn) % 2 == 0  # Both, however often the loop's body is traced.


@pytest.mark.parametrize(
    "function", [lambda key: jax.random.bits(key, (3,), "uint16"), lambda key: jax.random.key_data(key)]
)
def test_draws_of_other_than_words_are_xlas(function, drawn):
    assert_drawn_alike(function, jax.random.split(jax.random.key(1), 32))
    assert not drawn


def test_empty_draws_and_many_keys_are_xlas(drawn):
    keys = jax.random.split(jax.random.key(1), 32)
    assert_drawn_alike(lambda key: jax.random.bits(key, (0, 3)), keys)
    assert_drawn_alike(lambda key: jax.vmap(jax.random.bits)(jax.random.split(key, 3)), keys)
    assert_drawn_alike(lambda key: jax.random.bits(jax.random.key(4), (3,)) + jax.random.bits(key, (3,)), keys)
    assert drawn == [3]


def test_keys_of_another_kind_are_drawn_from_by_xla(drawn):
    assert_drawn_alike(lambda key: jax.random.bits(key, (3,)), jax.random.split(jax.random.key(1, impl="rbg"), 32))
    with jax.threefry_partitionable(False):
        assert_drawn_alike(lambda key: jax.random.bits(key, (3,)), jax.random.split(jax.random.key(1), 32))
    assert not drawn
