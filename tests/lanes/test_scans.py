"""Scans as native code against `vmap`: the carry, and its memory."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import vgrad_jax as vg
from tests.lanes.compared import assert_same, normal
from tests.sweeps.executed import execute
from vgrad_jax.compiling import clear_programs
from vgrad_jax.keys import run_keys
from vgrad_jax.lanes import NotInLanesError, over_lanes, scan


@pytest.fixture
def ways(monkeypatch):
    """Of every scan that was written, whether its carry is updated in place."""
    ways, begun, write = [], [], scan._write

    def counted(target, *arguments, in_place):
        begun.append(target.scratch.bytes)
        write(target, *arguments, in_place=in_place)
        ways.append(in_place)
        assert len(set(begun)) == 1, "the first attempt's scratch memory is rolled back"
        begun.clear()

    monkeypatch.setattr(scan, "_write", counted)
    return ways


CARRIES = {
    "different from lane to lane": lambda x: jax.lax.scan(
        lambda carry, row: ((carry[0] + 1, carry[1] * 0.5 + row), (carry[1], carry[0])), (0, 0.0), x[:, 0], reverse=True
    ),
    "the same for all lanes": lambda x: jax.lax.scan(
        lambda carry, number: (jnp.zeros(3), (carry + number).sum()), x[0], jnp.arange(3.0)
    ),
}
"""Scans whose carry ends with another kind of array than it begins with."""


@pytest.mark.parametrize("name", CARRIES)
def test_a_carry_becomes(name):
    """In the outermost loop, which is XLA's, and in one inside, which is native."""
    function, x = CARRIES[name], normal(6, 3)
    expected = jax.vmap(function, in_axes=-1, out_axes=-1)(x)
    for a, b in zip(jax.tree.leaves(jax.jit(over_lanes(function))(x)), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)
    assert_same(function, x)


def test_a_result_that_is_wanted_twice_and_a_carry_that_is_not_wanted():
    def function(x):
        def iteration(state, row):
            return (row * 2, state[0], jnp.float32(3)), (row * 2, row * 2, row[0])

        carried = (x[0], x[1], x[0, 0])
        last, rows = jax.lax.scan(iteration, carried, x)
        return last, rows, jax.lax.scan(lambda state, row: (row.sum(), row), jnp.float32(0), x)

    assert_same(function, normal(40, 3))


def test_a_carry_that_no_iteration_reads_ends_as_the_last_iteration_left_it():
    def function(x):
        def iteration(state, row):
            read, _, _ = state
            return (read + row, read * row, row.sum()), read - row

        (read, unread, same), rows = jax.lax.scan(iteration, (x[0], jnp.zeros(3), jnp.float32(0)), x)
        return read, unread, rows, jax.lax.scan(iteration, (x[0], x[1], same), x, reverse=True)[0][1]

    assert_same(function, normal(40, 3))


STATES = {
    "added to": (lambda a, b, row: (a + row, b * row.sum(), row), True),
    "both read before": (lambda a, b, row: (a + b, b - 0.5 * a, row), True),
    "read in a loop over rows before": (lambda a, b, row: (a + jnp.tanh(ROWS @ a).sum(), b + 1, row), True),
    "exchanged": (lambda a, b, row: (b, a + row, row), False),
    "turned": (lambda a, b, row: (TURNED @ a + row, b, row), True),
    "the old one is a result": (lambda a, b, row: (a + row, b, a), False),
    "the old one is read after": (lambda a, b, row: (a + row, b + jnp.sum(jnp.exp(a + row)) * a, row), None),
    "read in a loop over rows after": (
        lambda a, b, row: (a / jnp.maximum(1, jnp.abs(a).sum()), b + jnp.tanh(ROWS @ a).sum(0), row),
        None,
    ),
    "its sum is a result": (lambda a, b, row: (a + row, b, a.sum()), None),
}
"""An iteration's next carry and result, and whether the carry can stay in place; None where both ways are right."""
ROWS = jnp.linspace(-1, 1, 120).reshape(40, 3)
TURNED = jnp.array([[0.0, 1, 0], [0, 0, 1], [1, 0, 0]])


@pytest.mark.parametrize("name", STATES)
def test_a_carry_is_overwritten_only_if_it_is_not_read_afterwards(name, ways):
    function, can = STATES[name]

    def states(x, a, b):
        def iteration(state, row):
            *state, result = function(*state, row)
            return tuple(state), result

        return jax.lax.scan(iteration, (a, b), x)

    assert_same(states, 0.1 * normal(7, 3), normal(3, key=1), normal(3, key=2), rtol=1e-4)
    assert len(ways) == 1
    assert can is None or ways == [can]


def test_carries_of_other_kinds_are_overwritten(ways):
    """Bools, what is the same for all lanes, two that begin alike, the last iteration first."""

    def function(x, y):
        def iteration(state, row):
            above, count, a, b = state
            a = a + row * count
            return (above ^ (a > 0), count + 1, a, b * 0.5 + row), row

        return jax.lax.scan(iteration, (y > 0, 0.0, y, y), x, reverse=True)

    assert_same(function, normal(7, 3), normal(3, key=1))
    assert ways == [True]


STATES_OF_ROWS = {
    "read in an earlier loop": lambda state, number: (state * number + jnp.tanh(state).mean(0, keepdims=True), number),
    "read in a later loop": lambda state, number: (state + number, (state * jnp.tanh(state).mean()).mean()),
    "new": lambda state, number: (jnp.full(state.shape, number), jnp.tanh(state).mean()),
}


@pytest.mark.parametrize("name", STATES_OF_ROWS)
@pytest.mark.parametrize("rows", [3, 70])
def test_a_carry_with_an_axis_that_is_looped_over(rows, name):
    assert_same(lambda x, y: jax.lax.scan(STATES_OF_ROWS[name], x, y), 0.1 * normal(rows, 2), 0.1 * normal(3))


def test_a_table_whose_rows_are_exchanged():
    order = jnp.arange(70)[::-1]

    def function(x):
        def iteration(table, number):
            rows = table.at[order].get(mode="promise_in_bounds")
            return rows + 1, (jnp.tanh(rows) * number).mean()

        return jax.lax.scan(iteration, jnp.linspace(0, 1, 70), x)

    assert_same(function, normal(3))


def test_a_trainings_carry_is_overwritten(small, ways):
    """Parameters, momenta and sums over rows."""
    experiment = dataclasses.replace(small, data=vg.Data("moons", samples=200))
    clear_programs()
    execute("lanes", experiment, run_keys(0, np.arange(3)))
    assert ways
    assert all(ways)


def test_a_loop_of_no_iterations_is_refused():
    with pytest.raises(NotInLanesError, match="scan of nothing"):
        jax.jit(over_lanes(lambda x: jax.lax.scan(lambda c, _: (c + 1, None), x, length=0)[0]))(normal(3))
