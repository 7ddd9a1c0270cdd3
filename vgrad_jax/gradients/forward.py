"""Walk through the forward pass of a loss, read from its jaxpr: any framework, and no change to the model.

    x ──► x @ kernel_0 ──► + bias_0 ──► tanh ──► @ kernel_1 ──► loss
          product, leaf 0  use, leaf 1  site     product, leaf 2

The loss is traced as JAX traces it for `grad`, and its operations are carried out one by one. Every value has an
origin (`origins.py`): the data, or the leaves of the parameters that it is made of. Where a value made of leaves meets
the data, these leaves are used, and the order of first use is the order of depth. A product of leaves and data is a
layer's preactivation. tanh, the logistic function, softmax and max(0, x) are activations. A `lax.scan` is run as a
scan, and the numbers of its sites are stacked by the scan itself.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from vgrad_jax.gradients.layers import Piece
from vgrad_jax.gradients.origins import DATA, Origin, Picks, constant_origin, flow, follow_carry
from vgrad_jax.gradients.sites import ForwardStats, Site, measured, stats_of_sites
from vgrad_jax.jaxprs import (
    ClosedJaxpr,
    called,
    carry_out,
    evaluate,
    is_literal,
    literal_value,
    programs_inside,
    scan_of,
    trace,
)

__all__ = ["ForwardStats", "Use", "forward_pass", "scans_over", "walk_through"]

PRODUCTS = ("dot_general", "conv_general_dilated", "ragged_dot")


class Use(NamedTuple):
    """First use of a leaf of the parameters with the data."""

    before: tuple[int, ...]
    """Step of each scan over layers around the use, outermost first; empty outside of such a scan."""
    inside: tuple[int, ...]
    """Step of the use; it is counted from the start of the innermost such scan."""
    stacked: bool
    """True for a leaf that the scan goes over: its first axis is the layers' axis."""
    backwards: bool = False
    """True where the scan begins with the last layer."""
    rows: tuple[int, ...] | None = None
    """Axes of the rows that the batch picks from a table; None for a leaf that is used as it stands."""

    def position(self, index: int | None) -> tuple[int, ...]:
        """Return a key that sorts slices of stacked leaves and undivided leaves by depth."""
        number = () if index is None else (-index if self.backwards else index,)
        return (*self.before, *number, *self.inside)


NO_PIECE = Piece(-1, None)
"""Piece of the parameters before the first product."""


@dataclass
class _Walk:
    """State of the walk."""

    picks: Picks
    sites: list[Site] = field(default_factory=list)
    uses: dict[Piece, Use] = field(default_factory=dict)
    steps: int = 0
    """Number of steps so far: uses and scans."""
    current: Piece = NO_PIECE
    """Piece of the parameters in the last product; its leaf is -1 before the first."""
    units: int = 0
    """Number of units of the last product."""
    scan: tuple[int, ...] = ()
    """Step of each scan over layers around the walk."""
    stacked: frozenset[int] = frozenset()
    """Leaves that these scans go over."""
    backwards: bool = False
    """True in a scan that begins with the last row."""
    makers: dict[int, Any] = field(default_factory=dict)
    """Equation that made each variable so far, by the variable's identity."""


def forward_pass(
    function: Callable[..., Any], leaves: Sequence[Any], batch: PyTree
) -> tuple[ForwardStats, dict[Piece, Use]]:
    """Carry out `function(leaves, batch)`, and measure its products and activations.

    Args:
        function: the loss of a list of parameter leaves and a batch.
        leaves: the parameters.
        batch: whatever the loss takes.

    Returns:
        The states of preactivations and activations, and the first use of each leaf or slice of one.

    >>> def loss(leaves, x):
    ...     return jnp.mean(jnp.tanh(x @ leaves[1]) @ leaves[0])
    >>> stats, uses = forward_pass(loss, [jnp.ones((4, 1)), jnp.full((2, 4), 9.0)], jnp.ones((3, 2)))
    >>> stats.kinds, [piece.leaf for piece in sorted(uses, key=lambda piece: uses[piece].position(None))]
    (('product', 'tanh', 'product'), [1, 0])
    >>> stats.off_fraction.tolist()
    [nan, 1.0, nan]
    """
    sites, uses = walk_through(function, leaves, batch)
    return stats_of_sites(measured(sites), scans_over(uses)), uses


