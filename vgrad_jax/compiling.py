"""Compile programs without optimisation if optimising them would take longer than running them."""

from collections.abc import Callable
from typing import Any

import jax

__all__ = ["compiled_quickly"]

OPTIONS: dict[str, bool | int] = {
    "xla_backend_optimization_level": 0,
    "xla_llvm_disable_expensive_passes": True,
    "xla_cpu_use_fusion_emitters": False,
}
"""XLA's options for a fast compilation, by name."""
NO_SUCH_OPTION = "No such compile option"
"""Part of XLA's message about an option that its version does not have."""


def compiled_quickly(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return `jax.jit(function)`, compiled without optimisation.

    It is for a program that runs for a fraction of a second and whose optimisation would take ten seconds. A version of
    XLA that does not know the options compiles it with the usual ones.

    >>> int(compiled_quickly(lambda x: x + 1)(1))
    2
    """
    quick, usual = jax.jit(function, compiler_options=OPTIONS), jax.jit(function)

    def call(*arguments: Any) -> Any:
        try:
            return quick(*arguments)
        except jax.errors.JaxRuntimeError as error:
            if NO_SUCH_OPTION not in str(error):
                raise
            return usual(*arguments)

    return call
