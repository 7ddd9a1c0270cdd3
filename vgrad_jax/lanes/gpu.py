"""Code as a kernel of an NVIDIA GPU, a team of threads for each lane.

    code ──► LLVM module ──► PTX ──► the driver's kernel ──► launcher, a function of the processor that XLA calls

The launcher puts the kernel on the stream of XLA's own kernels.
"""

import ctypes
import hashlib
from collections.abc import Sequence
from functools import lru_cache, partial
from typing import Any

import jax

from vgrad_jax.lanes.code import CHUNK, Code
from vgrad_jax.lanes.errors import NotInLanesError
from vgrad_jax.lanes.ffi import CONSTANTS, PREFIX, field, handler, register
from vgrad_jax.lanes.machine import BLOCK, Machine
from vgrad_jax.lanes.team import FIRST, MEMBER
from vgrad_jax.lanes.toolchain import MachineCode, compile_code, llvm, optimise, parse

__all__ = ["BASE", "LANE", "fits_in_shared", "launcher", "link_gpu", "ptx_of"]

LANE = "%lane"
"""The name of a thread's lane in the code."""

BASE = "%base"
"""The name of the pointer to a lane's scratch memory."""

SHARED = 26 * 1024
"""Largest scratch memory, in bytes, that a block has in shared memory.

A multiprocessor of compute capability 9.0 has 227 KiB of it, and registers for eight blocks of 255 a thread.
"""


def fits_in_shared(machine: Machine, scratch_bytes: int) -> bool:
    """Return whether a block has its lanes' scratch memory in shared memory, not in the GPU's."""
    return machine.group * stride(scratch_bytes) <= SHARED


