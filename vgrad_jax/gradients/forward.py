"""What a loss does on the way forward, read from its jaxpr: any framework, and no change to the model.

The loss is traced as JAX traces it for `grad`, and its operations are carried out one by one with a look at each. A
value that does not depend on the batch is made of parameters; where one meets the data, those parameters are used. The
order of first use is the order of depth, a product is a layer's preactivation, and tanh, the logistic function and
max(0, x) are activations.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from vgrad_jax.gradients.stats import size_scale
from vgrad_jax.jaxprs import ClosedJaxpr, called, carry_out, evaluate, is_literal, literal_value, scan_of, trace

__all__ = ["ForwardStats", "Use", "forward_pass"]

PRODUCTS = ("dot_general", "conv_general_dilated", "ragged_dot")
SATURATED = 0.02
"""An activation is saturated where its slope is less than this share of its steepest."""


class Use(NamedTuple):
    """Where a leaf of the parameters first meets the data."""

    before: tuple[int, ...]
    """Order of the `lax.scan` in which layers are stacked; empty outside of one."""
    inside: tuple[int, ...]
    stacked: bool
    """Whether the leaf is what the scan goes over: its first axis is that of layers."""

    def place(self, index: int | None) -> tuple[int, ...]:
        """Sorts slices of stacked leaves and whole leaves in the order of depth."""
        return (*self.before, *(() if index is None else (index,)), *self.inside)


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["log10_rms", "off_fraction", "stuck_fraction"],
    meta_fields=["kinds", "leaves"],
)
@dataclass(frozen=True)
class ForwardStats:
    """Sizes of preactivations and states of activations in the order in which they are computed, `(..., site)`."""

    kinds: tuple[str, ...]
    """"product", "tanh", "logistic" or "relu"."""
    leaves: tuple[tuple[int, int | None], ...]
    """Number of the leaf whose product this is or comes last before it, with the slice of a stacked one; -1: none."""
    log10_rms: Any
    """Of a product's output; NaN for an activation."""
    off_fraction: Any
    """Share of outputs with (almost) no slope: saturated for tanh and the logistic function, zero for ReLU."""
    stuck_fraction: Any
    """Share of units that are off for every example; NaN for a product."""


class _Site(NamedTuple):
    kind: str
    leaf: int
    axis: int | None
    """That of stacked layers in `numbers`; None where there is none."""
    numbers: Any
    """The output with units last; once measured `(..., 2)`, scale and mean square or shares of off and stuck, with an
    axis in front for each scan."""
    measured: bool = False


DATA = None
"""Depends on the batch; any other value is known by the set of leaves that it is made of."""
Origin = frozenset[int] | None
NOTHING: frozenset[int] = frozenset()
"""The origin of a constant."""


@dataclass
class _Walk:
    """What has been seen so far."""

    sites: list[_Site] = field(default_factory=list)
    uses: dict[int, Use] = field(default_factory=dict)
    steps: int = 0
    current: int = -1
    units: int = 0
    """Of the last product."""
    scan: tuple[int, ...] = ()
    stacked: frozenset[int] = frozenset()


def forward_pass(
    function: Callable[..., Any], leaves: Sequence[Any], batch: PyTree
) -> tuple[ForwardStats, dict[int, Use]]:
    """Carry out `function(leaves, batch)` and look at what happens on the way.

    Args:
        function: the loss of a list of parameter leaves and a batch.
        leaves: the parameters.
        batch: whatever the loss takes.

    Returns:
        The states of preactivations and activations, and where each leaf is first used.

    >>> def loss(leaves, x):
    ...     return jnp.mean(jnp.tanh(x @ leaves[1]) @ leaves[0])
    >>> stats, uses = forward_pass(loss, [jnp.ones((4, 1)), jnp.full((2, 4), 9.0)], jnp.ones((3, 2)))
    >>> stats.kinds, sorted(uses, key=lambda leaf: uses[leaf].place(None))
    (('product', 'tanh', 'product'), [1, 0])
    >>> stats.off_fraction.tolist()
    [nan, 1.0, nan]
    """
    leaves = list(leaves)
    closed = trace(function, leaves, batch)
    flat = [*leaves, *jax.tree.leaves(batch)]
    origins: list[Origin] = [frozenset([number]) if number < len(leaves) else DATA for number in range(len(flat))]
    walk = _Walk()
    _run(walk, closed, list(zip(flat, origins, strict=True)))
    kinds, owners, columns = [], [], []
    for site in _measured(walk.sites):
        numbers = site.numbers
        slices: list[int | None] = [None]
        if site.axis is not None:
            numbers = jnp.moveaxis(numbers, site.axis, 0)
            slices = list(range(numbers.shape[0]))
        for index in slices:
            one = numbers if index is None else numbers[index]
            kinds.append(site.kind)
            owners.append((site.leaf, index))
            columns.append(jnp.mean(one.reshape(-1, 2), axis=0))  # Over the steps of a recurrent network.
    order = _interleaved(owners, walk)
    table = jnp.stack([columns[n] for n in order]) if order else jnp.zeros((0, 2))
    product = np.array([kinds[n] == "product" for n in order], bool)
    stats = ForwardStats(
        kinds=tuple(kinds[n] for n in order),
        leaves=tuple(owners[n] for n in order),
        log10_rms=jnp.where(product, jnp.log10(table[:, 0]) + 0.5 * jnp.log10(table[:, 1]), jnp.nan),
        off_fraction=jnp.where(product, jnp.nan, table[:, 0]),
        stuck_fraction=jnp.where(product, jnp.nan, table[:, 1]),
    )
    return stats, walk.uses


