"""Paths from a parameter to the loss, read from the traced program: is there one, and has it a derivative?

    table ──► gather ──► round ──► ...           one path, without a derivative behind round
    target ──► stop_gradient ──► ...             one path, stopped

Each value carries the leaves that it depends on, the leaves that it has a derivative by, and the operations at which
derivatives ended. Whether an operation has a derivative is asked of JAX itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from vgrad_jax.jaxprs import (
    ClosedJaxpr,
    SourceLine,
    branches,
    called,
    carry_out,
    equations_inside,
    evaluate,
    function_name,
    is_library_function,
    is_literal,
    literal_value,
    scan_of,
    source_line,
    times_differentiated,
    trace,
    while_of,
)

__all__ = ["End", "Kinks", "Reach", "reach_of_loss"]

SMOOTH = frozenset(
    [
        "add",
        "add_any",
        "sub",
        "mul",
        "div",
        "neg",
        "exp",
        "log",
        "tanh",
        "logistic",
        "dot_general",
        "conv_general_dilated",
        "reduce_sum",
        "reshape",
        "squeeze",
        "broadcast_in_dim",
        "transpose",
        "concatenate",
        "slice",
        "dynamic_slice",
        "gather",
        "select_n",
        "max",
        "min",
        "reduce_max",
        "integer_pow",
        "sqrt",
        "rsqrt",
        "square",
        "pow",
    ]
)
"""Primitives that have a derivative by each floating-point atom."""
CURVED = frozenset(
    [
        "tanh",
        "logistic",
        "sin",
        "cos",
        "tan",
        "exp",
        "exp2",
        "expm1",
        "log",
        "log1p",
        "erf",
        "pow",
        "integer_pow",
        "square",
        "sqrt",
        "rsqrt",
        "cbrt",
        "div",
        "atan2",
    ]
)
"""Primitives with a second derivative; a quotient by a number counts, to be careful."""
KINKED = frozenset(("max", "min", "abs", "clamp"))
"""Primitives that are linear piece by piece."""


class End(NamedTuple):
    """Operation at which the derivative by a parameter ended."""

    operation: str
    line: SourceLine | None
    is_stop: bool
    """True where the program says that no gradient shall pass."""


@dataclass(frozen=True)
class Reach:
    """Leaves that a value depends on."""

    depends: frozenset[int] = frozenset()
    alive: frozenset[int] = frozenset()
    """Leaves that the value has a derivative by."""
    ends: frozenset[tuple[int, End]] = frozenset()
    """Ends of derivatives before the value, by leaf."""
    data: bool = False
    """True for a value that depends on the batch."""

    def __or__(self, other: "Reach") -> "Reach":
        return Reach(
            self.depends | other.depends, self.alive | other.alive, self.ends | other.ends, self.data or other.data
        )

    def ended(self, end: End) -> "Reach":
        """Return the reach of a value behind an operation without a derivative."""
        # A number that is made of parameters alone was meant as a setting, and not as something to train.
        end = end._replace(is_stop=end.is_stop or (end.operation == "convert_element_type" and not self.data))
        return Reach(self.depends, frozenset(), self.ends | {(leaf, end) for leaf in self.alive}, self.data)


NOTHING = Reach()


@dataclass
class Kinks:
    """Piecewise-linear activations that the loss itself differentiates twice, and what else it does so."""

    by_leaf: dict[int, End] = field(default_factory=dict)
    """First such activation behind each leaf."""
    differentiated: set[int] = field(default_factory=set)
    """Leaves of what is differentiated twice."""
    is_curved: bool = False
    """True where an operation with a second derivative is among it."""

    def note(self, equation: Any, everything: Reach, end: End, both_move: bool) -> None:
        """Note an equation under two derivatives of the loss's own."""
        if times_differentiated(equation) < 2 or "transpose" in str(equation.source_info.name_stack):
            return
        self.differentiated |= everything.depends
        names = {equation.primitive.name, *(inside.primitive.name for inside in equations_inside(equation))}
        if names & CURVED or (equation.primitive.name == "mul" and both_move):
            self.is_curved = True
        if names & KINKED:
            for leaf in everything.depends:
                self.by_leaf.setdefault(leaf, end)


