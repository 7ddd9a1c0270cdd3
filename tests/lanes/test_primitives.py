"""Each record of the registry against `vmap` of its primitive, with and without a loop."""

import re
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.extend.core import Primitive

from tests.lanes.compared import LANES, native
from vgrad_jax.jaxprs import equations_inside, trace
from vgrad_jax.lanes import rules
from vgrad_jax.lanes.graph import Node
from vgrad_jax.lanes.primitives import PRIMITIVES, RESULT

assert rules
TABLE, COLUMN = jnp.arange(40.0).reshape(20, 2), jnp.arange(20)


def of_another_version(name, reference, **parameters):
    """A primitive that this version of JAX may lack, whose reference stands for it in `vmap`."""
    primitive = Primitive(name)

    def shape(*avals, **_):
        result = jax.eval_shape(reference, *avals)
        return jax.core.ShapedArray(result.shape, result.dtype)

    primitive.def_abstract_eval(shape)
    return lambda *operands: primitive.bind(*operands, **parameters), reference


def summed(x):
    """`x.sum()` by a collective of one device."""
    return jax.vmap(lambda element: lax.psum(element, "rows"), axis_name="rows", out_axes=None)(x)


# Operands: floats x and y, z > 0, u in (-1, 1), whole ones p and q; integers n and k, unsigned v, shifts s;
# bools b and c; matrices a (rows, 3) and w (3, 4), small d (2, 3), e (3, 2); row numbers r.
EXAMPLES = {
    "elementwise": {
        "abs": lambda o: (lax.abs(o.x), lax.abs(o.n)),
        "acos": lambda o: lax.acos(o.u),
        "add": lambda o: (o.x + o.y, o.n + o.k, o.v + o.v),
        "add_any": lambda o: jax.grad(lambda x: (jnp.sin(x) * x).sum())(o.x),
        "and": lambda o: (o.b & o.c, o.n & 3),
        "asin": lambda o: lax.asin(o.u),
        "atan": lambda o: lax.atan(o.x),
        "atan2": lambda o: lax.atan2(o.x, o.y),
        "bitcast_convert_type": lambda o: lax.bitcast_convert_type(o.x, jnp.int32),
        "ceil": lambda o: lax.ceil(5 * o.x),
        "clz": lambda o: (lax.clz(o.n), lax.clz(o.v)),
        "clamp": lambda o: (lax.clamp(-0.5, o.x, 0.5), lax.clamp(-3, o.n, 3)),
        "convert_element_type": lambda o: (
            (5 * o.x).astype(int),
            o.x.astype(bool),
            o.n.astype(float),
            o.b.astype(float),
            o.b.astype(int),
            o.v.astype(float),
            o.n.astype(jnp.uint32),
        ),
        "copy": lambda o: jnp.array(o.x, copy=True),
        "copy_p": of_another_version("copy_p", lambda x: x),
        "cos": lambda o: jnp.cos(o.x),
        "cosh": lambda o: lax.cosh(o.x),
        "div": lambda o: (o.x / o.z, lax.div(o.n, o.k), lax.div(o.v, o.v + 7)),
        "eq": lambda o: (o.n == o.k, o.p == o.q, o.b == o.c),
        "erf": lambda o: lax.erf(o.x),
        "exp": lambda o: jnp.exp(o.x),
        "exp2": lambda o: jnp.exp2(o.x),
        "expm1": lambda o: jnp.expm1(o.x),
        "floor": lambda o: jnp.floor(5 * o.x),
        "ge": lambda o: (o.x >= o.y, o.n >= o.k, o.v >= 5),
        "gt": lambda o: (o.x > o.y, o.n > o.k, o.v > 5),
        "integer_pow": lambda o: (o.x**3, o.z**-2, o.x**7),
        "is_finite": lambda o: (jnp.isfinite(o.x / o.q),),
        "le": lambda o: (o.x <= o.y, o.n <= o.k, o.v <= 5),
        "log": lambda o: jnp.log(o.z),
        "log1p": lambda o: jnp.log1p(o.z),
        "logistic": lambda o: jax.nn.sigmoid(o.x),
        "lt": lambda o: (o.x < o.y, o.n < o.k, o.v < 5),
        "max": lambda o: (jnp.maximum(o.x, o.y), jnp.maximum(o.n, o.k), jnp.maximum(o.v, 3), jnp.maximum(o.b, o.c)),
        "min": lambda o: (jnp.minimum(o.x, o.y), jnp.minimum(o.n, o.k), jnp.minimum(o.v, 3), jnp.minimum(o.b, o.c)),
        "mul": lambda o: (o.x * o.y, o.n * o.k),
        "ne": lambda o: (o.n != o.k, o.p != o.q),
        "neg": lambda o: (-o.x, -o.n),
        "not": lambda o: (~o.b, ~o.n),
        "one_minus_square": of_another_version("one_minus_square", lambda x: 1 - x * x),
        "or": lambda o: (o.b | o.c, o.n | 1),
        "population_count": lambda o: lax.population_count(o.n),
        "pow": lambda o: (o.z**1.7, o.z**o.x),
        "rem": lambda o: (lax.rem(o.n, o.k), lax.rem(o.v, o.v + 7), lax.rem(o.x, o.z)),
        "round": lambda o: (jnp.round(5 * o.p / 2), lax.round(o.p / 2, lax.RoundingMethod.AWAY_FROM_ZERO)),
        "rsqrt": lambda o: lax.rsqrt(o.z),
        "select_n": lambda o: (jnp.where(o.b, o.n, 3), jnp.where(o.b, 1.5, o.x)),
        "shift_left": lambda o: o.n << o.s,
        "shift_right_arithmetic": lambda o: o.n >> o.s,
        "shift_right_logical": lambda o: lax.shift_right_logical(o.n, o.s),
        "sign": lambda o: jnp.sign(o.p),
        "sin": lambda o: jnp.sin(o.x),
        "sinh": lambda o: lax.sinh(o.x),
        "sqrt": lambda o: jnp.sqrt(o.z),
        "square": lambda o: jnp.square(o.x),
        "stop_gradient": of_another_version("stop_gradient", lambda x: x),
        "sub": lambda o: (o.x - o.y, o.n - o.k),
        "tan": lambda o: jnp.tan(o.u),
        "tanh": lambda o: jnp.tanh(o.x),
        "xor": lambda o: (o.b ^ o.c, o.n ^ 5),
    },
    "view": {
        "broadcast_in_dim": lambda o: (o.x[:, None], jnp.broadcast_to(o.w[None], (2, 3, 4))),
        "concatenate": lambda o: (jnp.concatenate([o.d, o.d + 1]), jnp.concatenate([o.a, o.a + 1], 1)),
        "reshape": lambda o: (o.d.reshape(3, 2), o.a.reshape(-1, 1, 3)),
        "slice": lambda o: (o.d[1:2], o.d[:1, 2:3]),
        "squeeze": lambda o: lax.squeeze(o.a[:, None], (1,)),
        "stack": of_another_version("stack", lambda *parts: jnp.stack(parts), axis=0),
        "transpose": lambda o: (o.d.T, o.a.T),
    },
    "other": {
        "argmax": lambda o: (jnp.argmax(o.a, 1), jnp.argmax(o.d, 0)),
        "dot_general": lambda o: (o.a @ o.w, o.w.T @ o.a.T, o.a.T @ o.a, o.d @ o.e),
        "gather": lambda o: (TABLE[o.r], COLUMN[o.r]),
        "iota": lambda o: (jnp.arange(len(o.x)) * o.n, jnp.arange(float(len(o.x))) + o.x),
        "psum": lambda o: summed(o.x),
        "reduce_and": lambda o: (o.b.all(), jnp.bitwise_and.reduce(o.n | 48)),
        "reduce_max": lambda o: (o.x.max(), o.a.max(0), o.d.max(1)),
        "reduce_min": lambda o: (o.x.min(), o.a.min(0), o.d.min(1)),
        "reduce_or": lambda o: (o.b.any(), jnp.bitwise_or.reduce(o.n & 48)),
        "reduce_sum": lambda o: (o.x.sum(), o.a.sum(0), o.a.sum(1), o.n.sum(), o.d.sum()),
    },
}
"""Family to name of a primitive to a use of it; a primitive of another version has a reference, too."""

