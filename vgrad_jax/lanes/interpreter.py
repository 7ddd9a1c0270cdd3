"""`vmap` with the mapped axis last: one seed for each lane of the processor's vector registers.

A network of ten units is far too small for a matrix library: `jax.vmap` over seeds gives batched products of
10 x 10 matrices, each a call that costs more than its arithmetic. With the seeds on the minor axis every number of the
training is a vector over seeds, and a product is a sum of a few multiplications of such vectors. No lane waits for
another, whatever the widths are. On a GPU a lane is a thread, and the numbers of neighbouring threads are neighbours.

`over_lanes` makes this of an unchanged pure function. It traces the function for one seed. Each innermost loop of the
jaxpr, and what stands between two loops, becomes a native function (`vgrad_jax.lanes`), which XLA calls; the loops
around them stay XLA's, and so does what there is no native code for outside of innermost loops, such as random bits.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend.core import Jaxpr, JaxprEqn, Literal, jaxprs_in_params
from jaxtyping import PyTree

from vgrad_jax.jaxprs import scan_sizes
from vgrad_jax.lanes.function import Argument, native_call
from vgrad_jax.lanes.graph import INLINED, NotNativeError, is_native, mapped_results
from vgrad_jax.lanes.threefry import draws_threefry, threefry_bits

__all__ = ["NotInLanesError", "over_lanes"]

LOOPS = ("scan", "while")


class NotInLanesError(NotImplementedError):
    """The function does something in a loop that there is no native code for."""


class Value(NamedTuple):
    """An intermediate result; `mapped` when it has the lanes as its last axis, else it is the same for all."""

    array: Any
    mapped: bool


def over_lanes(function: Callable[..., PyTree]) -> Callable[..., PyTree]:
    """Map a function over the last axis of its arguments' leaves, on CPU or an NVIDIA GPU.

    Args:
        function: pure, of one example, on pytrees of arrays.

    Returns:
        A function, to be called inside of `jax.jit`, of the arguments with a last axis of lanes; its results have the
        lanes last.

    Raises:
        NotInLanesError: when it is traced, if there is no code for what the function does.

    >>> distance = over_lanes(lambda a, b: jnp.sqrt(a @ b))
    >>> jax.jit(distance)(jnp.full((1, 16), 3.0), jnp.full((1, 16), 12.0))[:2].tolist()
    [6.0, 6.0]
    """

    def mapped(*arguments: PyTree) -> PyTree:
        leaves, structure = jax.tree.flatten(arguments)
        lanes = leaves[0].shape[-1]
        one = jax.tree.unflatten(structure, [jax.eval_shape(lambda leaf: leaf[..., 0], leaf) for leaf in leaves])
        closed, result = jax.make_jaxpr(function, return_shape=True)(*one)
        values = _evaluate(lanes, closed.jaxpr, closed.consts, [Value(leaf, True) for leaf in leaves])
        return jax.tree.unflatten(jax.tree.structure(result), [_spread(lanes, value) for value in values])

    return mapped


def _evaluate(lanes: int, jaxpr: Jaxpr, consts: Sequence[Any], arguments: Sequence[Value]) -> list[Value]:
    """A jaxpr's results."""
    known = dict(zip(jaxpr.constvars, (Value(const, False) for const in consts), strict=True))
    known |= dict(zip(jaxpr.invars, arguments, strict=True))
    waiting: list[JaxprEqn] = []
    for index, equation in enumerate(jaxpr.eqns):
        name = equation.primitive.name
        alone = name in LOOPS or _loops(equation) or draws_threefry(equation)
        if not alone and (name not in INLINED or is_native(equation)):
            waiting.append(equation)
            continue
        _straight(lanes, waiting, known, _read_later(jaxpr, index))
        waiting = []
        values = _read(known, equation.invars)
        if not any(value.mapped for value in values):
            _by_xla(lanes, [equation], known, _read_later(jaxpr, index + 1))
        elif name in INLINED:
            inner = equation.params[INLINED[name]]
            known.update(zip(equation.outvars, _evaluate(lanes, inner.jaxpr, inner.consts, values), strict=True))
        elif draws_threefry(equation):
            known[equation.outvars[0]] = _random_bits(lanes, equation, values[0])
        elif name in AROUND_LOOPS and (_loops(equation) or _draws(equation)):
            known.update(zip(equation.outvars, AROUND_LOOPS[name](lanes, equation, values), strict=True))
        else:
            _native(lanes, [equation], known, _read_later(jaxpr, index + 1))
    _straight(lanes, waiting, known, _read_later(jaxpr, len(jaxpr.eqns)))
    return _read(known, jaxpr.outvars)


