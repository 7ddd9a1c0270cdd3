"""`vmap` with the mapped axis last: a lane of the processor's vector registers for each example.

A network of ten units is far too small for a matrix library: a call costs more than a product of such matrices. With
the examples on the last axis, each element is a vector, and a product is a sum of a few products of vectors:

    array (rows, units)   ──►   array (rows, units, lanes)        an element is a register of lanes

The function is traced for one example. Each innermost loop of the jaxpr becomes a native function that XLA calls, and
so does the code between two loops. Outer loops stay XLA's, as do operations without native code outside of innermost
loops. On a GPU a lane is a thread, and the elements of neighbouring threads are neighbours in memory.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import PyTree

from vgrad_jax.jaxprs import (
    ClosedJaxpr,
    Draw,
    Jaxpr,
    JaxprEqn,
    branches,
    carry_out,
    draw_of,
    equations_inside,
    evaluate,
    is_literal,
    literal_value,
    scan_of,
    trace,
    variables,
)
from vgrad_jax.lanes.errors import NotInLanesError
from vgrad_jax.lanes.function import Argument, native_call
from vgrad_jax.lanes.graph import inlined
from vgrad_jax.lanes.machine import Machine, required_machine
from vgrad_jax.lanes.random_bits import draws_threefry, threefry_bits
from vgrad_jax.lanes.support import is_native
from vgrad_jax.lanes.varying import varying_results

__all__ = ["over_lanes", "why_not_native"]

LOOPS = ("scan", "while")

MOVES = frozenset({"broadcast_in_dim", "reshape", "select_n", "squeeze"})
"""Primitives that only move numbers and choose among them."""


class Value(NamedTuple):
    """The array of a variable."""

    array: Any
    varying: bool
    """True where the lanes are the array's last axis; else all lanes share the array."""


Known = dict[Any, Value]
"""Variable to value."""


def over_lanes(function: Callable[..., PyTree], machine: Machine | None = None) -> Callable[..., PyTree]:
    """Map a function over the last axis of its arguments' leaves, on a processor or an NVIDIA GPU.

    Args:
        function: pure, of one example, on pytrees of arrays.
        machine: what native code is written for; by default the machine that JAX computes on.

    Returns:
        A function, to be called inside of `jax.jit`, of the arguments with a last axis of lanes; its results have the
        lanes last.

    Raises:
        NotInLanesError: when it is traced, if a loop of the function has no native code.

    >>> distance = over_lanes(lambda a, b: jnp.sqrt(a @ b))
    >>> jax.jit(distance)(jnp.full((1, 16), 3.0), jnp.full((1, 16), 12.0))[:2].tolist()
    [6.0, 6.0]
    """
    return partial(_mapped, function, machine, True)


def why_not_native(function: Callable[..., PyTree], *arguments: PyTree, machine: Machine | None = None) -> str | None:
    """Return why a function does not run in lanes; None where it does. No code is compiled.

    Args:
        function: pure, of one example, as for `over_lanes`.
        arguments: arrays, or their shapes and dtypes, with a last axis of lanes.
        machine: what native code is written for; by default the machine that JAX computes on.

    >>> x = jax.ShapeDtypeStruct((3, 16), "float32")
    >>> why_not_native(jnp.tanh, x)
    >>> why_not_native(lambda x: lax.fori_loop(0, 9, lambda _, x: jnp.sort(x), x), x)
    'sort has no native code'
    """
    try:
        jax.eval_shape(partial(_mapped, function, machine, False), *arguments)
    except NotInLanesError as refusal:
        return str(refusal)
    return None


def _mapped(function: Callable[..., PyTree], machine: Machine | None, link: bool, *arguments: PyTree) -> PyTree:
    machine = machine or required_machine()
    leaves, structure = jax.tree.flatten(arguments)
    lanes = leaves[0].shape[-1]
    example = jax.tree.unflatten(structure, [jax.eval_shape(lambda leaf: leaf[..., 0], leaf) for leaf in leaves])
    closed, result = jax.make_jaxpr(function, return_shape=True)(*example)
    interpreter = _Interpreter(lanes, machine, link)
    values = interpreter.evaluate(closed, [Value(leaf, True) for leaf in leaves])
    return jax.tree.unflatten(jax.tree.structure(result), [interpreter.spread(value) for value in values])


