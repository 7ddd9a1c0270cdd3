"""Native code against `vmap`: loops, stages, and where hardware leaves a result open."""

import math

import jax
import jax.numpy as jnp
import pytest

from tests.lanes.compared import LANES, assert_same, native, normal
from vgrad_jax.lanes import NotInLanesError, local_machine, schedule
from vgrad_jax.lanes.code import Code

TABLE, COLUMN = jnp.arange(40.0).reshape(20, 2), jnp.arange(20)


LOOPED = {
    "elementwise": lambda x, w: jnp.tanh(x) * x,
    "products": lambda x, w: (x @ w, x.T @ x, x.T @ (x @ w)),
    "reductions": lambda x, w: (x.sum(), x.sum(1), x.sum(0), x.max(0), x.min(), jnp.argmax(x, 1), x.mean(0)),
    "moves": lambda x, w: (x[:, None, :], x.T, x.sum(0)),
}


@pytest.mark.parametrize("name", LOOPED)
def test_many_rows_are_looped_over(name, monkeypatch):
    iterations, loop = [], Code.loop
    monkeypatch.setattr(Code, "loop", lambda self, n, *rest: iterations.append(n) or loop(self, n, *rest))
    assert_same(LOOPED[name], normal(200, 3), normal(3, 4, key=1), rtol=1e-4, atol=1e-4)
    assert any(200 % n == 0 and n >= 50 for n in iterations)  # All rows, or up to four at a time.


def test_integers_over_a_loop():
    numbers = jax.random.randint(jax.random.key(5), (200, LANES), -(2**31), 2**31 - 1)
    assert_same(
        lambda n: (
            jnp.bitwise_and.reduce(n | 48),
            jnp.bitwise_or.reduce(n & 48),
            n.sum(),
            (n > 0).all(),
            (n > 0).any(),
        ),
        numbers,
        rtol=0,
    )


def test_operands_for_which_a_processor_stops_or_has_no_defined_result():
    """Division by zero, the least number by -1, shifts by too much, floats that are no integers, rows outside."""
    least, zeros = -(2**31), jnp.resize(jnp.array([0, -1, 1, 3]), (1, LANES))
    numbers = jnp.resize(jnp.array([least, 7, -7, 0, 5]), (1, LANES))
    lax = jax.lax
    assert_same(
        lambda n, d: (lax.rem(n, d), lax.rem(n.astype(jnp.uint32), d.astype(jnp.uint32))), numbers, zeros, rtol=0
    )
    bits = jnp.resize(jnp.array([0, 31, 32, 100]), (1, LANES))
    shifts = (lax.shift_left, lax.shift_right_logical, lax.shift_right_arithmetic)
    assert_same(lambda n, b: tuple(shift(n, b) for shift in shifts), numbers, bits, rtol=0)
    floats = jnp.resize(jnp.array([jnp.nan, jnp.inf, -jnp.inf, 1e20, -1e20, 2.7, -2.7]), (1, LANES))
    assert_same(lambda x: (x.astype(int), x.astype(jnp.uint32)), floats, rtol=0)
    assert_same(lambda n: TABLE[n], numbers, rtol=0)


def test_a_constant_row_that_all_rows_read():
    assert_same(lambda x: x @ jnp.arange(3.0) + x.sum(0) @ jnp.ones(3), normal(40, 3))
    assert_same(lambda x: (COLUMN[x.astype(int)], COLUMN.sum() + x), normal(40))


@pytest.mark.parametrize("width", [4, 8, 16])
def test_registers_of_any_width(width):
    """Narrower registers than the processor has, or wider ones, which are then several."""
    machine = local_machine()._replace(width=width, sums=6)
    assert_same(lambda x, y: (jnp.tanh(x @ y), x.T @ x, (x > 0).sum(0)), normal(40, 3), normal(3, 4), machine=machine)


@pytest.mark.parametrize("rows", [1, 2, 3, 40, 500])
def test_rows_are_looped_over_in_stages(rows):
    """A sum over rows is used on each row again, twice, as in a batch norm and its gradient."""

    def loss(x, kernel):
        hidden = jnp.tanh(x @ kernel)
        hidden = (hidden - hidden.mean(0, keepdims=True)) * jax.lax.rsqrt(hidden.var(0, keepdims=True) + 0.1)
        largest = jax.lax.stop_gradient(jnp.abs(hidden).max())
        return jnp.mean(jnp.log1p(jnp.exp(hidden / largest).sum(1))), hidden

    assert_same(jax.grad(loss, (0, 1), has_aux=True), normal(rows, 3), normal(3, 4))


def test_a_long_loop_is_split_and_gives_the_same(monkeypatch):
    """Whatever the threshold: what a later part reads is kept in memory, or cheap and computed again."""

    def function(x, kernel):
        for _ in range(4):
            x = jnp.tanh(x @ kernel) + 0.1 * x
        return jax.nn.relu(x).sum(0), x * 2

    counts, split = [], schedule.split

    def counted(*arguments, **options):
        parts = split(*arguments, **options)
        counts.append(len(parts))
        return parts

    monkeypatch.setattr(schedule, "split", counted)
    for number, long in enumerate((1.0, 30.0, math.inf)):
        machine = local_machine()._replace(long=long)
        assert_same(function, normal(40, 5), normal(5, 5, key=number), machine=machine, rtol=1e-3, atol=1e-4)
    assert counts[0] > counts[-1] == 1


def test_code_that_would_be_long_is_refused():
    with pytest.raises(NotInLanesError, match="the code would be long"):
        native(lambda x: x @ x, normal(300, 300))


@pytest.mark.parametrize("iterations", [1, 3, 5, 37])
def test_interleaved_iterations_and_those_that_are_left(iterations):
    def long_chain(x):
        for power in range(30):
            x = x * 1.01 - 0.1 / (power + x * x)
        return x, x.sum(), (x > 0).sum()

    assert_same(long_chain, normal(iterations))