def _random_bits(lanes: int, equation: JaxprEqn, key: Value) -> Value:
    data = Value(jnp.moveaxis(jax.random.key_data(key.array), -1, 0), True)
    shape = equation.params["shape"]
    draw = partial(threefry_bits, words=math.prod(shape))
    closed = jax.make_jaxpr(draw)(jax.ShapeDtypeStruct((2,), jnp.uint32))
    bits = _evaluate(lanes, closed.jaxpr, closed.consts, [data])[0].array
    return Value(bits.reshape(*shape, lanes), True)


def _straight(lanes: int, equations: Sequence[JaxprEqn], known: dict[Any, Value], needed: set[Any]) -> None:
    """Evaluate equations that do not loop, and write down those of their results that are needed."""
    before, native, after = _parts(equations, known)
    read_after = {v for equation in after for v in _variables(equation.invars)}
    read_native = {v for equation in native for v in _variables(equation.invars)}
    _by_xla(lanes, before, known, needed | read_after | read_native)
    _native(lanes, native, known, needed | read_after)
    _by_xla(lanes, after, known, needed)


def _parts(equations: Sequence[JaxprEqn], known: Mapping[Any, Value]) -> tuple[list[JaxprEqn], ...]:
    """What XLA does, what native code then does, and what is left for XLA after that."""
    parts: tuple[list[JaxprEqn], ...] = ([], [], [])
    mapped = {v: value.mapped for v, value in known.items()}
    place: dict[Any, int] = {}
    for equation in equations:
        flags = [not isinstance(v, Literal) and mapped[v] for v in equation.invars]
        earliest = max((place.get(v, 0) for v in _variables(equation.invars)), default=0)
        # What is the same for all lanes costs nothing, wherever it is done.
        if is_native(equation) and any(flags):
            earliest = max(earliest, 1)
        elif earliest == 1 and not is_native(equation):
            earliest = 2
        parts[earliest].append(equation)
        mapped.update(zip(equation.outvars, mapped_results(equation, flags), strict=True))
        place.update((v, earliest) for v in equation.outvars)
    return parts


def _native(lanes: int, equations: Sequence[JaxprEqn], known: dict[Any, Value], needed: set[Any]) -> None:
    """One loop, or equations that do not loop, as a native function."""
    read, results, mapped = _interface(equations, known, needed)
    if not results:
        return
    inputs = {v: Argument(v.aval.shape, v.aval.dtype, value.mapped) for v, value in read.items()}
    outputs = {v: Argument(v.aval.shape, v.aval.dtype, mapped[v]) for v in results}
    try:
        call = native_call(equations, inputs, outputs, lanes)
    except NotNativeError as error:
        raise NotInLanesError(str(error)) from error
    arrays = call(*(jnp.asarray(value.array, v.aval.dtype) for v, value in read.items()))
    known.update((v, Value(array, mapped[v])) for v, array in zip(results, arrays, strict=True))


def _by_xla(lanes: int, equations: Sequence[JaxprEqn], known: dict[Any, Value], needed: set[Any]) -> None:
    """What there is no native code for, or what is the same for all lanes."""
    for equation in equations:
        if equation.effects:  # Nothing may need its results.
            raise NotInLanesError(f"{equation.primitive.name} has side effects")
    read, results, mapped = _interface(equations, known, needed)
    if not results:
        return

    def function(*arrays: Any) -> list[Any]:
        values = _bind(equations, dict(zip(read, arrays, strict=True)))
        return [values[v] for v in results]

    axes = [-1 if value.mapped else None for value in read.values()]
    call = function
    if any(value.mapped for value in read.values()):
        call = jax.vmap(function, in_axes=axes, out_axes=[-1 if mapped[v] else None for v in results])
    arrays = call(*(value.array for value in read.values()))
    known.update((v, Value(array, mapped[v])) for v, array in zip(results, arrays, strict=True))


def _bind(equations: Sequence[JaxprEqn], values: dict[Any, Any]) -> dict[Any, Any]:
    for equation in equations:
        arguments = [v.val if isinstance(v, Literal) else values[v] for v in equation.invars]
        if equation.primitive.name in INLINED:
            inner = equation.params[INLINED[equation.primitive.name]]
            inside = dict(zip([*inner.jaxpr.constvars, *inner.jaxpr.invars], [*inner.consts, *arguments], strict=True))
            inside = _bind(inner.jaxpr.eqns, inside)
            result = [v.val if isinstance(v, Literal) else inside[v] for v in inner.jaxpr.outvars]
        else:
            result = equation.primitive.bind(*arguments, **equation.params)
            result = result if equation.primitive.multiple_results else [result]
        values.update(zip(equation.outvars, result, strict=True))
    return values


