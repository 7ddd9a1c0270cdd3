"""`vg.lanes` against `jax.vmap`: its axes, transformations, and what it leaves to XLA."""

import sys
from concurrent.futures import ThreadPoolExecutor

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import vgrad_jax as vg
from vgrad_jax.lanes import NotInLanesError
from vgrad_jax.lanes.graph import Node
from vgrad_jax.lanes.nests import Chooser
from vgrad_jax.lanes.nests.graph import Operation
from vgrad_jax.lanes.nests.plan import _Levels


def walk(x, key, scale=1.0):
    """A loop that is native."""

    def step(carry, key):
        carry = carry + scale * jax.random.normal(key, carry.shape)
        return carry, carry.max()

    return lax.scan(step, x, jax.random.split(key, 5))


def same(a, b, rtol=1e-5):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        assert (x.shape, x.dtype) == (y.shape, y.dtype)
        np.testing.assert_allclose(x, y, rtol=rtol, atol=1e-5)


X = jnp.linspace(-1, 1, 60).reshape(5, 4, 3)
KEYS = jax.random.split(jax.random.key(0), 5)

AXES = {
    "first axes": ((0, 0), 0, (X, KEYS)),
    "one for both": (0, 0, (X, KEYS)),
    "other axes": ((2, 0), (1, 0), (X.reshape(4, 3, 5), KEYS)),
    "negative axes": ((-1, 0), -1, (X.reshape(4, 3, 5), KEYS)),
    "not mapped": ((None, 0), 0, (X[0], KEYS)),
    "one example": (0, 0, (X[:1], KEYS[:1])),
    "a number that is not mapped": ((0, 0, None), 0, (X, KEYS, 2.0)),
    "an array that is not mapped": ((0, 0, None), 0, (X, KEYS, jnp.float32(3.0))),
    "a result for each axis": ((0, 0), (1, 0), (X, KEYS)),
}


@pytest.mark.parametrize("name", AXES)
def test_axes_are_those_of_vmap(name):
    in_axes, out_axes, arguments = AXES[name]
    same(vg.lanes(walk, in_axes, out_axes)(*arguments), jax.vmap(walk, in_axes, out_axes)(*arguments))


def test_pytrees_keywords_and_results_that_are_the_same_for_all():
    def function(tree, *, y):
        return {"sum": tree["a"] + y, "same": jnp.arange(3)}, [tree["b"]]

    given = {"a": X[:, 0], "b": (KEYS, None)}
    axes = ({"a": 0, "b": 0},)

    def words(results):
        (first, [(keys, _)]) = results
        return first, jax.random.key_data(keys)

    expected = jax.vmap(function, axes)(given, y=X[:, 1])
    same(words(vg.lanes(function, axes)(given, y=X[:, 1])), words(expected))
    shared = vg.lanes(lambda x: (x, jnp.arange(3.0)), out_axes=(0, None))(X)
    same(shared, (X, jnp.arange(3.0)))


def test_no_examples_and_bad_axes_are_as_with_vmap():
    empty = vg.lanes(walk)(X[:0], KEYS[:0])
    assert [leaf.shape for leaf in jax.tree.leaves(empty)] == [(0, 4, 3), (0, 5)]
    with pytest.raises(ValueError, match="inconsistent sizes"):
        vg.lanes(walk)(X[:3], KEYS)
    with pytest.raises(ValueError, match="out_axes"):
        vg.lanes(lambda x: x, out_axes=None)(X)


def test_it_is_native(monkeypatch):
    assert vg.lanes_report(walk, X, KEYS).share_native > 0.9
    called = []
    monkeypatch.setattr(Chooser, "failed", lambda self, equations, error: called.append(error))
    text = jax.jit(vg.lanes(walk)).lower(X, KEYS).as_text()
    assert "vgrad_jax_" in text
    assert not called


def test_in_jit_with_variables_of_outside():
    @jax.jit
    def outer(x, scale):
        return vg.lanes(lambda x: lax.fori_loop(0, 3, lambda _, x: jnp.sin(x * scale), x))(x)

    expected = jax.vmap(lambda x: lax.fori_loop(0, 3, lambda _, x: jnp.sin(x * 2.0), x))(X)
    same(outer(X, 2.0), expected)
    same(vg.lanes(lambda n: lax.fori_loop(0, 3, lambda _, x: x * X[0, 0, 0], n))(jnp.arange(3.0)), -jnp.arange(3.0))


def smooth(x):
    return lax.scan(lambda c, r: (jnp.tanh(c * r), c.sum()), x[0], x)[1].sum()


