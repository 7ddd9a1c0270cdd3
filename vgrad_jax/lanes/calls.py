"""Functions that XLA's programs call, in the form in which XLA calls them.

XLA calls a function with a frame that describes its arguments and results (`xla/ffi/api/c_api.h`, which jaxlib brings
along; it promises to keep old versions for a year). What reads the frame is written here, as LLVM code.
"""

import ctypes
import hashlib
from collections.abc import Callable, Sequence
from threading import Lock
from typing import Any

import jax
import llvmlite.binding as llvm

from vgrad_jax.lanes.graph import NotNativeError

__all__ = ["compiled", "field", "handler", "optimise", "parsed", "register"]

ARGUMENTS, RESULTS = 40, 80
"""Bytes from the start of an `XLA_FFI_CallFrame` to what describes the arguments, and the results."""

LIST, DATA, EXTENSION, TYPE, METADATA = 32, 24, 8, 8, 24
"""Bytes to the list of buffers in such a description, to the data in a buffer, to the frame's extension, in that to its
type (1 asks for the version), and to where the version goes."""

VERSION, TRAITS = 24, 32
"""Bytes in that place to the version, 0.1, and to the traits."""

_lock = Lock()
_engines: dict[str, Any] = {}
"""By the name of the function; they keep the code alive."""


def register(text: str, platform: str, make: Callable[[str], Any]) -> str:
    """Compile a function and make it known to XLA.

    Args:
        text: what tells it from others.
        platform: JAX's name for where it runs.
        make: gives an engine with a function `handler`.

    Returns:
        The name for `jax.ffi.ffi_call`; the same for the same text.
    """
    name = "vgrad_jax_" + hashlib.sha256(text.encode()).hexdigest()[:24]
    with _lock:
        if name not in _engines:
            engine = make(text)
            capsule = ctypes.pythonapi.PyCapsule_New
            capsule.restype, capsule.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
            address = capsule(engine.get_function_address("handler"), None, None)
            jax.ffi.register_ffi_target(name, address, platform=platform, api_version=1)
            _engines[name] = engine
    return name


def handler(
    call: Sequence[str], inputs: Sequence[str], outputs: Sequence[str], attributes: str, traits: int = 0
) -> str:
    """LLVM's code of a function `handler` of a frame.

    Args:
        call: lines that do what is to be done, and return null, or an error.
        inputs: names of the pointers to the arguments.
        outputs: names of the pointers to the results.
        attributes: of the function.
        traits: 1 where its work may be recorded and repeated.
    """
    lines = [
        f"define ptr @handler(ptr %frame) {attributes} {{",
        "entry:",
        *field("%extension", "ptr", "%frame", EXTENSION),
        "  %called = icmp eq ptr %extension, null",
        "  br i1 %called, label %call, label %asked",
        "asked:",
        *field("%extension.type", "i32", "%extension", TYPE),
        "  %described = icmp eq i32 %extension.type, 1",
        "  br i1 %described, label %describe, label %call",
        "describe:",
        *field("%metadata", "ptr", "%extension", METADATA),
    ]
    for place, value in ((VERSION, 0), (VERSION + 4, 1), (TRAITS, traits)):
        lines.append(f"  %at.{place} = getelementptr i8, ptr %metadata, i64 {place}")
        lines.append(f"  store i32 {value}, ptr %at.{place}")
    lines += ["  ret ptr null", "call:"]
    for kind, start, names in (("%in", ARGUMENTS, inputs), ("%out", RESULTS, outputs)):
        lines += field(f"{kind}.list", "ptr", "%frame", start + LIST)
        for number, name in enumerate(names):
            lines += field(f"{name}.buffer", "ptr", f"{kind}.list", 8 * number)
            lines += field(name, "ptr", f"{name}.buffer", DATA)
    return "\n".join([*lines, *call, "}"])


def field(name: str, type_: str, pointer: str, place: int) -> list[str]:
    """What is so many bytes after a pointer."""
    return [f"  {name}.at = getelementptr i8, ptr {pointer}, i64 {place}", f"  {name} = load {type_}, ptr {name}.at"]


def parsed(text: str) -> Any:
    """LLVM's module of code.

    Raises:
        NotNativeError: it does not take the code.
    """
    try:
        return llvm.parse_assembly(text)
    except RuntimeError as error:
        raise NotNativeError(f"LLVM does not take the code: {error}") from error


def compiled(text: str) -> Any:
    """Code as functions of this process; an engine that keeps them alive."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    module = parsed(text)
    module.triple = llvm.get_default_triple()
    # One for each: an engine frees its own.
    target = llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten(), opt=1
    )
    optimise(module, target)
    engine = llvm.create_mcjit_compiler(module, target)
    engine.finalize_object()
    return engine


def optimise(module: Any, target: Any) -> None:
    """LLVM's first level: higher ones take longer, and give the same speed, as the code is written out already."""
    options = llvm.create_pipeline_tuning_options(speed_level=1)
    options.loop_vectorization = options.slp_vectorization = options.loop_unrolling = False
    builder = llvm.create_pass_builder(target, options)
    builder.getModulePassManager().run(module, builder)
