"""Training on all devices of this machine, a chunk on each, through JAX's own sharding.

    keys of a call: | chunk 0 | chunk 1 | ...        device 0 trains chunk 0, device 1 trains chunk 1, ...

`shard_map` compiles a program for the shape of a single device's share. A chunk therefore has the same program, and
every seed the same rounding, whatever the number of devices.
"""

from collections.abc import Callable
from typing import Any

import jax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

__all__ = ["over_devices", "spread"]


def spread(keys: jax.Array, devices: int) -> jax.Array:
    """Distribute keys `(seed,)` in equal shares over the first `devices` local devices."""
    return keys if devices == 1 else jax.device_put(keys, NamedSharding(_mesh(devices), PartitionSpec("seed")))


def over_devices(function: Callable[..., Any], devices: int) -> Callable[..., Any]:
    """Return a function of `(params, keys, settings)` that runs on the first `devices` local devices.

    Each device has its own share of the leading axis of `params` and `keys`; all devices have the same settings.
    """
    if devices == 1:
        return function
    seeds, everywhere = PartitionSpec("seed"), PartitionSpec()
    return jax.shard_map(
        function, mesh=_mesh(devices), in_specs=(seeds, seeds, everywhere), out_specs=seeds, check_vma=False
    )


def _mesh(devices: int) -> Mesh:
    return Mesh(jax.local_devices()[:devices], ("seed",))
