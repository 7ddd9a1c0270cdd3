"""Machines that native code is written for: processors with vector registers, and a GPU's threads."""

import math
from functools import lru_cache
from typing import NamedTuple

import jax

from vgrad_jax.lanes.errors import NotInLanesError
from vgrad_jax.lanes.toolchain import host_features

__all__ = ["BLOCK", "THREADS", "Machine", "local_machine", "required_machine"]

BLOCK = 32
"""Threads of a GPU's block: a warp, whose threads exchange numbers."""


class Machine(NamedTuple):
    """A kind of processor, as far as the code depends on it."""

    platform: str
    """JAX's name of the platform, "cpu" or "gpu"."""
    width: int
    """Lanes of a register; 1 where every lane is a thread of its own."""
    sums: int
    """Registers that hold sums in a loop; the rest holds the terms."""
    sums_beside: int
    """Elements of sums that are fused into the loop that computes their terms."""
    products_beside: bool
    """True where sums of products may be fused."""
    long: float
    """Instructions of an iteration above which a loop is split, so that several iterations are in flight."""
    team: int = 1
    """Threads that share a lane: they divide the iterations of its loops."""
    fewest_beside: int = 1
    """Iterations that are interleaved at the least: they share what they load."""
    has_exp2: bool = False
    """True where the processor has instructions for 2^x and 1/x."""

    @property
    def group(self) -> int:
        """Lanes that run together; the number of lanes is a multiple of it."""
        return BLOCK // self.team if self.platform == "gpu" else self.width


def _vector(width: int, sums: int) -> Machine:
    # The threshold for splitting was measured with five layers of five units.
    return Machine("cpu", width, sums, sums_beside=8, products_beside=False, long=100.0)


THREADS = Machine(
    "gpu",
    1,
    sums=64,
    sums_beside=160,
    products_beside=True,
    long=math.inf,
    team=4,
    fewest_beside=2,
    has_exp2=True,
)
"""A GPU's threads. A thread has 255 registers and memory is far away: a row stays in one loop's registers."""


def local_machine() -> Machine | None:
    """Return the machine that JAX computes on; None where native code cannot be written for it."""
    try:
        return required_machine()
    except NotInLanesError:
        return None


def required_machine() -> Machine:
    """Return the machine that JAX computes on.

    Raises:
        NotInLanesError: there is no native code for it, or llvmlite, which knows the processor, cannot be imported.
    """
    match jax.default_backend():
        case "cpu":
            return _processor()
        case "gpu" if "nvidia" in jax.devices()[0].device_kind.lower():  # CUDA's names of devices have it.
            return THREADS
    raise NotInLanesError(f"no native code for {jax.default_backend()}")


@lru_cache(maxsize=1)
def _processor() -> Machine:
    features = host_features()
    if features.get("avx512f"):
        return _vector(16, 26)  # 32 registers.
    return _vector(8, 12) if features.get("avx") else _vector(4, 12)  # At least 16 registers.
