"""Which equations have native code, and why others have none."""

from typing import Any

import numpy as np

from vgrad_jax.jaxprs import ClosedJaxpr, JaxprEqn, scan_of
from vgrad_jax.lanes import rules
from vgrad_jax.lanes.code import kind_of
from vgrad_jax.lanes.graph import inlined
from vgrad_jax.lanes.machine import Machine
from vgrad_jax.lanes.primitives import FEW, PRIMITIVES, Use

__all__ = ["is_native", "refusal"]

assert rules.__all__, "the import of the rules registers their records"


def is_native(equation: JaxprEqn, machine: Machine) -> bool:
    """Return whether an equation, with all inside of it, has native code."""
    return refusal(equation, machine) is None


def refusal(equation: JaxprEqn, machine: Machine) -> str | None:
    """Return why an equation, or an equation inside of it, has no native code; None where all have."""
    name = equation.primitive.name
    reason = _of_any(equation)
    if reason is not None:
        return f"{name} {reason}"
    if name == "scan":
        return _of_body(equation, scan_of(equation).body, 0, machine)
    inner = inlined(equation)
    if inner is not None:
        return _of_body(equation, inner, FEW, machine)
    record = PRIMITIVES.get(name)
    if record is None or len(equation.outvars) != 1:
        return f"{name} has no native code"
    reason = record.refusal(Use.of(equation))
    if reason is not None:
        return f"{name} has no native code {reason}"
    return f"{name} has no code of its own on a GPU" if machine.platform == "gpu" and not record.gpu else None


def _of_any(equation: JaxprEqn) -> str | None:
    """Return what speaks against an equation of any primitive."""
    if equation.effects:
        return "has side effects"
    avals: list[Any] = [atom.aval for atom in (*equation.invars, *equation.outvars)]
    dtypes = {str(getattr(aval, "dtype", aval)): kind_of(getattr(aval, "dtype", None)) for aval in avals}
    if None in dtypes.values():
        return f"of {' and '.join(sorted(dtypes))} has no native code"
    no_iterations = equation.primitive.name == "scan" and scan_of(equation).length == 0
    if no_iterations or any(aval.size == 0 for aval in avals):
        return "of nothing has no native code"
    return None


def _of_body(equation: JaxprEqn, body: ClosedJaxpr, most: int, machine: Machine) -> str | None:
    """Return what speaks against an inner jaxpr, whose constants have at most so many elements."""
    if any(np.size(const) > most for const in body.consts):
        return f"{equation.primitive.name} has constants"
    return next(filter(None, (refusal(inner, machine) for inner in body.jaxpr.eqns)), None)