def _interface(
    equations: Sequence[JaxprEqn], known: Mapping[Any, Value], needed: set[Any]
) -> tuple[dict[Any, Value], list[Any], dict[Any, bool]]:
    """What equations read, which of their results are needed, and what differs from lane to lane."""
    made = {v: None for equation in equations for v in equation.outvars}
    read = {v: known[v] for equation in equations for v in _variables(equation.invars) if v not in made}
    mapped = {v: value.mapped for v, value in read.items()}
    for equation in equations:
        flags = [not isinstance(v, Literal) and mapped[v] for v in equation.invars]
        mapped.update(zip(equation.outvars, mapped_results(equation, flags), strict=True))
    return read, [v for v in made if v in needed], mapped


def _read(known: Mapping[Any, Value], variables: Sequence[Any]) -> list[Value]:
    return [Value(jnp.asarray(v.val), False) if isinstance(v, Literal) else known[v] for v in variables]


def _variables(variables: Sequence[Any]) -> list[Any]:
    return [v for v in variables if not isinstance(v, Literal)]


def _read_later(jaxpr: Jaxpr, start: int) -> set[Any]:
    """What the equations from `start` on read, and the results."""
    read = [v for equation in jaxpr.eqns[start:] for v in _variables(equation.invars)]
    return {*read, *_variables(jaxpr.outvars)}


def _loops(equation: JaxprEqn) -> bool:
    """Whether something that the equation calls, or loops over, loops."""
    inner = [one for jaxpr in jaxprs_in_params(equation.params) for one in jaxpr.eqns]
    return any(one.primitive.name in LOOPS or _loops(one) for one in inner)


def _draws(equation: JaxprEqn) -> bool:
    """Whether the loop has random keys, which are XLA's; the rest of its body is native all the same."""
    inner = [one for jaxpr in jaxprs_in_params(equation.params) for one in jaxpr.eqns]
    return any(one.primitive.name.startswith("random_") or _draws(one) for one in inner)


def _spread(lanes: int, value: Value) -> Any:
    """The value's array with the lanes as its last axis, whether or not it depends on them."""
    if value.mapped:
        return value.array
    array = jnp.asarray(value.array)
    return lax.broadcast_in_dim(array, (*array.shape, lanes), tuple(range(array.ndim)))


def _as_mapped(lanes: int, values: Sequence[Value], mapped: Sequence[bool]) -> list[Any]:
    return [_spread(lanes, v) if flag else v.array for v, flag in zip(values, mapped, strict=True)]


def _scan(lanes: int, equation: JaxprEqn, values: Sequence[Value]) -> list[Value]:
    parameters = equation.params
    num_consts, num_carry = scan_sizes(equation)
    consts, carry = list(values[:num_consts]), list(values[num_consts : num_consts + num_carry])
    sequences = values[num_consts + num_carry :]
    inner = parameters["jaxpr"]
    mapped = mapped_results(equation, [value.mapped for value in values])

    def body(carry: list[Any], slices: list[Any]) -> tuple[list[Any], list[Any]]:
        arguments = [*consts, *map(Value, carry, mapped[:num_carry])]
        arguments += [Value(array, value.mapped) for array, value in zip(slices, sequences, strict=True)]
        arrays = _as_mapped(lanes, _evaluate(lanes, inner.jaxpr, inner.consts, arguments), mapped)
        return arrays[:num_carry], arrays[num_carry:]

    options = {name: parameters[name] for name in ("length", "reverse", "unroll")}
    start = _as_mapped(lanes, carry, mapped[:num_carry])
    last, stacked = lax.scan(body, start, [value.array for value in sequences], **options)
    return [Value(array, flag) for array, flag in zip([*last, *stacked], mapped, strict=True)]


def _cond(lanes: int, equation: JaxprEqn, values: Sequence[Value]) -> list[Value]:
    predicate, operands = values[0], values[1:]
    if predicate.mapped:
        raise NotInLanesError("a branch that depends on the lane")
    mapped = mapped_results(equation, [value.mapped for value in values])

    def branch(closed: Any, arrays: Sequence[Any]) -> list[Any]:
        arguments = [Value(array, value.mapped) for array, value in zip(arrays, operands, strict=True)]
        return _as_mapped(lanes, _evaluate(lanes, closed.jaxpr, closed.consts, arguments), mapped)

    functions = [partial(branch, closed) for closed in equation.params["branches"]]
    results = lax.switch(predicate.array, functions, [value.array for value in operands])
    return [Value(array, flag) for array, flag in zip(results, mapped, strict=True)]


AROUND_LOOPS: dict[str, Callable[..., list[Value]]] = {"cond": _cond, "scan": _scan}