def _interleaved(owners: list[tuple[int, int | None]], walk: _Walk) -> list[int]:
    """Sites in the order of depth: all of the first stacked layer, then all of the second."""
    scans = [walk.uses[leaf].before if leaf in walk.uses and index is not None else None for leaf, index in owners]
    keys = []
    for number, ((_, index), scan) in enumerate(zip(owners, scans, strict=True)):
        first = scans.index(scan) if scan is not None else number
        keys.append((first, index or 0, number))
    return sorted(range(len(owners)), key=lambda number: keys[number])


def _run(walk: _Walk, closed: ClosedJaxpr, arguments: Sequence[tuple[Any, Origin]]) -> list[tuple[Any, Origin]]:
    """Evaluate a jaxpr on arrays and the leaves that they are made of."""
    # An array that the loss was closed over is data as well; a number is not.
    return evaluate(closed, arguments, partial(_step, walk), lambda value: (value, DATA if np.ndim(value) else NOTHING))


def _step(walk: _Walk, equation: Any, arguments: list[tuple[Any, Origin]]) -> list[tuple[Any, Origin]]:
    if (inner := called(equation)) is not None:
        return _run(walk, inner, arguments)
    name = equation.primitive.name
    values, origins = [value for value, _ in arguments], [origin for _, origin in arguments]
    with_data = any(origin is DATA for origin in origins)
    if name == "scan" and with_data:
        return _scan(walk, equation, values, origins)
    outputs = carry_out(equation, values)
    if not with_data:
        made_of: frozenset[int] = frozenset().union(*(origin for origin in origins if origin is not None))
        return [(output, made_of) for output in outputs]
    used = sorted({leaf for origin in origins if origin is not None for leaf in origin})
    for leaf in used:
        walk.steps += 1
        walk.uses.setdefault(leaf, Use(walk.scan, (walk.steps,), leaf in walk.stacked))
    if used and name in PRODUCTS:
        walk.current, walk.units = used[0], _units(equation, origins)
        _see(walk, "product", outputs[0])
    elif kind := _activation(equation, values, walk.units):
        _see(walk, kind, outputs[0])
    return [(output, DATA) for output in outputs]


def _units(equation: Any, origins: list[Origin]) -> int:
    """How many units a product's output has."""
    weight = next(number for number, origin in enumerate(origins) if origin is not DATA)
    shape = equation.invars[weight].aval.shape
    if equation.primitive.name == "conv_general_dilated":
        return int(shape[equation.params["dimension_numbers"].rhs_spec[0]])
    if equation.primitive.name != "dot_general":
        return int(shape[-1])
    summed, batched = (axes[weight] for axes in equation.params["dimension_numbers"])
    free = [size for axis, size in enumerate(shape) if axis not in (*summed, *batched)]
    return int(free[-1]) if free else 1


def _activation(equation: Any, values: list[Any], units: int) -> str | None:
    name = equation.primitive.name
    if name in ("tanh", "logistic"):
        return str(name)
    zero = any(is_literal(atom) and np.all(literal_value(atom) == 0) for atom in equation.invars)
    floating = all(jnp.issubdtype(jnp.result_type(value), jnp.floating) for value in values)
    # Else it is not of a layer's units: a norm's variance, say, which is kept from being negative.
    of_units = units in equation.outvars[0].aval.shape
    return "relu" if name == "max" and zero and floating and of_units else None


