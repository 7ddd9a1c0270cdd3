"""A jaxpr as nodes, all that it calls inlined, and for which operations there is code."""

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jax.extend.core import Jaxpr, JaxprEqn, Literal

from vgrad_jax.jaxprs import scan_sizes
from vgrad_jax.lanes.code import Kind, kind_of

__all__ = [
    "ELEMENTWISE",
    "FEW",
    "INLINED",
    "OTHERS",
    "REDUCTIONS",
    "SHAPES",
    "NotNativeError",
    "Node",
    "flatten",
    "is_native",
    "leaf",
    "literal",
    "mapped_results",
    "not_native",
    "read",
]

INLINED = {
    "jit": "jaxpr",
    "closed_call": "call_jaxpr",
    "custom_jvp_call": "call_jaxpr",
    "custom_vjp_call": "call_jaxpr",
}
"""Operations that call a jaxpr once, and the parameter that holds it."""

ELEMENTWISE = frozenset(
    """
    abs add add_any and ceil clamp convert_element_type copy copy_p cos div eq erf exp exp2 expm1 floor ge gt
    integer_pow is_finite le log log1p logistic lt max min mul ne neg not one_minus_square or pow rem rsqrt select_n
    shift_left shift_right_arithmetic shift_right_logical sign sin sqrt square stop_gradient sub tan tanh xor
    """.split()  # noqa: SIM905
)
REDUCTIONS = frozenset(("reduce_sum", "reduce_max", "reduce_min", "reduce_and", "reduce_or", "psum", "argmax"))
SHAPES = frozenset(("broadcast_in_dim", "concatenate", "reshape", "slice", "squeeze", "stack", "transpose"))
ONLY_FLOAT = frozenset(("argmax", "div", "integer_pow", "one_minus_square", "pow", "sign", "square"))
OTHERS = frozenset(("dot_general", "gather", "iota"))

FEW = 64
"""An array of as many numbers may be cut and reshaped in any way: it is computed without a loop."""


class NotNativeError(NotImplementedError):
    """There is no code for this."""


class Node:
    """One result of one operation."""

    __slots__ = ("axes", "inputs", "kind", "loop", "mapped", "number", "operation", "parameters", "shape", "stage")
    _numbers = itertools.count()

    def __init__(
        self,
        operation: str,
        inputs: "Sequence[Node]",
        shape: tuple[int, ...],
        kind: Kind,
        mapped: bool,
        parameters: Mapping[str, Any],
    ) -> None:
        self.operation, self.inputs, self.shape, self.kind = operation, tuple(inputs), shape, kind
        self.mapped, self.parameters = mapped, parameters
        self.number = next(Node._numbers)
        self.axes: list[int] = []
        """Each axis's dimension."""
        self.loop: int | None = None
        """The dimension that is looped over where this is computed."""
        self.stage = 0
        """What reduces over a loop belongs to the stage after the loop's."""

    @property
    def size(self) -> int:
        """How many numbers."""
        return math.prod(self.shape)

    @property
    def kept(self) -> tuple[int, ...]:
        """A reduction's axes of its input that are left."""
        axes = self.parameters["axes"]
        return tuple(axis for axis in range(len(self.inputs[0].shape)) if axis not in axes)


def literal(value: Any) -> Node:
    """A constant of the program."""
    array = np.asarray(value)
    kind = kind_of(array.dtype)
    if kind is None:
        raise NotNativeError(f"a constant of dtype {array.dtype}")
    return Node("literal", (), array.shape, kind, False, {"value": array})


def leaf(aval: Any, mapped: bool) -> Node:
    """An array in memory."""
    kind = kind_of(aval.dtype)
    if kind is None:
        raise NotNativeError(f"an array of dtype {aval.dtype}")
    return Node("leaf", (), tuple(aval.shape), kind, mapped, {})


def is_native(equation: JaxprEqn) -> bool:
    """Whether there is code for an operation, and for all that it calls."""
    return not_native(equation) is None


def not_native(equation: JaxprEqn) -> str | None:
    """Why there is no code for an operation, or for one that it calls; None where there is."""
    name, parameters = equation.primitive.name, equation.params
    if equation.effects:
        return f"{name} has side effects"
    avals: list[Any] = [v.aval for v in (*equation.invars, *equation.outvars)]
    dtypes = {str(getattr(aval, "dtype", aval)): kind_of(getattr(aval, "dtype", None)) for aval in avals}
    if None in dtypes.values():
        return f"{name} of {' and '.join(sorted(dtypes))} has no native code"
    if any(aval.size == 0 for aval in avals) or parameters.get("length") == 0:
        return f"{name} of nothing has no native code"
    if name == "scan":
        inner, most = parameters["jaxpr"], 0
    elif name in INLINED:
        inner, most = parameters[INLINED[name]], FEW
    else:
        return None if _is_native(equation, avals) else f"{name} has no native code"
    if any(np.size(const) > most for const in inner.consts):
        return f"{name} has constants"
    return next(filter(None, map(not_native, inner.jaxpr.eqns)), None)


