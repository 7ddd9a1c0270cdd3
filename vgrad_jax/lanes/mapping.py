"""`lanes`: what `jax.vmap` promises, executed a lane each.

`lanes(f)` is `jax.vmap` of a primitive that holds the program of `f` for one example. Its batching rule binds another
primitive, which has the examples. Derivatives and further maps of that one are those of `vmap(f)`. Where it
is compiled for a processor, it becomes native code as far as that pays.
"""

import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial, wraps
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from vgrad_jax.boundary import called, checked
from vgrad_jax.compiling import ProgramCache
from vgrad_jax.errors import InputError
from vgrad_jax.jaxprs import ClosedJaxpr
from vgrad_jax.lanes.errors import NotInLanesError
from vgrad_jax.lanes.machine import required_machine
from vgrad_jax.lanes.nests import Chooser, Evaluator, Value
from vgrad_jax.lanes.varying import varying_of

__all__ = ["called_on_one_example", "chooser_for", "lanes", "natively", "one_example", "quietly"]

PROGRAMS: ProgramCache[Callable[..., Any]] = ProgramCache(most=64)
"""Jitted functions of `lanes`, by function, axes and static leaves; each keeps a program for each shape."""

TRACED = (jax.Array, float, complex)
"""Types of leaves that are arguments of the compiled program; NumPy's are, too. Others are part of it."""


@checked
def lanes(
    f: Callable[..., Any],
    in_axes: Any = 0,
    out_axes: Any = 0,
    *,
    axis_name: Any = None,
    axis_size: int | None = None,
) -> Callable[..., Any]:
    """Map a function over axes of its arguments: `jax.vmap`, a lane of the processor's registers for each example.

    Loops become native code that runs from the first to the last iteration in each lane, on all cores. What has no
    native code, and what would be slower, is left to XLA; `lanes_report` shows which. Outside of `jax.jit` the
    function is compiled at the first call with arguments of new shapes. It must then be pure, as for `jax.jit`.

    Args:
        f: a function of one example, on pytrees of arrays.
        in_axes: as of `jax.vmap`.
        out_axes: as of `jax.vmap`.
        axis_name: as of `jax.vmap`. A function whose examples speak to each other is mapped by `jax.vmap`.
        axis_size: as of `jax.vmap`.

    Returns:
        The mapped function. Derivatives and maps of it are those of `jax.vmap(f)`.

    Raises:
        InputError: when it is called, if the function has side effects, such as `jax.debug.print`.

    >>> import jax.numpy as jnp
    >>> def halve(x):
    ...     return jax.lax.while_loop(lambda x: x > 1, lambda x: x / 2, x)
    >>> lanes(halve)(jnp.array([1.0, 6.0, 16.0])).tolist()
    [1.0, 0.75, 1.0]
    """
    vmapped = partial(jax.vmap, in_axes=in_axes, out_axes=out_axes, axis_name=axis_name, axis_size=axis_size)
    if axis_name is not None:
        return vmapped(f)

    @wraps(f)
    def mapped(*arguments: Any, **keywords: Any) -> Any:
        leaves, structure = jax.tree.flatten((arguments, keywords))
        traced = [_is_traced(leaf) for leaf in leaves]
        static = tuple(None if flag else leaf for leaf, flag in zip(leaves, traced, strict=True))

        def build() -> Callable[..., Any]:
            def call(*arrays: Any) -> Any:
                rest = iter(arrays)
                filled = [next(rest) if flag else leaf for leaf, flag in zip(static, traced, strict=True)]
                positional, named = jax.tree.unflatten(structure, filled)
                return vmapped(partial(one_example, f))(*positional, **named)

            return jax.jit(call)

        try:
            axes = (jax.tree.flatten(tree, is_leaf=lambda x: x is None) for tree in (in_axes, out_axes))
            kinds = tuple(map(type, static))  # 1, 1.0 and True are equal.
            key = (f, structure, static, kinds, tuple(traced), axis_size, *((tuple(flat), tree) for flat, tree in axes))
            program = PROGRAMS.get(key, build)
        except TypeError:  # Something has no hash.
            program = build()
        arrays = [leaf for leaf, flag in zip(leaves, traced, strict=True) if flag]
        try:
            return program(*arrays)
        except (jax.errors.JAXTypeError, jax.errors.JAXIndexError):
            # The function looks at values, which `vmap` allows for arguments that are not mapped.
            return vmapped(f)(*arguments, **keywords)
        except TypeError:
            # Raises where the function has a wrong form.
            vmapped(partial(called_on_one_example, f))(*arguments, **keywords)
            raise

    return mapped


