"""One chunk on each of this machine's devices at the same time, through JAX's own sharding.

A program that `shard_map` runs has the shape of one device's share, so that every seed is rounded the same whatever the
number of devices: a chunk stays a chunk, and several of them, side by side, make a call.
"""

from collections.abc import Callable
from typing import Any

import jax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

__all__ = ["over_devices", "spread"]


def spread(keys: jax.Array, devices: int) -> jax.Array:
    """Keys, an equal share of them on each of the first so many local devices."""
    return keys if devices == 1 else jax.device_put(keys, NamedSharding(_mesh(devices), PartitionSpec("seed")))


def over_devices(function: Callable[..., Any], devices: int) -> Callable[..., Any]:
    """The function of `(params, keys, settings)`, each device with its own share of the first two's leading axis."""
    if devices == 1:
        return function
    seeds, everywhere = PartitionSpec("seed"), PartitionSpec()
    return jax.shard_map(
        function, mesh=_mesh(devices), in_specs=(seeds, seeds, everywhere), out_specs=seeds, check_vma=False
    )


def _mesh(devices: int) -> Mesh:
    return Mesh(jax.local_devices()[:devices], ("seed",))
