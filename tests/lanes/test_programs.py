"""Programs that are composed at random, by native code and by `vmap`.

Every float is a multiple of 1/8 within [-16, 16], so that rounding decides neither a comparison nor an order.
`pytest -m slow tests/lanes/test_programs.py` runs 2000 of them.
"""

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jax import lax

from tests.lanes.kernels import assert_same, by_vmap, natively

EXAMPLES = 5
SHAPES = ((), (3,), (2, 3), (3, 3), (20,), (3, 7))


def rounded(x):
    return jnp.clip(jnp.nan_to_num(jnp.round(x * 8) / 8, nan=1.0), -16, 16)


def index_of(x, size):
    """An integer in the range of an axis, or one outside."""
    return x.sum().astype(jnp.int32) % (size + 2) - 1


def flat(x):
    return x.reshape(-1)


UNARY = {
    "tanh": jnp.tanh,
    "sin": jnp.sin,
    "exp": lambda x: jnp.exp(-abs(x)),
    "square": lambda x: x * x,
    "floor": jnp.floor,
    "negative": lambda x: -x,
    "root": lambda x: jnp.sqrt(abs(x)),
    "cumsum": lambda x: jnp.cumsum(flat(x)).reshape(x.shape),
    "sort": lambda x: jnp.sort(x, 0) if x.ndim else x,
    "reverse": lambda x: x[::-1] if x.ndim else x,
    "transpose": lambda x: x.T.reshape(x.shape),
    "order": lambda x: jnp.argsort(flat(x)).reshape(x.shape).astype(jnp.float32),
    "largest": lambda x: jnp.full(x.shape, jnp.argmax(flat(x)) * 0.5),
    "softmax": lambda x: jnp.exp(x - x.max()) / jnp.exp(x - x.max()).sum(),
    "padded": lambda x: jnp.pad(flat(x), (1, 2))[2 : x.size + 2].reshape(x.shape),
    "rolled": lambda x: jnp.roll(flat(x), 1).reshape(x.shape) if x.size > 1 else x,
}
BINARY = {
    "add": lambda x, y: x + y,
    "subtract": lambda x, y: x - y,
    "multiply": lambda x, y: x * y / 4,
    "maximum": jnp.maximum,
    "where": lambda x, y: jnp.where(x > y, x, y + 1),
    "product": lambda x, y: (rounded(x @ y.T) @ x if x.ndim == 2 else x * y) / 8,
    "gather": lambda x, y: x + (flat(y)[index_of(x, y.size)]),
    "update": lambda x, y: flat(x).at[index_of(y, x.size)].add(1).reshape(x.shape),
    "set": lambda x, y: flat(x).at[index_of(y, x.size)].set(y.sum()).reshape(x.shape),
    "slice": lambda x, y: x + lax.dynamic_slice(flat(y), (index_of(x, y.size),), (1,))[0],
    "joined": lambda x, y: jnp.concatenate([flat(x), flat(y)])[1 : x.size + 1].reshape(x.shape),
}

OPERATIONS = st.one_of(
    st.tuples(st.just("unary"), st.sampled_from(sorted(UNARY)), st.integers(0, 5)),
    st.tuples(st.just("binary"), st.sampled_from(sorted(BINARY)), st.integers(0, 5), st.integers(0, 5)),
)


def nested(children):
    bodies = st.lists(children, min_size=1, max_size=2)
    return st.one_of(
        st.tuples(st.just("scan"), bodies, st.integers(1, 4), st.booleans()),
        st.tuples(st.just("while"), bodies, st.integers(0, 5)),
        st.tuples(st.just("cond"), bodies, bodies, st.integers(0, 5)),
    )


PROGRAMS = st.tuples(
    st.sampled_from(SHAPES), st.lists(st.recursive(OPERATIONS, nested, max_leaves=3), min_size=1, max_size=4)
)


def applied(operation, values):
    """The values, all of one shape, after an operation: its result replaces the oldest."""
    kind, *rest = operation
    match kind:
        case "unary":
            result = UNARY[rest[0]](values[rest[1] % len(values)])
        case "binary":
            result = BINARY[rest[0]](values[rest[1] % len(values)], values[rest[2] % len(values)])
        case "scan":
            body, length, reverse = rest

            def step(carry, _):
                carry = run(body, carry)
                return carry, carry[-1].sum()

            last, sums = lax.scan(step, values, None, length=length, reverse=reverse)
            result = last[0] + rounded(sums.sum() / 8)
        case "while":
            body, chosen = rest
            limit = index_of(values[chosen % len(values)], 4)
            state = lax.while_loop(
                lambda s: s[0] < limit, lambda s: (s[0] + 1, run(body, s[1])), (jnp.int32(-2), values)
            )
            result = state[1][0]
        case "cond":
            first, second, chosen = rest
            above = values[chosen % len(values)].sum() > 0
            result = lax.cond(above, lambda v: run(first, v)[-1], lambda v: run(second, v)[-1], values)
    return (*values[1:], rounded(result))


def run(operations, values):
    for operation in operations:
        values = applied(operation, values)
    return values


def check(program):
    shape, operations = program
    generator = np.random.default_rng(len(operations))
    values = tuple(np.round(generator.normal(size=(3, EXAMPLES, *shape)) * 16).astype(np.float32) / 8)

    def function(*values):
        return run(operations, values)

    # XLA leaves out sums of one term, which decides the signs of zeros.
    results, expected = (tuple(np.asarray(x) + 0.0 for x in f(function, *values)) for f in (natively, by_vmap))
    assert_same(results, expected, 1.0, 0.0, str(operations))


@settings(max_examples=12, suppress_health_check=list(HealthCheck))
@given(PROGRAMS)
def test_programs_compute_what_vmap_does(program):
    check(program)


@pytest.mark.slow
@settings(max_examples=2000, suppress_health_check=list(HealthCheck))
@given(PROGRAMS)
def test_many_programs_compute_what_vmap_does(program):
    check(program)
