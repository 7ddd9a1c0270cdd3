"""Look at a loss at one point of its parameters: sizes of the gradient, the forward pass, the order of the layers.

1. `jax.value_and_grad` gives the loss and the gradient of the floating-point leaves.
2. `forward_pass` walks through the loss's jaxpr. It measures preactivations and activations, and tells where each leaf
   first meets the data.
3. Leaves that a `lax.scan` goes over are stacks of layers. A pattern for `Grouping.stacked` is made from their paths.
4. Layers are sorted by the first use of their pieces, which is their depth.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, PyTree

from vgrad_jax.errors import InputError
from vgrad_jax.gradients.forward import ForwardStats, Use, forward_pass
from vgrad_jax.gradients.layers import Grouping, LayerMap, float_leaves, map_layers, path_name
from vgrad_jax.gradients.stats import AnyArray, LayerStats, stats_of

__all__ = ["ACTIVATIONS", "SMOOTH_ACTIVATIONS", "Look", "float_part", "look_at", "look_at_compiled"]

SMOOTH_ACTIVATIONS = ("tanh", "logistic")
"""Kinds of sites whose output saturates."""
ACTIVATIONS = (*SMOOTH_ACTIVATIONS, "relu")
"""Kinds of sites that are activations."""
DEFAULT_GROUPING = Grouping()


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["stats", "params_log10_rms", "loss", "forward"],
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
    paths, leaves, merge = float_part(params)

    def loss(leaves: list[Any], batch: PyTree) -> Any:
        value = loss_fn(merge(leaves), batch)
        value = value[0] if isinstance(value, tuple) else value
        if jnp.shape(value) != ():
            raise InputError(f"loss_fn must give a scalar, such as the mean over the batch; it gave {jnp.shape(value)}")
        return value

    value, gradient = jax.value_and_grad(loss)(leaves, batch)
    forward, uses = forward_pass(loss, leaves, batch)
    layers = _in_order_of_use(params, paths, uses, grouping)
    owner = {tuple(piece): layer for layer, pieces in enumerate(layers.pieces) for piece in pieces}
    return Look(
        stats=stats_of(gradient, layers),
        params_log10_rms=stats_of(leaves, layers).log10_rms,
        loss=value,
        forward=forward,
        forward_layers=tuple(owner.get(site, -1) for site in forward.leaves),
    )


def look_at_compiled(loss_fn: Callable[[PyTree, Any], Any], params: PyTree, batch: PyTree, grouping: Grouping) -> Look:
    """Compile and call `look_at`; the parameters may hold functions and other leaves that `jit` does not take."""
    _, leaves, merge = float_part(params)
    return jax.jit(lambda leaves, batch: look_at(loss_fn, merge(leaves), batch, grouping))(leaves, batch)


def float_part(params: PyTree) -> tuple[list[Any], list[Any], Callable[[list[Any]], PyTree]]:
    """Return paths and leaves of the floating-point arrays, and the function that puts other leaves in their place."""
    flat, structure = jax.tree.flatten(params)
    paths = [path for path, _ in float_leaves(params)]
    position = {path: index for index, (path, _) in enumerate(jax.tree_util.tree_flatten_with_path(params)[0])}
    positions = [position[path] for path in paths]

    def merge(leaves: list[Any]) -> PyTree:
        merged = list(flat)
        for index, leaf in zip(positions, leaves, strict=True):
            merged[index] = leaf
        return jax.tree.unflatten(structure, merged)

    return paths, [jnp.asarray(flat[index]) for index in positions], merge


def _in_order_of_use(params: PyTree, paths: list[Any], uses: dict[int, Use], grouping: Grouping) -> LayerMap:
    names = ["/".join(path_name(path)) for path in paths]
    if grouping.stacked is None:
        stacked = [(names[leaf], use.before) for leaf, use in sorted(uses.items()) if use.stacked]
        grouping = replace(grouping, stacked=_stacked_pattern(stacked))
    layers = map_layers(params, grouping)
    never = len(names) + sum(use.inside[0] for use in uses.values())

    def first_use(layer: int) -> tuple[int, ...]:
        positions = [uses[leaf].position(index) for leaf, index in layers.pieces[layer] if leaf in uses]
        return min(positions, default=(never, layer))

    order = sorted(range(len(layers.paths)), key=first_use)
    return LayerMap._make(tuple(values[layer] for layer in order) for values in layers)


def _stacked_pattern(leaves: list[tuple[str, tuple[int, ...]]]) -> str | None:
    """Return a regular expression for these leaves alone, whose match ends where the paths of one scan branch.

    Args:
        leaves: path of each stacked leaf, and the position of its scan.
    """
    patterns = []
    for scan in sorted({before for _, before in leaves}):
        words = [name.split("/") for name, before in leaves if before == scan]
        shared = next(
            (depth for depth, level in enumerate(zip(*words, strict=False)) if len(set(level)) > 1), len(words[0]) - 1
        )
        # The last word of a path is the leaf's own name: the index of the layer stands before it.
        shared = min([shared, *(len(name) - 1 for name in words)])
        for name in words:
            front, rest = "/".join(name[:shared]), "/".join(name[shared:])
            patterns.append(f"^{re.escape(front)}(?=/{re.escape(rest)}$)" if front else f"^{re.escape(rest)}$")
    return "|".join(patterns) or None
