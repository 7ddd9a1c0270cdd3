"""Models of any framework, split into what an optimiser changes, what the loss changes, and what stays.

    init(key) ─► model ─► params: floating-point arrays          the optimiser
                     ├──► state: batch statistics and the like   the loss
                     └──► the rest: functions, whole numbers     nobody

No framework is imported here. A model of flax's nnx is known by its class, if nnx is loaded.
"""

import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import PyTree

from vgrad_jax.errors import InputError

__all__ = ["SplitModel", "split_model"]


class SplitModel(NamedTuple):
    """A model in its parts."""

    params: PyTree
    """Floating-point arrays, with None in the places of all other leaves."""
    state: PyTree
    """Arrays that the loss changes."""
    arguments: Callable[[PyTree, PyTree], tuple[Any, ...]]
    """From params and state to the first arguments of the loss."""
    state_after: Callable[[tuple[Any, ...], Any], PyTree]
    """From the loss's first arguments, after the call, and what the loss returned beside its number, to the state."""


def split_model(model: PyTree, *, has_state: bool) -> SplitModel:
    """Split a model into parameters, state and the rest.

    Args:
        model: what an initialiser returned: a pytree, a module of equinox or nnx, or with `has_state` a pair of
            parameters and state.
        has_state: whether the model is a pair, and the loss returns a pair of loss and new state.

    Raises:
        InputError: no pair where one was asked for, or no floating-point array.

    >>> split = split_model({"w": jnp.ones(2), "activation": jnp.tanh}, has_state=False)
    >>> split.params, split.arguments(split.params, split.state)[0]["activation"] is jnp.tanh
    ({'activation': None, 'w': Array([1., 1.], dtype=float32)}, True)
    """
    nnx: Any = sys.modules.get("flax.nnx")
    if nnx is not None and isinstance(model, nnx.Module):
        return _split_nnx(nnx, model)
    state = None
    if has_state:
        if not isinstance(model, tuple) or len(model) != 2:
            raise InputError(
                f"with has_state=True, init must return a pair (params, state); it returned {type(model).__name__}"
            )
        model, state = model
    params = jax.tree.map(lambda leaf: leaf if _is_trained(leaf) else None, model)
    _check(params, model)

    def arguments(params: PyTree, state: PyTree) -> tuple[Any, ...]:
        merged = jax.tree.map(lambda own, fixed: fixed if own is None else own, params, model, is_leaf=_is_none)
        return (merged, state) if has_state else (merged,)

    def state_after(arguments: tuple[Any, ...], beside: Any) -> PyTree:
        del arguments
        return beside if has_state else None

    return SplitModel(params, state, arguments, state_after)


def _split_nnx(nnx: Any, model: Any) -> SplitModel:
    """Split a module of nnx; its batch statistics and random streams are state, which the loss changes in place."""
    definition, params, state = nnx.split(model, nnx.Param, ...)
    _check(params, model)

    def arguments(params: PyTree, state: PyTree) -> tuple[Any, ...]:
        # New variables: nnx lets only the innermost transformation change its own.
        return (nnx.merge(definition, *jax.tree.map(lambda leaf: leaf, (params, state))),)

    def state_after(arguments: tuple[Any, ...], beside: Any) -> PyTree:
        del beside
        return nnx.split(arguments[0], nnx.Param, ...)[2]

    return SplitModel(params, state, arguments, state_after)


def _is_trained(leaf: Any) -> bool:
    """Return whether a leaf is an array that an optimiser changes: no Python number, as of a dropout's rate."""
    return hasattr(leaf, "shape") and hasattr(leaf, "dtype") and jnp.issubdtype(leaf.dtype, jnp.inexact)


def _is_none(node: Any) -> bool:
    return node is None


def _check(params: PyTree, model: Any) -> None:
    if not jax.tree.leaves(params):
        raise InputError(f"init must return a model with floating-point arrays; it returned {type(model).__name__}")