class _Walk(NamedTuple):
    """State of the walk."""

    caller: Any
    """Equation that calls the library's function around the walk."""
    kinks: Kinks


def reach_of_loss(closed: ClosedJaxpr, leaves: int) -> tuple[Reach, Kinks]:
    """Return the reach of a program's result, and the kinks that it differentiates twice.

    Args:
        closed: the program; its first atoms are the leaves of the parameters.
        leaves: number of leaves.

    >>> closed = trace(lambda a, b, c, x: jnp.sum(jnp.round(a) * x + jax.lax.stop_gradient(b)), *map(jnp.ones, [2] * 4))
    >>> reach, _ = reach_of_loss(closed, 3)
    >>> sorted(reach.depends), sorted(reach.alive), sorted(end.operation for _, end in reach.ends)
    ([0, 1], [], ['round', 'stop_gradient'])
    """
    count = len(closed.jaxpr.invars)
    arguments = [_of_leaf(number) if number < leaves else Reach(data=True) for number in range(count)]
    kinks = Kinks()
    return _run(closed, arguments, _Walk(None, kinks))[0], kinks


def _of_leaf(number: int) -> Reach:
    return Reach(frozenset([number]), frozenset([number]))


def _run(closed: ClosedJaxpr, arguments: Sequence[Reach], walk: _Walk) -> list[Reach]:
    return evaluate(closed, arguments, partial(_step, walk), lambda value: Reach(data=bool(jnp.ndim(value))))


def _step(walk: _Walk, equation: Any, arguments: list[Reach]) -> list[Reach]:
    name = equation.primitive.name
    inner = called(equation)
    if inner is not None:
        outer = walk._replace(caller=(walk.caller or equation) if is_library_function(inner) else None)
        if name.startswith("custom_"):
            walk.kinks.note(equation, _union(arguments), _end(equation, walk.caller), False)
        results = _run(inner, arguments, outer)
        return _own_derivative(equation, arguments, results, walk) if name.startswith("custom_") else results
    if name == "scan":
        scan = scan_of(equation)
        return _loop(scan.body, arguments, scan.num_consts, scan.num_carry, walk)
    if name == "while":
        loop = while_of(equation)
        end = _end(equation, walk.caller)
        tested = _union(arguments[: loop.condition_consts]).ended(end)
        results = _loop(loop.body, arguments[loop.condition_consts :], loop.body_consts, len(equation.outvars), walk)
        return [result | tested for result in results]
    if name == "cond":
        chosen = arguments[0].ended(_end(equation, walk.caller))
        by_branch = [_run(branch, arguments[1:], walk) for branch in branches(equation)]
        return [_union(results) | chosen for results in zip(*by_branch, strict=True)]
    everything = _union(arguments)
    moving = [reach for reach in arguments if reach.data]
    walk.kinks.note(equation, everything, _end(equation, walk.caller), len(moving) > 1)
    return [_behind(equation, arguments, everything, number, walk) for number in range(len(equation.outvars))]


def _union(reaches: Sequence[Reach]) -> Reach:
    total = NOTHING
    for reach in reaches:
        total = total | reach
    return total


def _loop(body: ClosedJaxpr, arguments: Sequence[Reach], consts: int, carried: int, walk: _Walk) -> list[Reach]:
    """Follow a loop until nothing changes."""
    now = list(arguments)
    while True:
        results = _run(body, now, walk)
        after = [old | new for old, new in zip(now[consts : consts + carried], results, strict=False)]
        if after == now[consts : consts + carried]:
            return [*after, *results[carried:]]
        now[consts : consts + carried] = after


def _behind(equation: Any, arguments: list[Reach], everything: Reach, number: int, walk: _Walk) -> Reach:
    """Return the reach of a result of an operation that holds no program."""
    if not everything.alive or not _is_float(equation.outvars[number]):
        return everything.ended(_end(equation, walk.caller)) if everything.alive else everything
    if equation.primitive.name in SMOOTH and not _times_zero(equation):
        through = [reach for atom, reach in zip(equation.invars, arguments, strict=True) if _is_float(atom)]
        if equation.primitive.name == "select_n":
            through = through[1:] if _is_float(equation.invars[0]) else through
        return Reach(everything.depends, _union(through).alive, everything.ends, everything.data)
    alive = _alive_through(equation, arguments, number)
    end = _end(equation, walk.caller)
    lost = {(leaf, end) for leaf in everything.alive - alive}
    return Reach(everything.depends, alive, everything.ends | lost, everything.data)