def called_on_one_example(f: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
    """Call a function of one example, and refuse one that takes other arguments or gives no arrays."""
    given = called("f", "a function of one example that gives arrays", f, *arguments, **keywords)
    for leaf in jax.tree.leaves(given):
        if not hasattr(leaf, "dtype") and not isinstance(leaf, bool | int | float | complex):
            raise InputError(f"f must give arrays; it gave {type(leaf).__name__}")
    return given


def _is_traced(leaf: Any) -> bool:
    return isinstance(leaf, TRACED) or type(leaf).__module__ == "numpy"


def one_example(f: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
    """Bind the program of a function of one example."""
    leaves, structure = jax.tree.flatten((arguments, keywords))
    arrays = [n for n, leaf in enumerate(leaves) if _is_traced(leaf)]

    def function(*given: Any) -> Any:
        filled = list(leaves)
        for number, array in zip(arrays, given, strict=True):
            filled[number] = array
        positional, named = jax.tree.unflatten(structure, filled)
        return f(*positional, **named)

    closed, result = jax.make_jaxpr(function, return_shape=True)(*(leaves[number] for number in arrays))
    if closed.effects:
        effects = ", ".join(sorted(map(str, closed.effects)))
        raise InputError(
            f"lanes maps functions without side effects; this one has some ({effects}). Remove the callback or the "
            "print, or map the function by jax.vmap."
        )
    jaxpr = closed.jaxpr.replace(invars=[*closed.jaxpr.constvars, *closed.jaxpr.invars], constvars=[])
    operands = [*closed.consts, *(leaves[number] for number in arrays)]
    results = example_p.bind(*operands, closed=ClosedJaxpr(jaxpr, ()))
    return jax.tree.unflatten(jax.tree.structure(result), results)


def _evaluated(*arrays: Any, closed: ClosedJaxpr) -> list[Any]:
    return list(jax.core.eval_jaxpr(closed.jaxpr, closed.consts, *arrays))


def _by_vmap(*arrays: Any, closed: ClosedJaxpr, varying: tuple[bool, ...], examples: int) -> list[Any]:
    """Evaluate a program for all examples by `vmap`, the meaning of `lanes`."""
    axes = [0 if flag else None for flag in varying]
    out_axes = [0 if flag else None for flag in varying_of(closed, varying)]
    return jax.vmap(partial(_evaluated, closed=closed), axes, out_axes, axis_size=examples)(*arrays)


def _natively(*arrays: Any, closed: ClosedJaxpr, varying: tuple[bool, ...], examples: int) -> list[Any]:
    """Evaluate a program for all examples by native code, as far as there is any and it pays."""
    try:
        chooser = chooser_for(examples)
    except NotInLanesError:
        return _by_vmap(*arrays, closed=closed, varying=varying, examples=examples)
    evaluator = Evaluator(examples, chooser)
    values = evaluator.evaluate(closed, [Value(*pair) for pair in zip(arrays, varying, strict=True)])
    _warn(chooser)
    flags = varying_of(closed, varying)
    return [evaluator.spread(v) if flag else v.array for v, flag in zip(values, flags, strict=True)]


def chooser_for(examples: int) -> Chooser:
    """Return the choice between native code and XLA's on this machine.

    Raises:
        NotInLanesError: there is no native code for this machine.
    """
    machine = required_machine()
    if machine.platform != "cpu":
        raise NotInLanesError(f"lanes has no native code for {machine.platform}")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return Chooser(examples, machine.width, cores or 1, always=_is_always_native.get())


def _warn(chooser: Chooser) -> None:
    """Say once what keeps a loop from being native, where that costs, and that native code was refused, in any case."""
    reasons = [reason for reason, cost in chooser.costly.items() if cost.xla > max(COSTLY * cost.native, NOTICED)]
    reasons += chooser.failures
    if _is_quiet.get():
        reasons = [reason for reason in chooser.failures if chooser.failures[reason]]
    for reason in reasons:
        if reason not in _said:
            _said.add(reason)
            message = f"lanes leaves a loop to XLA: {reason}. lanes_report(f, *arguments) shows what that costs."
            warnings.warn(message, stacklevel=2)


COSTLY = 2.0
"""Factor by which a loop must be slower without native code for a warning."""
NOTICED = 1e5
"""Predicted nanoseconds of a loop below which nothing is said."""
_is_quiet: ContextVar[bool] = ContextVar("_is_quiet", default=False)
"""True where a caller that chose `lanes` by itself has nothing to warn of."""


@contextmanager
def quietly() -> Iterator[None]:
    """Give no warning of loops that are left to XLA, for callers whose user did not ask for `lanes`."""
    token = _is_quiet.set(True)
    try:
        yield
    finally:
        _is_quiet.reset(token)


_is_always_native: ContextVar[bool] = ContextVar("_is_always_native", default=False)
"""True where a caller knows that native code pays."""


@contextmanager
def natively() -> Iterator[None]:
    """Compile to native code all that has any, whatever the cost model predicts, and give no warning of the rest.

    The numbers then do not depend on the processor's number of cores.
    """
    token = _is_always_native.set(True)
    try:
        with quietly():
            yield
    finally:
        _is_always_native.reset(token)


_said: set[str] = set()
"""Reasons that were said in this process."""

example_p = Primitive("one_example")
"""A program of one example: parameter `closed`."""
example_p.multiple_results = True
example_p.def_impl(_evaluated)
example_p.def_abstract_eval(lambda *avals, closed: [variable.aval for variable in closed.jaxpr.outvars])

lanes_p = Primitive("lanes")
"""A program of many examples: `closed`, which operands are `varying`, and the number of `examples`."""
lanes_p.multiple_results = True
lanes_p.def_impl(_by_vmap)


def _avals(*avals: Any, closed: ClosedJaxpr, varying: tuple[bool, ...], examples: int) -> list[Any]:
    results = zip(closed.jaxpr.outvars, varying_of(closed, varying), strict=True)
    return [v.aval.update(shape=(examples, *v.aval.shape)) if flag else v.aval for v, flag in results]


lanes_p.def_abstract_eval(_avals)


def _batched_example(arrays: Sequence[Any], axes: Sequence[Any], *, closed: ClosedJaxpr) -> Any:
    varying = tuple(axis is not None for axis in axes)
    moved = [
        jnp.moveaxis(array, axis, 0) if flag else array for array, axis, flag in zip(arrays, axes, varying, strict=True)
    ]
    examples = next(array.shape[0] for array, flag in zip(moved, varying, strict=True) if flag)
    call = partial(lanes_p.bind if examples else _by_vmap, closed=closed, varying=varying, examples=examples)
    results = call(*moved)
    return results, [0 if flag else None for flag in varying_of(closed, varying)]


def _batched_lanes(arrays: Sequence[Any], axes: Sequence[Any], **parameters: Any) -> Any:
    """Map once more: the examples of an example are mapped by `vmap`."""
    in_axes = [None if axis is None else axis for axis in axes]
    results = jax.vmap(partial(_by_vmap, **parameters), in_axes)(*arrays)
    return results, [0] * len(results)


def _derivative(function: Callable[..., Any], primals: Any, tangents: Any, **parameters: Any) -> Any:
    return jax.jvp(partial(function, **parameters), tuple(primals), tuple(map(ad.instantiate_zeros, tangents)))


batching.primitive_batchers[example_p] = _batched_example
batching.primitive_batchers[lanes_p] = _batched_lanes
ad.primitive_jvps[example_p] = partial(_derivative, _evaluated)
ad.primitive_jvps[lanes_p] = partial(_derivative, _by_vmap)
mlir.register_lowering(example_p, mlir.lower_fun(_evaluated, multiple_results=True))
mlir.register_lowering(lanes_p, mlir.lower_fun(_by_vmap, multiple_results=True))
mlir.register_lowering(lanes_p, mlir.lower_fun(_natively, multiple_results=True), platform="cpu")
