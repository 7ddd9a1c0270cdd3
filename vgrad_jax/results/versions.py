"""Versions of the software and the machine that results were made with."""

import platform
import sys
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import jax
import numpy

from vgrad_jax.errors import InputError

__all__ = ["DECISIVE", "JAX_SETTINGS", "check_versions", "versions"]

JAX_SETTINGS = ("jax_enable_x64", "jax_default_prng_impl", "jax_threefry_partitionable", "jax_default_matmul_precision")
"""Settings of JAX on which a run's numbers depend, beside its description."""

DECISIVE = ("jax", "jaxlib", "llvmlite", "optax", "numpy", "machine", "instructions", "device", "settings")
"""Keys of `versions` that change numbers: the last digits at first, and whole runs after many steps of training."""


def versions() -> dict[str, str]:
    """Versions and machine, for the record."""
    device = jax.devices()[0]
    return {
        **{
            name: version(name)
            for name in ("vgrad_jax", "jax", "jaxlib", "llvmlite", "optax", "numpy", "xarray", "zarr")
        },
        "python": sys.version.split()[0],
        "machine": platform.machine(),
        "instructions": _instructions(),
        "system": platform.system(),
        "device": f"{device.platform}: {device.device_kind}",
        "settings": ", ".join(f"{name}={getattr(jax.config, name)}" for name in JAX_SETTINGS),
    }


def check_versions(found: Mapping[str, str], opening: str) -> None:
    """That runs trained with these versions can stand beside runs trained here.

    Args:
        found: `versions` of the others.
        opening: of the sentence that refuses them.

    Raises:
        InputError: something differs that changes numbers.
    """
    here = versions()
    changed = [
        f"{name} {found.get(name, 'unknown')} there and {here[name]} here"
        for name in DECISIVE
        if found.get(name) != here[name]
    ]
    if changed:
        raise InputError(f"{opening}: {'; '.join(changed)}. The same seed gives other numbers there and here")


def _instructions() -> str:
    """The processor's vector instructions, by which XLA chooses its programs on CPU."""
    configuration: Any = numpy.show_config(mode="dicts")
    return " ".join(configuration["SIMD Extensions"].get("found", []))
