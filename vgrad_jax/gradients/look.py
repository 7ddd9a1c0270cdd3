"""Look at a loss at one point of its parameters: sizes of the gradient, the forward pass, the order of the layers.

1. `jax.value_and_grad` gives the loss and the gradient of the floating-point leaves.
2. `forward_pass` walks through the loss's jaxpr. It measures preactivations and activations, and tells where each leaf
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
from jaxtyping import Float, PyTree

from vgrad_jax.gradients.forward import ForwardStats, Use, forward_pass
from vgrad_jax.gradients.layers import Grouping, LayerMap, Piece, map_layers
from vgrad_jax.gradients.objective import objective_of, split_batch
from vgrad_jax.gradients.stacks import stacked_pattern
from vgrad_jax.gradients.stats import AnyArray, LayerStats, stats_of, touched_rows

__all__ = ["ACTIVATIONS", "SMOOTH_ACTIVATIONS", "Look", "look_at", "look_at_compiled", "record_layers"]

SMOOTH_ACTIVATIONS = ("tanh", "logistic")
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
            kinds: kinds of sites that count: "product", "tanh", "logistic", "relu".
        """
        values = np.asarray(getattr(self.forward, field), np.float64)
        by_layer = np.full((*values.shape[:-1], len(self.stats.paths)), np.nan)
        for site, (layer, kind) in enumerate(zip(self.forward_layers, self.forward.kinds, strict=True)):
            if layer >= 0 and kind in kinds:
                by_layer[..., layer] = np.fmax(by_layer[..., layer], values[..., site])
        return by_layer


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
    paths, leaves, _, loss_of_batch = objective_of(loss_fn, params)
    arrays, rest = split_batch(batch)

    def loss(leaves: list[Any], arrays: list[Any]) -> Any:
        return loss_of_batch(leaves, rest(arrays))

    value, gradient = jax.value_and_grad(loss)(leaves, arrays)
    forward, uses = forward_pass(loss, leaves, arrays)
    layers = _in_order_of_use(params, paths, uses, grouping)
    owner = {tuple(piece): layer for layer, pieces in enumerate(layers.pieces) for piece in pieces}
    return Look(
        stats=stats_of(gradient, layers),
        params_log10_rms=stats_of(leaves, layers).log10_rms,
        loss=value,
        forward=forward,
        forward_layers=tuple(owner.get(site, owner.get((site[0], None), -1)) for site in forward.leaves),
        touched_fraction=touched_rows(gradient, layers, {piece.leaf: use.rows for piece, use in uses.items()}),
    )


def look_at_compiled(loss_fn: Callable[[PyTree, Any], Any], params: PyTree, batch: PyTree, grouping: Grouping) -> Look:
    """Compile and call `look_at`; the parameters and the batch may hold leaves that `jit` does not take."""
    objective = objective_of(loss_fn, params)
    arrays, rest = split_batch(batch)
    look = jax.jit(lambda leaves, arrays: look_at(loss_fn, objective.merge(leaves), rest(arrays), grouping))
    return look(objective.leaves, arrays)


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