class _Interpreter:
    """Evaluates jaxprs on arrays whose last axis is that of lanes.

    Args:
        lanes: how many.
        machine: what native code is written for.
        link: whether native code is compiled.
    """

    def __init__(self, lanes: int, machine: Machine, link: bool) -> None:
        self.lanes, self.machine, self.link = lanes, machine, link

    def evaluate(self, closed: ClosedJaxpr, arguments: Sequence[Value]) -> list[Value]:
        """Return a jaxpr's results."""
        jaxpr = closed.jaxpr
        known = dict(zip(jaxpr.constvars, (Value(const, False) for const in closed.consts), strict=True))
        known.update(zip(jaxpr.invars, arguments, strict=True))
        waiting: list[JaxprEqn] = []
        for index, equation in enumerate(jaxpr.eqns):
            if self._joins_others(equation):
                waiting.append(equation)
                continue
            self._straight(waiting, known, _read_from(jaxpr, index))
            waiting = []
            self._alone(equation, known, _read_from(jaxpr, index + 1))
        self._straight(waiting, known, _read_from(jaxpr, len(jaxpr.eqns)))
        return _read(known, jaxpr.outvars)

    def _joins_others(self, equation: JaxprEqn) -> bool:
        """Return whether an equation is evaluated together with its neighbours."""
        if equation.primitive.name in LOOPS or _has_loops(equation) or draws_threefry(equation):
            return False
        return inlined(equation) is None or is_native(equation, self.machine)

    def _alone(self, equation: JaxprEqn, known: Known, needed: set[Any]) -> None:
        """Evaluate a loop, a call, or a draw of random bits."""
        values = _read(known, equation.invars)
        name, inner, draw = equation.primitive.name, inlined(equation), draw_of(equation)
        if not any(value.varying for value in values):
            self._by_xla([equation], known, needed)
        elif inner is not None:
            known.update(zip(equation.outvars, self.evaluate(inner, values), strict=True))
        elif draw is not None and draws_threefry(equation):
            known[equation.outvars[0]] = self._random_bits(draw, values[0])
        elif name in ("cond", "scan") and (_has_loops(equation) or _draws(equation)):
            results = (self._cond if name == "cond" else self._scan)(equation, values)
            known.update(zip(equation.outvars, results, strict=True))
        else:
            self._native([equation], known, needed)

    def _random_bits(self, draw: Draw, key: Value) -> Value:
        data = Value(jnp.moveaxis(jax.random.key_data(key.array), -1, 0), True)
        words = partial(threefry_bits, words=math.prod(draw.shape))
        closed = trace(words, jax.ShapeDtypeStruct((2,), jnp.uint32))
        bits = self.evaluate(closed, [data])[0].array
        return Value(bits.reshape(*draw.shape, self.lanes), True)

    def _straight(self, equations: Sequence[JaxprEqn], known: Known, needed: set[Any]) -> None:
        """Evaluate equations without a loop: some by XLA, then native ones, then the rest by XLA."""
        before, native, after = self._divided(equations, known)
        read_after, read_native = _atoms_read(after), _atoms_read(native)
        self._by_xla(before, known, needed | read_after | read_native)
        self._native(native, known, needed | read_after)
        self._by_xla(after, known, needed)

    def _divided(self, equations: Sequence[JaxprEqn], known: Known) -> tuple[list[JaxprEqn], ...]:
        """Divide equations among XLA, native code after it, and XLA after that."""
        parts: tuple[list[JaxprEqn], ...] = ([], [], [])
        varying = {variable: value.varying for variable, value in known.items()}
        part_of: dict[Any, int] = {}
        for equation in equations:
            flags = [not is_literal(atom) and varying[atom] for atom in equation.invars]
            earliest = max((part_of.get(variable, 0) for variable in variables(equation.invars)), default=0)
            native = is_native(equation, self.machine) and not (
                self.machine.team > 1 and _only_chooses(equation, flags)
            )
            # A uniform result costs little wherever it is computed.
            if native and any(flags):
                earliest = max(earliest, 1)
            elif earliest == 1 and not native:
                earliest = 2
            parts[earliest].append(equation)
            varying.update(zip(equation.outvars, varying_results(equation, flags), strict=True))
            part_of.update((variable, earliest) for variable in equation.outvars)
        return parts

    def _native(self, equations: Sequence[JaxprEqn], known: Known, needed: set[Any]) -> None:
        """Evaluate one loop, or equations without a loop, by a native function."""
        read, results, varying = _interface(equations, known, needed)
        if not results:
            return
        inputs = {v: Argument(v.aval.shape, v.aval.dtype, value.varying) for v, value in read.items()}
        outputs = {v: Argument(v.aval.shape, v.aval.dtype, varying[v]) for v in results}
        call = native_call(equations, inputs, outputs, self.lanes, self.machine, link=self.link)
        arrays = call(*(jnp.asarray(value.array, v.aval.dtype) for v, value in read.items()))
        known.update((v, Value(array, varying[v])) for v, array in zip(results, arrays, strict=True))

    def _by_xla(self, equations: Sequence[JaxprEqn], known: Known, needed: set[Any]) -> None:
        """Evaluate equations that have no native code, or whose results are uniform, by `vmap`."""
        for equation in equations:
            if equation.effects:
                raise NotInLanesError(f"{equation.primitive.name} has side effects")
        read, results, varying = _interface(equations, known, needed)
        if not results:
            return

        def function(*arrays: Any) -> list[Any]:
            values = _carried_out(equations, dict(zip(read, arrays, strict=True)))
            return [values[variable] for variable in results]

        axes = [-1 if value.varying else None for value in read.values()]
        call = function
        if any(value.varying for value in read.values()):
            call = jax.vmap(function, in_axes=axes, out_axes=[-1 if varying[v] else None for v in results])
        arrays = call(*(value.array for value in read.values()))
        known.update((v, Value(array, varying[v])) for v, array in zip(results, arrays, strict=True))

    def spread(self, value: Value) -> Any:
        """Return a value's array with the lanes as its last axis."""
        if value.varying:
            return value.array
        array = jnp.asarray(value.array)
        return lax.broadcast_in_dim(array, (*array.shape, self.lanes), tuple(range(array.ndim)))

    def _arrays(self, values: Sequence[Value], varying: Sequence[bool]) -> list[Any]:
        """Return arrays that vary where they must."""
        return [self.spread(v) if flag else v.array for v, flag in zip(values, varying, strict=True)]

    def _scan(self, equation: JaxprEqn, values: Sequence[Value]) -> list[Value]:
        """Evaluate a scan by XLA's loop, with its body in lanes."""
        scan = scan_of(equation)
        consts, carry, sequences = scan.split(values)
        varying = varying_results(equation, [value.varying for value in values])
        of_carry = varying[: scan.num_carry]

        def body(carry: list[Any], rows: list[Any]) -> tuple[list[Any], list[Any]]:
            arguments = [*consts, *map(Value, carry, of_carry)]
            arguments += [Value(row, value.varying) for row, value in zip(rows, sequences, strict=True)]
            arrays = self._arrays(self.evaluate(scan.body, arguments), varying)
            return arrays[: scan.num_carry], arrays[scan.num_carry :]

        start = self._arrays(carry, of_carry)
        rows = [value.array for value in sequences]
        last, stacked = lax.scan(body, start, rows, length=scan.length, reverse=scan.reverse, unroll=scan.unroll)
        return [Value(array, flag) for array, flag in zip([*last, *stacked], varying, strict=True)]

    def _cond(self, equation: JaxprEqn, values: Sequence[Value]) -> list[Value]:
        """Evaluate a cond by XLA's branch, with its branches in lanes."""
        predicate, operands = values[0], values[1:]
        if predicate.varying:
            raise NotInLanesError("a branch that depends on the lane")
        varying = varying_results(equation, [value.varying for value in values])

        def branch(closed: ClosedJaxpr, arrays: Sequence[Any]) -> list[Any]:
            arguments = [Value(array, value.varying) for array, value in zip(arrays, operands, strict=True)]
            return self._arrays(self.evaluate(closed, arguments), varying)

        functions = [partial(branch, closed) for closed in branches(equation)]
        results = lax.switch(predicate.array, functions, [value.array for value in operands])
        return [Value(array, flag) for array, flag in zip(results, varying, strict=True)]


