"""Versions of the software and of the machine on which results were made."""

import platform
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import jax
import numpy

from vgrad_jax.errors import InputError

__all__ = ["DECISIVE", "JAX_SETTINGS", "check_versions", "versions"]

JAX_SETTINGS = ("jax_enable_x64", "jax_default_prng_impl", "jax_threefry_partitionable", "jax_default_matmul_precision")
"""Names of JAX's settings on which a run's numbers depend, beside its description."""

DECISIVE = ("jax", "jaxlib", "llvmlite", "optax", "numpy", "machine", "instructions", "device", "settings")
"""Keys of `versions` whose values change numbers: the last digits of a step, and so the course of a long training."""


def versions() -> dict[str, str]:
    """Return the versions of the software and the properties of the machine, by name.

    A package that is not installed has the version "not installed".
    """
    device = jax.devices()[0]
    return {
        **{
            name: _version(name)
            for name in ("vgrad_jax", "jax", "jaxlib", "llvmlite", "optax", "numpy", "xarray", "zarr")
        },
        "python": sys.version.split()[0],
        "machine": platform.machine(),
        "instructions": _instructions(),
        "system": platform.system(),
        "device": f"{device.platform}: {device.device_kind}",
        "settings": ", ".join(f"{name}={getattr(jax.config, name)}" for name in JAX_SETTINGS),
    }


def check_versions(others: Mapping[str, str], opening: str) -> None:
    """Refuse versions with which the same seed would give other numbers than in this process.

    Args:
        others: result of `versions` in the other process.
        opening: first words of the error message.

    Raises:
        InputError: a version or property in `DECISIVE` differs.
    """
    here = versions()
    changed = [
        f"{name} {others.get(name, 'unknown')} there and {here[name]} here"
        for name in DECISIVE
        if others.get(name) != here[name]
    ]
    if changed:
        raise InputError(f"{opening}: {'; '.join(changed)}. The same seed gives other numbers there and here")


def _version(package: str) -> str:
    """Return the version of a package; the engine `plain` needs no llvmlite, for example."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _instructions() -> str:
    """Return the processor's vector instructions; XLA's programs for a CPU depend on them."""
    configuration: Any = numpy.show_config(mode="dicts")
    return " ".join(configuration["SIMD Extensions"].get("found", []))
