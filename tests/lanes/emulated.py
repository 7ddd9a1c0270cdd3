"""A GPU's kernels on the processor: a thread of the operating system for each member of a team.

What a GPU gives a kernel is put in its place: the numbers of thread and block are arguments, shared memory is an
array, barriers and exchanges are calls of Python. All else is the kernel's own code. Between two barriers one member
runs after the other, first to last and then last to first, so that a missing barrier gives wrong numbers each time.
"""

import ctypes
import re
import threading
from functools import partial

from vgrad_jax.lanes import ffi, gpu
from vgrad_jax.lanes.machine import THREADS
from vgrad_jax.lanes.toolchain import compile_code

TEAM, GROUP = THREADS.team, THREADS.group
KEPT = []
"""Functions that compiled code calls, and the code: both must live as long as XLA may call them."""


class Team:
    """The members of a team, which take turns and wait for each other."""

    def __init__(self):
        self.turns, self.own = threading.Condition(), threading.local()
        self.phase, self.ran, self.given = 0, 0, {}

    def _position(self):
        return self.own.member if self.phase % 2 == 0 else TEAM - 1 - self.own.member

    def _take_turn(self, phase):
        assert self.turns.wait_for(lambda: self.phase >= phase and self.ran == self._position(), timeout=60)

    def _end_turn(self):
        self.ran += 1
        if self.ran == TEAM:
            self.phase, self.ran = self.phase + 1, 0
        self.turns.notify_all()

    def wait(self, mask):
        assert mask == -1
        with self.turns:
            phase = self.phase + 1
            self._end_turn()
            self._take_turn(phase)

    def exchange(self, mask, number, other, last, mode):
        assert (mask, last) == (-1, 31)
        phase = self.phase
        self.given[phase, self.own.thread] = number
        self.wait(mask)
        return self.given[phase, self.own.thread ^ other if mode == "bfly" else other]

    def run(self, kernel, slot, *arguments):
        ended = []

        def member(number):
            self.own.member, self.own.thread = number, slot + GROUP * number
            with self.turns:
                self._take_turn(0)
            kernel(self.own.thread, *arguments)
            with self.turns:
                self._end_turn()
            ended.append(number)

        self.phase, self.ran, self.given = 0, 0, {}
        members = [threading.Thread(target=member, args=(number,)) for number in range(TEAM)]
        for thread in members:
            thread.start()
        for thread in members:
            thread.join()
        assert len(ended) == TEAM


def called(team, text):
    """Return the text with a call of Python, or of the C library, in place of each of a GPU's instructions."""
    of_python = {"bar.warp.sync": (ctypes.CFUNCTYPE(None, ctypes.c_int32), team.wait)}
    for type_, ctype in (("f32", ctypes.c_float), ("i32", ctypes.c_int32)):
        signature = ctypes.CFUNCTYPE(ctype, ctypes.c_int32, ctype, ctypes.c_int32, ctypes.c_int32)
        for mode in ("bfly", "idx"):
            of_python[f"shfl.sync.{mode}.{type_}"] = (signature, partial(team.exchange, mode=mode))
    for name, (signature, function) in of_python.items():
        KEPT.append(signature(function))
        address = ctypes.cast(KEPT[-1], ctypes.c_void_p).value
        text = re.sub(
            rf"call (\w+) @llvm\.nvvm\.{re.escape(name)}\(", rf"call \1 inttoptr (i64 {address} to ptr)(", text
        )
    text = re.sub(r"call float @llvm\.nvvm\.ex2\.approx\.ftz\.f", "call float @exp2f", text)
    text = re.sub(r"call float @llvm\.nvvm\.div\.full\(float (\S+), float (\S+)\)", r"fdiv float \1, \2", text)
    return re.sub(r"call float @llvm\.nvvm\.rcp\.approx\.ftz\.f\(float (\S+)\)", r"fdiv float 1.0, \1", text)


def on_processor(text):
    """Return a kernel as a function of the processor."""
    text = text.replace('target triple = "nvptx64-nvidia-cuda"', "declare float @exp2f(float)")
    text = re.sub(r"@shared = .*\n", "", text)
    text = re.sub(
        r"addrspacecast ptr addrspace\(3\) @shared to ptr", "getelementptr i8, ptr %shared.given, i64 0", text
    )
    text = re.sub(r"(%thread|%block) = call i32 @llvm\S+", r"\1 = add i32 \1.given, 0", text)
    text = text.replace("define ptx_kernel void", "define void").replace('"nvvm.maxntid"="32"', "")
    text = re.sub(r"(define void @\w+\()", r"\1i32 %thread.given, i32 %block.given, ptr %shared.given, ", text)
    text = re.sub(r"declare .* @llvm\.nvvm\..*\n", "", text)
    assert "nvvm" not in text
    return text


def register(text, platform, make):
    """Stand in for `ffi.register`: the name of a function of the processor that runs the kernel's threads."""
    assert platform == "CUDA"
    keywords, team = make.keywords, Team()
    code = compile_code(on_processor(called(team, text)), keywords["kernel"])
    pointers = [*keywords["inputs"], *keywords["outputs"]]
    signature = [ctypes.c_int32, ctypes.c_int32, *[ctypes.c_void_p] * (1 + len(pointers))]
    kernel = ctypes.CFUNCTYPE(None, *signature)(code.address)

    @ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * len(pointers))
    def launch(*arrays):
        for block in range(keywords["blocks"]):
            shared = (ctypes.c_float * (gpu.SHARED // 4 + 4))()
            aligned = ctypes.addressof(shared) + -ctypes.addressof(shared) % 16
            for slot in range(GROUP):
                team.run(kernel, slot, block, aligned, *arrays)

    KEPT.extend([code, launch])
    call = f"void inttoptr (i64 {ctypes.cast(launch, ctypes.c_void_p).value} to ptr)"
    lines = [f"  call {call}({', '.join(f'ptr {name}' for name in pointers)})", "  ret ptr null"]
    handler = ffi.handler(lines, keywords["inputs"], keywords["outputs"], "nounwind")
    return ffi.register(f"; {len(KEPT)}\n{handler}", "cpu", compile_code)