TRANSFORMED = {
    "gradient": lambda mapped: jax.grad(lambda x: mapped(smooth)(x).sum()),
    "jvp": lambda mapped: lambda x: jax.jvp(mapped(smooth), (x,), (jnp.ones_like(x),)),
    "hessian": lambda mapped: lambda x: jax.hessian(lambda y: mapped(smooth)(y * x).sum())(2.0),
    "vmap": lambda mapped: lambda x: jax.vmap(mapped(smooth))(x.reshape(5, 2, 2, 3)),
    "vmap of jit": lambda mapped: lambda x: jax.jit(jax.vmap(jax.jit(mapped(smooth))))(x.reshape(5, 2, 2, 3)),
    "gradient within": lambda mapped: mapped(jax.grad(smooth)),
    "lanes of lanes": lambda mapped: lambda x: mapped(mapped(smooth))(x.reshape(5, 2, 2, 3)),
    "in a scan": lambda mapped: lambda x: lax.scan(lambda c, _: (c * 0.5, mapped(smooth)(c)), x, None, length=3),
    "remat": lambda mapped: jax.grad(lambda x: jax.checkpoint(mapped(smooth))(x).sum()),
}


@pytest.mark.parametrize("name", TRANSFORMED)
def test_transformations_have_the_meaning_of_vmaps(name):
    same(TRANSFORMED[name](vg.lanes)(X), TRANSFORMED[name](jax.vmap)(X), rtol=1e-4)


def test_side_effects_are_refused_with_a_sentence():
    def loud(x):
        jax.debug.print("{}", x)
        return x

    with pytest.raises(vg.InputError, match="side effects"):
        vg.lanes(loud)(X)
    with pytest.raises(vg.InputError, match="vmap"):
        vg.lanes_report(loud, X)


def test_values_that_are_not_mapped_may_be_looked_at():
    def function(x, count, factor, name):
        if factor > 1:  # A traced number has no truth.
            x = x * factor
        return jnp.stack([x] * count) if name == "stack" else x

    axes = (0, None, None, None)
    for factor in (2.0, 0.5):
        expected = jax.vmap(function, axes)(X, 2, factor, "stack")
        same(vg.lanes(function, axes)(X, 2, factor, "stack"), expected)


def test_a_collective_of_the_examples_is_vmaps():
    def centred(x):
        return x - lax.pmean(x, "examples")

    same(vg.lanes(centred, axis_name="examples")(X), jax.vmap(centred, axis_name="examples")(X))


def test_a_function_is_traced_once_for_each_shape():
    traced = []

    def function(x):
        traced.append(x.shape)
        return lax.fori_loop(0, 3, lambda _, x: x + 1, x)

    for rows in (3, 3, 4, 4):
        vg.lanes(function)(jnp.zeros((rows, 2)))
    assert len(traced) == 2


def with_eigenvalues(x):
    def step(c, _):
        inner = lax.fori_loop(0, 40, lambda _, y: jnp.tanh(y @ c) + 0.1 * y, c)
        return c + 0.1 * jnp.linalg.eigvalsh(inner + inner.T)[None], inner.sum()

    return lax.scan(step, x, None, length=3)


def test_a_loop_around_an_operation_of_xla_is_native_inside():
    x = jax.random.normal(jax.random.key(1), (7, 3, 3))
    report = vg.lanes_report(with_eigenvalues, x)
    by = {(row.loop, row.operation): row.native for row in report.rows}
    assert by["scan x 3 > scan x 40", "tanh"]
    assert not any(native for (loop, operation), native in by.items() if operation == "eigh")
    assert any("eigh" in row.why for row in report.rows)
    with pytest.warns(UserWarning, match="eigh has no native code"):
        results = vg.lanes(with_eigenvalues)(x)
    same(results, jax.vmap(with_eigenvalues)(x), rtol=1e-3)
    same(vg.lanes(lambda x: with_eigenvalues(x))(x), results)  # It is said once.


def test_other_precisions_and_generators_are_xlas():
    def half(x):
        return lax.fori_loop(0, 3, lambda _, x: x * 1.5 + 1, x)

    x = X.astype(jnp.bfloat16)
    np.testing.assert_array_equal(vg.lanes(half)(x), jax.vmap(half)(x))
    keys = jax.random.split(jax.random.key(0, impl="rbg"), 3)

    def draw(key):
        return lax.fori_loop(0, 3, lambda n, x: x + jax.random.normal(jax.random.fold_in(key, n)), 0.0)

    np.testing.assert_allclose(vg.lanes(draw)(keys), jax.vmap(draw)(keys), rtol=1e-6)


