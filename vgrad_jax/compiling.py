"""How programs are compiled that are not worth compiling well."""

from collections.abc import Callable
from typing import Any

import jax

__all__ = ["compiled_quickly"]

OPTIONS: dict[str, bool | int] = {
    "xla_backend_optimization_level": 0,
    "xla_llvm_disable_expensive_passes": True,
    "xla_cpu_use_fusion_emitters": False,
}
NO_SUCH_OPTION = "No such compile option"
"""What XLA says of an option that another version of it knows."""


def compiled_quickly(function: Callable[..., Any]) -> Callable[..., Any]:
    """`jax.jit(function)` for a program that runs for a fraction of a second, and whose optimisation would take ten.

    With a version of XLA that does not know the options, it is `jax.jit` without them.

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
