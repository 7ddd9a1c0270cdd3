"""Code as a function of the processor."""

from collections.abc import Sequence

from vgrad_jax.lanes.calls import compiled, handler, register
from vgrad_jax.lanes.code import Code

__all__ = ["on_processor"]

STACK = '"frame-pointer"="all" "stackrealign"'
"""Registers that are put on the stack begin at their own size: across cache lines they take twice the time. LLVM can
only see to it where a frame pointer is kept."""


def on_processor(code: Code, inputs: Sequence[str], outputs: Sequence[str]) -> str:
    """Compile a function.

    Args:
        code: the function's lines.
        inputs: names of the pointers to its arguments.
        outputs: names of the pointers to its results.

    Returns:
        The name for `jax.ffi.ffi_call`.
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
    return register("\n".join(lines), "cpu", compiled)
