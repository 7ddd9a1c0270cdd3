"""A loss as a function of the floating-point leaves of its parameters, whatever it returns beside the number."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from vgrad_jax.boundary import called
from vgrad_jax.errors import InputError
from vgrad_jax.gradients.layers import float_leaves, path_name

__all__ = ["BatchRest", "Objective", "WithKey", "objective_of", "require_callable", "scalar_of", "split_batch"]


LOSS = "a function f(params, batch) that gives a scalar"
"""Form of a loss, for messages."""

LOSS_WITH_KEY = "a function f(params, batch, key) that gives a scalar"
"""Form of a loss that draws, for messages."""


class Objective(NamedTuple):
    """A loss at one point of its parameters."""

    paths: tuple[str, ...]
    """Path of each floating-point leaf."""
    leaves: list[Any]
    merge: Callable[[list[Any]], PyTree]
    """Puts such leaves into the tree of the parameters."""
    loss: Callable[[list[Any], Any], Any]
    """From the leaves and a batch to a scalar."""


def objective_of(loss_fn: Any, params: PyTree) -> Objective:
    """Return a loss as a function of its floating-point leaves.

    Args:
        loss_fn: `f(params, batch)`; see `scalar_of` for what it may return.
        params: any pytree.

    Raises:
        InputError: `loss_fn` cannot be called, or there is no floating-point leaf.
    """
    require_callable(loss_fn)
    flat, structure = jax.tree.flatten(params)
    position = {path: index for index, (path, _) in enumerate(jax.tree_util.tree_flatten_with_path(params)[0])}
    paths = [path for path, _ in float_leaves(params)]
    positions = [position[path] for path in paths]
    if not positions:
        raise InputError(
            "the parameters hold no floating-point array; expected a pytree of arrays, as an initialiser returns it; "
            f"got {type(params).__name__}"
        )

    def merge(leaves: list[Any]) -> PyTree:
        merged = list(flat)
        for index, leaf in zip(positions, leaves, strict=True):
            merged[index] = leaf
        return jax.tree.unflatten(structure, merged)

    names = tuple("/".join(path_name(path)) for path in paths)
    leaves = [jnp.asarray(flat[index]) for index in positions]

    def loss(leaves: list[Any], batch: Any) -> Any:
        return scalar_of(called("loss_fn", LOSS, loss_fn, merge(leaves), batch))

    return Objective(names, leaves, merge, loss)


@dataclass(frozen=True)
class WithKey:
    """A loss that draws, as a function of parameters and of a pair of batch and key."""

    loss_fn: Callable[..., Any]

    def __call__(self, params: PyTree, batch_and_key: tuple[PyTree, Any]) -> Any:
        """Call the loss with the batch and the key."""
        return called("loss_fn", LOSS_WITH_KEY, self.loss_fn, params, *batch_and_key)


def require_callable(loss_fn: Any) -> None:
    """Refuse a loss that is no function.

    Raises:
        InputError: it cannot be called.
    """
    if not callable(loss_fn):
        raise InputError(
            f"loss_fn must be a function f(params, batch) that gives a scalar; got {type(loss_fn).__name__}. "
            "The arguments are loss_fn, then the parameters, then the batch"
        )


def scalar_of(value: Any) -> Any:
    """Return the loss in what a loss function returned: a scalar, a tuple that begins with it, or a dictionary.

    Raises:
        InputError: there is no real scalar.

    >>> scalar_of(({"loss": 2.0, "accuracy": 0.5}, "aux"))
    2.0
    """
    while isinstance(value, tuple | list | dict):
        if isinstance(value, dict) and "loss" not in value:
            raise InputError(
                f'loss_fn returned a dictionary without "loss"; it has {", ".join(map(str, value)) or "nothing"}. '
                'Return the scalar itself, or put it under "loss"'
            )
        if not len(value):
            raise InputError("loss_fn returned an empty tuple; it must give a scalar, or a tuple that begins with it")
        value = value["loss"] if isinstance(value, dict) else value[0]
    if value is None or isinstance(value, str) or (not hasattr(value, "dtype") and not np.isscalar(value)):
        raise InputError(f"loss_fn must give a scalar, such as the mean over the batch; it gave {type(value).__name__}")
    if jnp.shape(value) != ():
        raise InputError(f"loss_fn must give a scalar, such as the mean over the batch; it gave {jnp.shape(value)}")
    if not jnp.issubdtype(jnp.result_type(value), jnp.floating):
        raise InputError(
            f"loss_fn must give a real floating-point number; it gave {jnp.result_type(value)}, which has no gradient"
        )
    return value


@dataclass(frozen=True, eq=False)
class _ById:
    """A value that no program reads as an array, compared by identity."""

    value: Any

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _ById) and other.value is self.value

    def __hash__(self) -> int:
        return id(self.value)


@dataclass(frozen=True)
class BatchRest:
    """Structure of a batch, with its leaves that are no arrays; it may be a static argument of `jit`."""

    structure: Any
    static: tuple[_ById | None, ...]

    def __call__(self, arrays: list[Any]) -> PyTree:
        """Put the arrays into the batch."""
        waiting = iter(arrays)
        leaves = [next(waiting) if fixed is None else fixed.value for fixed in self.static]
        return jax.tree.unflatten(self.structure, leaves)


def split_batch(batch: PyTree) -> tuple[list[Any], BatchRest]:
    """Split a batch into its arrays and the rest, such as names of examples.

    Raises:
        InputError: the batch is a text or a function.

    >>> arrays, rest = split_batch({"x": np.ones(2), "name": "circles"})
    >>> len(arrays), rest(arrays)["name"]
    (1, 'circles')
    """
    if isinstance(batch, str | bytes) or (callable(batch) and jax.tree.leaves(batch) == [batch]):
        raise InputError(
            f"batch must be what the loss takes beside the parameters, such as a tuple of arrays; "
            f"got {type(batch).__name__} {batch!r}"
        )
    leaves, structure = jax.tree.flatten(batch)
    for leaf in leaves:
        if isinstance(leaf, int) and abs(leaf) >= 2**31:
            raise InputError(
                "batch holds a whole number of more than 32 bits, which its arrays do not hold; make it a float"
            )
    is_array = [_is_array(leaf) for leaf in leaves]
    static = tuple(None if fits else _ById(leaf) for leaf, fits in zip(leaves, is_array, strict=True))
    return [leaf for leaf, fits in zip(leaves, is_array, strict=True) if fits], BatchRest(structure, static)


def _is_array(leaf: Any) -> bool:
    if isinstance(leaf, bool | int | float | complex):
        return True
    dtype = getattr(leaf, "dtype", None)
    return dtype is not None and (
        not isinstance(dtype, np.dtype) or dtype.kind not in "OSUMmV" or dtype.name == "bfloat16"
    )
