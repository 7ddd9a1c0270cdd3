"""Which values differ from lane to lane."""

from collections.abc import Sequence

from vgrad_jax.jaxprs import ClosedJaxpr, JaxprEqn, branches, evaluate, scan_of, while_of
from vgrad_jax.lanes.graph import inlined

__all__ = ["varying_of", "varying_results"]


def varying_of(closed: ClosedJaxpr, arguments: Sequence[bool]) -> list[bool]:
    """Return which results of a jaxpr differ from lane to lane."""
    return evaluate(closed, list(arguments), varying_results, lambda constant: False)


def varying_results(equation: JaxprEqn, varying: Sequence[bool]) -> list[bool]:
    """Return which of an equation's results differ from lane to lane.

    Args:
        equation: any.
        varying: which of its atoms differ.
    """
    inner = inlined(equation)
    if inner is not None:
        return varying_of(inner, varying)
    match equation.primitive.name:
        case "cond":
            results = [varying_of(branch, varying[1:]) for branch in branches(equation)]
            return [any(flags) or varying[0] for flags in zip(*results, strict=True)]
        case "scan":
            return _of_scan(equation, varying)
        case "while":
            return _of_while(equation, varying)
    return [any(varying)] * len(equation.outvars)


def _of_scan(equation: JaxprEqn, varying: Sequence[bool]) -> list[bool]:
    """Return the least fixed point: a carry that enters uniform may leave the body varying."""
    scan = scan_of(equation)
    consts, carry, sequences = scan.split(list(varying))
    while True:
        results = varying_of(scan.body, [*consts, *carry, *sequences])
        wider = [before or after for before, after in zip(carry, results, strict=False)]
        if wider == carry:
            return [*carry, *results[scan.num_carry :]]
        carry = wider


def _of_while(equation: JaxprEqn, varying: Sequence[bool]) -> list[bool]:
    """Return the least fixed point; where the condition differs, so does all that the loop changes."""
    loop = while_of(equation)
    start = loop.condition_consts + loop.body_consts
    conditions, consts = varying[: loop.condition_consts], varying[loop.condition_consts : start]
    carry = list(varying[start:])
    while True:
        (condition,) = varying_of(loop.condition, [*conditions, *carry])
        results = varying_of(loop.body, [*consts, *carry])
        wider = [condition or before or after for before, after in zip(carry, results, strict=True)]
        if wider == carry:
            return carry
        carry = wider
