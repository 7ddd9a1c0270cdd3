"""Arrays on a mesh whose axes are explicit: the mesh that a program needs, and numbers that every device holds."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import jax
from jax.sharding import NamedSharding, PartitionSpec
from jaxtyping import Array, PyTree

__all__ = ["in_mesh_of", "on_every_device"]


def in_mesh_of(tree: PyTree) -> AbstractContextManager[Any]:
    """Return a context in which arrays of an explicit mesh can be computed with; it does nothing for others.

    `jit` infers the mesh from its arguments, but not for parameters that are made inside of it.
    """
    mesh = next(_explicit_meshes(tree), None)
    if mesh is None or not jax.sharding.get_abstract_mesh().empty:
        return nullcontext()
    return jax.set_mesh(mesh)


def _explicit_meshes(tree: PyTree) -> Iterator[Any]:
    for leaf in jax.tree.leaves(tree):
        sharding = getattr(leaf, "sharding", None) if isinstance(leaf, jax.Array) else None
        if isinstance(sharding, NamedSharding) and not isinstance(leaf, jax.core.Tracer) and _is_explicit(sharding):
            yield sharding.mesh


def _is_explicit(sharding: Any) -> bool:
    return any("Explicit" in str(kind) for kind in getattr(sharding.mesh, "axis_types", None) or ())


def on_every_device(values: Array) -> Array:
    """Return numbers unsharded, so that they can be gathered and stacked with any others.

    Only the axes of an explicit mesh are part of an array's type; for others the compiler sees to it.
    """
    sharding = getattr(jax.typeof(values), "sharding", None)
    if sharding is None or not _is_explicit(sharding) or all(part is None for part in sharding.spec):
        return values
    return jax.sharding.reshard(values, NamedSharding(sharding.mesh, PartitionSpec(*[None] * values.ndim)))