@pytest.mark.usefixtures("x64")
def test_double_precision_is_right():
    x = jnp.linspace(0.0, 1.0, 12).reshape(4, 3)

    def function(x):
        return lax.scan(lambda c, r: (c * 1.1 + r, jnp.argmax(c)), x, jnp.arange(3.0))

    for a, b in zip(jax.tree.leaves(vg.lanes(function)(x)), jax.tree.leaves(jax.vmap(function)(x)), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=1e-14)


def test_threads_and_calls_side_by_side_share_nothing():
    program = jax.jit(vg.lanes(lambda x: lax.fori_loop(0, 50, lambda _, c: jnp.tanh(c @ c.T * 0.1 + c), x)))
    several = jax.jit(lambda x: [program(x + n) for n in range(4)])
    x = jax.random.normal(jax.random.key(0), (200, 3, 3))
    expected = [np.asarray(result) for result in several(x)]

    def same_again(_):
        return all(np.array_equal(a, b) for a, b in zip(several(x), expected, strict=True))

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(same_again, range(20)))


def test_the_report_is_a_table():
    report = vg.lanes_report(walk, X, KEYS)
    lines = str(report).splitlines()
    assert "5 examples" in lines[0]
    assert all(word in lines[1] for word in ("loop", "operation", "by", "share of time", "why"))
    assert any("scan x 5" in line and "native" in line for line in lines)


def test_a_machine_without_native_code_is_vmap(monkeypatch):
    def refuse(examples):
        raise NotInLanesError("no native code")

    for name in ("mapping", "report"):
        monkeypatch.setattr(sys.modules[f"vgrad_jax.lanes.{name}"], "chooser_for", refuse)
    same(vg.lanes(lambda x: smooth(x))(X), jax.vmap(smooth)(X))
    report = vg.lanes_report(smooth, X)
    assert report.share_native == 0
    assert {row.why for row in report.rows} == {"no native code"}


def test_a_loop_of_its_own_length_within_a_map_of_the_function():
    """A while loop under a `vmap` in the function: examples and inner elements end at different iterations."""

    def collatz(number):
        def step(state):
            n, count = state
            return jnp.where(n % 2 == 0, n // 2, 3 * n + 1), count + 1

        return jax.lax.while_loop(lambda state: state[0] > 1, step, (number, 0))[1]

    numbers = jnp.arange(1, 58, dtype=jnp.int32).reshape(19, 3)
    got = vg.lanes(lambda row: jax.vmap(collatz)(row))(numbers)
    known = {1: 0, 2: 1, 3: 7, 27: 111}
    flat = dict(zip(numbers.ravel().tolist(), got.ravel().tolist(), strict=True))
    assert {number: flat[number] for number in known} == known
    np.testing.assert_array_equal(got, jax.vmap(jax.vmap(collatz))(numbers))


def test_arrays_without_elements_are_left_out(monkeypatch):
    """In carries, sequences, results and operands of loops and branches; they are there again outside."""

    def function(x, nothing):
        def step(carry, row):
            total, kept, count = carry
            return (total + row.sum(), kept * 2, count + 1), (total, kept, jnp.concatenate([kept[:, 0], row]))

        rows = jnp.stack([x, x * 2])
        (total, kept, _), stacked = lax.scan(step, (jnp.float32(0), nothing, 0), rows)
        going = lax.while_loop(lambda s: s[0] < 9, lambda s: (s[0] + 1 + x[0] ** 2, s[1] + 1), (total, kept))
        chosen = lax.cond(x[0] > 0, lambda n: (x, n), lambda n: (-x, n + 1), nothing)
        return stacked, going, chosen, nothing.sum(0) + x[0]

    monkeypatch.setattr(Chooser, "_without_what_does_not_pay", lambda self, jaxpr, flags, choices: choices)
    x, nothing = jax.random.normal(jax.random.key(0), (20, 3)), jnp.zeros((20, 0, 2))
    same(vg.lanes(function)(x, nothing), jax.jit(jax.vmap(function))(x, nothing))
    assert "of nothing" not in str(vg.lanes_report(function, x, nothing))


def test_a_value_that_is_reached_by_many_paths_is_looked_at_once():
    """In a Feistel network each value needs the two before: there are 10^12 paths through 60 rounds."""
    (equation,) = jax.make_jaxpr(jnp.negative)(1.0).eqns
    nodes = [Node("leaf", (), (4,), "float", True, {}), Node("leaf", (), (4,), "float", True, {})]
    for _ in range(60):
        nodes.append(Node("add", (nodes[-1], nodes[-2]), (4,), "float", True, {}))
    levels = _Levels({nodes[2].number}, {}, {})
    levels.of[nodes[2].number] = 3
    assert levels.level_of_inputs(Operation(equation, (nodes[-1],), ())) == 4
