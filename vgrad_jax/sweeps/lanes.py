"""`vmap` with the mapped axis last: one seed for each lane of the processor's vector registers.

A network of ten units is far too small for a matrix library: `jax.vmap` over seeds gives batched products of
10 x 10 matrices, each a call that costs more than its arithmetic. With the seeds on the minor axis every number of the
training is a vector over seeds, and a product is a sum of a few multiplications of such vectors. No lane waits for
another, whatever the widths are.

`over_lanes` makes this of an unchanged pure function. It traces the function for one seed and evaluates the jaxpr again
with one more axis on every value that depends on the seed. Three things make it fast on CPU:

- each innermost loop, and what stands between two loops, is one native function (`xla_cpu_small_call`): otherwise each
  operation is a task of XLA's thread pool, and a task takes longer than such an operation. The loops around them stay
  XLA's: of everything in one function XLA's compiler makes one body, and takes more than twice as long over it;
- products are unrolled sums of elementwise products, in blocks, added as a tree so that the additions do not wait for
  each other;
- a *fence* around each product (`lane_rules._fence`), one for all that read a value. XLA's fusion would compute a
  hidden layer again inside every sum that reads it, tanh and all. `lax.optimization_barrier` is dropped before
  fusion; a loop of zero turns, whose number of turns only the running program knows, is not.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental.xla_metadata import set_xla_metadata
from jax.extend.core import Jaxpr, JaxprEqn, Literal, jaxprs_in_params
from jaxtyping import Array, Int, PyTree

from vgrad_jax.sweeps.lane_rules import ARRAY_RULES, Context, NotInLanesError, Rule, Value, bind, spread

__all__ = ["COMPILER_OPTIONS", "NotInLanesError", "over_lanes"]

COMPILER_OPTIONS: dict[str, str | int | bool] = {
    "xla_cpu_experimental_ynn_fusion_type": "",  # Its fusions cannot be part of one native function.
    "xla_backend_optimization_level": 2,
    "xla_cpu_prefer_vector_width": 512,
    "xla_cpu_use_fusion_emitters": False,  # They are for what is outside of native functions, and slow to compile.
}
"""For `jax.jit` around `over_lanes` on CPU."""


def over_lanes(function: Callable[..., PyTree]) -> Callable[..., PyTree]:
    """Map a function over the last axis of its arguments' leaves.

    Args:
        function: pure, of one example, on pytrees of arrays.

    Returns:
        A function of `zero` (an int32 0 that is an argument of the outermost `jax.jit`; a constant would let the
        compiler undo the fences) and of the arguments with a last axis of lanes; its results have the lanes last.

    Raises:
        NotInLanesError: when it is traced, if the function does something that has no rule here.

    >>> distance = over_lanes(lambda a, b: jnp.sqrt(a @ b))
    >>> jax.jit(distance)(jnp.int32(0), jnp.array([[3.0, 6.0]]), jnp.array([[3.0, 6.0]])).tolist()
    [3.0, 6.0]
    """

    def mapped(zero: Int[Array, ""], *arguments: PyTree) -> PyTree:
        leaves, structure = jax.tree.flatten(arguments)
        context = Context(leaves[0].shape[-1], zero)
        one = jax.tree.unflatten(structure, [jax.eval_shape(lambda leaf: leaf[..., 0], leaf) for leaf in leaves])
        closed, result = jax.make_jaxpr(function, return_shape=True)(*one)

        values = [Value(leaf, True, stored=True) for leaf in leaves]
        results = _evaluate_outside(context, closed.jaxpr, closed.consts, values)
        return jax.tree.unflatten(jax.tree.structure(result), [spread(context, value) for value in results])

    return mapped


def _evaluate(context: Context, jaxpr: Jaxpr, consts: Sequence[Any], arguments: Sequence[Value]) -> list[Value]:
    """A jaxpr's results, as a part of one native function."""
    known = _at_start(jaxpr, consts, arguments)
    _apply_all(context, jaxpr.eqns, known)
    return _read(known, jaxpr.outvars)


def _evaluate_outside(context: Context, jaxpr: Jaxpr, consts: Sequence[Any], arguments: Sequence[Value]) -> list[Value]:
    """A jaxpr's results, of which each innermost loop, and all that stands between two loops, is a native function.

    Loops over loops that are equal for all lanes stay whole, as a native function.
    """
    known = _at_start(jaxpr, consts, arguments)
    waiting: list[JaxprEqn] = []
    for index, equation in enumerate(jaxpr.eqns):
        around, name = _around_loops(equation), equation.primitive.name
        if not around and name not in LOOPS:
            waiting.append(equation)
            continue
        _native(context, waiting, known, _read_later(jaxpr, index))
        waiting = []
        values = _read(known, equation.invars)
        if not around or not any(value.mapped for value in values):
            _native(context, [equation], known, _read_later(jaxpr, index + 1))
        elif name in INLINED:
            inner = equation.params[INLINED[name]]
            _write(known, equation, _evaluate_outside(context, inner.jaxpr, inner.consts, values))
        elif name in AROUND_LOOPS:
            _write(known, equation, AROUND_LOOPS[name](context, equation, values, _evaluate_outside))
        else:
            raise NotInLanesError(f"{name} has no rule for lanes")
    _native(context, waiting, known, _read_later(jaxpr, len(jaxpr.eqns)))
    return _read(known, jaxpr.outvars)


