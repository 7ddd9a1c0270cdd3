"""Which equations this compiler has native code for, and why others have none."""

from collections.abc import Callable
from typing import Any

from vgrad_jax.jaxprs import ClosedJaxpr, JaxprEqn, branches, scan_of, while_of
from vgrad_jax.lanes.code import kind_of
from vgrad_jax.lanes.nests.graph import OPERATIONS
from vgrad_jax.lanes.nests.indexing import mode_of
from vgrad_jax.lanes.nests.records import RULES, WHOLE
from vgrad_jax.lanes.nests.sorting import LONGEST
from vgrad_jax.lanes.primitives import PRIMITIVES, Use

__all__ = ["inner_programs", "refusal", "refusal_of_program"]

MOST_CONSTANTS = 4096
"""Elements of a constant array inside of a loop, at the most."""


def refusal_of_program(closed: ClosedJaxpr) -> str | None:
    """Return why a program without calls has no native code; None where it has."""
    if any(getattr(const, "size", 1) > MOST_CONSTANTS for const in closed.consts):
        return "a large constant inside of a loop has no native code"
    return next(filter(None, map(refusal, closed.jaxpr.eqns)), None)


def inner_programs(equation: JaxprEqn) -> list[ClosedJaxpr]:
    """Return the programs inside of a loop or branch."""
    match equation.primitive.name:
        case "scan":
            return [scan_of(equation).body]
        case "while":
            loop = while_of(equation)
            return [loop.condition, loop.body]
        case "cond":
            return list(branches(equation))
    return []


def refusal(equation: JaxprEqn) -> str | None:
    """Return why an equation has no native code; None where it has."""
    name = equation.primitive.name
    reason = _of_arrays(equation)
    if reason is not None:
        return f"{name} {reason}"
    if name in OPERATIONS:
        special = _SPECIAL.get(name, _accepted)(equation)
        if special is not None:
            return f"{name} has no native code {special}"
        return next(filter(None, map(refusal_of_program, inner_programs(equation))), None)
    if name in RULES or name in WHOLE:
        special = _SPECIAL.get(name, _accepted)(equation)
        return None if special is None else f"{name} has no native code {special}"
    record = PRIMITIVES.get(name)
    if record is None or record.family != "elementwise":
        return f"{name} has no native code"
    special = record.refusal(Use.of(equation))
    return None if special is None else f"{name} has no native code {special}"


def _of_arrays(equation: JaxprEqn) -> str | None:
    if equation.effects:
        return "has side effects"
    avals: list[Any] = [atom.aval for atom in (*equation.invars, *equation.outvars)]
    dtypes = sorted({str(aval.dtype) for aval in avals if kind_of(aval.dtype) is None})
    if dtypes:
        return f"of {' and '.join(dtypes)} has no native code"
    return "of nothing has no native code" if any(aval.size == 0 for aval in avals) else None


def _accepted(equation: JaxprEqn) -> str | None:
    return None


def _kinds(equation: JaxprEqn) -> list[str | None]:
    avals: list[Any] = [atom.aval for atom in equation.invars]
    return [kind_of(aval.dtype) for aval in avals]


def _of_product(equation: JaxprEqn) -> str | None:
    kinds = {*_kinds(equation), *(kind_of(v.aval.dtype) for v in equation.outvars)}  # type: ignore[attr-defined]
    return None if len(kinds) == 1 and "bool" not in kinds else "for operands of different kinds"


def _of_sort(equation: JaxprEqn) -> str | None:
    aval: Any = equation.invars[0].aval
    size = aval.shape[equation.params["dimension"]]
    return None if size <= LONGEST else f"for more than {LONGEST} elements"


def _of_broadcast(equation: JaxprEqn) -> str | None:
    return None if len(equation.invars) == 1 else "for shapes that are computed"


def _of_reshape(equation: JaxprEqn) -> str | None:
    return None if equation.params.get("dimensions") is None else "for another order of elements"


def _of_gather(equation: JaxprEqn) -> str | None:
    known = mode_of(equation.params) in ("clip", "fill_or_drop", "promise_in_bounds")
    return None if known else f"for the mode {mode_of(equation.params)}"


def _of_extreme_scatter(equation: JaxprEqn) -> str | None:
    # XLA's result for NaN depends on the order of the updates.
    return "for floats" if "float" in _kinds(equation) else _of_gather(equation)


def _of_reduction(equation: JaxprEqn) -> str | None:
    return None if len(equation.invars) == 1 else "of several arrays"


def _of_scan(equation: JaxprEqn) -> str | None:
    return None if scan_of(equation).length > 0 else "of no iterations"


_SPECIAL: dict[str, Callable[[JaxprEqn], str | None]] = {
    "broadcast_in_dim": _of_broadcast,
    "dot_general": _of_product,
    "gather": _of_gather,
    "reshape": _of_reshape,
    "scan": _of_scan,
    "sort": _of_sort,
    **dict.fromkeys((name for name in WHOLE if name.startswith("reduce_")), _of_reduction),
    **dict.fromkeys((name for name in WHOLE if name.startswith("scatter")), _of_gather),
    "scatter-max": _of_extreme_scatter,
    "scatter-min": _of_extreme_scatter,
}
"""Primitive to the uses without native code, as the end of the sentence "... has no native code"."""