def stride(scratch_bytes: int) -> int:
    """Return the bytes from a lane's scratch memory to the next one's: an odd number of chunks.

    The lanes' chunks are then in different banks of shared memory.
    """
    return (scratch_bytes // (4 * CHUNK) // 2 * 2 + 1) * 4 * CHUNK


def link_gpu(
    code: Code, inputs: Sequence[str], outputs: Sequence[str], machine: Machine, blocks: int, scratch_bytes: int
) -> str:
    """Compile a function of one lane, `LANE`, and register it with XLA.

    Args:
        code: the function's lines.
        inputs: names of the pointers to its arguments.
        outputs: names of the pointers to its results; the last one's is scratch memory of all blocks.
        machine: what the code is written for.
        blocks: how many, each of `machine.group` lanes.
        scratch_bytes: scratch memory of a lane, a multiple of a chunk.

    Returns:
        The name for `jax.ffi.ffi_call`.

    Raises:
        NotInLanesError: LLVM, the driver or XLA refuses the function.
    """
    name = PREFIX + hashlib.sha256("\n".join(code.lines).encode()).hexdigest()[:8]  # Seen in profiles.
    make = partial(_launched, kernel=name, inputs=inputs, outputs=outputs, blocks=blocks)
    text = _module(name, code, [*inputs, *outputs], machine, scratch_bytes)
    return register(f"; {blocks} blocks\n{text}", "CUDA", make)


def ptx_of(text: str, capability: str) -> str:
    """Return the PTX of LLVM's code.

    Args:
        text: functions, kernels among them.
        capability: the GPU's, such as "9.0".
    """
    _initialise_targets()
    module = parse(text)
    target = (
        llvm().Target.from_triple(module.triple).create_target_machine(cpu=f"sm_{capability.replace('.', '')}", opt=3)
    )
    optimise(module, target)
    return target.emit_assembly(module)


@lru_cache(maxsize=1)
def _initialise_targets() -> None:
    llvm().initialize_all_targets()
    llvm().initialize_all_asmprinters()


def _module(kernel: str, code: Code, pointers: Sequence[str], machine: Machine, scratch_bytes: int) -> str:
    is_shared = fits_in_shared(machine, scratch_bytes)
    registers = {"%thread": "tid.x", "%block": "ctaid.x"}
    shared = f"@shared = internal addrspace(3) global [{machine.group * stride(scratch_bytes)} x i8] undef, align 16"
    return "\n".join(
        [
            'target triple = "nvptx64-nvidia-cuda"',
            *(f"declare i32 @llvm.nvvm.read.ptx.sreg.{register_}()" for register_ in registers.values()),
            *sorted(code.declared.values()),
            *([shared] if is_shared else []),
            f"define ptx_kernel void @{kernel}({', '.join(f'ptr noalias {name}' for name in pointers)}) #0 {{",
            "entry:",
            *(f"  {name} = call i32 @llvm.nvvm.read.ptx.sreg.{of}()" for name, of in registers.items()),
            *_place_lines(machine.group),
            *_scratch_lines(pointers[-1], scratch_bytes, is_shared=is_shared),
            *code.lines,
            "  ret void",
            "}",
            f'attributes #0 = {{ nounwind "nvvm.maxntid"="{BLOCK}" }}',
        ]
    )


def _place_lines(group: int) -> list[str]:
    """Return lines that compute a thread's lane and its place in its team."""
    return [
        f"  %first = mul i32 %block, {group}",
        f"  %slot.number = urem i32 %thread, {group}",
        f"  %member.number = udiv i32 %thread, {group}",
        "  %lane.number = add i32 %first, %slot.number",
        f"  {FIRST} = zext i32 %slot.number to i64",
        f"  {MEMBER} = zext i32 %member.number to i64",
        f"  {LANE} = zext i32 %lane.number to i64",
    ]


def _scratch_lines(pointer: str, scratch_bytes: int, *, is_shared: bool) -> list[str]:
    """Return lines that compute the pointer to a lane's scratch memory.

    Args:
        pointer: to scratch memory of all lanes, which is used where there is no room in shared memory.
        scratch_bytes: scratch memory of a lane.
        is_shared: whether the block's lanes have it in shared memory.
    """
    shared = "  %shared = addrspacecast ptr addrspace(3) @shared to ptr"
    return [
        *([shared] if is_shared else []),
        f"  %bytes = mul i64 {FIRST if is_shared else LANE}, {stride(scratch_bytes)}",
        f"  {BASE} = getelementptr i8, ptr {'%shared' if is_shared else pointer}, i64 %bytes",
    ]


def _launched(text: str, *, kernel: str, inputs: Sequence[str], outputs: Sequence[str], blocks: int) -> MachineCode:
    """Return the machine code of a kernel's launcher."""
    address = _loaded(kernel, ptx_of(text, jax.devices()[0].compute_capability))
    launch = ctypes.cast(_driver().cuLaunchKernel, ctypes.c_void_p).value
    assert launch is not None
    return compile_code(launcher(address, launch, inputs, outputs, blocks))


def launcher(kernel: int, launch: int, inputs: Sequence[str], outputs: Sequence[str], blocks: int) -> str:
    """Return the code of the function that XLA calls.

    Args:
        kernel: the address of the driver's kernel.
        launch: the address of the driver's function that launches a kernel.
        inputs: names of the pointers to the arguments.
        outputs: names of the pointers to the results.
        blocks: of threads.
    """
    pointers, message = [*inputs, *outputs], "the GPU does not take the kernel"
    lines = [*_stream_lines(), *_argument_lines(pointers), *_launch_lines(kernel, launch, blocks)]
    constant = f'@message = private constant [{len(message) + 1} x i8] c"{message}\\00"'
    return "\n".join([constant, handler(lines, inputs, outputs, "nounwind", repeatable=True)])


def _stream_lines() -> list[str]:
    """Return lines that ask XLA for its stream, `%stream`, or return its error."""
    return [
        *field("%context", "ptr", "%frame", "XLA_FFI_CallFrame.ctx"),
        *field("%api", "ptr", "%frame", "XLA_FFI_CallFrame.api"),
        *_struct_lines("%wanted", "ptr %context", "ptr null"),
        *field("%stream.get", "ptr", "%api", "XLA_FFI_Api.XLA_FFI_Stream_Get"),
        "  %error = call ptr %stream.get(ptr %wanted)",
        "  %none = icmp eq ptr %error, null",
        "  br i1 %none, label %launch, label %failed",
        "failed:",
        "  ret ptr %error",
        "launch:",
        *field("%stream", "ptr", "%wanted", 24),
    ]


def _argument_lines(pointers: Sequence[str]) -> list[str]:
    """Return lines that collect pointers to the kernel's arguments, `%places`."""
    lines = [f"  %values = alloca [{len(pointers)} x ptr]", f"  %places = alloca [{len(pointers)} x ptr]"]
    for number, name in enumerate(pointers):
        lines += [
            f"  %value{number} = getelementptr ptr, ptr %values, i64 {number}",
            f"  store ptr {name}, ptr %value{number}",
            f"  %place{number} = getelementptr ptr, ptr %places, i64 {number}",
            f"  store ptr %value{number}, ptr %place{number}",
        ]
    return lines


def _launch_lines(kernel: int, launch: int, blocks: int) -> list[str]:
    """Return lines that launch the kernel, and return null or an error that XLA makes."""
    sizes = ", ".join(f"i32 {size}" for size in (blocks, 1, 1, BLOCK, 1, 1, 0))
    return [
        f"  %launcher = inttoptr i64 {launch} to ptr",
        f"  %kernel = inttoptr i64 {kernel} to ptr",
        f"  %status = call i32 %launcher(ptr %kernel, {sizes}, ptr %stream, ptr %places, ptr null)",
        "  %launched = icmp eq i32 %status, 0",
        "  br i1 %launched, label %done, label %refused",
        "done:",
        "  ret ptr null",
        "refused:",
        *_struct_lines("%told", "ptr @message", f"i64 {CONSTANTS['XLA_FFI_Error_Code_INTERNAL']}"),
        *field("%error.create", "ptr", "%api", "XLA_FFI_Api.XLA_FFI_Error_Create"),
        "  %refusal = call ptr %error.create(ptr %told)",
        "  ret ptr %refusal",
    ]


def _struct_lines(name: str, *values: str) -> list[str]:
    """Return lines of a struct of arguments for XLA's functions: its size, no extension, two values of 8 bytes."""
    lines = [f"  {name} = alloca [4 x i64]"]
    for number, value in enumerate(("i64 32", "ptr null", *values)):
        lines.append(f"  {name}.{number} = getelementptr i64, ptr {name}, i64 {number}")
        lines.append(f"  store {value}, ptr {name}.{number}")
    return lines


@lru_cache(maxsize=1)
def _driver() -> Any:
    try:
        return ctypes.CDLL("libcuda.so.1")
    except OSError as error:
        raise NotInLanesError(f"CUDA's driver is not found: {error}") from error


def _loaded(name: str, ptx: str) -> int:
    """Return the driver's kernel of a name, for the contexts of all GPUs."""
    library, kernel = ctypes.c_void_p(), ctypes.c_void_p()
    nothing = (None, None, 0)
    _ask_driver("cuLibraryLoadData", ctypes.byref(library), ptx.encode() + b"\0", *nothing, *nothing)
    _ask_driver("cuLibraryGetKernel", ctypes.byref(kernel), library, name.encode())
    assert kernel.value is not None
    return kernel.value


def _ask_driver(name: str, *arguments: Any) -> None:
    status = getattr(_driver(), name)(*arguments)
    if status:
        text = ctypes.c_char_p()
        _driver().cuGetErrorString(status, ctypes.byref(text))
        raise NotInLanesError(f"{name}: {(text.value or b'unknown').decode()}")
