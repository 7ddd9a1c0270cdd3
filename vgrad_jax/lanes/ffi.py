"""XLA's stable interface for native functions: how a call's frame is read, and how a function is registered.

XLA calls a function with a frame that describes its arguments and results (`xla/ffi/api/c_api.h`, which jaxlib brings
along):

    frame ──► arguments ──► list of buffers ──► buffer ──► data
          ──► results   ──► list of buffers ──► buffer ──► data
          ──► extension: asks for the function's version, once, when it is registered
"""

import ctypes
import hashlib
from collections.abc import Callable, Sequence
from threading import Lock
from typing import Any

import jax

from vgrad_jax.lanes.errors import RefusedCodeError
from vgrad_jax.lanes.toolchain import MachineCode

__all__ = ["OFFSETS", "PREFIX", "field", "handler", "register"]

PREFIX = "vgrad_jax_"
"""Names of native functions begin like this."""

OFFSETS = {
    "XLA_FFI_CallFrame.extension_start": 8,
    "XLA_FFI_CallFrame.api": 16,
    "XLA_FFI_CallFrame.ctx": 24,
    "XLA_FFI_CallFrame.args": 40,
    "XLA_FFI_CallFrame.rets": 80,
    "XLA_FFI_Args.args": 32,
    "XLA_FFI_Rets.rets": 32,
    "XLA_FFI_Buffer.data": 24,
    "XLA_FFI_Extension_Base.type": 8,
    "XLA_FFI_Metadata_Extension.metadata": 24,
    "XLA_FFI_Metadata.api_version.major_version": 24,
    "XLA_FFI_Metadata.api_version.minor_version": 28,
    "XLA_FFI_Metadata.traits": 32,
    "XLA_FFI_Api.XLA_FFI_Error_Create": 48,
    "XLA_FFI_Api.XLA_FFI_Stream_Get": 80,
    "XLA_FFI_Api.XLA_FFI_ThreadPool_Schedule": 136,
    "XLA_FFI_Api.XLA_FFI_ThreadPool_NumThreads": 144,
    "XLA_FFI_ThreadPool_Schedule_Args.ctx": 16,
    "XLA_FFI_ThreadPool_Schedule_Args.task": 24,
    "XLA_FFI_ThreadPool_Schedule_Args.data": 32,
    "XLA_FFI_ThreadPool_NumThreads_Args.ctx": 16,
    "XLA_FFI_ThreadPool_NumThreads_Args.num_threads": 24,
}
"""Bytes from the start of a struct of the header to a field."""

CONSTANTS = {
    "XLA_FFI_Extension_Metadata": 1,
    "XLA_FFI_API_MAJOR": 0,
    "XLA_FFI_API_MINOR": 1,
    "XLA_FFI_Error_Code_INTERNAL": 13,
    "XLA_FFI_HANDLER_TRAITS_COMMAND_BUFFER_COMPATIBLE": 1,
}
"""The header's constants, and the version whose layout `OFFSETS` has."""

_lock = Lock()
_registered: dict[str, MachineCode] = {}
"""Name to machine code.

XLA has no way to take a registration back, and its compiled programs hold the functions' addresses: machine code is
kept until the process ends. The same code is registered once.
"""


def register(text: str, platform: str, make: Callable[[str], MachineCode]) -> str:
    """Compile a function and register it with XLA, once for each text.

    Args:
        text: identifies the function.
        platform: XLA's name of where it runs.
        make: compiles the text.

    Returns:
        The name for `jax.ffi.ffi_call`.

    Raises:
        RefusedCodeError: XLA refuses the function, as one that knows another version of the interface does.
    """
    name = PREFIX + hashlib.sha256(text.encode()).hexdigest()[:24]
    with _lock:
        if name not in _registered:
            code = make(text)
            try:
                jax.ffi.register_ffi_target(name, _capsule(code.address), platform=platform, api_version=1)
            except Exception as error:  # XlaRuntimeError or another, by jaxlib's version.
                raise RefusedCodeError(f"XLA refuses native code: {error}") from error
            _registered[name] = code
    return name


def _capsule(address: int) -> Any:
    """Return a PyCapsule of an address."""
    new = ctypes.pythonapi.PyCapsule_New
    new.restype, new.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
    return new(address, None, None)


def handler(
    call: Sequence[str], inputs: Sequence[str], outputs: Sequence[str], attributes: str, *, repeatable: bool = False
) -> str:
    """Return the code of a function `handler` that XLA calls with a frame.

    Args:
        call: lines that do the work and return null or an error.
        inputs: names of the pointers to the arguments.
        outputs: names of the pointers to the results.
        attributes: the function's, in LLVM's form.
        repeatable: whether XLA may record its work on a GPU, and repeat it.
    """
    traits = CONSTANTS["XLA_FFI_HANDLER_TRAITS_COMMAND_BUFFER_COMPATIBLE"] if repeatable else 0
    lines = [
        f"define ptr @handler(ptr %frame) {attributes} {{",
        "entry:",
        *field("%extension", "ptr", "%frame", "XLA_FFI_CallFrame.extension_start"),
        "  %called = icmp eq ptr %extension, null",
        "  br i1 %called, label %call, label %asked",
        "asked:",
        *field("%extension.type", "i32", "%extension", "XLA_FFI_Extension_Base.type"),
        f"  %described = icmp eq i32 %extension.type, {CONSTANTS['XLA_FFI_Extension_Metadata']}",
        "  br i1 %described, label %describe, label %call",
        "describe:",
        *field("%metadata", "ptr", "%extension", "XLA_FFI_Metadata_Extension.metadata"),
    ]
    for name, value in (
        ("api_version.major_version", CONSTANTS["XLA_FFI_API_MAJOR"]),
        ("api_version.minor_version", CONSTANTS["XLA_FFI_API_MINOR"]),
        ("traits", traits),
    ):
        offset = OFFSETS[f"XLA_FFI_Metadata.{name}"]
        lines.append(f"  %at.{offset} = getelementptr i8, ptr %metadata, i64 {offset}")
        lines.append(f"  store i32 {value}, ptr %at.{offset}")
    lines += ["  ret ptr null", "call:"]
    lines += _pointers("%in", "args", "XLA_FFI_Args.args", inputs)
    lines += _pointers("%out", "rets", "XLA_FFI_Rets.rets", outputs)
    return "\n".join([*lines, *call, "}"])


def _pointers(list_: str, part: str, buffers: str, names: Sequence[str]) -> list[str]:
    """Return lines that load the data pointers of a frame's arguments or results."""
    start = OFFSETS[f"XLA_FFI_CallFrame.{part}"]
    lines = field(f"{list_}.list", "ptr", "%frame", start + OFFSETS[buffers])
    for number, name in enumerate(names):
        lines += field(f"{name}.buffer", "ptr", f"{list_}.list", 8 * number)
        lines += field(name, "ptr", f"{name}.buffer", "XLA_FFI_Buffer.data")
    return lines


def field(name: str, type_: str, pointer: str, offset: int | str) -> list[str]:
    """Return lines that load a struct's field.

    Args:
        name: of the result.
        type_: LLVM's.
        pointer: to the struct.
        offset: bytes, or a key of `OFFSETS`.
    """
    count = OFFSETS[offset] if isinstance(offset, str) else offset
    return [f"  {name}.at = getelementptr i8, ptr {pointer}, i64 {count}", f"  {name} = load {type_}, ptr {name}.at"]