def walk_through(
    function: Callable[..., Any], leaves: Sequence[Any], batch: PyTree
) -> tuple[list[Site], dict[Piece, Use]]:
    """Carry out `function(leaves, batch)`, and return its products and activations, not measured yet.

    Sites inside of a scan are measured: their outputs are gone afterwards. Arguments are those of `forward_pass`.
    """
    leaves = list(leaves)
    closed = trace(function, leaves, batch)
    flat = [*leaves, *jax.tree.leaves(batch)]
    origins = [Origin(frozenset([Piece(number, None)]), False) for number in range(len(leaves))]
    origins += [DATA] * (len(flat) - len(leaves))
    walk = _Walk(Picks(tuple(tuple(jnp.shape(leaf)) for leaf in leaves)))
    _run(walk, closed, list(zip(flat, origins, strict=True)))
    return walk.sites, {piece: use._replace(rows=walk.picks.axes(piece.leaf)) for piece, use in walk.uses.items()}


def scans_over(uses: Mapping[Piece, Use]) -> dict[int, tuple[int, ...]]:
    """Return the position of the scan that goes over each stacked leaf."""
    return {piece.leaf: use.before for piece, use in uses.items() if use.stacked}


def _run(walk: _Walk, closed: ClosedJaxpr, arguments: Sequence[tuple[Any, Origin]]) -> list[tuple[Any, Origin]]:
    """Evaluate a jaxpr on arrays and the leaves that they are made of."""
    return evaluate(closed, arguments, partial(_step, walk), lambda value: (value, constant_origin(value)))


def _step(walk: _Walk, equation: Any, arguments: list[tuple[Any, Origin]]) -> list[tuple[Any, Origin]]:
    """Carry out an equation, and note which leaves it uses and whether it is a site."""
    if (inner := called(equation)) is not None:
        return _run(walk, inner, arguments)
    name = equation.primitive.name
    values, origins = [value for value, _ in arguments], [origin for _, origin in arguments]
    with_data = any(origin.data for origin in origins)
    if name == "scan" and with_data:
        return _scan(walk, equation, values, origins)
    made_of = flow(equation, values, origins, walk.picks)
    outputs = _carry_out(equation, values)
    if with_data:
        for inner, first in programs_inside(equation):
            _follow(walk, inner, origins[first:])
        used = _note_uses(walk, origins)
        if used and name in PRODUCTS:
            walk.current, walk.units = used[0], _units(equation, origins)
            _see(walk, "product", outputs[0])
        elif kind := _activation(equation, values, walk.units):
            _see(walk, kind, outputs[0])
        elif outputs[0].size and (axis := _softmax_axis(walk.makers, equation)) is not None:
            walk.sites.append(Site("softmax", walk.current.leaf, None, jnp.moveaxis(outputs[0], axis, -1)))
        walk.makers.update(dict.fromkeys(map(id, equation.outvars), equation))
    return list(zip(outputs, made_of, strict=True))


def _note_uses(walk: _Walk, origins: Sequence[Origin]) -> list[Piece]:
    """Note the first use of each leaf that meets the data, and return these leaves."""
    used = sorted({piece for origin in origins if not origin.data for piece in origin.pieces}, key=_sorting)
    for piece in used:
        walk.steps += 1
        is_stacked = piece.leaf in walk.stacked
        walk.uses.setdefault(piece, Use(walk.scan, (walk.steps,), is_stacked, is_stacked and walk.backwards))
    return used


def _follow(walk: _Walk, closed: ClosedJaxpr, origins: Sequence[Origin]) -> list[Origin]:
    """Note the uses inside of a program that is carried out as it stands, such as a device's share."""

    def step(equation: Any, origins: list[Origin]) -> Sequence[Origin]:
        if (inner := called(equation)) is not None:
            return _follow(walk, inner, origins)
        if any(origin.data for origin in origins):
            _note_uses(walk, origins)
        return flow(equation, [None] * len(origins), origins, walk.picks)

    return evaluate(closed, origins, step, constant_origin)


def _sorting(piece: Piece) -> tuple[int, int]:
    return piece.leaf, -1 if piece.slice is None else piece.slice


def _carry_out(equation: Any, values: list[Any]) -> list[Any]:
    """Return an equation's results; a number that the program's numbers fix, such as an index, stays a number."""
    known = all(np.size(value) == 1 and not isinstance(value, jax.core.Tracer) for value in values)
    small = all(variable.aval.size == 1 for variable in equation.outvars)
    if values and known and small and not equation.effects:
        with jax.ensure_compile_time_eval():
            return carry_out(equation, values)
    return carry_out(equation, values)


