"""Groups of lanes on XLA's threads.

XLA calls `handler`, which asks the thread pool for help and works itself. Each thread takes the next group until none
is left. The caller waits for groups, not for tasks: a task that starts late finds nothing to do.

    state: 0 tasks that may still read it, 8 next group, 16 groups that are done, 24 pointers to arrays
"""

from collections.abc import Sequence

from vgrad_jax.lanes.code import Code
from vgrad_jax.lanes.cpu import STACK
from vgrad_jax.lanes.ffi import OFFSETS, field, handler
from vgrad_jax.lanes.nests.frame import Frame
from vgrad_jax.lanes.nests.functions import Functions

__all__ = ["module_text"]

ARRAYS = 24
"""Bytes from the start of the state to the pointers."""


RELEASE = (
    "  %left = atomicrmw sub ptr %state, i64 1 seq_cst",
    "  %last = icmp eq i64 %left, 1",
    "  br i1 %last, label %clear, label %out",
    "clear:",
    "  call void @free(ptr %state)",
    "  br label %out",
    "out:",
)
"""Lines that give up a reference to the state; the last owner frees it."""


def module_text(
    code: Code, frame: Frame, functions: Functions, names: Sequence[str], inputs: int, examples: int
) -> str:
    """Return the module of a function of one group.

    Args:
        code: the function's lines.
        frame: its arrays.
        functions: those that it calls.
        names: of its pointers, arguments first.
        inputs: number of the arguments.
        examples: how many there are.
    """
    groups = -(-examples // code.width)
    pointers = ", ".join(f"ptr noalias {name}" for name in names)
    vector = f"<{code.width} x i64>"
    lanes = ", ".join(f"i64 {n}" for n in range(code.width))
    rows = [
        f"  %first = insertelement {vector} poison, i64 %start, i64 0",
        f"  %firsts = shufflevector {vector} %first, {vector} poison, <{code.width} x i32> zeroinitializer",
        f"  %examples = add {vector} %firsts, <{lanes}>",
        f"  %beyond = icmp sgt {vector} %examples, splat (i64 {examples - 1})",
        f"  %rows = select <{code.width} x i1> %beyond, {vector} splat (i64 {examples - 1}), {vector} %examples",
    ]
    declared = sorted({*code.declared.values(), *_DECLARED})
    lines = [
        *declared,
        *frame.constants,
        *functions.text(),
        f"define internal void @group({pointers}{', ' if names else ''}ptr noalias %scratch, i64 %start) #0 {{",
        "entry:",
        *rows,
        *frame.entry,
        *code.lines,
        "  ret void",
        "}",
        *_worker(names, frame.scratch, groups, code.width),
        handler(_call(names, groups), names[:inputs], names[inputs:], "#0"),
        f'attributes #0 = {{ nounwind {STACK} "prefer-vector-width"="512" }}',
        f'attributes #1 = {{ noinline nounwind {STACK} "prefer-vector-width"="512" }}',
    ]
    return "\n".join(lines)


_DECLARED = (
    "declare ptr @malloc(i64)",
    "declare ptr @aligned_alloc(i64, i64)",
    "declare void @free(ptr)",
    "declare i32 @sched_yield()",
    "declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)",
)


def _worker(names: Sequence[str], scratch: int, groups: int, width: int) -> list[str]:
    """Return the function that computes groups until none is left."""
    size = -(-max(scratch, 64) // 64) * 64
    lines = [
        "define internal void @worker(ptr %state) #0 {",
        "entry:",
        "  %scratch = call ptr @aligned_alloc(i64 64, i64 " + f"{size})",
        "  %at.next = getelementptr i8, ptr %state, i64 8",
        "  %at.done = getelementptr i8, ptr %state, i64 16",
        "  %begun = atomicrmw add ptr %at.next, i64 1 seq_cst",
        f"  %any = icmp slt i64 %begun, {groups}",
        "  br i1 %any, label %load, label %end",
        "load:",
    ]
    for number, name in enumerate(names):
        lines += field(name, "ptr", "%state", ARRAYS + 8 * number)
    arguments = "".join(f"ptr {name}, " for name in names)
    lines += [
        "  br label %work",
        "work:",
        "  %group = phi i64 [ %begun, %load ], [ %next, %work ]",
        f"  %start = mul i64 %group, {width}",
        f"  call void @group({arguments}ptr %scratch, i64 %start)",
        "  %count = atomicrmw add ptr %at.done, i64 1 seq_cst",
        "  %next = atomicrmw add ptr %at.next, i64 1 seq_cst",
        f"  %more = icmp slt i64 %next, {groups}",
        "  br i1 %more, label %work, label %end",
        "end:",
        "  call void @free(ptr %scratch)",
        *RELEASE,
        "  ret void",
        "}",
    ]
    return lines


def _call(names: Sequence[str], groups: int) -> list[str]:
    """Return the lines of the handler: fill the state, ask for help, work, wait."""
    size = ARRAYS + 8 * len(names)
    lines = [
        f"  %state = call ptr @malloc(i64 {size})",
        # One reference for the work of this thread, and one for its wait.
        "  store i64 2, ptr %state",
        "  %at.next = getelementptr i8, ptr %state, i64 8",
        "  store i64 0, ptr %at.next",
        "  %at.done = getelementptr i8, ptr %state, i64 16",
        "  store i64 0, ptr %at.done",
    ]
    for number, name in enumerate(names):
        lines += [
            f"  {name}.kept = getelementptr i8, ptr %state, i64 {ARRAYS + 8 * number}",
            f"  store ptr {name}, ptr {name}.kept",
        ]
    if groups > 1:
        lines += _help(groups)
    lines += [
        "  call void @worker(ptr %state)",
        "  br label %wait",
        "wait:",
        "  %finished = load atomic i64, ptr %at.done seq_cst, align 8",
        f"  %all = icmp eq i64 %finished, {groups}",
        "  br i1 %all, label %leave, label %turn",
        "turn:",
        "  %yielded = call i32 @sched_yield()",
        "  br label %wait",
        "leave:",
        *RELEASE,
        "  ret ptr null",
    ]
    return lines


def _help(groups: int) -> list[str]:
    """Return lines that schedule a task for each other thread of the pool, as far as there are groups."""
    return [
        *field("%api", "ptr", "%frame", "XLA_FFI_CallFrame.api"),
        *field("%context", "ptr", "%frame", "XLA_FFI_CallFrame.ctx"),
        *field("%ask", "ptr", "%api", "XLA_FFI_Api.XLA_FFI_ThreadPool_NumThreads"),
        *field("%schedule", "ptr", "%api", "XLA_FFI_Api.XLA_FFI_ThreadPool_Schedule"),
        "  %number = alloca i64",
        "  store i64 1, ptr %number",
        "  %question = alloca [32 x i8], align 8",
        "  call void @llvm.memset.p0.i64(ptr %question, i8 0, i64 32, i1 false)",
        "  store i64 32, ptr %question",
        *_put("%question", OFFSETS["XLA_FFI_ThreadPool_NumThreads_Args.ctx"], "ptr %context", "%question.context"),
        *_put(
            "%question", OFFSETS["XLA_FFI_ThreadPool_NumThreads_Args.num_threads"], "ptr %number", "%question.number"
        ),
        "  %refused = call ptr %ask(ptr %question)",
        "  %answered = icmp eq ptr %refused, null",
        "  %told = load i64, ptr %number",
        "  %threads = select i1 %answered, i64 %told, i64 1",
        f"  %fewer = icmp slt i64 %threads, {groups}",
        f"  %hands = select i1 %fewer, i64 %threads, i64 {groups}",
        "  %order = alloca [40 x i8], align 8",
        "  call void @llvm.memset.p0.i64(ptr %order, i8 0, i64 40, i1 false)",
        "  store i64 40, ptr %order",
        *_put("%order", OFFSETS["XLA_FFI_ThreadPool_Schedule_Args.ctx"], "ptr %context", "%order.context"),
        *_put("%order", OFFSETS["XLA_FFI_ThreadPool_Schedule_Args.task"], "ptr @worker", "%order.task"),
        *_put("%order", OFFSETS["XLA_FFI_ThreadPool_Schedule_Args.data"], "ptr %state", "%order.data"),
        "  br label %hire",
        "hire:",
        "  %hired = phi i64 [ 1, %call ], [ %after, %hand ]",
        "  %enough = icmp sge i64 %hired, %hands",
        "  br i1 %enough, label %begin, label %hand",
        "hand:",
        "  %counted = atomicrmw add ptr %state, i64 1 seq_cst",
        "  %failed = call ptr %schedule(ptr %order)",
        "  %after = add i64 %hired, 1",
        "  br label %hire",
        "begin:",
    ]


def _put(struct: str, offset: int, value: str, name: str) -> list[str]:
    return [f"  {name} = getelementptr i8, ptr {struct}, i64 {offset}", f"  store {value}, ptr {name}"]
