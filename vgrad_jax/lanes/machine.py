"""What code is written for: this machine's processor, or its GPU."""

import math
from functools import lru_cache
from typing import NamedTuple

import jax
import llvmlite.binding as llvm

__all__ = ["Machine", "local_machine"]


class Machine(NamedTuple):
    """A kind of processor, as far as the code depends on it."""

    platform: str
    """JAX's name for it."""
    width: int
    """Lanes of a register. Where it is 1, every lane is a thread of its own."""
    sums: int
    """Registers that hold sums in a loop; a few are left for what is added."""
    sums_beside: int
    """Numbers that may be added up in the loop that computes what is added."""
    products_beside: bool
    """Whether sums of products may be among them."""
    long: float
    """Instructions of a loop, about, after which another one begins, so that several turns are under way."""


def _vector(width: int, sums: int) -> Machine:
    # A loop's length was measured with five layers of five units.
    return Machine("cpu", width, sums, sums_beside=8, products_beside=False, long=100.0)


THREADS = Machine("gpu", 1, sums=64, sums_beside=160, products_beside=True, long=math.inf)
"""A thread has 255 registers, and memory is far away: a row's numbers stay in one loop's registers."""


def local_machine() -> Machine | None:
    """What JAX computes on; None where there is no native code for it."""
    match jax.default_backend():
        case "cpu":
            return _processor()
        case "gpu" if "nvidia" in jax.devices()[0].device_kind.lower():  # As CUDA names them.
            return THREADS
    return None


@lru_cache(maxsize=1)
def _processor() -> Machine:
    features = llvm.get_host_cpu_features()
    if features.get("avx512f"):
        return _vector(16, 26)  # 32 registers.
    return _vector(8, 12) if features.get("avx") else _vector(4, 12)  # 16, or more.