def _native(context: Context, equations: Sequence[JaxprEqn], known: dict[Any, Value], needed: set[Any]) -> None:
    """Evaluate equations as one native function, and write down those of their results that are needed."""
    for equation in equations:
        if equation.effects:  # Nothing may need its results.
            raise NotInLanesError(f"{equation.primitive.name} has side effects")
    made = {v: None for equation in equations for v in equation.outvars}
    results = [v for v in made if v in needed]
    if not results:
        return
    read = {v: known[v] for equation in equations for v in _variables(equation.invars) if v not in made}
    mapped = {v: value.mapped for v, value in read.items()}
    for equation in equations:
        flags = [not isinstance(v, Literal) and mapped[v] for v in equation.invars]
        mapped.update(zip(equation.outvars, _mapped_equation(equation, flags), strict=True))

    def function(zero: Int[Array, ""], *arrays: Array) -> list[Array]:
        stored = [Value(array, value.mapped, stored=True) for array, value in zip(arrays, read.values(), strict=True)]
        inside = dict(zip(read, stored, strict=True))
        _apply_all(Context(context.lanes, zero), equations, inside)
        return [spread(context, inside[v]) if mapped[v] else inside[v].array for v in results]

    call = jax.jit(function)(context.zero, *(value.array for value in read.values()))
    arrays = set_xla_metadata(call, xla_cpu_small_call="true", inlineable="false")
    known.update((v, Value(array, mapped[v], stored=True)) for v, array in zip(results, arrays, strict=True))


def _at_start(jaxpr: Jaxpr, consts: Sequence[Any], arguments: Sequence[Value]) -> dict[Any, Value]:
    known = dict(zip(jaxpr.constvars, (Value(const, False) for const in consts), strict=True))
    return known | dict(zip(jaxpr.invars, arguments, strict=True))


def _apply_all(context: Context, equations: Sequence[JaxprEqn], known: dict[Any, Value]) -> None:
    for equation in equations:
        _write(known, equation, _apply(context, equation, _read(known, equation.invars)))


def _read(known: Mapping[Any, Value], variables: Sequence[Any]) -> list[Value]:
    return [Value(jnp.asarray(v.val, _dtype(v)), False) if isinstance(v, Literal) else known[v] for v in variables]


def _write(known: dict[Any, Value], equation: JaxprEqn, values: Sequence[Value]) -> None:
    known.update(zip(equation.outvars, values, strict=True))


def _dtype(literal: Literal) -> Any:
    aval: Any = literal.aval
    return aval.dtype


def _variables(variables: Sequence[Any]) -> list[Any]:
    return [v for v in variables if not isinstance(v, Literal)]


def _read_later(jaxpr: Jaxpr, start: int) -> set[Any]:
    """What the equations from `start` on read, and the results."""
    read = [v for equation in jaxpr.eqns[start:] for v in _variables(equation.invars)]
    return {*read, *_variables(jaxpr.outvars)}


def _around_loops(equation: JaxprEqn) -> bool:
    """Whether something that the equation calls, or loops over, loops."""
    inner = [one for jaxpr in jaxprs_in_params(equation.params) for one in jaxpr.eqns]
    return any(one.primitive.name in LOOPS or _around_loops(one) for one in inner)


def _apply(context: Context, equation: JaxprEqn, values: Sequence[Value]) -> list[Value]:
    name = equation.primitive.name
    if name in INLINED:
        inner = equation.params[INLINED[name]]
        return _evaluate(context, inner.jaxpr, inner.consts, values)
    if equation.effects:
        raise NotInLanesError(f"{name} has side effects")
    if not any(value.mapped for value in values):
        return [Value(array, False) for array in bind(equation, *(value.array for value in values))]
    if name not in RULES:
        raise NotInLanesError(f"{name} has no rule for lanes")
    return RULES[name](context, equation, values)


