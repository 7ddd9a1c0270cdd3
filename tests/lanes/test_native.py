"""Native code against `vmap`: each operation, and loops."""

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.core import Primitive

from tests.lanes.compared import LANES, assert_same, native, normal
from vgrad_jax.lanes import parts
from vgrad_jax.lanes.code import Code
from vgrad_jax.lanes.elementwise import ELEMENTWISE_RULES
from vgrad_jax.lanes.graph import ELEMENTWISE, OTHERS, REDUCTIONS, SHAPES
from vgrad_jax.lanes.interpreter import NotInLanesError
from vgrad_jax.lanes.machine import local_machine
from vgrad_jax.lanes.values import RULES
from vgrad_jax.lanes.views import VIEWS


def test_every_operation_has_code():
    assert set(ELEMENTWISE_RULES) == ELEMENTWISE
    assert set(RULES) == REDUCTIONS | OTHERS
    assert set(VIEWS) == SHAPES


whole = (jax.random.randint(jax.random.key(5), (7, LANES), -9, 9), normal(7) > 0)
TABLE, COLUMN = jnp.arange(40.0).reshape(20, 2), jnp.arange(20)
OPERATIONS = {
    "arithmetic": (lambda x, y: (x + y, x - y, x * y, x / y, -x, abs(x), x**3, x**-2), normal(9), normal(9)),
    "comparisons": (lambda x, y: (x < y, x <= y, x > y, x >= y, x == y, x != y), normal(9), jnp.round(normal(9))),
    "largest": (
        lambda x, y: (jnp.maximum(x, y), jnp.minimum(x, y), jnp.clip(x, -0.5, 0.5), jnp.sign(x)),
        normal(9),
        normal(9, key=1),
    ),
    "rounding": (lambda x: (jnp.floor(x), jnp.ceil(x), x.astype(int), x.astype(bool)), 5 * normal(9)),
    "rare": (lambda x: (jnp.sin(x), jnp.cos(x), jnp.tan(x), jnp.exp2(x), jnp.abs(x) ** 1.7, jnp.square(x)), normal(9)),
    "whole numbers": (lambda n, b: (n + 1, n * n, -n, abs(n), n & 3, n | 1, n ^ 5, ~n, n << 2, n >> 1, n < 0), *whole),
    "unsigned": (
        lambda n, b: (n.astype(jnp.uint32) >> 3, n.astype(jnp.uint32) % 7, n.astype(jnp.uint32) > 5, jnp.maximum(n, 2)),
        *whole,
    ),
    "truth": (lambda n, b: (b & (n > 0), b | (n > 0), ~b, b.all(), b.any(), b.astype(float), b.astype(int)), *whole),
    "choice": (lambda n, b: (jnp.where(b, n, 3), jnp.where(b, 1.5, n)), *whole),
    "finite": (lambda x, y: (jnp.isfinite(x / y), jnp.isnan(x / y)), jnp.round(normal(9)), jnp.round(normal(9, key=1))),
    "shapes": (
        lambda x: (
            x.T,
            x[:, None],
            x[1:2],
            x[1, 2],
            x.reshape(2, 1, 3),
            jnp.concatenate([x, x + 1]),
            jnp.stack([x, -x]),
        ),
        normal(2, 3),
    ),
    "reductions": (lambda x: (x.sum(), x.sum(1), x.max(0), x.min(), jnp.argmax(x, 1), x.mean(0)), normal(4, 5)),
    "products": (lambda a, b: (a @ b, b.T @ a.T, a.T @ a, a[0] @ b), normal(4, 5), normal(5, 3)),
    "counting": (lambda x: jnp.arange(9) * x + jnp.arange(9.0), normal(9)),
    "rows of a table": (
        lambda n: (TABLE[n], COLUMN[n]),
        jax.random.randint(jax.random.key(5), (50, LANES), 0, 20),
    ),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_operations_are_those_of_vmap(name):
    function, *arguments = OPERATIONS[name]
    assert_same(function, *arguments)


@pytest.mark.parametrize("name", sorted(OPERATIONS.keys() - {"counting", "shapes"}))
def test_operations_on_many_rows_are_looped_over(name, monkeypatch):
    """The same for two hundred rows, with what is summed over the rows."""
    function, *arguments = OPERATIONS[name]
    if name not in ("products", "reductions"):
        arguments = [jnp.concatenate([argument] * 200)[:200] for argument in arguments]
    else:
        arguments = [normal(200, 5)] + ([normal(5, 200, key=1)] if name == "products" else [])
        function = {
            "products": lambda a, b: (b @ a, a.T @ a, a @ (b @ a)),
            "reductions": lambda x: (x.sum(), x.sum(1), x.sum(0), x.max(0), x.min(), jnp.argmax(x, 1), x.mean(0)),
        }[name]
    turns = []
    loop = Code.loop
    monkeypatch.setattr(Code, "loop", lambda self, length, *rest: turns.append(length) or loop(self, length, *rest))
    assert_same(function, *arguments, rtol=1e-4, atol=1e-4)
    assert any(200 % turn == 0 and turn >= 50 for turn in turns)  # As many turns, or up to four of them at a time.


def test_whole_numbers_over_a_loop():
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


def test_where_a_processor_would_stop_or_do_as_it_likes():
    """Division by zero, the least number by -1, shifts by too much, floats that are no whole numbers, rows outside."""
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


def test_a_row_of_numbers_that_all_rows_read():
    assert_same(lambda x: x @ jnp.arange(3.0) + x.sum(0) @ jnp.ones(3), normal(40, 3))
    assert_same(lambda x: (COLUMN[x.astype(int)], COLUMN.sum() + x), normal(40))


@pytest.mark.parametrize("width", [4, 8, 16])
def test_registers_of_any_width(width, monkeypatch):
    """Narrower ones than the processor has, or wider, which are then several."""
    monkeypatch.setattr(
        "vgrad_jax.lanes.function.local_machine", partial(local_machine()._replace, width=width, sums=6)
    )
    assert_same(lambda x, y: (jnp.tanh(x @ y), x.T @ x, (x > 0).sum(0)), normal(40, 3), normal(3, 4))


@pytest.mark.parametrize("rows", [1, 2, 3, 40, 500])
def test_rows_are_looped_over_in_stages(rows):
    """What is summed over rows is used on each row again, twice, as in a batch norm and its gradient."""

    def loss(x, kernel):
        hidden = jnp.tanh(x @ kernel)
        hidden = (hidden - hidden.mean(0, keepdims=True)) * jax.lax.rsqrt(hidden.var(0, keepdims=True) + 0.1)
        largest = jax.lax.stop_gradient(jnp.abs(hidden).max())
        return jnp.mean(jnp.log1p(jnp.exp(hidden / largest).sum(1))), hidden

    assert_same(jax.grad(loss, (0, 1), has_aux=True), normal(rows, 3), normal(3, 4))


def test_a_long_loop_is_divided_and_gives_the_same(monkeypatch):
    """Whatever the length: what a later part reads is kept, or cheap and computed again."""

    def function(x, kernel):
        for _ in range(4):
            x = jnp.tanh(x @ kernel) + 0.1 * x
        return jax.nn.relu(x).sum(0), x * 2

    counts = []
    divided = parts.divided

    def counted(*arguments):
        found = divided(*arguments)
        counts.append(len(found))
        return found

    monkeypatch.setattr("vgrad_jax.lanes.emit.divided", counted)
    for number, long in enumerate((1.0, 30.0, math.inf)):
        monkeypatch.setattr("vgrad_jax.lanes.function.local_machine", partial(local_machine()._replace, long=long))
        assert_same(function, normal(40, 5), normal(5, 5, key=number), rtol=1e-3, atol=1e-4)
    assert counts[0] > counts[-1] == 1


def test_what_would_be_long_is_refused():
    with pytest.raises(NotInLanesError, match="the code would be long"):
        native(lambda x: x @ x, normal(300, 300))


def test_a_loop_that_only_moves_numbers():
    assert_same(lambda x: (x[:, None, :], x.T, x.sum(0)), normal(200, 3), rtol=1e-4)


@pytest.mark.parametrize("turns", [1, 2, 3, 5, 7, 31, 37])
def test_turns_side_by_side_and_those_that_are_left(turns):
    def long_chain(x):
        for power in range(30):
            x = x * 1.01 - 0.1 / (power + x * x)
        return x, x.sum(), (x > 0).sum()

    assert_same(long_chain, normal(turns))


def test_an_operation_that_only_newer_versions_of_jax_have():
    primitive = Primitive("one_minus_square")
    primitive.def_abstract_eval(lambda x: x)
    np.testing.assert_allclose(native(primitive.bind, normal(7)), 1 - normal(7) ** 2, rtol=1e-6, atol=1e-6)
