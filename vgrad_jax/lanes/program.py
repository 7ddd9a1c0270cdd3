"""Programs with native functions, compiled ahead of time."""

from collections.abc import Callable

import jax
from jaxtyping import PyTree

from vgrad_jax.lanes.errors import NotInLanesError
from vgrad_jax.lanes.ffi import PREFIX

__all__ = ["compile_program"]

PASSING = ("RESOURCE_EXHAUSTED", "CANCELLED", "ABORTED", "UNAVAILABLE", "DEADLINE_EXCEEDED")
"""XLA's codes of failures that are the machine's at the moment, whatever the program holds."""


def compile_program(function: Callable[..., PyTree], *arguments: PyTree) -> Callable[..., PyTree]:
    """Compile a function that calls functions of `over_lanes`.

    The program belongs to the caller: XLA's memory is freed with the last reference. Machine code of the native
    functions, about 0.2 MiB each, stays until the process ends, since XLA keeps their addresses.

    Args:
        function: of arrays, pure.
        arguments: arrays, or their shapes and dtypes.

    Returns:
        The program, for arguments of the same shapes and dtypes.

    Raises:
        NotInLanesError: a loop has no native code, or XLA refuses the native functions.
        JaxRuntimeError: XLA fails for another reason, such as too little memory.

    >>> import jax.numpy as jnp
    >>> from vgrad_jax.lanes import over_lanes
    >>> compile_program(over_lanes(jnp.sqrt), jnp.zeros(16))(jnp.full(16, 9.0))[:2].tolist()
    [3.0, 3.0]
    """
    try:
        return jax.jit(function).lower(*arguments).compile()
    except jax.errors.JaxRuntimeError as error:
        # A lack of memory may name a native function, and `vmap` would lack the memory too.
        if PREFIX not in str(error) or str(error).startswith(PASSING):
            raise
        raise NotInLanesError(f"XLA refuses a program with native code: {error}") from error