def _see(walk: _Walk, kind: str, output: Any) -> None:
    if output.size:
        # A vmap may put the examples last.
        elsewhere = walk.units in output.shape[:-1] and output.shape[-1] != walk.units
        output = jnp.moveaxis(output, output.shape.index(walk.units), -1) if elsewhere else output
        walk.sites.append(_Site(kind, walk.current, None, output))


def _measured(sites: list[_Site]) -> list[_Site]:
    """Sites with numbers in place of outputs; all of one kind and shape are measured together, to compile fast."""
    groups: dict[tuple[Any, ...], list[int]] = {}
    for number, site in enumerate(sites):
        if site.axis is None and not site.measured:
            groups.setdefault((site.kind, site.numbers.shape, str(site.numbers.dtype)), []).append(number)
    done = list(sites)
    for (kind, *_), members in groups.items():
        outputs = jnp.stack([sites[number].numbers for number in members])
        for number, numbers in zip(members, jax.vmap(partial(_numbers, kind))(outputs), strict=True):
            done[number] = sites[number]._replace(numbers=numbers, measured=True)
    return done


def _numbers(kind: str, output: Any) -> Any:
    value = output.astype(jnp.promote_types(output.dtype, jnp.float32))
    if kind == "product":
        scale = size_scale(jnp.max(jnp.abs(value)))
        return jnp.stack([scale, jnp.mean((value / scale) ** 2)]).astype(jnp.float32)
    slope = {"tanh": 1 - value**2, "logistic": 4 * value * (1 - value), "relu": value}[kind]
    is_off = (slope <= 0 if kind == "relu" else slope < SATURATED).astype(value.dtype)
    shares = jnp.mean(is_off, axis=tuple(range(is_off.ndim - 1)))
    return jnp.stack([jnp.mean(shares), jnp.mean((shares == 1).astype(value.dtype))]).astype(jnp.float32)


def _scan(walk: _Walk, equation: Any, values: list[Any], origins: list[Origin]) -> list[tuple[Any, Origin]]:
    """A `lax.scan` with the same body, whose looks are gathered over its steps."""
    scan = scan_of(equation)
    consts, carried = scan.num_consts, scan.num_carry
    first_x = consts + carried
    over = frozenset(leaf for origin in origins[first_x:] if origin is not None for leaf in origin)
    walk.steps += 1
    inside = [origin if number < consts or number >= first_x else DATA for number, origin in enumerate(origins)]
    inner = _Walk(current=walk.current, units=walk.units, stacked=walk.stacked | over)
    inner.scan = (*walk.scan, walk.steps) if over else walk.scan
    inner.steps = 0 if over else walk.steps
    kept: list[_Site] = []

    def step(carry: list[Any], x: list[Any]) -> Any:
        walk_inside = _Walk(
            current=inner.current, units=inner.units, scan=inner.scan, stacked=inner.stacked, steps=inner.steps
        )
        results = _run(walk_inside, scan.body, list(zip([*values[:consts], *carry, *x], inside, strict=True)))
        kept[:] = _measured(walk_inside.sites)
        inner.uses, inner.current, inner.steps = walk_inside.uses, walk_inside.current, walk_inside.steps
        inner.units = walk_inside.units
        outputs = [value for value, _ in results]
        return outputs[:carried], (outputs[carried:], [site.numbers for site in kept])

    start = inner.current, inner.steps, inner.units

    def fresh(carry: list[Any], x: list[Any]) -> Any:
        inner.current, inner.steps, inner.units = start  # The body may be traced more than once.
        return step(carry, x)

    final, (stacked, seen) = jax.lax.scan(
        fresh,
        values[consts:first_x],
        values[first_x:],
        length=scan.length,
        reverse=scan.reverse,
    )
    for leaf, use in inner.uses.items():
        walk.uses.setdefault(leaf, use)
    walk.steps = max(walk.steps, inner.steps if not over else 0)
    walk.current, walk.units = inner.current, inner.units
    for site, numbers in zip(kept, seen, strict=True):
        axis = site.axis + 1 if site.axis is not None else 0 if site.leaf in over else None
        walk.sites.append(_Site(site.kind, site.leaf, axis, numbers, measured=True))
    return [(value, DATA) for value in (*final, *stacked)]
