"""Look at a loss at one point of its parameters: sizes of the gradient, the forward pass, the order of the layers.

1. `jax.value_and_grad` gives the loss and the gradient of the floating-point leaves.
2. `walk_through` walks through the loss's jaxpr. It measures preactivations and activations, and tells where each leaf
   first meets the data.
3. Leaves that a `lax.scan` goes over are stacks of layers. A pattern for `Grouping.stacked` is made from their paths.
4. Layers are sorted by the first use of their pieces, which is their depth.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Float, Key, PyTree

from vgrad_jax.gradients.forward import ForwardStats, Use, scans_over, walk_through
from vgrad_jax.gradients.layers import Grouping, LayerMap, Piece, map_layers
from vgrad_jax.gradients.objective import BatchRest, objective_of, split_batch
from vgrad_jax.gradients.sites import Site, measured, measured_one_by_one, stats_of_sites
from vgrad_jax.gradients.stacks import stacked_pattern
from vgrad_jax.gradients.stats import AnyArray, LayerStats, stats_of, touched_rows

__all__ = [
    "ACTIVATIONS",
    "SMOOTH_ACTIVATIONS",
    "Look",
    "look_at",
    "look_at_compiled",
    "look_at_seeds",
    "parts_of",
    "record_layers",
]

SMOOTH_ACTIVATIONS = ("tanh", "logistic", "softmax")
"""Kinds of sites whose output saturates."""
ACTIVATIONS = (*SMOOTH_ACTIVATIONS, "relu")
"""Kinds of sites that are activations."""
DEFAULT_GROUPING = Grouping()


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["stats", "params_log10_rms", "loss", "forward", "touched_fraction"],
    meta_fields=["forward_layers"],
)
@dataclass(frozen=True)
class Look:
    """Loss, gradient and forward pass at one point of the parameters; a pytree whose arrays may have batch axes."""

    stats: LayerStats
    """Sizes of the gradient, layers in the order in which the forward pass uses them."""
    params_log10_rms: Float[AnyArray, "*batch layer"]
    loss: Float[AnyArray, "*batch"]
    forward: ForwardStats
    forward_layers: tuple[int, ...]
    """Index of the layer of each site of `forward`; -1 for a site that belongs to no layer."""
    touched_fraction: Float[AnyArray, "*batch layer"]
    """Share of a layer's elements in rows that the batch picks; 1 for a layer that is no table.

    A table is an embedding, or a kernel on sparse inputs. Its `log10_rms` over the rows that have a gradient is
    larger by half of -log10 of this share.
    """

    def by_layer(self, field: str, kinds: tuple[str, ...]) -> Float[np.ndarray, "*batch layer"]:
        """Return a field of the forward pass for each layer: the largest of its sites, NaN for a layer without a site.

        Args:
            field: "log10_rms", "off_fraction" or "stuck_fraction".
            kinds: kinds of sites that count: "product", "tanh", "logistic", "softmax", "relu".
        """
        values = np.asarray(getattr(self.forward, field), np.float64)
        by_layer = np.full((*values.shape[:-1], len(self.stats.paths)), np.nan)
        for site, (layer, kind) in enumerate(zip(self.forward_layers, self.forward.kinds, strict=True)):
            if layer >= 0 and kind in kinds:
                by_layer[..., layer] = np.fmax(by_layer[..., layer], values[..., site])
        return by_layer


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["loss", "gradient", "leaves", "outputs"],
    meta_fields=["sites", "scans", "tables", "layers"],
)
@dataclass(frozen=True)
class _Parts:
    """Arrays of one program that are to be measured; they have batch axes where the program was mapped."""

    loss: Float[AnyArray, "*batch"]
    gradient: list[AnyArray]
    leaves: list[AnyArray]
    outputs: list[AnyArray]
    """Outputs of the sites, or their two numbers."""
    sites: tuple[Site, ...]
    """Sites without their outputs."""
    scans: tuple[tuple[int, tuple[int, ...]], ...]
    """Leaf and position of each scan over layers."""
    tables: tuple[tuple[int, tuple[int, ...] | None], ...]
    """Leaf and axes of its rows, of each leaf that is used."""
    layers: LayerMap


def look_at(
    loss_fn: Callable[[PyTree, Any], Any], params: PyTree, batch: PyTree, grouping: Grouping = DEFAULT_GROUPING
) -> Look:
    """Measure the loss, its gradient and its forward pass at one point; a pure function for `jit` and `vmap`.

    Args:
        loss_fn: `f(params, batch)` to a scalar, or to a tuple that begins with it.
        params: any pytree.
        batch: whatever the loss takes.
        grouping: rules by which leaves become layers.

    Raises:
        InputError: the loss is not a scalar.
    """
    return _measured(parts_of(loss_fn, params, batch, grouping))


def look_at_compiled(loss_fn: Callable[[PyTree, Any], Any], params: PyTree, batch: PyTree, grouping: Grouping) -> Look:
    """Compile the loss and its gradient, and measure them; the parameters may hold leaves that `jit` does not take.

    Leaves and sites are measured by small programs, one for all of a shape: a hundred layers compile as fast as one.
    """
    objective = objective_of(loss_fn, params)
    arrays, rest = split_batch(batch)
    parts = jax.jit(lambda leaves, arrays: parts_of(loss_fn, objective.merge(leaves), rest(arrays), grouping))
    return _measured(parts(objective.leaves, arrays))


def look_at_seeds(
    loss_fn: Callable[[PyTree, Any], Any],
    init_fn: Callable[[Any], PyTree],
    keys: Key[Array, " seed"],
    batch: PyTree,
    grouping: Grouping,
    at_once: int,
) -> Look:
    """Measure the loss of each key's parameters.

    Args:
        loss_fn: `f(params, batch)`; compiled once for each pair of functions, so it must be hashable.
        init_fn: `f(key)`, hashable too.
        keys: of the initialisations.
        batch: whatever the loss takes.
        grouping: rules by which leaves become layers.
        at_once: number of seeds that are computed together.

    Returns:
        A look in NumPy, with a leading axis of seeds.
    """
    arrays, rest = split_batch(batch)
    looks = []
    for start in range(0, len(keys), at_once):
        # The last group is filled up, so that all groups have one program.
        members = np.minimum(np.arange(start, start + at_once), len(keys) - 1)
        parts = _parts_of_seeds(loss_fn, init_fn, grouping, rest, keys[members], arrays)
        number = min(at_once, len(keys) - start)
        looks.append(jax.tree.map(lambda leaf, n=number: np.asarray(leaf)[:n], _measured(parts, batch_axes=1)))
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *looks)


@partial(jax.jit, static_argnums=(0, 1, 2, 3))
def _parts_of_seeds(
    loss_fn: Callable[..., Any],
    init_fn: Callable[[Any], PyTree],
    grouping: Grouping,
    rest: BatchRest,
    keys: Any,
    arrays: list[Any],
) -> _Parts:
    return jax.vmap(lambda key: parts_of(loss_fn, init_fn(key), rest(arrays), grouping))(keys)


def parts_of(loss_fn: Callable[[PyTree, Any], Any], params: PyTree, batch: PyTree, grouping: Grouping) -> _Parts:
    """Compute the loss, its gradient and its forward pass."""
    paths, leaves, _, loss_of_batch = objective_of(loss_fn, params)
    arrays, rest = split_batch(batch)

    def loss(leaves: list[Any], arrays: list[Any]) -> Any:
        return loss_of_batch(leaves, rest(arrays))

    value, gradient = jax.value_and_grad(loss)(leaves, arrays)
    sites, uses = walk_through(loss, leaves, arrays)
    return _Parts(
        loss=value,
        gradient=gradient,
        leaves=leaves,
        outputs=[site.numbers for site in sites],
        sites=tuple(site._replace(numbers=()) for site in sites),
        scans=tuple(scans_over(uses).items()),
        tables=tuple({piece.leaf: use.rows for piece, use in uses.items()}.items()),
        layers=_in_order_of_use(params, paths, uses, grouping),
    )


def _measured(parts: _Parts, batch_axes: int = 0) -> Look:
    """Measure the parts; inside of a program as a part of it, outside by programs of single leaves and sites."""
    layers = parts.layers
    sites = [site._replace(numbers=array) for site, array in zip(parts.sites, parts.outputs, strict=True)]
    inside = isinstance(parts.loss, jax.core.Tracer)
    sites = measured(sites) if inside else measured_one_by_one(sites, batch_axes)
    labels = tuple(site._replace(numbers=()) for site in sites)
    forward = _forward_stats(parts.loss, [site.numbers for site in sites], labels, parts.scans, batch_axes)
    owner = {tuple(piece): layer for layer, pieces in enumerate(layers.pieces) for piece in pieces}
    return Look(
        stats=stats_of(parts.gradient, layers, batch_axes),
        params_log10_rms=stats_of(parts.leaves, layers, batch_axes).log10_rms,
        loss=parts.loss,
        forward=forward,
        forward_layers=tuple(owner.get(site, owner.get((site[0], None), -1)) for site in forward.leaves),
        touched_fraction=touched_rows(parts.gradient, layers, dict(parts.tables), batch_axes),
    )


@partial(jax.jit, static_argnums=(2, 3, 4))
def _forward_stats(
    loss: Float[AnyArray, "*batch"],
    numbers: list[AnyArray],
    sites: tuple[Site, ...],
    scans: tuple[tuple[int, tuple[int, ...]], ...],
    batch_axes: int,
) -> ForwardStats:
    """Return the numbers of all sites; the loss has the batch axes, where there is no site."""

    def of_one(_: Any, numbers: list[AnyArray]) -> ForwardStats:
        filled = [site._replace(numbers=array) for site, array in zip(sites, numbers, strict=True)]
        return stats_of_sites(filled, dict(scans))

    for _ in range(batch_axes):
        of_one = jax.vmap(of_one)
    return of_one(loss, numbers)


def record_layers(look: Look, record_paths: Sequence[str]) -> tuple[tuple[int, ...], ...]:
    """Return, for each layer of a record, the indices of the look's layers that it covers.

    A look tells the layers of a stack apart: a record that does not has "blocks" where the look has "blocks/0" to
    "blocks/11". A layer that covers none has no index.

    Args:
        look: a look at the model that was recorded.
        record_paths: paths of the record's layers.

    >>> from jax import numpy as jnp
    >>> def loss(params, x):
    ...     return jnp.mean(jax.lax.scan(lambda h, k: (jnp.tanh(h @ k), None), x, params["blocks"]["k"])[0])
    >>> look = look_at(loss, {"blocks": {"k": jnp.ones((3, 2, 2))}}, jnp.ones((4, 2)))
    >>> record_layers(look, ("blocks", "blocks/1", "head"))
    ((0, 1, 2), (1,), ())
    """
    words = [tuple(path.split("/")) for path in look.stats.paths]
    covered = []
    for path in record_paths:
        names = tuple(path.split("/"))
        same = [index for index, layer in enumerate(words) if layer == names]
        covered.append(tuple(same or [index for index, layer in enumerate(words) if _is_part(layer, names)]))
    return tuple(covered)


def _is_part(layer: tuple[str, ...], whole_layer: tuple[str, ...]) -> bool:
    """Return whether a layer of a look is a slice of a layer that is not split: the same words and a number."""
    return len(layer) == len(whole_layer) + 1 and any(
        word.isdigit() and (*layer[:place_of], *layer[place_of + 1 :]) == whole_layer
        for place_of, word in enumerate(layer)
    )


def _in_order_of_use(params: PyTree, names: Sequence[str], uses: dict[Piece, Use], grouping: Grouping) -> LayerMap:
    if grouping.stacked is None:
        grouping = replace(grouping, stacked=stacked_pattern(names, uses, params))
    layers = map_layers(params, grouping)
    never = len(names) + sum(use.inside[0] for use in uses.values())

    def first_use(layer: int) -> tuple[int, ...]:
        positions = [
            use.position(piece.slice if use.stacked else None)
            for piece in layers.pieces[layer]
            for use in _uses_of(piece, uses)
        ]
        return min(positions, default=(never, layer))

    order = sorted(range(len(layers.paths)), key=first_use)
    return LayerMap._make(tuple(values[layer] for layer in order) for values in layers)


def _uses_of(piece: Piece, uses: dict[Piece, Use]) -> list[Use]:
    """Return the first uses of a piece; for an undivided leaf, of its slices too."""
    if piece.slice is not None:
        return [uses[key] for key in (piece, Piece(piece.leaf, None)) if key in uses]
    return [use for key, use in uses.items() if key.leaf == piece.leaf]
