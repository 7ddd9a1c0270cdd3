"""Functions of nests: equal nests share one, and a long program is compiled piece by piece."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import vgrad_jax as vg
from vgrad_jax.lanes.code import Code
from vgrad_jax.lanes.nests import kernel
from vgrad_jax.lanes.nests.frame import Frame
from vgrad_jax.lanes.nests.functions import Functions


@pytest.fixture
def texts(monkeypatch):
    """Return the modules that are compiled during the test."""
    kept = []
    module_text = kernel.module_text

    def keep(*arguments):
        kept.append(module_text(*arguments))
        return kept[-1]

    monkeypatch.setattr(kernel, "module_text", keep)
    return kept


def deep(depth):
    def function(x, kernels):
        for layer in range(depth):
            x = jnp.tanh(x @ kernels[layer]) + 0.1
        return x.sum()

    return jax.value_and_grad(function, argnums=1)


def arguments(depth, examples=3):
    keys = jax.random.split(jax.random.key(0))
    kernels = [jax.random.normal(key, (examples, 6, 6)) / 2 for key in jax.random.split(keys[1], depth)]
    return jax.random.normal(keys[0], (examples, 4, 6)), kernels


def functions(text):
    return re.findall(r"^define internal void (@nest\d+)", text, re.MULTILINE)


def group(text):
    return re.search(r"^define internal void @group\(.*?^}", text, re.MULTILINE | re.DOTALL).group()


def test_equal_layers_share_their_code(texts):
    for depth in (6, 12):
        values = jax.jit(vg.lanes(deep(depth)))(*arguments(depth))
        expected = jax.vmap(deep(depth))(*arguments(depth))
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-5), values, expected)
    few, many = texts
    assert len(functions(few)) == len(functions(many))
    calls = [len(re.findall(r"call void @nest", group(text))) for text in texts]
    assert calls[1] > 1.6 * calls[0]
    assert all(text.count(f"call void {name}(") for text in texts for name in functions(text))


@pytest.mark.parametrize("many", [0, 10**9])
def test_a_long_program_computes_what_a_short_one_does(monkeypatch, texts, many):
    """Small arrays are in memory in the one, and in registers in the other."""
    monkeypatch.setattr(kernel, "MANY", many)

    def function(x, y):
        def step(carry, row):
            small, total, count = carry
            mixed = jnp.concatenate([small[:1], row[:1], jnp.cumsum(small)[2:]])
            total = jnp.where(count % 2 == 0, total + jnp.sort(mixed)[1], total - mixed.max())
            return (jnp.sin(mixed), total, count + 1), jnp.stack([mixed[0], total])

        carry, rows = jax.lax.scan(step, (x, 0.0, 0), y)
        return carry, rows, jnp.outer(x, x)[1:].T

    xs, ys = jax.random.normal(jax.random.key(1), (5, 4)), jax.random.normal(jax.random.key(2), (5, 3, 2))
    values, expected = jax.jit(vg.lanes(function))(xs, ys), jax.vmap(function)(xs, ys)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-6), values, expected)
    (text,) = texts
    calls = group(text).count("call void @nest")
    assert calls > 5 if many == 0 else calls < 3


def test_positions_of_one_function_are_not_those_of_the_next():
    """Two nests whose names are equal read rows at other distances."""

    def function(x):
        return x[2:18].sum(), x[7:23].max(), jnp.roll(x, 5)[3:21].sum()

    x = jax.random.normal(jax.random.key(3), (4, 24))
    values, expected = jax.jit(vg.lanes(function))(x), jax.vmap(function)(x)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), values, expected)


def test_only_arrays_of_the_frame_are_said_to_share_no_memory():
    """Two rows of one array, whose pointers are computed, may be the same row."""
    code = Code(16)
    frame = Frame(code)
    functions = Functions(code, frame)
    first, second = (frame.array("float", 32, True) for _ in range(2))
    row = first._replace(pointer=code.offset(first.pointer, "%number", "float"))
    for target in (second, row):
        with code.apart() as lines:
            code.store(target, "0", code.load(first, "0"))
        functions.call(lines)
    apart, together = functions.text()
    assert apart.count("ptr noalias %p") == 2
    assert together.count("ptr %p") >= 2
    assert "noalias" not in together
