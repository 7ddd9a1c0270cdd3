"""JAX's program form: the parts of equations, and interpreters."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vgrad_jax.jaxprs import branches, called, carry_out, equations_inside, evaluate, is_read, scan_of, trace


def scan_equation():
    def function(w, x):
        return jax.lax.scan(lambda s, r: ((s[0] * w, s[1] + r[0]), r), (w, w), (x, x, x), reverse=True)

    (equation,) = trace(function, jnp.float32(1), jnp.zeros(4)).eqns
    return equation


def test_both_forms_of_a_scans_parts_are_read():
    """Two numbers until JAX 0.10, a tree of the atoms from 0.11 on."""

    class Tree(list):
        def update(self, leaves):
            rest = iter(leaves)
            return Tree([next(rest) for _ in part] for part in self)

        def unpack(self):
            return tuple(self)

    equation = scan_equation()
    scan = scan_of(equation)
    consts = len(equation.invars) - 5
    assert scan[1:] == (consts, 2, 4, True, 1)
    assert len(scan.body.jaxpr.invars) == len(equation.invars)
    tree = Tree([[None] * consts, [None] * 2, [None] * 3])
    parameters = {name: value for name, value in equation.params.items() if name not in ("num_consts", "num_carry")}
    assert scan_of(equation.replace(params={**parameters, "ft_in": tree})) == scan


CALLS = {
    "jit": (jax.jit(jnp.sin), True),
    "custom_jvp": (jax.nn.relu, True),
    "checkpoint": (jax.checkpoint(jnp.sin), True),
    "scan": (lambda x: jax.lax.scan(lambda c, _: (c * 2, None), x, length=2)[0], False),
    "sin": (jnp.sin, False),
}


@pytest.mark.parametrize("name", CALLS)
def test_calls_are_told_from_loops_and_operations(name):
    function, is_call = CALLS[name]
    equation = trace(function, 1.0).eqns[-1]
    inner = called(equation)
    assert (inner is not None) == is_call
    if inner is not None:
        values = evaluate(inner, [0.5], lambda equation, arrays: carry_out(equation, arrays), lambda constant: constant)
        np.testing.assert_allclose(values[0], function(0.5), rtol=1e-6)


def test_equations_at_any_depth_are_visited():
    def function(x):
        return jax.lax.cond(x > 0, lambda x: jax.jit(jnp.sin)(x), lambda x: x, x)

    closed = trace(function, 1.0)
    names = {inner.primitive.name for equation in closed.eqns for inner in equations_inside(equation)}
    assert "sin" in names
    conds = [equation for equation in closed.eqns if equation.primitive.name == "cond"]
    assert len(branches(conds[0])) == 2


def test_an_interpreter_meets_constants_literals_and_results_that_are_inputs():
    table = np.arange(3.0, dtype=np.float32)
    closed = trace(lambda x, y: (x + table, y, 2.0), jnp.zeros(3), 1.0)
    kinds = evaluate(closed, ["x", "y"], lambda equation, atoms: [tuple(atoms)], lambda value: np.ndim(value))
    assert kinds == [("x", 1), "y", 0]


def test_a_variable_is_read_by_an_equation_or_is_a_result():
    jaxpr = trace(lambda x, y, z: (x + 1, y), 1.0, 2.0, 3.0).jaxpr
    assert [is_read(jaxpr, variable) for variable in jaxpr.invars] == [True, True, False]
