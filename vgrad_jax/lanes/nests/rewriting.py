"""Programs in terms of primitives with native code: calls are inlined, other primitives become what defines them.

A random key becomes its words: an array of one more axis. Arrays without elements are left out.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from vgrad_jax.jaxprs import (
    ClosedJaxpr,
    Jaxpr,
    JaxprEqn,
    branches,
    called,
    carry_out,
    equations_inside,
    evaluate,
    is_literal,
    literal_value,
    scan_of,
    trace,
    while_of,
)
from vgrad_jax.lanes.errors import NotInLanesError
from vgrad_jax.lanes.nests.expansions import EXPANSIONS

__all__ = ["INLINED", "inlined_program", "is_empty", "is_key", "physical", "rewritten_part"]

INLINED = (
    "checkpoint",
    "closed_call",
    "core_call",
    "custom_jvp_call",
    "custom_vjp_call",
    "jit",
    "pjit",
    "remat",
    "remat2",
)
"""Primitives that are replaced by the jaxpr that they call."""

CALLS = ("custom_linear_solve", "jit", "pjit", "closed_call")
"""Calls that a definition may make."""

WORDS = 2
"""Words of a key of JAX's default generator."""


def is_key(aval: Any) -> bool:
    """Return whether an array is one of random keys."""
    return bool(jnp.issubdtype(aval.dtype, jax.dtypes.prng_key))


def is_empty(variable: Any) -> bool:
    """Return whether a variable, or an array, has no elements."""
    return 0 in getattr(variable, "aval", variable).shape


def _without_elements(variable: Any) -> np.ndarray:
    """Return the value of a variable without elements: of NumPy, so that no program computes it."""
    form = physical(variable.aval)
    return np.zeros(form.shape, form.dtype)


def physical(aval: Any) -> jax.ShapeDtypeStruct:
    """Return the form of an array, or of the words of random keys.

    Raises:
        NotInLanesError: the keys are not of JAX's default generator.
    """
    if not is_key(aval):
        return jax.ShapeDtypeStruct(aval.shape, aval.dtype)
    if str(aval.dtype) != "key<fry>":
        raise NotInLanesError(f"keys of {aval.dtype}")
    return jax.ShapeDtypeStruct((*aval.shape, WORDS), jnp.uint32)


def inlined_program(equation: JaxprEqn) -> ClosedJaxpr | None:
    """Return the program that an equation calls and that replaces it; None where it stays."""
    return called(equation) if equation.primitive.name in INLINED else None


class Part(NamedTuple):
    """Some equations as a program without calls, keys, and primitives that are defined by others."""

    closed: ClosedJaxpr
    """From `[*constants, *read]` to the results, those with elements; native code has no copy of its constants."""
    constants: list[Any]


def rewritten_part(equations: Sequence[JaxprEqn], read: Sequence[Any], results: Sequence[Any]) -> Part:
    """Rewrite some equations.

    Args:
        equations: in order.
        read: variables that they read.
        results: variables that are wanted.

    Raises:
        NotInLanesError: a definition does not cover a use.
    """

    given = [variable for variable in read if not is_empty(variable)]

    def function(*arrays: Any) -> list[Any]:
        known = {variable: _without_elements(variable) for variable in read if is_empty(variable)}
        known.update(zip(given, arrays, strict=True))
        for equation in equations:
            values = [_constant(literal_value(atom)) if is_literal(atom) else known[atom] for atom in equation.invars]
            known.update(zip(equation.outvars, _rule(equation, values), strict=True))
        return [known[variable] for variable in results if not is_empty(variable)]

    closed = trace(function, *(physical(variable.aval) for variable in given))
    while _is_unfinished(closed.jaxpr):  # A definition may call others.
        closed = trace(partial(_evaluated, closed), *(variable.aval for variable in closed.jaxpr.invars))
    jaxpr = closed.jaxpr.replace(invars=[*closed.jaxpr.constvars, *closed.jaxpr.invars], constvars=[])
    return Part(ClosedJaxpr(jaxpr, ()), list(closed.consts))


def _is_unfinished(jaxpr: Jaxpr) -> bool:
    """Return whether an equation is a call or has a definition, at any depth."""
    names = (inner.primitive.name for equation in jaxpr.eqns for inner in (equation, *equations_inside(equation)))
    return any(name in EXPANSIONS or name in CALLS for name in names)


def _evaluated(closed: ClosedJaxpr, *arrays: Any) -> list[Any]:
    return evaluate(closed, list(arrays), _rule, _constant)


def _constant(value: Any) -> Any:
    return jax.random.key_data(value) if isinstance(value, jax.Array) and is_key(value) else jnp.asarray(value)


def _rule(equation: JaxprEqn, values: list[Any]) -> Sequence[Any]:
    name = equation.primitive.name
    if not equation.effects and all(map(is_empty, equation.outvars)):
        return [_without_elements(variable) for variable in equation.outvars]
    inner = inlined_program(equation)
    if inner is not None:
        return _evaluated(inner, *values)
    if name in EXPANSIONS:
        return EXPANSIONS[name](equation, values)
    match name:
        case "scan":
            return _scan(equation, values)
        case "while":
            return _while(equation, values)
        case "cond":
            return _cond(equation, values)
        case "custom_linear_solve":
            return _linear_solve(equation, values)
    if any(map(is_empty, equation.invars)):
        return _of_nothing(equation, values)
    flags = [is_key(atom.aval) for atom in equation.invars]
    if any(flags):
        return _of_keys(equation, values, flags)
    return carry_out(equation, values)


