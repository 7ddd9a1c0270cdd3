"""A model of the time that native code and XLA take, with constants that were measured.

native:  instructions x registers of lanes / cores
XLA:     fixed time of an operation x iterations + time of an element x elements x examples
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

from vgrad_jax.jaxprs import ClosedJaxpr, JaxprEqn, branches, called, is_literal, scan_of, while_of
from vgrad_jax.lanes.nests.rewriting import INLINED
from vgrad_jax.lanes.primitives import PRIMITIVES
from vgrad_jax.lanes.varying import varying_results

__all__ = ["UNKNOWN_ITERATIONS", "Cost", "Setting", "cost_of", "cost_of_call"]

REGISTER = 0.4
"""Nanoseconds of an instruction on a register of lanes, with its loads and stores."""
CALL = 6_000.0
"""Nanoseconds of a call of a native function, its threads included."""
FETCH = 1.2
"""Nanoseconds to bring an element of one example into the lanes, or back."""
OPERATION = 600.0
"""Nanoseconds that XLA takes for an operation of its own, whatever the size of the arrays."""
FUSED = 150.0
"""Nanoseconds that XLA takes for an elementwise operation, of which it does several together."""
ELEMENT = 0.12
"""Nanoseconds that XLA takes for an instruction on an element, by all cores together."""
PRODUCT, SMALL_PRODUCT = 0.03, 0.3
"""Nanoseconds of a multiply-add in XLA's product on one core, and those that are added for a small product."""
SMALL = 2048
"""Multiply-adds of a small product."""
SHARED_PRODUCT = 0.02
"""Nanoseconds of a multiply-add in XLA's product with an array that all examples share."""
CACHE = 2**19
"""Bytes of a product's operands from which on native code waits for memory."""
LIBRARY = 700.0
"""Nanoseconds of a call of LAPACK, or of a sort of one example."""
DRAW = 60.0
"""Instructions of a random word: twenty rounds of Threefry."""
UNKNOWN_ITERATIONS = 10
"""Iterations of a loop with a condition, for want of anything better."""


class Cost(NamedTuple):
    """Predicted nanoseconds."""

    native: float
    xla: float

    def times(self, factor: float | int) -> "Cost":
        """Return the cost of several iterations."""
        return Cost(self.native * factor, self.xla * factor)

    def plus(self, other: "Cost") -> "Cost":
        """Return the cost of both."""
        return Cost(self.native + other.native, self.xla + other.xla)


NOTHING = Cost(0.0, 0.0)


@runtime_checkable
class Setting(Protocol):
    """Numbers that the costs depend on beside the program."""

    examples: int
    width: int
    cores: int


def cost_of(equation: JaxprEqn, varying: Sequence[bool], setting: Setting) -> Cost:
    """Predict the time of an equation.

    Args:
        equation: any.
        varying: which of its atoms differ from example to example.
        setting: examples, lanes and cores.
    """
    if equation.primitive.name in INLINED:
        inner = called(equation)
        return NOTHING if inner is None else _of_program(inner, varying, setting)
    match equation.primitive.name:
        case "scan":
            scan = scan_of(equation)
            body = _of_program(scan.body, _with_carry(equation, varying), setting)
            return body.plus(Cost(2.0, OPERATION)).times(scan.length)
        case "while":
            loop = while_of(equation)
            start = loop.condition_consts + loop.body_consts
            state = varying_results(equation, varying)
            condition = _of_program(loop.condition, [*varying[: loop.condition_consts], *state], setting)
            body = _of_program(loop.body, [*varying[loop.condition_consts : start], *state], setting)
            return condition.plus(body).plus(Cost(2.0, OPERATION)).times(UNKNOWN_ITERATIONS)
        case "cond":
            costs = [_of_program(branch, varying[1:], setting) for branch in branches(equation)]
            return Cost(sum(cost.native for cost in costs), sum(cost.xla for cost in costs))
    return _of_operation(equation, varying, setting)