def _carried_out(equations: Sequence[JaxprEqn], values: dict[Any, Any]) -> dict[Any, Any]:
    """Return the arrays of all variables of equations, and those given."""
    for equation in equations:
        arrays = [literal_value(atom) if is_literal(atom) else values[atom] for atom in equation.invars]
        values.update(zip(equation.outvars, _results(equation, arrays), strict=True))
    return values


def _results(equation: JaxprEqn, arrays: list[Any]) -> Sequence[Any]:
    inner = inlined(equation)
    return (
        carry_out(equation, arrays) if inner is None else evaluate(inner, arrays, _results, lambda constant: constant)
    )


def _interface(
    equations: Sequence[JaxprEqn], known: Known, needed: set[Any]
) -> tuple[Known, list[Any], dict[Any, bool]]:
    """Return what equations read, which of their results are needed, and which variables vary."""
    made = {variable: None for equation in equations for variable in equation.outvars}
    read = {v: known[v] for equation in equations for v in variables(equation.invars) if v not in made}
    varying = {variable: value.varying for variable, value in read.items()}
    for equation in equations:
        flags = [not is_literal(atom) and varying[atom] for atom in equation.invars]
        varying.update(zip(equation.outvars, varying_results(equation, flags), strict=True))
    return read, [variable for variable in made if variable in needed], varying


def _read(known: Known, atoms: Sequence[Any]) -> list[Value]:
    return [Value(jnp.asarray(literal_value(a)), False) if is_literal(a) else known[a] for a in atoms]


def _atoms_read(equations: Sequence[JaxprEqn]) -> set[Any]:
    return {variable for equation in equations for variable in variables(equation.invars)}


def _read_from(jaxpr: Jaxpr, start: int) -> set[Any]:
    """Return the variables that the equations from `start` on read, and the results."""
    return _atoms_read(jaxpr.eqns[start:]) | set(variables(jaxpr.outvars))


def _only_chooses(equation: JaxprEqn, flags: Sequence[bool]) -> bool:
    """Return whether an equation only chooses among arrays by a condition that all lanes share.

    XLA's kernel for that has a thread for each number; a lane's few threads would wait for memory.
    """
    inner = [equation, *equations_inside(equation)] if inlined(equation) else [equation]
    names = {each.primitive.name for each in inner if inlined(each) is None}
    return "select_n" in names and names <= MOVES and not flags[0]


def _has_loops(equation: JaxprEqn) -> bool:
    return any(inner.primitive.name in LOOPS for inner in equations_inside(equation))


def _draws(equation: JaxprEqn) -> bool:
    """Return whether a loop has random keys, which are XLA's; the rest of its body is native all the same."""
    return any(inner.primitive.name.startswith("random_") for inner in equations_inside(equation))