WITHOUT_LOOP, WITH_LOOP = 5, 200
OPERANDS_OF_OTHER_VERSIONS = {"stack": lambda o: (o.d, o.d + 1)}


def operands(rows):
    keys = iter(jax.random.split(jax.random.key(rows), 20))

    def floats(*shape):
        return jax.random.normal(next(keys), (*shape, LANES))

    def integers(low, high, dtype=jnp.int32):
        return jax.random.randint(next(keys), (rows, LANES), low, high, dtype)

    return SimpleNamespace(
        x=floats(rows),
        y=floats(rows),
        z=jnp.abs(floats(rows)) + 0.1,
        u=jnp.tanh(floats(rows)),
        p=jnp.round(floats(rows)),
        q=jnp.round(floats(rows)),
        n=integers(-9, 9),
        k=integers(-4, 4),
        v=integers(0, 9, jnp.uint32),
        s=integers(0, 40),
        b=floats(rows) > 0,
        c=floats(rows) > 0,
        a=floats(rows, 3),
        w=floats(3, 4),
        d=floats(2, 3),
        e=floats(3, 2),
        r=integers(0, 20),
    )


def uses(family, *, native_code):
    """The family's uses as one function of the operands."""

    def function(o):
        o = SimpleNamespace(**o)
        results = {}
        for name, use in EXAMPLES[family].items():
            if isinstance(use, tuple):
                given = OPERANDS_OF_OTHER_VERSIONS.get(name, lambda o: (o.x,))(o)
                results[name] = use[0 if native_code else 1](*given)
            else:
                results[name] = use(o)
        return results

    return function