def _of_nothing(equation: JaxprEqn, values: list[Any]) -> Sequence[Any]:
    """Evaluate an operation that makes elements of arrays without any, such as their sum."""
    if equation.primitive.name == "concatenate":
        given = [value for value in values if 0 not in value.shape]
        return [lax.concatenate(given, equation.params["dimension"])]
    if any(isinstance(value, jax.core.Tracer) for value in values):
        return carry_out(equation, values)
    with jax.ensure_compile_time_eval():
        return [np.asarray(result) for result in carry_out(equation, values)]


def _of_keys(equation: JaxprEqn, values: list[Any], flags: Sequence[bool]) -> Sequence[Any]:
    """Apply a primitive that moves keys to each of their words."""
    avals = [variable.aval for variable in equation.outvars]
    if not all(map(is_key, avals)):
        raise NotInLanesError(f"{equation.primitive.name} of keys")

    def function(*words: Any) -> Any:
        return equation.primitive.bind(*words, **equation.params)

    axes = tuple(-1 if flag else None for flag in flags)
    results = jax.vmap(function, in_axes=axes, out_axes=-1)(*values)
    return list(results) if equation.primitive.multiple_results else [results]


def _scan(equation: JaxprEqn, values: list[Any]) -> Sequence[Any]:
    scan = scan_of(equation)
    consts, start, sequences = scan.split(values)
    _, of_carry, of_rows = scan.split(scan.body.jaxpr.invars)
    carry, rows = _Elements(of_carry), _Elements(of_rows)
    stacked = _Elements(equation.outvars[scan.num_carry :])

    def body(state: list[Any], row: list[Any]) -> tuple[list[Any], list[Any]]:
        results = _evaluated(scan.body, *consts, *carry.all(state), *rows.all(row))
        return carry.some(results[: scan.num_carry]), stacked.some(results[scan.num_carry :])

    last, kept = lax.scan(body, carry.some(start), rows.some(sequences), scan.length, scan.reverse)
    return [*carry.all(last), *stacked.all(kept)]


class _Elements:
    """Those among some variables that have elements."""

    def __init__(self, variables: Sequence[Any]) -> None:
        self._variables = variables

    def some(self, values: Sequence[Any]) -> list[Any]:
        """Return the values that have elements, of the values of all variables."""
        return [value for variable, value in zip(self._variables, values, strict=True) if not is_empty(variable)]

    def all(self, values: Sequence[Any]) -> list[Any]:
        """Return the values of all variables, of those that have elements."""
        rest = iter(values)
        return [_without_elements(variable) if is_empty(variable) else next(rest) for variable in self._variables]


def _while(equation: JaxprEqn, values: list[Any]) -> Sequence[Any]:
    loop = while_of(equation)
    start = loop.condition_consts + loop.body_consts
    conditions, consts = values[: loop.condition_consts], values[loop.condition_consts : start]
    elements = _Elements(equation.outvars)

    def condition(carry: Sequence[Any]) -> Any:
        return _evaluated(loop.condition, *conditions, *elements.all(carry))[0]

    def body(carry: Sequence[Any]) -> list[Any]:
        return elements.some(_evaluated(loop.body, *consts, *elements.all(carry)))

    is_of_many = bool(loop.condition.out_avals[0].shape)
    goes_on, step = _of_many(condition, body) if is_of_many else (condition, body)
    return elements.all(lax.while_loop(goes_on, step, elements.some(values[start:])))


def _of_many(condition: Callable[..., Any], body: Callable[..., Any]) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Return a loop's condition and body where many loops, of one map, have a condition each."""

    def kept(going: Any, after: Any, before: Any) -> Any:
        return jnp.where(lax.broadcast_in_dim(going, after.shape, tuple(range(going.ndim))), after, before)

    def body_of_those_that_go_on(carry: list[Any]) -> list[Any]:
        going = condition(carry)
        return [kept(going, *pair) for pair in zip(body(carry), carry, strict=True)]

    return lambda carry: condition(carry).any(), body_of_those_that_go_on


def _cond(equation: JaxprEqn, values: list[Any]) -> Sequence[Any]:
    given, wanted = _Elements(equation.invars[1:]), _Elements(equation.outvars)
    index, *operands = values

    def choice(branch: ClosedJaxpr, *some: Any) -> list[Any]:
        return wanted.some(_evaluated(branch, *given.all(some)))

    choices: list[Callable[..., Any]] = [partial(_evaluated, branch) for branch in branches(equation)]
    if len(choices) == 1:
        return choices[0](*operands)
    if not isinstance(index, jax.core.Tracer):
        return choices[min(max(int(index), 0), len(choices) - 1)](*operands)
    functions = [partial(choice, branch) for branch in branches(equation)]
    return wanted.all(lax.switch(jnp.asarray(index, jnp.int32), functions, *given.some(operands)))


def _linear_solve(equation: JaxprEqn, values: list[Any]) -> Sequence[Any]:
    """Solve by the function that the equation brings; its derivatives are of no concern here."""
    lengths, solve = equation.params["const_lengths"], equation.params["jaxprs"].solve
    begin = lengths.matvec + lengths.vecmat
    consts = values[begin : begin + lengths.solve]
    return _evaluated(solve, *consts, *values[sum(lengths) :])
