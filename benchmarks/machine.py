"""What a measurement was made on: machine, versions."""

import os
import platform
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import jax

from benchmarks.floor import compiler_version, cores

PACKAGES = ("jax", "jaxlib", "llvmlite", "numpy", "optax", "keras", "torch", "flax", "scikit-learn", "vgrad_jax")


def describe() -> dict[str, Any]:
    """Machine and versions, without the machine's name."""
    return {
        "cpu": _cpu_model(),
        "cores": cores(),
        "memory_gib": _memory_gib(),
        "platform": platform.platform(terse=True),
        "device": f"{jax.default_backend()}: {jax.devices()[0].device_kind}",
        "devices": jax.device_count(),
        "python": platform.python_version(),
        "compiler": compiler_version(),
        "packages": {name: found for name in PACKAGES if (found := _version(name))},
    }


def label() -> str:
    """The processor and its cores, or the GPU, fit for a file's name."""
    if jax.default_backend() != "cpu":
        return "-".join(re.findall("[a-z0-9]+", jax.devices()[0].device_kind.lower()))
    cpu = re.sub(r"\((R|TM)\)|CPU|Processor|@.*", "", _cpu_model())
    return f"{'-'.join(re.findall('[a-z0-9]+', cpu.lower()))}-{cores()}-cores"


def _cpu_model() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor() or platform.machine()
    found = dict(re.findall(r"^(model name|cpu family|model)\s*:\s*(.+)$", text, re.MULTILINE))
    if "model name" not in found:
        return platform.machine()
    return f"{found['model name']} (family {found.get('cpu family')}, model {found.get('model')})"


def _memory_gib() -> int | None:
    if not hasattr(os, "sysconf"):
        return None
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
