"""Copies of arrays: a loop over the elements, or on a GPU the work of a team."""

from vgrad_jax.lanes.code import Code, Memory, Register
from vgrad_jax.lanes.emit import Target
from vgrad_jax.lanes.graph import Node
from vgrad_jax.lanes.team import MEMBER

__all__ = ["copied", "copy"]

BESIDE = 16
"""Elements that each member of a team loads before it stores the first: it waits for memory once for all of them."""


def copied(target: Target, source: Memory, elements: int) -> Memory:
    """Write the copy of an array into scratch memory, and return it."""
    memory = target.scratch.array(source.kind, elements, source.lanes > 0)
    copy(target, source, memory, elements)
    return memory


def copy(target: Target, source: Memory | Node, memory: Memory, elements: int) -> None:
    """Write code that copies an array, or stores a literal in each element.

    Args:
        target: where the code is written.
        source: the array, or the literal.
        memory: the other array.
        elements: how many.
    """
    if target.machine.team > 1:
        _copy_by_team(target, source, memory, elements)
        return

    def body(number: str, _: list[str]) -> list[str]:
        target.code.store(memory, number, _element(target.code, source, memory, number))
        return []

    target.code.loop(elements, body)


def _element(code: Code, source: Memory | Node, memory: Memory, number: str) -> Register:
    if isinstance(source, Memory):
        return code.load(source, number)
    return code.constant(source.parameters["value"].item(), memory.kind)


def _copy_by_team(target: Target, source: Memory | Node, memory: Memory, elements: int) -> None:
    """Write the copies of a team: each member copies every so many elements."""
    code, team = target.code, target.machine.team
    groups, rest = divmod(elements, team * BESIDE)

    def body(number: str, _: list[str]) -> list[str]:
        _copy_some(target, source, memory, code.integer("mul", number, team * BESIDE), team * BESIDE)
        return []

    if groups:
        code.loop(groups, body)
    if rest:
        _copy_some(target, source, memory, str(elements - rest), rest)


def _copy_some(target: Target, source: Memory | Node, memory: Memory, first: str, elements: int) -> None:
    """Write copies of elements, all loads before all stores. Members without an element copy the last one again."""
    code, team = target.code, target.machine.team
    numbers = []
    for start in range(0, elements, team):
        number = MEMBER if start == 0 else code.integer("add", MEMBER, start)
        if start + team > elements:
            inside = code.line(f"icmp ult i64 {number}, {elements}")
            number = code.line(f"select i1 {inside}, i64 {number}, i64 {elements - 1}")
        numbers.append(code.line(f"add i64 {number}, {first}"))
    loaded = [_element(code, source, memory, number) for number in numbers]
    for number, element in zip(numbers, loaded, strict=True):
        code.store(memory, number, element)
