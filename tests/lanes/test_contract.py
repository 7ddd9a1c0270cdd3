"""Every operation with native code against `vmap`: integers and bools exactly, floats to units in the last place."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from tests.lanes import test_primitives
from tests.lanes.kernels import assert_same, by_vmap, natively, one_of
from vgrad_jax.jaxprs import equations_inside, trace
from vgrad_jax.lanes.nests.coverage import registered

EXAMPLES = 19
"""No multiple of the lanes of a register."""
SPECIAL = np.float32(
    [
        np.nan,
        np.inf,
        -np.inf,
        0.0,
        -0.0,
        1e-40,
        -1e-40,
        1.2e-38,
        3e38,
        -3e38,
        1.0,
        -1.0,
        0.5,
        1.5,
        2.5,
        -2.5,
        88.7,
        -87.3,
    ]
)

# Operands: floats x and y with special ones, z > 0, u in [-1, 1], whole ones p; integers n, k and j; unsigned v;
# shifts s; bools b and c; row numbers r, of which some are outside; matrices a (rows, 3), w (3, 4), d (2, 3).
ELEMENTWISE = {
    "abs": (lambda o: (abs(o.x), abs(o.n)), 0),
    "acos": (lambda o: lax.acos(o.u), 4),
    "acosh": (lambda o: (lax.acosh(1 + o.z), lax.acosh(o.x), lax.acosh(1e12 * o.z + 1)), 4),
    "add": (lambda o: (o.x + o.y, o.n + o.k, o.v + o.v), 0),
    "and": (lambda o: (o.b & o.c, o.n & 3), 0),
    "asin": (lambda o: lax.asin(o.u), 4),
    "asinh": (lambda o: (lax.asinh(o.x), lax.asinh(1e12 * o.x)), 4),
    "atan": (lambda o: lax.atan(o.x), 2),
    "atan2": (lambda o: lax.atan2(o.x, o.y), 4),
    "atanh": (lambda o: (lax.atanh(o.u), lax.atanh(o.x)), 4),
    "bitcast_convert_type": (
        lambda o: (lax.bitcast_convert_type(o.z, jnp.int32), lax.bitcast_convert_type(o.v, jnp.float32)),
        0,
    ),
    "ceil": (lambda o: lax.ceil(o.x), 0),
    "clamp": (lambda o: (lax.clamp(-0.5, o.x, 0.5), lax.clamp(-3, o.n, 3)), 0),
    "clz": (lambda o: (lax.clz(o.n), lax.clz(o.v)), 0),
    "convert_element_type": (
        lambda o: (
            o.x.astype(jnp.int32),
            o.x.astype(bool),
            o.n.astype(jnp.float32),
            o.b.astype(jnp.float32),
            o.b.astype(jnp.int32),
            o.v.astype(jnp.float32),
            o.n.astype(jnp.uint32),
        ),
        0,
    ),
    "copy": (lambda o: jnp.array(o.x, copy=True), 0),
    "cos": (lambda o: (jnp.cos(o.x), jnp.cos(1e4 * o.p)), 2),
    "cosh": (lambda o: lax.cosh(o.x), 32),
    "div": (lambda o: (o.x / o.y, lax.div(o.n, o.k), lax.div(o.v, o.s.astype(jnp.uint32))), 0),
    "eq": (lambda o: (o.n == o.k, o.x == o.y, o.b == o.c), 0),
    "erf": (lambda o: lax.erf(o.x), 4),
    "erf_inv": (lambda o: lax.erf_inv(o.u), 4),
    "erfc": (lambda o: lax.erfc(o.x), 16),
    "exp": (lambda o: (jnp.exp(o.x), jnp.exp(30 * o.u), jnp.exp(-80 - 8 * abs(o.u))), 5),
    "exp2": (lambda o: jnp.exp2(o.x), 100),
    "expm1": (lambda o: jnp.expm1(o.x), 6),
    "floor": (lambda o: jnp.floor(o.x), 0),
    "ge": (lambda o: (o.x >= o.y, o.n >= o.k, o.v >= 5), 0),
    "gt": (lambda o: (o.x > o.y, o.n > o.k, o.v > 5), 0),
    "integer_pow": (lambda o: (o.x**3, o.z**-2, o.u**7), 2),
    "is_finite": (lambda o: jnp.isfinite(o.x), 0),
    "le": (lambda o: (o.x <= o.y, o.n <= o.k, o.v <= 5), 0),
    "log": (lambda o: (jnp.log(o.x), jnp.log(o.z)), 2),
    "log1p": (lambda o: (jnp.log1p(o.x), jnp.log1p(o.u)), 3),
    "logistic": (lambda o: jax.nn.sigmoid(o.x), 4),
    "lt": (lambda o: (o.x < o.y, o.n < o.k, o.v < 5), 0),
    "max": (lambda o: (jnp.maximum(o.x, o.y), jnp.maximum(o.n, o.k), jnp.maximum(o.v, 3)), 0),
    "min": (lambda o: (jnp.minimum(o.x, o.y), jnp.minimum(o.n, o.k), jnp.minimum(o.v, 3)), 0),
    "mul": (lambda o: (o.x * o.y, o.n * o.k), 0),
    "ne": (lambda o: (o.n != o.k, o.x != o.y), 0),
    "neg": (lambda o: (-o.x, -o.n), 0),
    "nextafter": (lambda o: lax.nextafter(o.z, o.p), 0),
    "not": (lambda o: (~o.b, ~o.n), 0),
    "or": (lambda o: (o.b | o.c, o.n | 1), 0),
    "population_count": (lambda o: lax.population_count(o.n), 0),
    "pow": (lambda o: (o.z**o.x, o.x**o.p), 2),
    "rem": (lambda o: (lax.rem(o.n, o.k), lax.rem(o.v, o.s.astype(jnp.uint32)), lax.rem(o.x, o.y)), 0),
    "round": (lambda o: (jnp.round(o.x), lax.round(o.x, lax.RoundingMethod.AWAY_FROM_ZERO)), 0),
    "rsqrt": (lambda o: lax.rsqrt(o.z), 3),
    "select_n": (lambda o: (jnp.where(o.b, o.n, 3), jnp.where(o.b, 1.5, o.x)), 0),
    "shift_left": (lambda o: (o.n << o.s, o.n << 3), 0),
    "shift_right_arithmetic": (lambda o: o.n >> o.s, 0),
    "shift_right_logical": (lambda o: lax.shift_right_logical(o.n, o.s), 0),
    "sign": (lambda o: (jnp.sign(o.x), jnp.sign(o.n), jnp.sign(o.v)), 0),
    "sin": (lambda o: (jnp.sin(o.x), jnp.sin(1e4 * o.p)), 2),
    "sinh": (lambda o: lax.sinh(o.x), 32),
    "sqrt": (lambda o: jnp.sqrt(o.x), 1),
    "square": (lambda o: jnp.square(o.x), 0),
    "sub": (lambda o: (o.x - o.y, o.n - o.k), 0),
    "tan": (lambda o: jnp.tan(o.u), 4),
    "tanh": (lambda o: jnp.tanh(o.x), 8),
    "xor": (lambda o: (o.b ^ o.c, o.n ^ 5), 0),
}
"""Primitive to a use of it, and the units in the last place by which it may differ."""

ARRAYS = {
    "argmax": (lambda o: (jnp.argmax(o.a, 1), jnp.argmax(o.x), jnp.argmax(o.n)), 0),
    "argmin": (lambda o: (jnp.argmin(o.a, 0), jnp.argmin(o.x), jnp.argmin(o.v)), 0),
    "broadcast_in_dim": (lambda o: (o.x[:, None] * jnp.ones((1, 2)), jnp.broadcast_to(o.w[None], (2, 3, 4)) + 1), 0),
    "concatenate": (lambda o: (jnp.concatenate([o.d, o.d + 1]), jnp.concatenate([o.a, o.a[:, :1]], 1)), 0),
    "cummax": (lambda o: (lax.cummax(o.a), lax.cummax(o.n, reverse=True)), 0),
    "cummin": (lambda o: (lax.cummin(o.a, 1), lax.cummin(o.n)), 0),
    "cumprod": (lambda o: lax.cumprod(o.a, 1), 2),
    "cumsum": (lambda o: (jnp.cumsum(o.a, 1), jnp.cumsum(o.n), lax.cumsum(o.n, reverse=True)), 2),
    "dynamic_slice": (
        lambda o: (
            lax.dynamic_slice(o.a, (o.r[0], 1), (2, 2)),
            lax.dynamic_slice(o.n, (o.r[1],), (3,)),
            o.d[o.r[0] % 2],
        ),
        0,
    ),
    "dynamic_update_slice": (
        lambda o: (lax.dynamic_update_slice(o.a, o.d[:, :2], (o.r[0], o.r[1])), o.n.at[1].set(3)),
        0,
    ),
    "gather": (
        lambda o: (
            o.a[o.r],
            o.n[o.r],
            o.d[:, o.r % 3],
            o.x.at[o.r].get(mode="fill"),
            o.a.at[o.r, o.r].get(mode="clip"),
        ),
        0,
    ),
    "iota": (lambda o: (jnp.arange(len(o.x)) * o.n, jnp.arange(float(len(o.x))) + o.z), 0),
    "pad": (
        lambda o: (
            lax.pad(o.d, 0.5, [(1, 2, 0), (0, 1, 1)]),
            lax.pad(o.a, 1.0, [(-1, 0, 2), (1, -1, 0)]),
            lax.pad(o.n, 7, [(2, -3, 1)]),
        ),
        0,
    ),
    "reduce_and": (lambda o: (o.b.all(), jnp.bitwise_and.reduce(o.n | 48)), 0),
    "reduce_max": (lambda o: (o.x.max(), o.a.max(0), o.d.max(1), o.n.max(), o.v.max()), 0),
    "reduce_min": (lambda o: (o.x.min(), o.a.min(0), o.d.min(1), o.n.min()), 0),
    "reduce_or": (lambda o: (o.b.any(), jnp.bitwise_or.reduce(o.n & 48)), 0),
    "reduce_prod": (lambda o: (o.d.prod(0), o.n.prod(), o.u.prod()), 200),
    "reduce_sum": (lambda o: (o.z.sum(), o.n.sum(), o.v.sum(), (o.a**2).sum(0), (o.a**2).sum(1), (o.d**2).sum()), 30),
    "reduce_xor": (lambda o: lax.reduce_xor(o.n, (0,)), 0),
    "reshape": (lambda o: (o.d.reshape(3, 2) + 1, o.a.reshape(-1), o.a.T.reshape(-1, 1) * 2), 0),
    "rev": (lambda o: (o.a[::-1], lax.rev(o.a, (0, 1)) + 1), 0),
    "scatter": (lambda o: (o.n.at[o.r].set(5), o.a.at[o.r[0]].set(1.0), o.d.at[:, o.r[0] % 3].set(o.d[:, 0])), 0),
    "scatter-add": (lambda o: (o.n.at[o.r].add(o.n), o.a.at[o.r[0], 1].add(2.0), o.n.at[o.r].add(1, mode="clip")), 0),
    "scatter-max": (lambda o: (o.n.at[o.r].max(o.k), o.v.at[o.r].max(3)), 0),
    "scatter-min": (lambda o: o.n.at[o.r].min(o.k), 0),
    "scatter-mul": (lambda o: o.n.at[o.r].multiply(o.k), 0),
    "slice": (lambda o: (o.d[1:2] + 1, o.a[1::2, :2] * 2, o.n[2:4]), 0),
    "sort": (
        lambda o: (
            jnp.sort(o.x),
            jnp.sort(o.a, 0),
            jnp.argsort(o.n),
            lax.sort((o.n, o.x, o.v), num_keys=2),
            -jnp.sort(-o.k),
        ),
        0,
    ),
    "squeeze": (lambda o: lax.squeeze(o.a[:, None], (1,)) + 1, 0),
    "transpose": (lambda o: (o.d.T + 1, o.a.T), 0),
}

PRODUCTS = {
    "dot_general": (
        lambda o: (
            o.a @ o.w,
            o.w.T @ o.a.T,
            o.a.T @ o.a,
            o.d @ o.w,
            jnp.einsum("ij,ij->i", o.a, o.a),
            jnp.einsum("ij,kj->", o.a, o.d),
            jnp.einsum("bij,bkj->bik", o.t, o.t),
            o.n @ o.k,
            jnp.outer(o.a[:, 0], o.d[0]),
        ),
        1e-5,
    ),
    "conv_general_dilated": (
        lambda o: (
            lax.conv(o.t[None], o.f, (1, 1), "SAME"),
            lax.conv_general_dilated(o.t[None], o.f, (2, 1), [(1, 0), (2, 1)], (2, 1), (1, 2)),
            lax.conv_general_dilated(o.t[None], o.f[:, :1], (1, 1), "VALID", feature_group_count=2),
        ),
        1e-5,
    ),
    "reduce_window_max": (lambda o: lax.reduce_window(o.t, -jnp.inf, lax.max, (1, 2, 2), (1, 1, 2), "SAME"), 0),
    "reduce_window_min": (lambda o: lax.reduce_window(o.t, jnp.inf, lax.min, (1, 2, 2), (1, 1, 2), "VALID"), 0),
    "reduce_window_sum": (lambda o: lax.reduce_window(o.t, 0.0, lax.add, (1, 3, 2), (1, 2, 1), "SAME"), 1e-5),
    "select_and_scatter_add": (
        lambda o: jax.grad(
            lambda t: (lax.reduce_window(t, -jnp.inf, lax.max, (1, 2, 2), (1, 1, 2), "VALID") ** 2).sum()
        )(o.t),
        1e-5,
    ),
    "cholesky": (lambda o: (jnp.linalg.cholesky(o.m), jnp.linalg.cholesky(o.h)), 2e-5),
    "lu": (lambda o: (lax.linalg.lu(o.g), jnp.linalg.slogdet(o.g), jnp.linalg.inv(o.m), lax.linalg.lu(o.h)), 1e-4),
    "lu_pivots_to_permutation": (
        lambda o: (jnp.linalg.solve(o.g, o.g[0]), lax.linalg.lu_pivots_to_permutation(lax.linalg.lu(o.g)[1], 5)),
        1e-3,
    ),
    "triangular_solve": (
        lambda o: [
            lax.linalg.triangular_solve(
                o.m, o.g, left_side=left, lower=lower, transpose_a=transpose, unit_diagonal=unit
            )
            for left, lower, transpose, unit in [
                (True, True, False, False),
                (True, False, True, False),
                (False, True, True, False),
                (False, False, False, False),
                (True, False, False, False),
            ]
        ],
        1e-3,
    ),
    "digamma": (lambda o: lax.digamma(o.z + 0.2), 2e-6),
    "lgamma": (lambda o: (lax.lgamma(o.z), lax.lgamma(-o.z)), 2e-5),
    "split": (lambda o: jnp.split(o.a, [1], 1), 0),
    "stack": (lambda o: (jnp.stack([o.d, o.d + 1]), jnp.stack([o.n, o.k], 1)), 0),
    "device_put": (lambda o: jax.device_put(o.d) + 1, 0),
    "le_to": (lambda o: jnp.searchsorted(jnp.sort(o.y), o.x), 0),
    "lt_to": (lambda o: jnp.searchsorted(jnp.sort(o.y), o.x, side="right"), 0),
    "tile": (lambda o: jnp.tile(o.d, (2, 3)), 0),
    "top_k": (lambda o: (lax.top_k(o.n, 3), lax.top_k(o.y, 2)), 0),
    "unstack": (lambda o: jnp.unstack(o.a, axis=1), 0),
    "optimization_barrier": (lambda o: lax.optimization_barrier((o.d, o.n)), 0),
}
"""Primitive to a use of it, and the absolute difference that is allowed."""

DRAWS = {
    "bernoulli": lambda key: jax.random.bernoulli(key, 0.3, (5,)),
    "bits": lambda key: (jax.random.bits(key, (3,)), jax.random.bits(key, (130,))),
    "categorical": lambda key: jax.random.categorical(key, jnp.log(jnp.array([0.1, 0.2, 0.7])), shape=(4,)),
    "exponential": lambda key: jax.random.exponential(key, (3,)),
    "fold_in": lambda key: jax.random.key_data(jax.random.fold_in(key, 7)),
    "gumbel": lambda key: jax.random.gumbel(key, (3,)),
    "keys in a loop": lambda key: lax.scan(
        lambda k, _: (jax.random.split(k)[0], jax.random.uniform(k)), key, None, length=4
    )[1],
    "keys of keys": lambda key: jax.vmap(lambda k: jax.random.uniform(k, (2,)))(jax.random.split(key, (2, 3))[1]),
    "normal": lambda key: jax.random.normal(key, (2, 3)),
    "permutation": lambda key: jax.random.permutation(key, 9),
    "permutation of rows": lambda key: jax.random.permutation(key, jnp.arange(12.0).reshape(6, 2)),
    "randint": lambda key: (jax.random.randint(key, (5,), -3, 11), jax.random.randint(key, (), 0, 2**31 - 1)),
    "split": lambda key: jax.random.key_data(jax.random.split(key, 3)),
    "truncated_normal": lambda key: jax.random.truncated_normal(key, -1.0, 2.0, (4,)),
    "uniform": lambda key: (jax.random.uniform(key, (5,)), jax.random.uniform(key, (), minval=-2, maxval=3)),
    "wrapped": lambda key: jax.random.key_data(jax.random.clone(jax.random.wrap_key_data(jax.random.key_data(key)))),
    "seeded": lambda key: jax.random.uniform(jax.random.key(jax.random.randint(key, (), 0, 100))),
}

LOOPS = {
    "scan": lambda x, n: lax.scan(lambda c, r: (c * 0.5 + r, c.sum()), x[0], x, reverse=True),
    "scan in a scan": lambda x, n: lax.scan(
        lambda c, r: (lax.scan(lambda d, s: (d + s * c[0], d), c, x)[0], r), x[0], x[:3]
    ),
    "while, each lane its own": lambda x, n: lax.while_loop(
        lambda s: s[0] < n[0], lambda s: (s[0] + 1, s[1] * 1.5 + x[1]), (jnp.int32(0), x[0])
    ),
    "while, all lanes alike": lambda x, n: lax.while_loop(lambda s: s[0] < 3, lambda s: (s[0] + 1, s[1] + x), (0, x)),
    "while in a while": lambda x, n: lax.while_loop(
        lambda s: s[0] < n[1],
        lambda s: (s[0] + 1, lax.while_loop(lambda t: t.sum() < 9, lambda t: jnp.abs(t) * 2 + 1, s[1] - 5)),
        (jnp.int32(0), x[0]),
    ),
    "cond": lambda x, n: lax.cond(n[0] > 3, lambda x: jnp.sort(x[0]), lambda x: x[1] / x[2], x),
    "switch": lambda x, n: lax.switch(n[0] - 2, [lambda x: x[0], lambda x: x[1] * 2, lambda x: x[2].cumsum()], x),
    "cond, all lanes alike": lambda x, n: lax.scan(
        lambda c, i: (lax.cond(i % 2 == 0, lambda c: c + 1, lambda c: c * x[1], c), i), x[0], jnp.arange(5)
    ),
    "a carry that turns": lambda x, n: lax.scan(lambda c, r: ((c[1], c[2], c[0] + r), c[1]), (x[0], x[1], x[2]), x),
    "a large carry that turns": lambda x, n: lax.fori_loop(
        0, 3, lambda i, c: (c[1] + 1, c[0]), (jnp.tile(x, (5, 1)), jnp.tile(x, (5, 1)) * 2)
    ),
    "large arrays that read what others overwrite": lambda x, n: lax.fori_loop(
        0, 3, lambda i, c: (c[1] * 0.5, jnp.tanh(c[2]), c[1] * c[0]), tuple(jnp.tile(x, (5, 1)) + k for k in range(3))
    ),
    "a buffer": lambda x, n: lax.scan(
        lambda c, r: ((lax.dynamic_update_slice(c[0], r[None], (c[1], 0)), c[1] + 1), c[1]), (jnp.zeros((30, 3)), 0), x
    ),
}


def operands(rows):
    generator = np.random.default_rng(rows)
    shape = (EXAMPLES, rows)

    def floats(*shape):
        return generator.normal(size=(EXAMPLES, *shape)).astype(np.float32)

    def with_special(array):
        return np.where(generator.random(array.shape) < 0.4, generator.choice(SPECIAL, array.shape), array)

    g = floats(5, 5)
    m = g @ g.swapaxes(1, 2) + 2 * np.eye(5, dtype=np.float32)
    return SimpleNamespace(
        x=with_special(3 * floats(rows)),
        y=with_special(3 * floats(rows)),
        z=np.abs(floats(rows)) + np.float32(0.1),
        u=np.clip(np.tanh(with_special(floats(rows))), -1, 1),
        p=np.round(3 * floats(rows)),
        n=generator.integers(-9, 9, shape, np.int32),
        k=generator.integers(-4, 4, shape, np.int32),
        v=generator.integers(0, 2**32, shape, np.uint32),
        s=generator.integers(0, 40, shape, np.int32),
        r=generator.integers(-2, rows + 2, shape, np.int32),
        b=generator.random(shape) < 0.5,
        c=generator.random(shape) < 0.5,
        a=floats(rows, 3),
        w=floats(3, 4),
        d=floats(2, 3),
        t=floats(2, 6, 4),
        f=floats(2, 2, 3, 2),
        g=g,
        m=m,
        h=np.where(np.arange(EXAMPLES)[:, None, None] % 3 == 0, -m, m)[:, :3, :3],
    )


def uses(table):
    return lambda o: {name: use(SimpleNamespace(**o)) for name, (use, _) in table.items()}


# An operation of `over_lanes` needs an example in its own test alone.
for _name, _use in test_primitives.EXAMPLES["elementwise"].items():
    if callable(_use):
        ELEMENTWISE.setdefault(_name, (_use, 32))

ROWS = {"few": 5, "many": 37}
TABLES = {"elementwise": ELEMENTWISE, "arrays": ARRAYS, "products": PRODUCTS}


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("table", TABLES)
def test_every_operation_computes_what_vmap_does(table, rows):
    if table == "products" and rows == "many":
        pytest.skip("the shapes of its operands are the same")
    given = vars(operands(ROWS[rows]))
    results, expected = natively(uses(TABLES[table]), given), by_vmap(uses(TABLES[table]), given)
    for name, (_, allowed) in TABLES[table].items():
        units, atol = (64.0, allowed) if table == "products" else (allowed, 0.0)
        assert_same(results[name], expected[name], units, atol, name)


def test_every_registered_operation_has_an_example():
    given = one_of(vars(operands(5)))
    names = set()
    for function in (uses(table) for table in TABLES.values()):
        (outer,) = trace(jax.jit(function), given).eqns
        names |= {inner.primitive.name for inner in equations_inside(outer)}
    loops = {"cond", "scan", "while"}
    key = jax.eval_shape(jax.random.key, 0)
    for draw in DRAWS.values():
        (outer,) = trace(jax.jit(draw), key).eqns
        names |= {inner.primitive.name for inner in equations_inside(outer)}
    # Other versions of JAX have these, or JAX puts them into derivatives alone.
    elsewhere = {
        "add_any",
        "copy_p",
        "one_minus_square",
        "stop_gradient",
        "expand_dims",
        "threefry2x32",
        "iota_2x32_shape",
        "eq_to",
    }
    assert set(registered()) - names - loops - elsewhere - {"platform_index"} == set()


@pytest.fixture(scope="module")
def keys():
    return jax.random.split(jax.random.key(3), EXAMPLES)


def test_every_draw_is_jaxs(keys):
    def draws(key):
        return {name: draw(key) for name, draw in DRAWS.items()}

    results, expected = natively(draws, keys), by_vmap(draws, keys)
    for name in DRAWS:
        assert_same(results[name], expected[name], 40, 1e-6, name)


def test_loops_and_branches_compute_what_vmap_does():
    generator = np.random.default_rng(0)
    x = generator.normal(size=(EXAMPLES, 7, 3)).astype(np.float32)
    n = generator.integers(0, 9, (EXAMPLES, 2), np.int32)

    def loops(x, n):
        return {name: loop(x, n) for name, loop in LOOPS.items()}

    results, expected = natively(loops, x, n), by_vmap(loops, x, n)
    for name in LOOPS:
        assert_same(results[name], expected[name], 64, 1e-5, name)


@pytest.mark.parametrize("examples", [1, 2, 16, 33])
def test_any_number_of_examples_will_do(examples):
    x = np.random.default_rng(1).normal(size=(examples, 3)).astype(np.float32)

    def function(x):
        return lax.scan(lambda c, r: (c + r, c * r), x[0], x)

    assert_same(natively(function, x), by_vmap(function, x), 2)


def test_a_lane_of_nan_changes_no_other():
    x = np.random.default_rng(2).normal(size=(EXAMPLES, 3, 3)).astype(np.float32)

    def function(x):
        values = lax.while_loop(lambda s: s.max() < 5, lambda s: s * 1.1 + 0.1, x)
        return jnp.sort(jnp.linalg.solve(values + 5 * jnp.eye(3), x[0]))

    broken = x.copy()
    broken[4] = np.nan
    results, expected = natively(function, broken), natively(function, x)
    others = np.arange(EXAMPLES) != 4
    np.testing.assert_array_equal(np.asarray(results)[others], np.asarray(expected)[others])
    assert np.isnan(np.asarray(results)[4]).all()
