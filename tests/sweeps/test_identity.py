"""Identity of a program: equal for the same computation however it is written, and different for any other."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vgrad_jax.sweeps.identity import identity_of
from vgrad_jax.sweeps.live_bytes import live_bytes

TABLE = np.arange(6.0, dtype=np.float32)


def identity(function, *arguments):
    return identity_of(jax.make_jaxpr(function)(*(arguments or (1.0,))))


def scaled(x, by=2.0):
    for _ in range(3):
        x = jnp.sin(by * x)
    return x


def scanned(length=3, by=2.0):
    return lambda x: jax.lax.scan(lambda c, _: (jnp.sin(by * c), None), x, None, length=length)[0]


def other_name(value):
    a_name = jnp.sin(2.0 * value)
    another = jnp.sin(2.0 * a_name)
    return jnp.sin(2.0 * another)


SAME = [
    (scaled, lambda x: scaled(x)),
    (scaled, functools.partial(scaled, by=2.0)),
    (scaled, other_name),
    (scaled, jax.jit(scaled)),
    (scaled, lambda x: jax.jit(lambda y: jax.jit(scaled)(y))(x)),
    (scanned(), scanned()),
    (lambda x: x + TABLE, lambda x: x + TABLE.copy()),
    (lambda x: jax.nn.relu(x), lambda x: jax.nn.relu(x)),
    (lambda x: jax.pure_callback(lambda y: y + 1, x, x), lambda x: jax.pure_callback(lambda y: y + 1, x, x)),
]

DIFFERENT = [
    (scaled, functools.partial(scaled, by=2.5)),
    (scaled, lambda x: jnp.cos(scaled(x))),
    (scanned(), scanned(length=4)),
    (scanned(), scanned(by=3.0)),
    (lambda x: x + TABLE, lambda x: x + TABLE[::-1]),
    (lambda x: x + TABLE, lambda x: x + TABLE.astype(np.int32)),
    (lambda x: jnp.where(x > 0, x, 0.0), lambda x: jnp.where(x >= 0, x, 0.0)),
    (lambda x: (x, 2 * x), lambda x: (2 * x, x)),
    (lambda x: x - jnp.sin(x), lambda x: jnp.sin(x) - x),
    (lambda x: jax.pure_callback(lambda y: y + 1, x, x), lambda x: jax.pure_callback(lambda y: y + 2, x, x)),
    (lambda x: jax.random.normal(jax.random.key(0)), lambda x: jax.random.normal(jax.random.key(1))),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_the_same_computation_has_one_identity(one, other):
    assert identity(one) == identity(other)
    assert identity(one).digest == identity(other).digest


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_another_computation_has_another_identity(one, other):
    assert identity(one).digest != identity(other).digest


def test_shapes_are_part_of_it():
    assert identity(jnp.sin, np.ones(2)).digest != identity(jnp.sin, np.ones(3)).digest


def test_no_address_and_no_name_is_in_it():
    found = repr(identity(lambda x: jax.checkpoint(jax.jit(scaled))(x)))
    assert "0x" not in found
    assert "scaled" not in found


def test_keys_are_known_by_their_bytes():
    def folded(seed):
        key = jax.random.key(seed)
        return identity(lambda x: jax.random.key_data(jax.random.fold_in(key, 1)))

    assert folded(3) == folded(3)
    assert folded(3) != folded(4)


def test_live_bytes_are_the_values_that_are_needed_at_a_time():
    x = np.zeros(1000, np.float32)
    assert live_bytes(jax.make_jaxpr(lambda x: jnp.sin(jnp.cos(x)))(x)) == 8000  # An input and an output at a time.
    assert live_bytes(jax.make_jaxpr(lambda x: jnp.sin(x) * jnp.cos(x))(x)) == 12000
    # A carry before and after, and one step's values inside: a carry, its sine and their product.
    looped = jax.make_jaxpr(lambda x: jax.lax.fori_loop(0, 9, lambda _, c: jnp.sin(c) * c, x))(x)
    assert 12000 <= live_bytes(looped) <= 24100


def test_live_bytes_are_of_the_size_that_xla_reports():
    def descend(key):
        x, w = jax.random.normal(key, (200, 30)), jax.random.normal(key, (30, 20))
        loss = jax.grad(lambda w: jnp.sum(jnp.tanh(x @ w) ** 2))
        return jax.lax.fori_loop(0, 3, lambda _, w: w - 0.1 * loss(w), w)

    key = jax.random.key(0)
    reported = jax.jit(descend).lower(key).compile().memory_analysis().temp_size_in_bytes
    assert 0.5 < live_bytes(jax.make_jaxpr(descend)(key)) / reported < 3
