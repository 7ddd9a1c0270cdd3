"""A program of one example, evaluated for many: native code where there is any and where it pays, XLA's elsewhere.

    equations ──► parts that are native, alternating with parts that are XLA's ──► arrays (examples, ...)

A loop that holds an operation without native code is XLA's loop, and its body is evaluated in the same way.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from vgrad_jax.jaxprs import (
    ClosedJaxpr,
    Jaxpr,
    JaxprEqn,
    carry_out,
    is_literal,
    literal_value,
    scan_of,
    variables,
)
from vgrad_jax.lanes.errors import NotInLanesError
from vgrad_jax.lanes.nests.choice import Choice, Chooser
from vgrad_jax.lanes.nests.kernel import make_kernel
from vgrad_jax.lanes.nests.rewriting import is_empty, is_key, rewritten_part
from vgrad_jax.lanes.varying import varying_results

__all__ = ["Evaluator", "Value"]


class Value(NamedTuple):
    """The array of a variable."""

    array: Any
    varying: bool
    """True where the first axis is that of the examples; else all share the array."""


Known = dict[Any, Value]


class Part(NamedTuple):
    """Equations that are evaluated together."""

    equations: list[JaxprEqn]
    native: bool


class Evaluator:
    """Evaluates programs.

    Args:
        examples: how many.
        chooser: decides what is native.
    """

    def __init__(self, examples: int, chooser: Chooser) -> None:
        self.examples, self.chooser = examples, chooser

    def evaluate(self, closed: ClosedJaxpr, arguments: Sequence[Value]) -> list[Value]:
        """Return a program's results."""
        jaxpr = closed.jaxpr
        known: Known = dict(zip(jaxpr.constvars, (Value(const, False) for const in closed.consts), strict=True))
        known.update(zip(jaxpr.invars, arguments, strict=True))
        flags = {variable: value.varying for variable, value in known.items()}
        choices = self.chooser.choices(jaxpr, flags)
        parts = list(_parts(jaxpr, choices))
        for number, part in enumerate(parts):
            later = [equation for following in parts[number + 1 :] for equation in following.equations]
            needed = {v for equation in later for v in variables(equation.invars)} | set(variables(jaxpr.outvars))
            self._part(part, known, needed, choices)
        return [Value(jnp.asarray(literal_value(a)), False) if is_literal(a) else known[a] for a in jaxpr.outvars]

    def _part(self, part: Part, known: Known, needed: set[Any], choices: Mapping[int, Choice]) -> None:
        if part.native:
            try:
                self._native(part.equations, known, needed)
            except NotInLanesError as error:
                self.chooser.failed(part.equations, error)
                self._by_xla(part.equations, known, needed)
            return
        (first, *_) = part.equations
        if len(part.equations) == 1 and choices[id(first)].inside:
            values = [self._read(atom, known) for atom in first.invars]
            known.update(zip(first.outvars, self._scan(first, values), strict=True))
        else:
            self._by_xla(part.equations, known, needed)

    def _read(self, atom: Any, known: Known) -> Value:
        return Value(jnp.asarray(literal_value(atom)), False) if is_literal(atom) else known[atom]

    def _native(self, equations: Sequence[JaxprEqn], known: Known, needed: set[Any]) -> None:
        """Evaluate equations by a native function."""
        read, results, _ = interface(equations, known, needed)
        known.update((v, Value(jnp.zeros(v.aval.shape, v.aval.dtype), False)) for v in results if is_empty(v))
        results = [variable for variable in results if not is_empty(variable)]
        if not results:
            return
        part = rewritten_part(equations, list(read), results)
        arguments = [Value(constant, False) for constant in part.constants]
        for variable, value in read.items():
            if is_empty(variable):
                continue
            array = jax.random.key_data(value.array) if is_key(variable.aval) else value.array
            arguments.append(value._replace(array=array))
        varying = [argument.varying for argument in arguments]
        kernel = make_kernel(part.closed, varying, self.examples, self.chooser.width)
        avals: list[Any] = [variable.aval for variable in part.closed.jaxpr.invars]
        arrays = kernel(*(jnp.asarray(a.array, aval.dtype) for a, aval in zip(arguments, avals, strict=True)))
        for variable, array in zip(results, arrays, strict=True):
            if is_key(variable.aval):
                array = jax.random.wrap_key_data(array, impl="threefry2x32")
            known[variable] = Value(array, array.ndim > len(variable.aval.shape))

    def _by_xla(self, equations: Sequence[JaxprEqn], known: Known, needed: set[Any]) -> None:
        """Evaluate equations by `vmap`."""
        read, results, varying = interface(equations, known, needed)
        if not results:
            return

        def function(*arrays: Any) -> list[Any]:
            values = dict(zip(read, arrays, strict=True))
            for equation in equations:
                atoms = [literal_value(atom) if is_literal(atom) else values[atom] for atom in equation.invars]
                values.update(zip(equation.outvars, carry_out(equation, atoms), strict=True))
            return [values[variable] for variable in results]

        axes = [0 if value.varying else None for value in read.values()]
        call = function
        if any(value.varying for value in read.values()):
            call = jax.vmap(function, axes, [0 if varying[v] else None for v in results])
        arrays = call(*(value.array for value in read.values()))
        known.update((v, Value(array, varying[v])) for v, array in zip(results, arrays, strict=True))

    def spread(self, value: Value) -> Any:
        """Return a value's array with an axis of examples."""
        array = value.array
        return array if value.varying else jnp.broadcast_to(array, (self.examples, *array.shape))

    def _scan(self, equation: JaxprEqn, values: Sequence[Value]) -> list[Value]:
        """Evaluate a scan by XLA's loop, with a body that is native in parts."""
        scan = scan_of(equation)
        consts, carry, sequences = scan.split(values)
        varying = varying_results(equation, [value.varying for value in values])
        of_carry = varying[: scan.num_carry]

        def spread(some: Sequence[Value], flags: Sequence[bool]) -> list[Any]:
            return [self.spread(v) if flag else v.array for v, flag in zip(some, flags, strict=True)]

        def body(carry: list[Any], rows: list[Any]) -> tuple[list[Any], list[Any]]:
            arguments = [*consts, *map(Value, carry, of_carry)]
            arguments += [Value(row, value.varying) for row, value in zip(rows, sequences, strict=True)]
            arrays = spread(self.evaluate(scan.body, arguments), varying)
            return arrays[: scan.num_carry], arrays[scan.num_carry :]

        rows = [jnp.moveaxis(v.array, 1, 0) if v.varying else v.array for v in sequences]
        last, stacked = lax.scan(body, spread(carry, of_carry), rows, length=scan.length, reverse=scan.reverse)
        stacked = [
            jnp.moveaxis(a, 0, 1) if flag else a for a, flag in zip(stacked, varying[scan.num_carry :], strict=True)
        ]
        return [Value(array, flag) for array, flag in zip([*last, *stacked], varying, strict=True)]