def _times_zero(equation: Any) -> bool:
    """Return whether an operation is a product with a zero that is written in the program."""
    return equation.primitive.name == "mul" and any(
        is_literal(atom) and not literal_value(atom).any() for atom in equation.invars
    )


def _own_derivative(equation: Any, arguments: list[Reach], results: list[Reach], walk: _Walk) -> list[Reach]:
    """Return the reach behind a function that brings its own derivative: its body does not tell."""
    end = _end(equation, walk.caller)
    behind = []
    for number, result in enumerate(results):
        alive = _alive_through(equation, arguments, number) if _is_float(equation.outvars[number]) else frozenset()
        everything = _union(arguments)
        ends = everything.ends | {(leaf, end) for leaf in (everything.alive & result.depends) - alive}
        behind.append(Reach(result.depends, alive, ends, result.data))
    return behind


def _alive_through(equation: Any, arguments: list[Reach], number: int) -> frozenset[int]:
    """Ask JAX which atoms of an equation a result has a derivative by, and return the leaves that they bring."""
    positions = [
        position
        for position, (atom, reach) in enumerate(zip(equation.invars, arguments, strict=True))
        if reach.alive and _is_float(atom)
    ]
    shapes = [jax.ShapeDtypeStruct(atom.aval.shape, atom.aval.dtype) for atom in equation.invars]

    def pulled_back(values: list[Any], cotangent: Any) -> list[Any]:
        def result(*chosen: Any) -> Any:
            merged = list(values)
            for position, value in zip(positions, chosen, strict=True):
                merged[position] = value
            return carry_out(equation, merged)[number]

        return list(jax.vjp(result, *[values[position] for position in positions])[1](cotangent))

    out = equation.outvars[number].aval
    try:
        closed = trace(pulled_back, shapes, jax.ShapeDtypeStruct(out.shape, out.dtype))
    except Exception:  # An operation that refuses to be differentiated alone, such as one that needs a mesh.
        return _union([arguments[position] for position in positions]).alive
    is_zero = evaluate(closed, [False] * len(closed.jaxpr.invars), _zero_rule, _is_zero)
    return _union([arguments[p] for p, zero in zip(positions, is_zero, strict=True) if not zero]).alive


def _is_zero(value: Any) -> bool:
    return not isinstance(value, jax.core.Tracer) and _is_number(value) and not np.any(np.asarray(value))


def _is_number(value: Any) -> bool:
    return jnp.issubdtype(jnp.result_type(value), jnp.number)


def _zero_rule(equation: Any, zeros: list[bool]) -> list[bool]:
    """Tell whether an operation's results are zero, whatever the values that are not known to be."""
    name, count = equation.primitive.name, len(equation.outvars)
    inner = called(equation)
    if inner is not None:
        return evaluate(inner, zeros, _zero_rule, _is_zero)
    if name == "mul":
        return [any(zeros)] * count
    if name == "dot_general":
        return [any(zeros)] * count
    if name == "select_n":
        return [all(zeros[1:])] * count
    if name in ("broadcast_in_dim", "convert_element_type", "reshape", "neg", "add", "add_any", "sub", "reduce_sum"):
        return [all(zeros)] * count
    return [
        name == "zeros_like" or (name in ("transpose", "squeeze", "copy", "pad", "concatenate") and all(zeros))
    ] * count


def _end(equation: Any, caller: Any) -> End:
    name = equation.primitive.name
    if name.startswith("custom_"):
        name = function_name(inner) if (inner := called(equation)) is not None else name
    stop = equation.primitive.name in ("stop_gradient", "mul") or equation.primitive.name.startswith("custom_")
    return End(name, source_line(caller or equation), stop)


def _is_float(atom: Any) -> bool:
    return jnp.issubdtype(atom.aval.dtype, jnp.inexact)
