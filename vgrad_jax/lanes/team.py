"""A team: neighbouring threads of a GPU that share a lane.

All members execute all code; only the iterations of a loop are divided among them. A total is then the sum of the
members' totals, which they exchange:

    member   0   1   2   3           0     1     2     3            0     1     2     3
    rows     0   1   2   3   total  a     b     c     d   total   a+b   a+b   c+d   c+d   total  a+b+c+d in each
             4   5   6   7

Where members read what others wrote, they wait for each other first. Outside of loops each member computes and stores
the same numbers.
"""

from vgrad_jax.lanes.code import Code, Register
from vgrad_jax.lanes.machine import BLOCK
from vgrad_jax.lanes.primitives import Reduction

__all__ = ["FIRST", "MEMBER", "combined", "wait"]

MEMBER = "%member"
"""The name of a thread's number in its team."""

FIRST = "%slot"
"""The name of the number, in its warp, of a team's first thread."""

ALL = -1
"""The mask of all threads of a warp."""


def wait(code: Code) -> None:
    """Write a barrier of all teams of a block: what was stored before it may be read after it."""
    code.declared["wait"] = "declare void @llvm.nvvm.bar.warp.sync(i32)"
    code.lines.append(f"  call void @llvm.nvvm.bar.warp.sync(i32 {ALL})")


def combined(code: Code, total: Register, reduction: Reduction, team: int) -> Register:
    """Combine the members' totals. Each member gets the same number.

    Args:
        code: where the code is written.
        total: the member's.
        reduction: how two totals are combined.
        team: the number of members.
    """
    step = BLOCK // team  # Threads with one number in their teams are neighbours.
    while step < BLOCK:
        total = reduction.combine(code, total, _of_thread(code, total, "bfly", str(step)))
        step *= 2
    return total if reduction.commutes else _of_thread(code, total, "idx", code.line(f"trunc i64 {FIRST} to i32"))


def _of_thread(code: Code, register: Register, mode: str, number: str) -> Register:
    """Write the exchange of a register between threads.

    Args:
        code: where the code is written.
        register: each thread's.
        mode: "bfly", with the thread whose number differs in the bits of `number`; "idx", from thread `number`.
        number: a register or a constant.
    """
    type_ = "f32" if register.kind == "float" else "i32"
    name = f"@llvm.nvvm.shfl.sync.{mode}.{type_}"
    operand = {"f32": "float", "i32": "i32"}[type_]
    code.declared[name] = f"declare {operand} {name}(i32, {operand}, i32, i32)"
    given = code.cast("zext", register, "int") if register.kind == "bool" else register
    text = code.line(f"call {operand} {name}(i32 {ALL}, {operand} {given.text}, i32 {number}, i32 {BLOCK - 1})")
    if register.kind == "bool":
        return Register(code.line(f"icmp ne i32 {text}, 0"), "bool", register.vector)
    return register._replace(text=text)
