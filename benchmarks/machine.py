"""Describe the machine and the versions that a measurement was made with."""

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
    """Return the machine and the versions, without the machine's name."""
    return {
        "cpu": _cpu_model(),
        "cores": cores(),
        "memory_gib": _memory_gib(),
        "platform": platform.platform(terse=True),
        "device": f"{jax.default_backend()}: {jax.devices()[0].device_kind}",
        "devices": jax.device_count(),
        "python": platform.python_version(),
        "compiler": compiler_version(),
        "packages": {name: number for name in PACKAGES if (number := _version(name))},
    }


def label() -> str:
    """Return the processor with its number of cores, or the GPU, in a form for a file's name."""
    if jax.default_backend() != "cpu":
        return "-".join(re.findall("[a-z0-9]+", jax.devices()[0].device_kind.lower()))
    cpu = re.sub(r"\((R|TM)\)|CPU|Processor|@.*", "", _cpu_model())
    return f"{'-'.join(re.findall('[a-z0-9]+', cpu.lower()))}-{cores()}-cores"


def _cpu_model() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor() or platform.machine()
    fields = dict(re.findall(r"^(model name|cpu family|model)\s*:\s*(.+)$", text, re.MULTILINE))
    if "model name" not in fields:
        return platform.machine()
    return f"{fields['model name']} (family {fields.get('cpu family')}, model {fields.get('model')})"


def _memory_gib() -> int | None:
    if not hasattr(os, "sysconf"):
        return None
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