def _units(equation: Any, origins: list[Origin]) -> int:
    """Return the number of units of a product's output."""
    weight = next(number for number, origin in enumerate(origins) if not origin.data)
    shape = equation.invars[weight].aval.shape
    if equation.primitive.name == "conv_general_dilated":
        return int(shape[equation.params["dimension_numbers"].rhs_spec[0]])
    if equation.primitive.name != "dot_general":
        return int(shape[-1])
    summed, batched = (axes[weight] for axes in equation.params["dimension_numbers"])
    free = [size for axis, size in enumerate(shape) if axis not in (*summed, *batched)]
    return int(free[-1]) if free else 1


def _activation(equation: Any, values: list[Any], units: int) -> str | None:
    """Return the kind of an activation; None for any other equation."""
    name = equation.primitive.name
    if name in ("tanh", "logistic"):
        return str(name)
    zero = any(is_literal(atom) and np.all(literal_value(atom) == 0) for atom in equation.invars)
    floating = all(jnp.issubdtype(jnp.result_type(value), jnp.floating) for value in values)
    # A maximum of other numbers is no activation: a norm keeps its variance from being negative.
    of_units = units in equation.outvars[0].aval.shape
    return "relu" if name == "max" and zero and floating and of_units else None


def _softmax_axis(makers: Mapping[int, Any], equation: Any) -> int | None:
    """Return the axis of a softmax, if an equation divides exponentials by their sum over one axis."""
    if equation.primitive.name != "div":
        return None
    above, below = (makers.get(id(atom)) for atom in equation.invars)
    if above is None or above.primitive.name != "exp" or below is None:
        return None
    total = makers.get(id(below.invars[0])) if below.primitive.name == "broadcast_in_dim" else below
    if total is None or total.primitive.name != "reduce_sum" or total.invars[0] is not equation.invars[0]:
        return None
    axes = total.params["axes"]
    longer = len(axes) == 1 and equation.invars[0].aval.shape[axes[0]] > 1
    return int(axes[0]) if longer else None


def _see(walk: _Walk, kind: str, output: Any) -> None:
    """Add a site to the walk, with its units on the last axis."""
    if output.size:
        # A vmap may put the examples last.
        elsewhere = walk.units in output.shape[:-1] and output.shape[-1] != walk.units
        output = jnp.moveaxis(output, output.shape.index(walk.units), -1) if elsewhere else output
        walk.sites.append(Site(kind, walk.current.leaf, None, output, slice_index=walk.current.slice))


def _scan(walk: _Walk, equation: Any, values: list[Any], origins: list[Origin]) -> list[tuple[Any, Origin]]:
    """Run a `lax.scan` with the same body, and gather the numbers of its sites over the iterations."""
    scan = scan_of(equation)
    consts, carried = scan.num_consts, scan.num_carry
    first_x = consts + carried
    body_origins, counted = follow_carry(scan, origins, walk.picks)
    over = counted | {piece.leaf for origin in origins[first_x:] if not origin.data for piece in origin.pieces}
    walk.steps += 1
    start = _Walk(
        picks=walk.picks,
        steps=0 if over else walk.steps,
        current=walk.current,
        units=walk.units,
        scan=(*walk.scan, walk.steps) if over else walk.scan,
        stacked=walk.stacked | over,
        backwards=scan.reverse,
    )
    traces: list[_Walk] = []

    def step(carry: list[Any], x: list[Any]) -> Any:
        inside = replace(start, sites=[], uses={})  # JAX may trace the body more than once.
        results = _run(inside, scan.body, list(zip([*values[:consts], *carry, *x], body_origins, strict=True)))
        inside.sites = measured(inside.sites)
        traces.append(inside)
        outputs = [value for value, _ in results]
        return outputs[:carried], (outputs[carried:], [site.numbers for site in inside.sites])

    final, (stacked, numbers_of_sites) = jax.lax.scan(
        step, values[consts:first_x], values[first_x:], length=scan.length, reverse=scan.reverse
    )
    inner = traces[-1]
    for piece, use in inner.uses.items():
        walk.uses.setdefault(piece, use)
    walk.steps = walk.steps if over else max(walk.steps, inner.steps)
    walk.current, walk.units = inner.current, inner.units
    for site, numbers in zip(inner.sites, numbers_of_sites, strict=True):
        # The scan's axis is in front: layers if it goes over the site's leaf, else iterations of a recurrence.
        axis = site.axis + 1 if site.axis is not None else 0 if site.leaf in over else None
        walk.sites.append(Site(site.kind, site.leaf, axis, numbers, measured=True, slice_index=site.slice_index))
    made_of = Origin(frozenset().union(*(origin.pieces for origin in body_origins)), data=True)
    return [(value, made_of) for value in (*final, *stacked)]
