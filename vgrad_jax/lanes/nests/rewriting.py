"""Programs in terms of primitives with native code: calls are inlined, other primitives become what defines them.

A random key becomes its words: an array of one more axis.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
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

__all__ = ["INLINED", "inlined_program", "is_key", "physical", "rewritten_part"]

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
    """From `[*constants, *read]` to the results; native code has no copy of its constants."""
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

    def function(*arrays: Any) -> list[Any]:
        known = dict(zip(read, arrays, strict=True))
        for equation in equations:
            values = [_constant(literal_value(atom)) if is_literal(atom) else known[atom] for atom in equation.invars]
            known.update(zip(equation.outvars, _rule(equation, values), strict=True))
        return [known[variable] for variable in results]

    closed = trace(function, *(physical(variable.aval) for variable in read))
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
    flags = [is_key(atom.aval) for atom in equation.invars]
    if any(flags):
        return _of_keys(equation, values, flags)
    return carry_out(equation, values)


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
    consts, carry, sequences = scan.split(values)

    def body(carry: list[Any], rows: list[Any]) -> tuple[list[Any], list[Any]]:
        results = _evaluated(scan.body, *consts, *carry, *rows)
        return results[: scan.num_carry], results[scan.num_carry :]

    last, stacked = lax.scan(body, list(carry), list(sequences), scan.length, scan.reverse)
    return [*last, *stacked]


def _while(equation: JaxprEqn, values: list[Any]) -> Sequence[Any]:
    loop = while_of(equation)
    start = loop.condition_consts + loop.body_consts
    conditions, consts = values[: loop.condition_consts], values[loop.condition_consts : start]

    def condition(carry: list[Any]) -> Any:
        return _evaluated(loop.condition, *conditions, *carry)[0]

    def body(carry: list[Any]) -> list[Any]:
        return list(_evaluated(loop.body, *consts, *carry))

    if loop.condition.out_avals[0].shape:
        return lax.while_loop(*_of_many(condition, body), values[start:])
    return lax.while_loop(condition, body, values[start:])


def _of_many(condition: Callable[..., Any], body: Callable[..., Any]) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Return a loop's condition and body where many loops, of one map, have a condition each."""

    def kept(going: Any, after: Any, before: Any) -> Any:
        return jnp.where(lax.broadcast_in_dim(going, after.shape, tuple(range(going.ndim))), after, before)

    def body_of_those_that_go_on(carry: list[Any]) -> list[Any]:
        going = condition(carry)
        return [kept(going, *pair) for pair in zip(body(carry), carry, strict=True)]

    return lambda carry: condition(carry).any(), body_of_those_that_go_on


def _cond(equation: JaxprEqn, values: list[Any]) -> Sequence[Any]:
    choices: list[Callable[..., Any]] = [partial(_evaluated, branch) for branch in branches(equation)]
    index, *operands = values
    if len(choices) == 1:
        return choices[0](*operands)
    if not isinstance(index, jax.core.Tracer):
        return choices[min(max(int(index), 0), len(choices) - 1)](*operands)
    return lax.switch(jnp.asarray(index, jnp.int32), choices, *operands)


def _linear_solve(equation: JaxprEqn, values: list[Any]) -> Sequence[Any]:
    """Solve by the function that the equation brings; its derivatives are of no concern here."""
    lengths, solve = equation.params["const_lengths"], equation.params["jaxprs"].solve
    begin = lengths.matvec + lengths.vecmat
    consts = values[begin : begin + lengths.solve]
    return _evaluated(solve, *consts, *values[sum(lengths) :])