def _with_carry(equation: JaxprEqn, varying: Sequence[bool]) -> list[bool]:
    scan, flags = scan_of(equation), list(varying)
    flags[scan.num_consts : scan.num_consts + scan.num_carry] = varying_results(equation, varying)[: scan.num_carry]
    return flags


def _of_program(closed: ClosedJaxpr, varying: Sequence[bool], setting: Setting) -> Cost:
    flags = dict(zip(closed.jaxpr.invars, varying, strict=True)) | dict.fromkeys(closed.jaxpr.constvars, False)
    total = NOTHING
    for equation in closed.jaxpr.eqns:
        of_atoms = [not is_literal(atom) and flags[atom] for atom in equation.invars]
        total = total.plus(cost_of(equation, of_atoms, setting))
        flags.update(dict.fromkeys(equation.outvars, any(of_atoms)))
    return total


def _of_operation(equation: JaxprEqn, varying: Sequence[bool], setting: Setting) -> Cost:
    result: Any = equation.outvars[0].aval
    size, name = float(math.prod(result.shape)), equation.primitive.name
    record = PRIMITIVES.get(name)
    elementwise = record is not None and record.family == "elementwise"
    instructions = float(record.cost) if record is not None and not callable(record.cost) else 1.0
    examples = setting.examples if any(varying) else 1
    if name == "dot_general":
        return _of_product(equation, varying, setting)
    if name in ("sort", "top_k", "cholesky", "lu", "triangular_solve"):
        avals: list[Any] = [atom.aval for atom in equation.invars]
        longest = max(max(aval.shape, default=1) for aval in avals)
        work = max(math.prod(aval.shape) for aval in avals) * longest
        return Cost(work * REGISTER * _registers(setting, varying), OPERATION + (LIBRARY + 2.0 * work) * examples)
    if not elementwise and record is None and any(getattr(a.aval, "size", 1) > size for a in equation.invars):
        size = float(max(getattr(atom.aval, "size", 1) for atom in equation.invars))  # Reductions and the like.
    if name.startswith("random_"):
        instructions = DRAW
    fixed = FUSED if elementwise or (record is not None and record.family == "view") else OPERATION
    return Cost(
        size * instructions * REGISTER * _registers(setting, varying),
        fixed + size * max(instructions, 0.5) * ELEMENT * examples,
    )


def _registers(setting: Setting, varying: Sequence[bool]) -> float:
    """Return the registers of lanes that a core computes one after the other."""
    groups = -(-setting.examples // setting.width)
    return -(-groups // setting.cores) * (setting.width / 16 if any(varying) else 1.0)


def _of_product(equation: JaxprEqn, varying: Sequence[bool], setting: Setting) -> Cost:
    avals: list[Any] = [atom.aval for atom in equation.invars]
    left = avals[0]
    ((contracted, _), _) = equation.params["dimension_numbers"]
    terms = math.prod(left.shape[axis] for axis in contracted)
    result: Any = equation.outvars[0].aval
    work = float(math.prod(result.shape) * terms)
    rate = PRODUCT + SMALL_PRODUCT * min(1.0, SMALL / max(work, 1.0)) if all(varying) else SHARED_PRODUCT
    examples = setting.examples if any(varying) else 1
    size = sum(
        4.0 * math.prod(aval.shape) * (setting.width if flag else 1) for aval, flag in zip(avals, varying, strict=True)
    )
    return Cost(
        work * REGISTER * (1 + size / CACHE) * _registers(setting, varying),
        OPERATION + work * rate * examples / setting.cores,
    )


def cost_of_call(arrays: Sequence[Any], setting: Setting) -> float:
    """Predict the nanoseconds that a call of native code takes besides its work.

    Args:
        arrays: variables of the arguments and results that differ from example to example.
        setting: examples, lanes and cores.
    """
    elements = sum(variable.aval.size for variable in arrays)
    return CALL + elements * FETCH * setting.examples / setting.cores
