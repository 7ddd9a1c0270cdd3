"""Code as a function of the processor."""

from collections.abc import Sequence

from vgrad_jax.lanes.code import Code
from vgrad_jax.lanes.ffi import handler, register
from vgrad_jax.lanes.toolchain import compile_code

__all__ = ["link_cpu"]

STACK = '"frame-pointer"="all" "stackrealign"'
"""Spilled registers begin at multiples of their size: across cache lines a load takes twice the time. LLVM aligns the
stack only where a frame pointer is kept."""


def link_cpu(code: Code, inputs: Sequence[str], outputs: Sequence[str]) -> str:
    """Compile a function and register it with XLA.

    Args:
        code: the function's lines.
        inputs: names of the pointers to its arguments.
        outputs: names of the pointers to its results.

    Returns:
        The name for `jax.ffi.ffi_call`.

    Raises:
        NotInLanesError: LLVM or XLA refuses the function.
    """
    pointers = [*inputs, *outputs]
    call = [f"  call void @body({', '.join(f'ptr {name}' for name in pointers)})", "  ret ptr null"]
    lines = [
        *sorted(code.declared.values()),
        f"define internal void @body({', '.join(f'ptr noalias {name}' for name in pointers)}) #0 {{",
        "entry:",
        *code.lines,
        "  ret void",
        "}",
        handler(call, inputs, outputs, "#0"),
        f'attributes #0 = {{ nounwind {STACK} "prefer-vector-width"="{32 * code.width}" }}',
    ]
    return register("\n".join(lines), "cpu", compile_code)
