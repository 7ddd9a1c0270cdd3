"""`vmap` with the mapped axis last: one seed for each lane of the processor's vector registers.

A network of ten units is far too small for a matrix library: `jax.vmap` over seeds gives batched products of
10 x 10 matrices, each a call that costs more than its arithmetic. With the seeds on the minor axis every number of the
training is a vector over seeds, and a product is a sum of a few multiplications of such vectors. No lane waits for
another, whatever the widths are.

`over_lanes` makes this of an unchanged pure function. It traces the function for one seed and evaluates the jaxpr again
with one more axis on every value that depends on the seed. Three things make it fast on CPU:

- the whole program is one native function (`xla_cpu_small_call`): otherwise each operation is a task of XLA's thread
  pool, and a task takes longer than such an operation;
- products are unrolled sums of elementwise products, in blocks, added as a tree so that the additions do not wait for
  each other;
- a *fence* around each product. XLA's fusion would compute a hidden layer again inside every sum that reads it, tanh
  and all. `lax.optimization_barrier` is dropped before fusion; a loop of zero turns, whose number of turns only the
  running program knows, is not.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental.xla_metadata import set_xla_metadata
from jax.extend.core import Jaxpr, JaxprEqn, Literal
from jaxtyping import Array, Int, PyTree

__all__ = ["COMPILER_OPTIONS", "NotInLanesError", "over_lanes"]

COMPILER_OPTIONS: dict[str, str | int] = {
    "xla_cpu_experimental_ynn_fusion_type": "",  # Its fusions cannot be part of one native function.
    "xla_backend_optimization_level": 2,
    "xla_cpu_prefer_vector_width": 512,
}
"""For `jax.jit` around `over_lanes` on CPU."""

BLOCK = 32
"""Terms of a product that are written out; longer products loop over such blocks."""


class NotInLanesError(NotImplementedError):
    """The function has an operation that has no rule here."""


@dataclass(slots=True)
class Value:
    """An intermediate result; `mapped` when it has the lanes as its last axis, else it is the same for all."""

    array: Any
    mapped: bool
    stored: bool = False
    """It is in memory, so that no reader can compute it again."""

    def store(self, context: "Context") -> Any:
        """The array, behind a fence where it may not be in memory; whoever reads the value later reads that."""
        if self.mapped and not self.stored:
            self.array, self.stored = _fence(context, self.array), True
        return self.array


class Context(NamedTuple):
    """What every rule needs."""

    lanes: int
    zero: Int[Array, ""]
    """Zero, but the compiler must not know: see `_fence`."""


Rule = Callable[[Context, JaxprEqn, Sequence[Value]], list[Value]]


def over_lanes(function: Callable[..., PyTree]) -> Callable[..., PyTree]:
    """Map a function over the last axis of its arguments' leaves.

    Args:
        function: pure, of one example, on pytrees of arrays.

    Returns:
        A function of `zero` (an int32 0 that is an argument of the outermost `jax.jit`; a constant would let the
        compiler undo the fences) and of the arguments with a last axis of lanes; its results have the lanes last.

    Raises:
        NotInLanesError: when it is traced, if the function does something that has no rule here.

    >>> distance = over_lanes(lambda a, b: jnp.sqrt(a @ b))
    >>> jax.jit(distance)(jnp.int32(0), jnp.array([[3.0, 6.0]]), jnp.array([[3.0, 6.0]])).tolist()
    [3.0, 6.0]
    """

    def mapped(zero: Int[Array, ""], *arguments: PyTree) -> PyTree:
        leaves, structure = jax.tree.flatten(arguments)
        context = Context(leaves[0].shape[-1], zero)
        one = jax.tree.unflatten(structure, [jax.eval_shape(lambda leaf: leaf[..., 0], leaf) for leaf in leaves])
        closed, result = jax.make_jaxpr(function, return_shape=True)(*one)

        def program(zero: Int[Array, ""], *leaves: Array) -> list[Array]:
            inner = Context(context.lanes, zero)
            values = _evaluate(inner, closed.jaxpr, closed.consts, [Value(leaf, True, stored=True) for leaf in leaves])
            return [_spread(inner, value) for value in values]

        outputs = set_xla_metadata(jax.jit(program)(zero, *leaves), xla_cpu_small_call="true", inlineable="false")
        return jax.tree.unflatten(jax.tree.structure(result), outputs)

    return mapped


def _evaluate(context: Context, jaxpr: Jaxpr, consts: Sequence[Any], arguments: Sequence[Value]) -> list[Value]:
    known = dict(zip(jaxpr.constvars, (Value(const, False) for const in consts), strict=True))
    known.update(zip(jaxpr.invars, arguments, strict=True))

    def read(variable: Any) -> Value:
        if isinstance(variable, Literal):
            aval: Any = variable.aval
            return Value(jnp.asarray(variable.val, aval.dtype), False)
        return known[variable]

    for equation in jaxpr.eqns:
        results = _apply(context, equation, [read(variable) for variable in equation.invars])
        known.update(zip(equation.outvars, results, strict=True))
    return [read(variable) for variable in jaxpr.outvars]


def _apply(context: Context, equation: JaxprEqn, values: Sequence[Value]) -> list[Value]:
    name = equation.primitive.name
    if name in INLINED:
        inner = equation.params[INLINED[name]]
        return _evaluate(context, inner.jaxpr, inner.consts, values)
    if equation.effects:
        raise NotInLanesError(f"{name} has side effects")
    if not any(value.mapped for value in values):
        return [Value(array, False) for array in _bind(equation, *(value.array for value in values))]
    if name not in RULES:
        raise NotInLanesError(f"{name} has no rule for lanes")
    return RULES[name](context, equation, values)


def _shape(equation: JaxprEqn) -> tuple[int, ...]:
    aval: Any = equation.outvars[0].aval
    return tuple(aval.shape)


def _bind(equation: JaxprEqn, *arrays: Any) -> list[Any]:
    result = equation.primitive.bind(*arrays, **equation.params)
    return list(result) if equation.primitive.multiple_results else [result]


def _spread(context: Context, value: Value) -> Any:
    if value.mapped:
        return value.array
    array = jnp.asarray(value.array)
    return lax.broadcast_in_dim(array, (*array.shape, context.lanes), tuple(range(array.ndim)))


def _fence(context: Context, array: Array) -> Array:
    """The array, in memory: the compiler can neither fuse it into what reads it nor compute it again."""
    start = (jnp.zeros_like(context.zero), array)
    return lax.while_loop(lambda state: state[0] < context.zero, lambda state: (state[0] + 1, 2 * state[1]), start)[1]


def _by_vmap(context: Context, equation: JaxprEqn, values: Sequence[Value]) -> list[Value]:
    """For operations whose own batching leaves the last axis where it is, or that are too rare to matter."""
    axes = [-1 if value.mapped else None for value in values]
    mapped = jax.vmap(partial(_bind, equation), in_axes=axes, out_axes=-1)
    return [Value(array, True) for array in mapped(*(value.array for value in values))]


def _elementwise(context: Context, equation: JaxprEqn, values: Sequence[Value]) -> list[Value]:
    shape = _shape(equation)

    def full(value: Value) -> Array:
        array = jnp.asarray(value.array)
        if array.ndim == len(shape) + value.mapped:
            return _spread(context, value)
        return lax.broadcast_in_dim(array, (*shape, context.lanes), (len(shape),) if value.mapped else ())

    return [Value(array, True) for array in _bind(equation, *map(full, values))]


def _broadcast_in_dim(context: Context, equation: JaxprEqn, values: Sequence[Value]) -> list[Value]:
    if len(values) > 1:
        raise NotInLanesError("a shape that is not known beforehand")
    shape, axes = equation.params["shape"], equation.params["broadcast_dimensions"]
    return [Value(lax.broadcast_in_dim(values[0].array, (*shape, context.lanes), (*axes, len(shape))), True)]


def _reshape(context: Context, equation: JaxprEqn, values: Sequence[Value]) -> list[Value]:
    if equation.params["dimensions"] is not None:
        raise NotInLanesError("a reshape that also transposes")
    return [Value(lax.reshape(values[0].array, (*equation.params["new_sizes"], context.lanes)), True)]


def _transpose(context: Context, equation: JaxprEqn, values: Sequence[Value]) -> list[Value]:
    permutation = equation.params["permutation"]
    return [Value(lax.transpose(values[0].array, (*permutation, len(permutation))), True)]


def _squeeze(context: Context, equation: JaxprEqn, values: Sequence[Value]) -> list[Value]:
    return [Value(lax.squeeze(values[0].array, equation.params["dimensions"]), True)]


def _slice(context: Context, equation: JaxprEqn, values: Sequence[Value]) -> list[Value]:
    start, limit, strides = (equation.params[name] for name in ("start_indices", "limit_indices", "strides"))
    strides = None if strides is None else (*strides, 1)
    return [Value(lax.slice(values[0].array, (*start, 0), (*limit, context.lanes), strides), True)]


def _concatenate(context: Context, equation: JaxprEqn, values: Sequence[Value]) -> list[Value]:
    arrays = [_spread(context, value) for value in values]
    return [Value(lax.concatenate(arrays, equation.params["dimension"]), True)]


def _stack(context: Context, equation: JaxprEqn, values: Sequence[Value]) -> list[Value]:
    return [Value(jnp.stack([_spread(context, value) for value in values], equation.params["axis"]), True)]


def _psum(context: Context, equation: JaxprEqn, values: Sequence[Value]) -> list[Value]:
    """What is left of a sum over a named axis when that axis is mapped: a sum over axes of the array."""
    axes = equation.params["axes"]
    if equation.params["axis_index_groups"] is not None or not all(isinstance(axis, int) for axis in axes):
        raise NotInLanesError("a sum over a named axis that is not mapped")
    return [Value(jnp.sum(value.array, axes), value.mapped) for value in values]


def _gather(context: Context, equation: JaxprEqn, values: Sequence[Value]) -> list[Value]:
    operand, indices = values
    if operand.mapped:
        return _by_vmap(context, equation, values)
    # The axis of an index's coordinates has to stay the last; the lanes are one more axis of indices before it.
    index = jnp.swapaxes(indices.store(context), -1, -2)
    parameters = {**equation.params, "indices_are_sorted": False, "unique_indices": False}
    return [Value(_fence(context, equation.primitive.bind(operand.array, index, **parameters)), True, stored=True)]


def _dot_general(context: Context, equation: JaxprEqn, values: Sequence[Value]) -> list[Value]:
    (left_sum, right_sum), (left_batch, _) = equation.params["dimension_numbers"]
    if left_batch or len(left_sum) != 1:
        raise NotInLanesError("a product with batch axes, or over several axes")
    left, right = (Value(jnp.asarray(value.store(context)), value.mapped) for value in values)
    shape = _shape(equation)
    left_free = tuple(range(left.array.ndim - left.mapped - 1))

    def placed(value: Value, k: int, axis: int, free: tuple[int, ...]) -> Array:
        array = lax.index_in_dim(value.array, k, axis, keepdims=False)
        return lax.broadcast_in_dim(array, (*shape, context.lanes), (*free, len(shape)) if value.mapped else free)

    def block(left_array: Array, right_array: Array) -> Array:
        terms = [
            placed(Value(left_array, left.mapped), k, left_sum[0], left_free)
            * placed(Value(right_array, right.mapped), k, right_sum[0], tuple(range(len(left_free), len(shape))))
            for k in range(left_array.shape[left_sum[0]])
        ]
        return _tree_sum(terms)

    def turn(index: Int[Array, ""], total: Array) -> Array:
        cut = partial(lax.dynamic_slice_in_dim, start_index=index * BLOCK, slice_size=BLOCK)
        return total + block(cut(left.array, axis=left_sum[0]), cut(right.array, axis=right_sum[0]))

    size = left.array.shape[left_sum[0]]
    whole = size // BLOCK if size > BLOCK else 0
    remainder = partial(lax.slice_in_dim, start_index=whole * BLOCK, limit_index=size)
    total = jnp.zeros((*shape, context.lanes), left.array.dtype)
    if size > whole * BLOCK:
        total = block(remainder(left.array, axis=left_sum[0]), remainder(right.array, axis=right_sum[0]))
    if whole:
        total = lax.fori_loop(0, whole, turn, total)
    result = Value(total, True)
    result.store(context)
    return [result]


def _tree_sum(terms: list[Array]) -> Array:
    while len(terms) > 1:
        pairs = [a + b for a, b in zip(terms[::2], terms[1::2], strict=False)]
        terms = pairs + terms[2 * len(pairs) :]
    return terms[0]


def _scan(context: Context, equation: JaxprEqn, values: Sequence[Value]) -> list[Value]:
    parameters = equation.params
    num_consts, num_carry = parameters["num_consts"], parameters["num_carry"]
    consts, carry = list(values[:num_consts]), list(values[num_consts : num_consts + num_carry])
    sequences = values[num_consts + num_carry :]
    inner = parameters["jaxpr"]

    def as_mapped(mapped: Sequence[bool], values: Sequence[Value]) -> list[Any]:
        return [_spread(context, v) if flag else v.array for v, flag in zip(values, mapped, strict=True)]

    mapped = _mapped_carry(inner.jaxpr, [value.mapped for value in values], num_consts, num_carry)
    flags = [*mapped, *_mapped_equation(equation, [value.mapped for value in values])[num_carry:]]

    def body(carry: list[Any], slices: list[Any]) -> tuple[list[Any], list[Any]]:
        # A loop has all that it reads in memory.
        arguments = [Value(value.array, value.mapped, stored=True) for value in consts]
        arguments += [Value(array, flag, stored=True) for array, flag in zip(carry, mapped, strict=True)]
        arguments += [Value(array, value.mapped, stored=True) for array, value in zip(slices, sequences, strict=True)]
        results = _evaluate(context, inner.jaxpr, inner.consts, arguments)
        return as_mapped(mapped, results[:num_carry]), [value.array for value in results[num_carry:]]

    options = {name: parameters[name] for name in ("length", "reverse", "unroll")}
    last, stacked = lax.scan(body, as_mapped(mapped, carry), [value.array for value in sequences], **options)
    return [Value(array, flag, stored=True) for array, flag in zip([*last, *stacked], flags, strict=True)]


def _cond(context: Context, equation: JaxprEqn, values: Sequence[Value]) -> list[Value]:
    predicate, operands = values[0], values[1:]
    if predicate.mapped:
        raise NotInLanesError("a branch that depends on the lane")
    branches = equation.params["branches"]
    flags = _mapped_equation(equation, [value.mapped for value in values])

    def branch(closed: Any, arrays: Sequence[Any]) -> list[Any]:
        arguments = [Value(array, value.mapped, stored=True) for array, value in zip(arrays, operands, strict=True)]
        results = _evaluate(context, closed.jaxpr, closed.consts, arguments)
        return [_spread(context, v) if flag else v.array for v, flag in zip(results, flags, strict=True)]

    functions = [partial(branch, closed) for closed in branches]
    results = lax.switch(predicate.array, functions, [value.array for value in operands])
    return [Value(array, flag, stored=True) for array, flag in zip(results, flags, strict=True)]


def _mapped(jaxpr: Jaxpr, arguments: Sequence[bool]) -> list[bool]:
    """Which results depend on the lane, where these arguments do."""
    known = dict(zip(jaxpr.invars, arguments, strict=True))
    for equation in jaxpr.eqns:
        flags = [not isinstance(v, Literal) and known.get(v, False) for v in equation.invars]
        known.update(zip(equation.outvars, _mapped_equation(equation, flags), strict=True))
    return [not isinstance(v, Literal) and known.get(v, False) for v in jaxpr.outvars]


def _mapped_equation(equation: JaxprEqn, arguments: Sequence[bool]) -> list[bool]:
    name, parameters = equation.primitive.name, equation.params
    if name in INLINED:
        return _mapped(parameters[INLINED[name]].jaxpr, arguments)
    if name == "scan":
        num_consts, num_carry = parameters["num_consts"], parameters["num_carry"]
        inner = parameters["jaxpr"].jaxpr
        carry = _mapped_carry(inner, arguments, num_consts, num_carry)
        return _mapped(inner, [*arguments[:num_consts], *carry, *arguments[num_consts + num_carry :]])
    if name == "cond":
        results = [_mapped(branch.jaxpr, arguments[1:]) for branch in parameters["branches"]]
        return [any(flags) or arguments[0] for flags in zip(*results, strict=True)]
    return [any(arguments)] * len(equation.outvars)


def _mapped_carry(jaxpr: Jaxpr, arguments: Sequence[bool], num_consts: int, num_carry: int) -> list[bool]:
    """What enters a loop equal for all lanes may leave its body different: widened until nothing changes."""
    consts, carry = arguments[:num_consts], list(arguments[num_consts : num_consts + num_carry])
    while True:
        results = _mapped(jaxpr, [*consts, *carry, *arguments[num_consts + num_carry :]])
        wider = [a or b for a, b in zip(carry, results, strict=False)]
        if wider == carry:
            return carry
        carry = wider


INLINED = {
    "jit": "jaxpr",
    "closed_call": "call_jaxpr",
    "custom_jvp_call": "call_jaxpr",
    "custom_vjp_call": "call_jaxpr",
    "remat2": "jaxpr",
    "checkpoint": "jaxpr",
}
"""Operations that call a jaxpr once, and the parameter that holds it."""

ELEMENTWISE = """
    abs acos acosh add add_any and asin asinh atan atan2 atanh bessel_i0e bessel_i1e cbrt ceil clamp clz
    convert_element_type copy copy_p cos cosh digamma div eq erf erf_inv erfc exp exp2 expm1 floor ge gt integer_pow
    is_finite le lgamma log log1p logistic lt max min mul ne neg nextafter not or population_count pow reduce_precision
    rem round rsqrt select_n shift_left shift_right_arithmetic shift_right_logical sign sin sinh sqrt square
    stop_gradient sub tan tanh xor
""".split()  # noqa: SIM905

OTHERS_BY_VMAP = """
    argmax argmin cummax cummin cumprod cumsum dynamic_slice dynamic_update_slice pad random_bits random_fold_in
    random_split random_unwrap random_wrap reduce_and reduce_max reduce_min reduce_or reduce_prod reduce_sum rev
    split
""".split()  # noqa: SIM905

RULES: dict[str, Rule] = {
    **dict.fromkeys(ELEMENTWISE, _elementwise),
    **dict.fromkeys(OTHERS_BY_VMAP, _by_vmap),
    "broadcast_in_dim": _broadcast_in_dim,
    "concatenate": _concatenate,
    "cond": _cond,
    "dot_general": _dot_general,
    "gather": _gather,
    "psum": _psum,
    "reshape": _reshape,
    "scan": _scan,
    "slice": _slice,
    "squeeze": _squeeze,
    "stack": _stack,
    "transpose": _transpose,
}
