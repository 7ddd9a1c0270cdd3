"""From a number that is not finite back to the operation that made it.

    loss NaN ◄── mean NaN ◄── sub NaN ◄── max -inf ◄── select: -inf on purpose
                              born here                no fault of its own

A NaN is followed back to the operation that made it. Where that operation read an infinity, the infinity is followed
back too. An infinity that overflowed is to blame. An infinity that was written into the program is not.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from vgrad_jax.inspection.loops import Entry, enter
from vgrad_jax.inspection.values import LOOPS, Node, Program

__all__ = ["Birth", "ancestors", "birth_of", "nearest_parameter", "softmax_input"]

VIEWS = ("stop_gradient", "broadcast_in_dim", "reshape", "squeeze", "convert_element_type", "max", "copy", "transpose")
"""Primitives behind which a maximum is still that maximum."""
EXPONENTIALS = ("exp", "exp2", "expm1", "sinh", "cosh")
"""Primitives that overflow by themselves, whatever infinity they were given below."""


@dataclass(frozen=True)
class Birth:
    """Operation or input at which a value stopped being finite."""

    node: Node
    entry: Entry | None
    """Iteration of the innermost loop around it."""
    masked: bool = False
    """True where only infinities that were meant went in."""


def birth_of(program: Program, node: Node) -> Birth:
    """Follow a value that is not finite back to where it was born."""
    return _follow(program, node, None, set())


def _follow(program: Program, node: Node, entry: Entry | None, seen: set[int]) -> Birth:
    while True:
        seen.add(id(node))
        if node.loop is not None or node.primitive in LOOPS:
            step = _step_into(program, node)
            if step is None:
                return Birth(node, entry)
            node, entry = step[0], step[1] or entry
        elif node.equation is None:
            if not node.parents:
                return Birth(node, entry)
            node = node.parents[0]
        elif node.is_nan:
            parent = next((parent for parent in node.parents if parent.is_nan), None)
            if parent is None:
                return _born_of_infinities(program, node, entry, seen)
            node = parent
        else:
            if node.primitive in EXPONENTIALS and not any(p.facts["positive_infinity"] for p in node.parents):
                return Birth(node, entry)
            infinite = [parent for parent in node.parents if not parent.is_finite]
            if not infinite:
                return Birth(node, entry)
            if len(infinite) > 1:
                return _born_of_infinities(program, node, entry, seen)
            node = infinite[0]


def _step_into(program: Program, node: Node) -> tuple[Node, Entry | None] | None:
    """Return the value inside of a loop, at the iteration in which it stopped being finite."""
    if node.loop is None:
        entry = enter(program, node, node.number)
        return None if entry is None else (entry.result, entry)
    loop, index, turn = node.loop
    entry = enter(program, loop, index, turn) if turn else None
    if entry is not None:
        return entry.result, entry
    # The loop was given it at the start: its carries stand at the end of its atoms, before a scan's rows.
    start = loop.parents[_first_carry(loop) + index]
    return start, None


def _first_carry(loop: Node) -> int:
    parameters = loop.equation.params
    if loop.primitive == "while":
        return int(parameters["cond_nconsts"] + parameters["body_nconsts"])
    from vgrad_jax.jaxprs import scan_of

    return scan_of(loop.equation).num_consts


def _born_of_infinities(program: Program, node: Node, entry: Entry | None, seen: set[int]) -> Birth:
    """Return the birth of a value: that of an infinity that went in and was not meant, or its own operation."""
    births = [
        _follow(program, parent, entry, seen)
        for parent in node.parents
        if parent.is_infinite and id(parent) not in seen
    ]
    masks = softmax_input(node) is not None
    unmeant = [birth for birth in births if not _is_meant(birth, masks)]
    return unmeant[0] if unmeant else Birth(node, entry, masked=bool(births))


def _is_meant(birth: Birth, masks: bool) -> bool:
    """Return whether an infinity was written into the program, or serves as a mask."""
    if birth.node.role == "constant" or birth.masked:
        return True
    # A mask may be data, or the logarithm of data of zeros and ones.
    from_data = birth.node.role == "batch" or (birth.node.primitive == "log" and not _reads_parameters(birth.node))
    return masks and from_data


def _reads_parameters(node: Node) -> bool:
    return nearest_parameter(node) is not None


def softmax_input(node: Node) -> Node | None:
    """Return the maximum that a softmax subtracts, where a node is this subtraction and a row of it is -inf alone."""
    if node.primitive != "sub":
        return None
    for parent in node.parents:
        maximum = parent
        while maximum.primitive in VIEWS or (maximum.equation is None and maximum.parents):
            maximum = next(
                (p for p in maximum.parents if p.facts["negative_infinity"] and p.parents), Node(None, "end")
            )
        if maximum.primitive == "reduce_max" and maximum.facts["negative_infinity"]:
            return maximum
    return None


def nearest_parameter(node: Node) -> str | None:
    """Return the path of the parameter that is fewest operations before a node."""
    return next((other.name for other in ancestors(node) if other.role == "parameter"), None)


def ancestors(node: Node) -> Iterator[Node]:
    """Yield a node and all that it was made of, the nearest first."""
    waiting, seen = [node], {id(node)}
    while waiting:
        following: list[Node] = []
        for now in waiting:
            yield now
            parents = list(now.parents)
            if now.loop is not None:
                loop, index, _ = now.loop
                parents.append(loop.parents[_first_carry(loop) + index])
            for parent in parents:
                if id(parent) not in seen:
                    seen.add(id(parent))
                    following.append(parent)
        waiting = following
