"""A program with its closed gates a little open: to tell whether a gate is why no gradient comes through.

- `max(x, 0)` becomes `max(x, 0) + 0.1 x`: units of ReLU and its kin.
- `tanh(x)` becomes `tanh(x) + 0.01 x`: saturated units.
- `where(mask, a, b)` gets a little of the case that was not chosen.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from vgrad_jax.jaxprs import ClosedJaxpr, branches, called, carry_out, equations_inside, evaluate, scan_of

__all__ = ["Gates", "opened"]

COMPARISONS = ("gt", "ge", "lt", "le")
STEPS = ("round", "floor", "ceil", "sign")
SMOOTH = ("tanh", "logistic", "erf")
DTYPES = ("new_dtype", "preferred_element_type", "dtype")
"""Parameters of primitives that hold the dtype of the result."""
LEAK = 0.1
"""Weight of the case that was not chosen."""
LEAK_OF_SMOOTH = 0.01
"""Slope that is added to a function that saturates."""


class Gates(NamedTuple):
    """Gates that are opened."""

    units: bool = False
    """Gates of values that depend on the parameters: ReLU, clipping, hinges."""
    smooth: bool = False
    """Functions that saturate."""
    choices: bool = False
    """Choices of any kind: masks, branches."""
    wide: bool = False
    """Numbers, which are computed in float64 whatever the program says; it needs 64-bit types to be enabled."""


Value = tuple[Any, bool, bool]
"""An array, whether it depends on the parameters, and whether a comparison made it."""


def opened(closed: ClosedJaxpr, leaves: int, gates: Gates) -> Callable[..., Any]:
    """Return a program with open gates, as a function of its atoms.

    Args:
        closed: the program of a loss.
        leaves: number of its first atoms that are parameters.
        gates: which of them are opened.

    >>> closed = jax.make_jaxpr(lambda w: jnp.maximum(w, 0.0))(-1.0)
    >>> round(float(jax.grad(opened(closed, 1, Gates(units=True)))(-1.0)), 3)
    0.1
    """

    def run(*arguments: Any) -> Any:
        values = [(_wide(value, gates), number < leaves, False) for number, value in enumerate(arguments)]
        return _run(closed, values, gates)[0][0]

    return run


def _run(closed: ClosedJaxpr, arguments: Sequence[Value], gates: Gates) -> list[Value]:
    return evaluate(closed, arguments, partial(_step, gates), lambda value: (_wide(value, gates), False, False))


def _wide(value: Any, gates: Gates) -> Any:
    if not gates.wide or not jnp.issubdtype(jnp.result_type(value), jnp.floating):
        return value
    return jnp.asarray(value).astype(jnp.float64)


def _carry_out(gates: Gates, equation: Any, values: list[Any]) -> list[Any]:
    """Return an equation's results, in float64 where numbers are to be wide."""
    if not gates.wide:
        return carry_out(equation, values)
    parameters = {
        name: jnp.dtype(jnp.float64) if name in DTYPES and value is not None and _is_float(value) else value
        for name, value in equation.params.items()
    }
    try:
        outputs = equation.primitive.bind(*values, **parameters)
        return list(outputs) if equation.primitive.multiple_results else [outputs]
    except Exception:  # An operation that knows its dtypes alone.
        given = [
            jnp.asarray(v).astype(a.aval.dtype) if _is_float(v) else v
            for v, a in zip(values, equation.invars, strict=True)
        ]
        return [_wide(output, gates) for output in carry_out(equation, given)]


def _is_float(value: Any) -> bool:
    return jnp.issubdtype(value if isinstance(value, np.dtype) else jnp.result_type(value), jnp.floating)