def interface(
    equations: Sequence[JaxprEqn], known: Mapping[Any, Any], needed: set[Any]
) -> tuple[dict[Any, Any], list[Any], dict[Any, bool]]:
    """Return what equations read, which of their results are needed, and which variables vary."""
    made = {variable: None for equation in equations for variable in equation.outvars}
    read = {v: known[v] for equation in equations for v in variables(equation.invars) if v not in made}
    varying = {variable: value.varying for variable, value in read.items()}
    for equation in equations:
        flags = [not is_literal(atom) and varying[atom] for atom in equation.invars]
        varying.update(zip(equation.outvars, varying_results(equation, flags), strict=True))
    return read, [variable for variable in made if variable in needed], varying


def _parts(jaxpr: Jaxpr, choices: Mapping[int, Choice]) -> Iterator[Part]:
    """Yield the parts in order; equations of one kind are together as far as what they need allows."""
    level_of: dict[Any, int] = {}
    levels: dict[int, list[JaxprEqn]] = {}
    for equation in jaxpr.eqns:
        choice = choices[id(equation)]
        level = max((level_of.get(v, 0) for v in variables(equation.invars)), default=0)
        if level % 2 != choice.native:
            level += 1
        level_of.update((variable, level) for variable in equation.outvars)
        levels.setdefault(level, []).append(equation)
    for level in sorted(levels):
        alone = [equation for equation in levels[level] if choices[id(equation)].inside]
        yield from _sequence(levels[level], alone) if alone else [Part(levels[level], level % 2 == 1)]


def _sequence(equations: Sequence[JaxprEqn], alone: Sequence[JaxprEqn]) -> Iterator[Part]:
    """Yield equations of XLA in their order, some of them alone."""
    waiting: list[JaxprEqn] = []
    for equation in equations:
        if any(equation is other for other in alone):
            if waiting:
                yield Part(waiting, False)
            waiting = []
            yield Part([equation], False)
        else:
            waiting.append(equation)
    if waiting:
        yield Part(waiting, False)
