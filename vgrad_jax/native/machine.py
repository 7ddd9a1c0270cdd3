"""This machine's processor: LLVM code becomes a native function that XLA's programs call.

XLA calls a function with a frame that describes its arguments and results (`xla/ffi/api/c_api.h`, which jaxlib brings
along; it promises to keep old versions for a year). The wrapper that reads the frame is written here too.
"""

import ctypes
import hashlib
from collections.abc import Sequence
from functools import lru_cache
from threading import Lock
from typing import Any, NamedTuple

import jax
import llvmlite.binding as llvm

from vgrad_jax.native.code import Code
from vgrad_jax.native.graph import NotNativeError

__all__ = ["Machine", "machine", "register"]

ARGUMENTS, RESULTS = 40, 80
"""Bytes from the start of an `XLA_FFI_CallFrame` to what describes the arguments, and the results."""

LIST, DATA, EXTENSION, TYPE, METADATA = 32, 24, 8, 8, 24
"""Bytes to the list of buffers in such a description, to the data in a buffer, to the frame's extension, in that to its
type (1 asks for the version), and to where the version goes."""

VERSION, TRAITS = 24, 32
"""Bytes in that place to the version, 0.1, and to the traits, none."""

STACK = '"frame-pointer"="all" "stackrealign"'
"""Registers that are put on the stack begin at their own size: across cache lines they take twice the time. LLVM can
only see to it where a frame pointer is kept."""


class Machine(NamedTuple):
    """The processor that code is written for."""

    width: int
    """Lanes of a vector register."""
    sums: int
    """Vector registers that hold sums in a loop; a few are left for what is added."""


_lock = Lock()
_engines: dict[str, Any] = {}
"""By the name of the function; they keep the code alive."""


@lru_cache(maxsize=1)
def machine() -> Machine:
    """The processor of this machine."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    features = llvm.get_host_cpu_features()
    if features.get("avx512f"):
        return Machine(16, 26)  # 32 registers.
    return Machine(8, 12) if features.get("avx") else Machine(4, 12)  # 16, or more.


def register(code: Code, inputs: Sequence[str], outputs: Sequence[str]) -> str:
    """Compile a function and make it known to XLA.

    Args:
        code: the function's lines.
        inputs: names of the pointers to its arguments.
        outputs: names of the pointers to its results.

    Returns:
        The name for `jax.ffi.ffi_call`; the same for the same code.
    """
    text = _module(code, inputs, outputs)
    name = "vgrad_jax_" + hashlib.sha256(text.encode()).hexdigest()[:24]
    with _lock:
        if name not in _engines:
            engine = _compiled(text)
            capsule = ctypes.pythonapi.PyCapsule_New
            capsule.restype, capsule.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
            handler = capsule(engine.get_function_address("handler"), None, None)
            _engines[name] = engine
            jax.ffi.register_ffi_target(name, handler, platform="cpu", api_version=1)
    return name


def _compiled(text: str) -> Any:
    try:
        module = llvm.parse_assembly(text)
    except RuntimeError as error:
        raise NotNativeError(f"LLVM does not take the code: {error}") from error
    module.triple = llvm.get_default_triple()
    # One for each: an engine frees its own.
    target = llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten(), opt=1
    )
    options = llvm.create_pipeline_tuning_options(speed_level=1)
    # Higher levels take longer and give the same speed: every instruction is one of whole registers already.
    options.loop_vectorization = options.slp_vectorization = options.loop_unrolling = False
    builder = llvm.create_pass_builder(target, options)
    builder.getModulePassManager().run(module, builder)
    engine = llvm.create_mcjit_compiler(module, target)
    engine.finalize_object()
    return engine


def _module(code: Code, inputs: Sequence[str], outputs: Sequence[str]) -> str:
    pointers = [*inputs, *outputs]
    lines = [
        *sorted(code.declared.values()),
        f"define internal void @body({', '.join(f'ptr noalias {name}' for name in pointers)}) #0 {{",
        "entry:",
        *code.lines,
        "  ret void",
        "}",
        "define ptr @handler(ptr %frame) #0 {",
        "entry:",
        *_field("%extension", "ptr", "%frame", EXTENSION),
        "  %called = icmp eq ptr %extension, null",
        "  br i1 %called, label %call, label %asked",
        "asked:",
        *_field("%extension.type", "i32", "%extension", TYPE),
        "  %described = icmp eq i32 %extension.type, 1",
        "  br i1 %described, label %describe, label %call",
        "describe:",
        *_field("%metadata", "ptr", "%extension", METADATA),
    ]
    for place, value in ((VERSION, 0), (VERSION + 4, 1), (TRAITS, 0)):
        lines.append(f"  %at.{place} = getelementptr i8, ptr %metadata, i64 {place}")
        lines.append(f"  store i32 {value}, ptr %at.{place}")
    lines += ["  ret ptr null", "call:"]
    for kind, start, names in (("%in", ARGUMENTS, inputs), ("%out", RESULTS, outputs)):
        lines += _field(f"{kind}.list", "ptr", "%frame", start + LIST)
        for number, name in enumerate(names):
            lines += _field(f"{name}.buffer", "ptr", f"{kind}.list", 8 * number)
            lines += _field(name, "ptr", f"{name}.buffer", DATA)
    lines += [
        f"  call void @body({', '.join(f'ptr {name}' for name in pointers)})",
        "  ret ptr null",
        "}",
        f'attributes #0 = {{ nounwind {STACK} "prefer-vector-width"="{32 * code.width}" }}',
    ]
    return "\n".join(lines)


def _field(name: str, type_: str, pointer: str, place: int) -> list[str]:
    return [f"  {name}.at = getelementptr i8, ptr {pointer}, i64 {place}", f"  {name} = load {type_}, ptr {name}.at"]