def _step(gates: Gates, equation: Any, arguments: list[Value]) -> list[Value]:
    name = equation.primitive.name
    values, of_params = [value for value, _, _ in arguments], any(depends for _, depends, _ in arguments)
    inner = called(equation)
    if inner is not None and not _replaces_derivative(equation):
        return _run(inner, arguments, gates)
    if name == "scan":
        return [(output, of_params, False) for output in _scan(gates, equation, arguments)]
    if name == "cond" and gates.wide:
        return [(output, True, False) for output in _wide_branch(gates, equation, arguments)]
    if name == "cond" and gates.choices:
        return [(output, True, False) for output in _all_branches(gates, equation, arguments)]
    outputs = _carry_out(gates, equation, values)
    changed = _open(gates, equation, arguments, outputs[0], of_params) if len(outputs) == 1 else None
    compared = name in COMPARISONS or (
        name in ("and", "or", "not", "broadcast_in_dim", "reshape") and any(flag for _, _, flag in arguments)
    )
    return [(output, of_params, compared) for output in ([changed] if changed is not None else outputs)]


def _replaces_derivative(equation: Any) -> bool:
    """Return whether a function brings a derivative in place of one that does not exist."""
    is_custom = equation.primitive.name.startswith("custom_")
    return is_custom and any(inside.primitive.name in STEPS for inside in equations_inside(equation))


def _open(gates: Gates, equation: Any, arguments: list[Value], output: Any, of_params: bool) -> Any | None:
    """Return the result of a gate that is opened; None for any other operation."""
    name, values = equation.primitive.name, [value for value, _, _ in arguments]
    if not jnp.issubdtype(output.dtype, jnp.floating):
        return None
    if gates.smooth and name in SMOOTH:
        return output + (LEAK_OF_SMOOTH * values[0]).astype(output.dtype)
    if gates.units and of_params and name in ("max", "min"):
        return _leaky(output, values)
    if gates.units and of_params and name == "clamp":
        return _leaky(output, [values[1]])
    if name == "select_n":
        (_, depends, compared) = arguments[0]
        is_unit = gates.units and depends and compared
        return _leaky(output, values[1:]) if is_unit or gates.choices else None
    if gates.choices and name == "convert_element_type" and values[0].dtype == bool:
        return LEAK + (1 - LEAK) * output
    return None


def _leaky(output: Any, cases: Sequence[Any]) -> Any:
    """Add a little of each case; the sum of the cases is kept finite, since one of them may be meant to be infinite."""
    total = sum(jnp.where(jnp.isfinite(case), case, 0) for case in cases)
    return output + jnp.asarray(LEAK * total, output.dtype)


def _scan(gates: Gates, equation: Any, arguments: list[Value]) -> list[Any]:
    scan = scan_of(equation)
    first, last = scan.num_consts, scan.num_consts + scan.num_carry
    values = [value for value, _, _ in arguments]
    # A counter stays a counter; any other carry may depend on the parameters from the second iteration on.
    flags = [depends or first <= number < last for number, (_, depends, _) in enumerate(arguments)]

    def step(carry: list[Any], row: list[Any]) -> tuple[list[Any], list[Any]]:
        inside = [(v, flag, False) for v, flag in zip([*values[:first], *carry, *row], flags, strict=True)]
        results = [value for value, _, _ in _run(scan.body, inside, gates)]
        return results[: scan.num_carry], results[scan.num_carry :]

    final, stacked = jax.lax.scan(
        step, values[first:last], values[last:], length=scan.length, reverse=scan.reverse, unroll=scan.unroll
    )
    return [*final, *stacked]


def _wide_branch(gates: Gates, equation: Any, arguments: list[Value]) -> list[Any]:
    """Return the chosen branch in wide numbers."""

    def through(branch: ClosedJaxpr) -> Callable[..., list[Any]]:
        return lambda *values: [v for v, _, _ in _run(branch, [(value, True, False) for value in values], gates)]

    index, *rest = (value for value, _, _ in arguments)
    return jax.lax.switch(index.astype(jnp.int32), [through(branch) for branch in branches(equation)], *rest)


def _all_branches(gates: Gates, equation: Any, arguments: list[Value]) -> list[Any]:
    """Return the chosen branch with a little of all the others."""
    chosen = carry_out(equation, [value for value, _, _ in arguments])
    others = [[value for value, _, _ in _run(branch, arguments[1:], gates)] for branch in branches(equation)]
    return [
        _leaky(output, cases) if jnp.issubdtype(output.dtype, jnp.floating) else output
        for output, *cases in zip(chosen, *others, strict=True)
    ]