def _scan(
    context: Context, equation: JaxprEqn, values: Sequence[Value], evaluate: Callable[..., list[Value]] = _evaluate
) -> list[Value]:
    parameters = equation.params
    num_consts, num_carry = parameters["num_consts"], parameters["num_carry"]
    consts, carry = list(values[:num_consts]), list(values[num_consts : num_consts + num_carry])
    sequences = values[num_consts + num_carry :]
    inner = parameters["jaxpr"]

    def as_mapped(mapped: Sequence[bool], values: Sequence[Value]) -> list[Any]:
        return [spread(context, v) if flag else v.array for v, flag in zip(values, mapped, strict=True)]

    mapped = _mapped_carry(inner.jaxpr, [value.mapped for value in values], num_consts, num_carry)
    flags = [*mapped, *_mapped_equation(equation, [value.mapped for value in values])[num_carry:]]

    def body(carry: list[Any], slices: list[Any]) -> tuple[list[Any], list[Any]]:
        # A loop has all that it reads in memory.
        arguments = [Value(value.array, value.mapped, stored=True) for value in consts]
        arguments += [Value(array, flag, stored=True) for array, flag in zip(carry, mapped, strict=True)]
        arguments += [Value(array, value.mapped, stored=True) for array, value in zip(slices, sequences, strict=True)]
        results = evaluate(context, inner.jaxpr, inner.consts, arguments)
        arrays = as_mapped(flags, results)
        return arrays[:num_carry], arrays[num_carry:]

    options = {name: parameters[name] for name in ("length", "reverse", "unroll")}
    last, stacked = lax.scan(body, as_mapped(mapped, carry), [value.array for value in sequences], **options)
    return [Value(array, flag, stored=True) for array, flag in zip([*last, *stacked], flags, strict=True)]


def _cond(
    context: Context, equation: JaxprEqn, values: Sequence[Value], evaluate: Callable[..., list[Value]] = _evaluate
) -> list[Value]:
    predicate, operands = values[0], values[1:]
    if predicate.mapped:
        raise NotInLanesError("a branch that depends on the lane")
    branches = equation.params["branches"]
    flags = _mapped_equation(equation, [value.mapped for value in values])

    def branch(closed: Any, arrays: Sequence[Any]) -> list[Any]:
        arguments = [Value(array, value.mapped, stored=True) for array, value in zip(arrays, operands, strict=True)]
        results = evaluate(context, closed.jaxpr, closed.consts, arguments)
        return [spread(context, v) if flag else v.array for v, flag in zip(results, flags, strict=True)]

    functions = [partial(branch, closed) for closed in branches]
    results = lax.switch(predicate.array, functions, [value.array for value in operands])
    return [Value(array, flag, stored=True) for array, flag in zip(results, flags, strict=True)]


def _mapped(jaxpr: Jaxpr, arguments: Sequence[bool]) -> list[bool]:
    """Which results depend on the lane, where these arguments do."""
    known = dict(zip(jaxpr.invars, arguments, strict=True))
    for equation in jaxpr.eqns:
        flags = [not isinstance(v, Literal) and known.get(v, False) for v in equation.invars]
        known.update(zip(equation.outvars, _mapped_equation(equation, flags), strict=True))
    return [not isinstance(v, Literal) and known.get(v, False) for v in jaxpr.outvars]


def _mapped_equation(equation: JaxprEqn, arguments: Sequence[bool]) -> list[bool]:
    name, parameters = equation.primitive.name, equation.params
    if name in INLINED:
        return _mapped(parameters[INLINED[name]].jaxpr, arguments)
    if name == "scan":
        num_consts, num_carry = parameters["num_consts"], parameters["num_carry"]
        inner = parameters["jaxpr"].jaxpr
        carry = _mapped_carry(inner, arguments, num_consts, num_carry)
        return _mapped(inner, [*arguments[:num_consts], *carry, *arguments[num_consts + num_carry :]])
    if name == "cond":
        results = [_mapped(branch.jaxpr, arguments[1:]) for branch in parameters["branches"]]
        return [any(flags) or arguments[0] for flags in zip(*results, strict=True)]
    return [any(arguments)] * len(equation.outvars)


def _mapped_carry(jaxpr: Jaxpr, arguments: Sequence[bool], num_consts: int, num_carry: int) -> list[bool]:
    """What enters a loop equal for all lanes may leave its body different: widened until nothing changes."""
    consts, carry = arguments[:num_consts], list(arguments[num_consts : num_consts + num_carry])
    while True:
        results = _mapped(jaxpr, [*consts, *carry, *arguments[num_consts + num_carry :]])
        wider = [a or b for a, b in zip(carry, results, strict=False)]
        if wider == carry:
            return carry
        carry = wider


LOOPS = ("scan", "while")
INLINED = {
    "jit": "jaxpr",
    "closed_call": "call_jaxpr",
    "custom_jvp_call": "call_jaxpr",
    "custom_vjp_call": "call_jaxpr",
}
"""Operations that call a jaxpr once, and the parameter that holds it."""

AROUND_LOOPS: dict[str, Callable[..., list[Value]]] = {"cond": _cond, "scan": _scan}
RULES: dict[str, Rule] = {**ARRAY_RULES, **AROUND_LOOPS}