def test_every_record_has_an_example():
    assert {name for family in EXAMPLES.values() for name in family} == set(PRIMITIVES)
    families = {name: record.family for name, record in PRIMITIVES.items()}
    assert all(families[name] == family for family in ("elementwise", "view") for name in EXAMPLES[family])


def test_every_example_uses_its_primitive():
    one = jax.tree.map(lambda operand: operand[..., 0], vars(operands(WITHOUT_LOOP)))
    for family in EXAMPLES.values():
        for name, use in family.items():
            if not isinstance(use, tuple):
                closed = trace(lambda o, use=use: use(SimpleNamespace(**o)), one)
                (outer,) = trace(jax.jit(lambda o, use=use: use(SimpleNamespace(**o))), one).eqns
                assert closed.eqns
                assert name in {inner.primitive.name for inner in equations_inside(outer)}, name


@pytest.mark.parametrize("rows", [WITHOUT_LOOP, WITH_LOOP])
@pytest.mark.parametrize("family", EXAMPLES)
def test_every_record_computes_what_vmap_does(family, rows):
    given = vars(operands(rows))
    results = native(uses(family, native_code=True), given)
    expected = jax.jit(jax.vmap(uses(family, native_code=False), in_axes=-1, out_axes=-1))(given)
    for name in EXAMPLES[family]:
        for a, b in zip(jax.tree.leaves(results[name]), jax.tree.leaves(expected[name]), strict=True):
            assert a.dtype == b.dtype, name
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4, err_msg=name)


def node_of(name, *shapes, result=None, **parameters):
    inputs = tuple(Node("leaf", (), shape, "float", True, {}) for shape in shapes)
    return Node(name, inputs, result or shapes[0], "float", True, parameters)


@pytest.mark.parametrize("name", [name for name, record in PRIMITIVES.items() if record.family == "elementwise"])
def test_axes_of_elementwise_records_are_one_dimension(name):
    axes = PRIMITIVES[name].axes(node_of(name, (4, 5), (4, 5), ()))
    assert set(axes.same) == {((operand, axis), (RESULT, axis)) for operand in (0, 1) for axis in (0, 1)}
    assert axes.unlooped == ()


def test_costs_tell_moves_from_arithmetic_and_products_from_sums():
    numbers = (((1,), (0,)), ((), ()))
    product = node_of("dot_general", (4, 7), (7, 2), result=(4, 2), dimension_numbers=numbers)
    costs = {name: record.instructions(product) for name, record in PRIMITIVES.items() if name != "dot_general"}
    assert PRIMITIVES["dot_general"].instructions(product) == 7
    assert all(costs[name] == 0 for name, record in PRIMITIVES.items() if record.family == "view")
    assert costs["copy"] == 0 < costs["add"] < costs["sqrt"] < costs["tanh"]


REFUSED = {
    "batched product": (lambda o: jnp.einsum("ij,ij->i", o.a, o.a), "dot_general .* for batched products"),
    "product of integers": (lambda o: o.n @ o.n, "dot_general .* other than floats"),
    "argmax over a loop": (lambda o: jnp.argmax(o.x), "argmax .* more than 64 elements"),
    "argmax of integers": (lambda o: jnp.argmax(o.n[:3]), "of kind int|ranges"),
    "range of rows": (lambda o: o.a[3:70], "slice .* for ranges"),
    "merged axes": (lambda o: o.a.reshape(-1), "reshape .* split or merged"),
    "choice by an integer": (lambda o: lax.select_n(o.n % 2, o.x, o.y), "rem|select_n .* other than a bool"),
    "rows that may be outside": (lambda o: TABLE.at[o.r].get(mode="clip"), "gather|rows"),
    "largest integer over a loop": (lambda o: o.n.max(), "reduce_max of int over a loop"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_uses_without_native_code_are_refused_with_a_reason(name):
    use, reason = REFUSED[name]
    with pytest.raises(NotImplementedError) as refusal:
        native(lambda o: use(SimpleNamespace(**o)), vars(operands(WITH_LOOP)))
    assert re.search(reason, str(refusal.value)), str(refusal.value)