def _is_native(equation: JaxprEqn, avals: Sequence[Any]) -> bool:
    name, parameters = equation.primitive.name, equation.params
    shape, result, kind = tuple(avals[0].shape), tuple(avals[-1].shape), kind_of(avals[0].dtype)
    few = all(aval.size <= FEW for aval in avals)
    if name in ONLY_FLOAT and kind != "float":
        return False
    match name:
        case "argmax":
            return len(parameters["axes"]) == 1 and shape[parameters["axes"][0]] <= FEW
        case "broadcast_in_dim":
            return len(equation.invars) == 1
        case "dot_general":
            (left, _), (batch, _) = parameters["dimension_numbers"]
            return len(left) == 1 and not batch and {kind_of(aval.dtype) for aval in avals} == {"float"}
        case "gather":
            return _takes_rows(equation)
        case "psum":
            integers = all(isinstance(axis, int) for axis in parameters["axes"])
            return parameters["axis_index_groups"] is None and integers and len(avals) == 2
        case "rem":
            return kind in ("int", "uint")
        case "reshape":
            same = [n for n in shape if n > 1] == [n for n in result if n > 1]
            return parameters["dimensions"] is None and (same or few)
        case "select_n":
            return len(avals) == 4 and kind == "bool"
        case "slice":
            # Ranges of rows are XLA's: in one function with what is looped over, they would have no loop.
            return all(n == m or (m == 1 and few) for n, m in zip(shape, result, strict=True))
    return name in ELEMENTWISE | REDUCTIONS | SHAPES | OTHERS


def _takes_rows(equation: JaxprEqn) -> bool:
    """Whether a gather is `table[index]` with a vector of rows, whose numbers are promised to be in the table."""
    table, index = (getattr(v.aval, "shape", ()) for v in equation.invars)
    numbers = equation.params["dimension_numbers"]
    return (
        "PROMISE_IN_BOUNDS" in str(equation.params["mode"])
        and tuple(numbers.collapsed_slice_dims) == tuple(numbers.start_index_map) == (0,)
        and not numbers.operand_batching_dims
        and tuple(equation.params["slice_sizes"]) == (1, *table[1:])
        and tuple(numbers.offset_dims) == tuple(range(1, len(table)))
        and len(index) == 2
    )


def flatten(jaxpr: Jaxpr, consts: Sequence[Any], arguments: Sequence[Node]) -> list[Node]:
    """A jaxpr's results as nodes."""
    known: dict[Any, Node] = dict(zip(jaxpr.constvars, map(literal, consts), strict=True))
    known.update(zip(jaxpr.invars, arguments, strict=True))
    for equation in jaxpr.eqns:
        known.update(zip(equation.outvars, nodes_of(equation, known), strict=True))
    return [read(known, v) for v in jaxpr.outvars]


def read(known: Mapping[Any, Node], variable: Any) -> Node:
    """A variable's node."""
    if not isinstance(variable, Literal):
        return known[variable]
    aval: Any = variable.aval
    return literal(np.asarray(variable.val, aval.dtype))


def nodes_of(equation: JaxprEqn, known: Mapping[Any, Node]) -> list[Node]:
    """An equation's results."""
    name = equation.primitive.name
    inputs = [read(known, v) for v in equation.invars]
    if name in INLINED:
        inner = equation.params[INLINED[name]]
        return flatten(inner.jaxpr, inner.consts, inputs)
    aval: Any = equation.outvars[0].aval
    kind = kind_of(aval.dtype)
    if kind is None or len(equation.outvars) > 1:
        raise NotNativeError(f"no code for {name}")
    return [Node(name, inputs, tuple(aval.shape), kind, any(node.mapped for node in inputs), equation.params)]


def mapped_results(equation: JaxprEqn, arguments: Sequence[bool]) -> list[bool]:
    """Which of an equation's results differ from lane to lane, where these of its arguments do."""
    name, parameters = equation.primitive.name, equation.params
    if name in INLINED:
        return _mapped(parameters[INLINED[name]].jaxpr, arguments)
    if name == "cond":
        branches = [_mapped(branch.jaxpr, arguments[1:]) for branch in parameters["branches"]]
        return [any(flags) or arguments[0] for flags in zip(*branches, strict=True)]
    if name != "scan":
        return [any(arguments)] * len(equation.outvars)
    inner, (start, carried) = parameters["jaxpr"].jaxpr, scan_sizes(equation)
    stop = start + carried
    carry = list(arguments[start:stop])
    while True:  # What enters a loop equal for all lanes may leave its body different.
        results = _mapped(inner, [*arguments[:start], *carry, *arguments[stop:]])
        wider = [a or b for a, b in zip(carry, results, strict=False)]
        if wider == carry:
            return [*carry, *results[stop - start :]]
        carry = wider


def _mapped(jaxpr: Jaxpr, arguments: Sequence[bool]) -> list[bool]:
    known = dict(zip(jaxpr.invars, arguments, strict=True))
    for equation in jaxpr.eqns:
        flags = [not isinstance(v, Literal) and known.get(v, False) for v in equation.invars]
        known.update(zip(equation.outvars, mapped_results(equation, flags), strict=True))
    return [not isinstance(v, Literal) and known.get(v, False) for v in jaxpr.outvars]
