"""Code as a function of an NVIDIA GPU: every lane is a thread.

LLVM makes PTX of it, which the driver compiles; what XLA calls puts the kernel on the stream of XLA's own kernels.
"""

import ctypes
import hashlib
from collections.abc import Sequence
from functools import lru_cache, partial
from typing import Any

import jax
import llvmlite.binding as llvm

from vgrad_jax.lanes.calls import compiled, field, handler, optimise, parsed, register
from vgrad_jax.lanes.code import Code
from vgrad_jax.lanes.graph import NotNativeError

__all__ = ["LANE", "THREADS", "on_gpu", "ptx_of"]

THREADS = 32
"""Of a block: few, so that a few seeds are spread over all of the GPU."""

LANE = "%lane"
"""The name of a thread's lane in the code."""

API, CONTEXT, ERROR, STREAM = 16, 24, 48, 80
"""Bytes from the start of an `XLA_FFI_CallFrame` to its functions and its context, and in the functions to the one that
makes an error and the one that gives the stream."""

INTERNAL = 13
"""XLA's code for an error that is nobody's else."""

NO_CODE = ("cos", "exp2", "pow", "sin", "tan")
"""Functions of LLVM's that it has only an approximation of there, or nothing."""


def on_gpu(code: Code, inputs: Sequence[str], outputs: Sequence[str], lanes: int) -> str:
    """Compile a function of one lane, `LANE`.

    Args:
        code: the function's lines.
        inputs: names of the pointers to its arguments.
        outputs: names of the pointers to its results.
        lanes: how many; a multiple of `THREADS`.

    Returns:
        The name for `jax.ffi.ffi_call`.

    Raises:
        NotNativeError: there is no code for something.
    """
    pointers = [*inputs, *outputs]
    for name in code.declared:
        if name.split(".")[1] in NO_CODE:
            raise NotNativeError(f"{name.split('.')[1]} has no code of its own on a GPU")
    name = "vgrad_jax_" + hashlib.sha256("\n".join(code.lines).encode()).hexdigest()[:8]  # Seen in profiles.
    launched = partial(_launched, kernel=name, inputs=inputs, outputs=outputs, blocks=lanes // THREADS)
    return register(f"; {lanes} lanes\n{_module(name, code, pointers)}", "CUDA", launched)


def ptx_of(text: str, capability: str) -> str:
    """PTX of LLVM's code.

    Args:
        text: of functions; those that are kernels are called so.
        capability: of the GPU, such as "9.0".
    """
    _targets()
    module = parsed(text)
    target = llvm.Target.from_triple(module.triple).create_target_machine(
        cpu=f"sm_{capability.replace('.', '')}", opt=3
    )
    optimise(module, target)
    return target.emit_assembly(module)


@lru_cache(maxsize=1)
def _targets() -> None:
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()


def _module(kernel: str, code: Code, pointers: Sequence[str]) -> str:
    numbers = {"thread": "tid.x", "block": "ctaid.x"}
    return "\n".join(
        [
            'target triple = "nvptx64-nvidia-cuda"',
            *(f"declare i32 @llvm.nvvm.read.ptx.sreg.{register_}()" for register_ in numbers.values()),
            *sorted(code.declared.values()),
            f"define ptx_kernel void @{kernel}({', '.join(f'ptr noalias {name}' for name in pointers)}) #0 {{",
            "entry:",
            *(f"  %{name} = call i32 @llvm.nvvm.read.ptx.sreg.{of}()" for name, of in numbers.items()),
            f"  %first = mul i32 %block, {THREADS}",
            "  %number = add i32 %first, %thread",
            f"  {LANE} = zext i32 %number to i64",
            *code.lines,
            "  ret void",
            "}",
            f'attributes #0 = {{ nounwind "nvvm.maxntid"="{THREADS}" }}',
        ]
    )


def _launched(text: str, *, kernel: str, inputs: Sequence[str], outputs: Sequence[str], blocks: int) -> Any:
    address = _loaded(kernel, ptx_of(text, jax.devices()[0].compute_capability))
    launch = ctypes.cast(_driver().cuLaunchKernel, ctypes.c_void_p).value
    assert launch is not None
    return compiled(launcher(address, launch, inputs, outputs, blocks))


def launcher(kernel: int, launch: int, inputs: Sequence[str], outputs: Sequence[str], blocks: int) -> str:
    """LLVM's code of what XLA calls.

    Args:
        kernel: the address of the driver's kernel.
        launch: the address of the driver's function that launches one.
        inputs: names of the pointers to the arguments.
        outputs: names of the pointers to the results.
        blocks: of threads.
    """
    pointers = [*inputs, *outputs]
    message = "the GPU does not take the kernel"
    call = [
        *field("%context", "ptr", "%frame", CONTEXT),
        *field("%api", "ptr", "%frame", API),
        *_arguments("%wanted", "ptr %context", "ptr null"),
        *field("%stream.get", "ptr", "%api", STREAM),
        "  %error = call ptr %stream.get(ptr %wanted)",
        "  %none = icmp eq ptr %error, null",
        "  br i1 %none, label %launch, label %failed",
        "failed:",
        "  ret ptr %error",
        "launch:",
        *field("%stream", "ptr", "%wanted", 24),
        f"  %values = alloca [{len(pointers)} x ptr]",
        f"  %places = alloca [{len(pointers)} x ptr]",
    ]
    for number, name in enumerate(pointers):
        call += [
            f"  %value{number} = getelementptr ptr, ptr %values, i64 {number}",
            f"  store ptr {name}, ptr %value{number}",
            f"  %place{number} = getelementptr ptr, ptr %places, i64 {number}",
            f"  store ptr %value{number}, ptr %place{number}",
        ]
    sizes = ", ".join(f"i32 {size}" for size in (blocks, 1, 1, THREADS, 1, 1, 0))
    call += [
        f"  %launcher = inttoptr i64 {launch} to ptr",
        f"  %kernel = inttoptr i64 {kernel} to ptr",
        f"  %status = call i32 %launcher(ptr %kernel, {sizes}, ptr %stream, ptr %places, ptr null)",
        "  %launched = icmp eq i32 %status, 0",
        "  br i1 %launched, label %done, label %refused",
        "done:",
        "  ret ptr null",
        "refused:",
        *_arguments("%told", "ptr @message", f"i64 {INTERNAL}"),
        *field("%error.create", "ptr", "%api", ERROR),
        "  %refusal = call ptr %error.create(ptr %told)",
        "  ret ptr %refusal",
    ]
    constant = f'@message = private constant [{len(message) + 1} x i8] c"{message}\\00"'
    return "\n".join([constant, handler(call, inputs, outputs, "nounwind", traits=1)])


def _arguments(name: str, *values: str) -> list[str]:
    """A struct of arguments for one of XLA's functions: its size, no extension, and two values of eight bytes."""
    lines = [f"  {name} = alloca [4 x i64]"]
    for place, value in enumerate(("i64 32", "ptr null", *values)):
        lines.append(f"  {name}.{place} = getelementptr i64, ptr {name}, i64 {place}")
        lines.append(f"  store {value}, ptr {name}.{place}")
    return lines


@lru_cache(maxsize=1)
def _driver() -> Any:
    try:
        return ctypes.CDLL("libcuda.so.1")
    except OSError as error:
        raise NotNativeError(f"CUDA's driver is not found: {error}") from error


def _loaded(name: str, ptx: str) -> int:
    """The driver's kernel of a name, for the contexts of all GPUs."""
    library, kernel = ctypes.c_void_p(), ctypes.c_void_p()
    nothing = (None, None, 0)
    _asked("cuLibraryLoadData", ctypes.byref(library), ptx.encode() + b"\0", *nothing, *nothing)
    _asked("cuLibraryGetKernel", ctypes.byref(kernel), library, name.encode())
    assert kernel.value is not None
    return kernel.value


def _asked(name: str, *arguments: Any) -> None:
    status = getattr(_driver(), name)(*arguments)
    if status:
        text = ctypes.c_char_p()
        _driver().cuGetErrorString(status, ctypes.byref(text))
        raise NotNativeError(f"{name}: {(text.value or b'unknown').decode()}")
