"""One look at a loss: its gradient's sizes, its forward pass, and the order of its layers."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from vgrad_jax.errors import InputError
from vgrad_jax.gradients.forward import ForwardStats, Use, forward_pass
from vgrad_jax.gradients.layers import Grouping, LayerMap, float_leaves, map_layers, path_name
from vgrad_jax.gradients.stats import LayerStats, stats_of

__all__ = ["Look", "look", "look_once"]

DEFAULT_GROUPING = Grouping()


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["stats", "params_log10_rms", "loss", "forward"],
    meta_fields=["forward_layers"],
)
@dataclass(frozen=True)
class Look:
    """A loss at one point of its parameters; a pytree, whose arrays may have a leading axis of seeds."""

    stats: LayerStats
    """Of the gradient, layers in the order in which the forward pass uses them."""
    params_log10_rms: Any
    """`(..., layer)`."""
    loss: Any
    forward: ForwardStats
    forward_layers: tuple[int, ...]
    """For each site of `forward`, the number of its layer; -1 where it belongs to none."""

    def by_layer(self, field: str, kinds: tuple[str, ...]) -> np.ndarray:
        """A field of the forward pass for each layer, `(..., layer)`: the largest of its sites; NaN where it has none.

        Args:
            field: "log10_rms", "off_fraction" or "stuck_fraction".
            kinds: which sites count: "product", "tanh", "logistic", "relu".
        """
        values = np.asarray(getattr(self.forward, field), np.float64)
        out = np.full((*values.shape[:-1], len(self.stats.paths)), np.nan)
        for site, (layer, kind) in enumerate(zip(self.forward_layers, self.forward.kinds, strict=True)):
            if layer >= 0 and kind in kinds:
                out[..., layer] = np.fmax(out[..., layer], values[..., site])
        return out


def look(
    loss_fn: Callable[[PyTree, Any], Any], params: PyTree, batch: PyTree, grouping: Grouping = DEFAULT_GROUPING
) -> Look:
    """The loss, its gradient's sizes and its forward pass at one point; a pure function for `jit` and `vmap`.

    Args:
        loss_fn: `f(params, batch)` to a scalar, or to a tuple that begins with it.
        params: any pytree.
        batch: whatever the loss takes.
        grouping: which layers.
    """
    paths, leaves, merge = _float_part(params)

    def loss(leaves: list[Any], batch: PyTree) -> Any:
        value = loss_fn(merge(leaves), batch)
        value = value[0] if isinstance(value, tuple) else value
        if jnp.shape(value) != ():
            raise InputError(f"loss_fn must give a scalar, such as the mean over the batch; it gave {jnp.shape(value)}")
        return value

    value, gradient = jax.value_and_grad(loss)(leaves, batch)
    forward, uses = forward_pass(loss, leaves, batch)
    layers = _in_order_of_use(params, paths, uses, grouping)
    stats = stats_of(gradient, layers)
    owner = {part: number for number, parts in enumerate(layers.parts) for part in parts}
    return Look(
        stats=stats,
        params_log10_rms=stats_of(leaves, layers).log10_rms,
        loss=value,
        forward=forward,
        forward_layers=tuple(owner.get(site, -1) for site in forward.leaves),  # type: ignore[call-overload]
    )


def look_once(loss_fn: Callable[[PyTree, Any], Any], params: PyTree, batch: PyTree, grouping: Grouping) -> Look:
    """`look`, compiled; the parameters may hold functions and other things that `jit` does not take."""
    _, leaves, merge = _float_part(params)
    return jax.jit(lambda leaves, batch: look(loss_fn, merge(leaves), batch, grouping))(leaves, batch)


def _float_part(params: PyTree) -> tuple[list[Any], list[Any], Callable[[list[Any]], PyTree]]:
    """Paths and leaves of the floating-point arrays, and the function that puts others in their place."""
    flat, structure = jax.tree.flatten(params)
    paths = [path for path, _ in float_leaves(params)]
    place = {path: number for number, (path, _) in enumerate(jax.tree_util.tree_flatten_with_path(params)[0])}
    places = [place[path] for path in paths]

    def merge(leaves: list[Any]) -> PyTree:
        merged = list(flat)
        for number, leaf in zip(places, leaves, strict=True):
            merged[number] = leaf
        return jax.tree.unflatten(structure, merged)

    return paths, [jnp.asarray(flat[number]) for number in places], merge


def _in_order_of_use(params: PyTree, paths: list[Any], uses: dict[int, Use], grouping: Grouping) -> LayerMap:
    names = ["/".join(path_name(path)) for path in paths]
    if grouping.stacked is None:
        found = _stacked_pattern([(names[leaf], use.before) for leaf, use in sorted(uses.items()) if use.stacked])
        grouping = Grouping(**{**vars(grouping), "stacked": found})
    layers = map_layers(params, grouping)
    never = len(names) + sum(use.inside[0] for use in uses.values())

    def first_use(number: int) -> tuple[int, ...]:
        places = [uses[leaf].place(index) for leaf, index in layers.parts[number] if leaf in uses]
        return min(places, default=(never, number))

    order = sorted(range(len(layers.paths)), key=first_use)
    return LayerMap._make(tuple(values[number] for number in order) for values in layers)


def _stacked_pattern(leaves: list[tuple[str, tuple[int, ...]]]) -> str | None:
    """A regular expression that matches these leaves and no others, up to what those of one scan have in common."""
    patterns = []
    for scan in sorted({before for _, before in leaves}):
        words = [name.split("/") for name, before in leaves if before == scan]
        shared = next(
            (n for n, level in enumerate(zip(*words, strict=False)) if len(set(level)) > 1), len(words[0]) - 1
        )
        shared = min([shared, *(len(name) - 1 for name in words)])
        for name in words:
            front, rest = "/".join(name[:shared]), "/".join(name[shared:])
            patterns.append(f"^{re.escape(front)}(?=/{re.escape(rest)}$)" if front else f"^{re.escape(rest)}$")
    return "|".join(patterns) or None
