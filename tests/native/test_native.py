"""Native code against NumPy, SciPy and `vmap`: each elementary function, each operation, and how loops are divided."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from vgrad_jax.native import parts
from vgrad_jax.native.code import Code
from vgrad_jax.native.elementwise import ELEMENTWISE_RULES
from vgrad_jax.native.emit import RULES
from vgrad_jax.native.graph import ELEMENTWISE, OTHERS, REDUCTIONS, SHAPES, Node
from vgrad_jax.native.machine import Machine
from vgrad_jax.native.parts import number_by_number, turns_together
from vgrad_jax.native.views import VIEWS
from vgrad_jax.sweeps.lanes import NotInLanesError, over_lanes

LANES = 32
SPECIAL = np.array([0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 1e-30, -1e-30, 3e38, -3e38], np.float32)
FUNCTIONS = {
    "tanh": (jnp.tanh, np.tanh, (-12, 12), 6),
    "exp": (jnp.exp, np.exp, (-86.6, 88.7), 2),
    "expm1": (jnp.expm1, np.expm1, (-20, 80), 8),
    "log": (jnp.log, np.log, (1e-37, 100), 2),
    "log1p": (jnp.log1p, np.log1p, (-0.999, 100), 2),
    "logistic": (jax.nn.sigmoid, scipy.special.expit, (-80, 80), 4),
    "erf": (jax.scipy.special.erf, scipy.special.erf, (-5, 5), 6),
    "sqrt": (jnp.sqrt, np.sqrt, (0, 1e6), 1),
    "rsqrt": (jax.lax.rsqrt, lambda x: 1 / np.sqrt(x), (1e-6, 1e6), 2),
}
"""Name to the function, the same by another road, where it is looked at, and units in the last place."""


def native(function, *arguments):
    """The function by native code; an error if XLA had to do a part of it."""

    def in_a_loop(*arguments):
        return jax.lax.scan(lambda nothing, _: (nothing, function(*arguments)), 0, None, length=1)[1]

    return jax.tree.map(lambda leaf: leaf[0], jax.jit(over_lanes(in_a_loop))(*arguments))


def assert_same(function, *arguments, rtol=1e-5, atol=1e-6):
    found = native(function, *arguments)
    expected = jax.jit(jax.vmap(function, in_axes=-1, out_axes=-1))(*arguments)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=rtol, atol=atol)


def normal(*shape, key=0):
    return jax.random.normal(jax.random.key(key), (*shape, LANES))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_elementary_functions_are_those_of_double_precision(name):
    function, exact, (low, high), units = FUNCTIONS[name]
    near_zero = np.geomspace(1e-6, 1, 1000)
    x = np.concatenate([np.linspace(low, high, 4000), near_zero, -near_zero]).astype(np.float32)
    x = np.resize(x[(x >= low) & (x <= high)], (6400 // LANES, LANES))  # All of them, and some again.
    found, expected = np.asarray(native(function, jnp.asarray(x))), exact(x.astype(np.float64))
    last_place = np.spacing(np.abs(expected).astype(np.float32))
    assert np.max(np.abs(found - expected) / last_place) <= units


@pytest.mark.parametrize("name", FUNCTIONS)
def test_elementary_functions_of_special_numbers(name):
    function, exact, *_ = FUNCTIONS[name]
    x = np.resize(SPECIAL, (1, LANES))
    with np.errstate(all="ignore"):
        expected = exact(x.astype(np.float64)).astype(np.float32)
    np.testing.assert_allclose(native(function, jnp.asarray(x)), expected, rtol=1e-6, atol=1e-37)


def test_log1p_of_all_magnitudes():
    large, near_minus_one = np.geomspace(100, 3e38, 1600), -1 + np.geomspace(2.0**-24, 1e-3, 1600)
    x = np.concatenate([large, near_minus_one]).astype(np.float32).reshape(100, LANES)
    np.testing.assert_allclose(native(jnp.log1p, jnp.asarray(x)), np.log1p(x.astype(np.float64)), rtol=3e-7)
    assert np.signbit(native(jnp.log1p, jnp.full((1, LANES), -0.0))).all()


def test_tanh_saturates_at_exactly_one():
    """Its slope there is zero, and a gradient of zero is told from a small one."""
    x = jnp.linspace(9.02, 100, 50 * LANES).reshape(50, LANES)
    assert (native(jnp.tanh, x) == 1).all()
    assert (native(jnp.tanh, -x) == -1).all()
    near = jnp.linspace(7, 9.02, 50 * LANES).reshape(50, LANES)
    assert (native(jnp.tanh, near) <= 1).all()


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
    monkeypatch.setattr("vgrad_jax.native.function.machine", lambda: Machine(width, 6))
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


def test_a_carry_that_becomes_different_from_lane_to_lane():
    def function(x):
        def body(carry, slices):
            count, total = carry
            return (count + 1, total * 0.5 + slices), (total, count)

        return jax.lax.scan(body, (0, 0.0), x, reverse=True)

    x = normal(6)
    expected = jax.vmap(function, in_axes=-1, out_axes=-1)(x)
    for a, b in zip(jax.tree.leaves(jax.jit(over_lanes(function))(x)), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)


def test_a_carry_that_becomes_the_same_for_all_lanes():
    def function(x):
        return jax.lax.scan(lambda carry, number: (jnp.zeros(3), (carry + number).sum()), x, jnp.arange(3.0))

    x = normal(3)
    expected = jax.vmap(function, in_axes=-1, out_axes=-1)(x)
    for a, b in zip(jax.tree.leaves(jax.jit(over_lanes(function))(x)), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)


def test_a_loop_of_no_turns_is_refused():
    with pytest.raises(NotInLanesError, match="scan of nothing"):
        jax.jit(over_lanes(lambda x: jax.lax.scan(lambda c, _: (c + 1, None), x, length=0)[0]))(normal(3))


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

    monkeypatch.setattr("vgrad_jax.native.emit.divided", counted)
    for number, long in enumerate((1, 30, 10**9)):
        monkeypatch.setattr(parts, "LONG", long)
        assert_same(function, normal(40, 5), normal(5, 5, key=number), rtol=1e-3, atol=1e-4)
    assert counts[0] > counts[-1] == 1


def test_what_would_be_long_is_refused():
    with pytest.raises(NotInLanesError, match="the code would be long"):
        native(lambda x: x @ x, normal(300, 300))


def test_a_state_that_no_turn_reads_ends_as_the_last_turn_left_it():
    def function(x):
        def turn(state, row):
            read, _, _ = state
            return (read + row, read * row, row.sum()), read - row

        (read, unread, same), rows = jax.lax.scan(turn, (x[0], jnp.zeros(3), jnp.float32(0)), x)
        return read, unread, rows, jax.lax.scan(turn, (x[0], x[1], same), x, reverse=True)[0][1]

    assert_same(function, normal(40, 3))


def test_a_loop_that_only_moves_numbers():
    assert_same(lambda x: (x[:, None, :], x.T, x.sum(0)), normal(200, 3), rtol=1e-4)


def chain(length):
    """Nodes of a loop of 37 turns, each computed from the one before."""
    x = Node("leaf", (), (37,), "float", True, {})
    nodes = [Node("add", (x, x), (37,), "float", True, {})]
    for _ in range(length - 1):
        nodes.append(Node("mul", (nodes[-1], x), (37,), "float", True, {}))
    for node in (x, *nodes):
        node.axes, node.loop = [0], 0
    return nodes


def test_turns_whose_numbers_wait_for_each_other_are_computed_side_by_side():
    nodes = chain(20)
    assert [turns_together(nodes, turns) for turns in (37, 36, 25, 2, 1)] == [4, 4, 5, 2, 1]
    side_by_side = [node for group in zip(chain(5), chain(5), chain(5), chain(5), strict=True) for node in group]
    assert turns_together(side_by_side, 36) == 1
    assert turns_together([], 36) == 1


@pytest.mark.parametrize("turns", [1, 2, 3, 5, 7, 31, 37])
def test_turns_side_by_side_and_those_that_are_left(turns):
    def long_chain(x):
        for power in range(30):
            x = x * 1.01 - 0.1 / (power + x * x)
        return x, x.sum(), (x > 0).sum()

    assert_same(long_chain, normal(turns))


def test_what_does_not_loop_is_computed_number_by_number():
    """An update's operations on one shape are one group, after the norm that all of them need."""

    def node(operation, shape, *inputs):
        return Node(operation, inputs, shape, "float", True, {"axes": (0,)} if operation == "reduce_sum" else {})

    w, b = node("leaf", (5,)), node("leaf", (3,))
    squares, others = node("square", (5,), w), node("square", (3,), b)
    norm = node("add", (), node("reduce_sum", (), squares), node("reduce_sum", (), others))
    scaled, next_w, next_b = node("div", (5,), w, norm), None, node("div", (3,), b, norm)
    next_w = node("sub", (5,), w, scaled)
    order = [squares, others, *norm.inputs, norm, scaled, next_b, next_w]
    groups = number_by_number(order)
    assert [scaled, next_w] in groups
    assert [next_b] in groups
    place = {one.number: index for index, group in enumerate(groups) for one in group}
    assert len(place) == len(order)
    for one in order:
        for before in one.inputs:
            if before.inputs:
                assert place[before.number] < place[one.number] or before.shape == one.shape


def test_a_number_that_is_wanted_twice_and_a_state_that_is_not_wanted_at_all():
    def function(x):
        def turn(state, row):
            return (row * 2, state[0], jnp.float32(3)), (row * 2, row * 2, row[0])

        carried = (x[0], x[1], x[0, 0])
        last, rows = jax.lax.scan(turn, carried, x)
        return last, rows, jax.lax.scan(lambda state, row: (row.sum(), row), jnp.float32(0), x)

    assert_same(function, normal(40, 3))
