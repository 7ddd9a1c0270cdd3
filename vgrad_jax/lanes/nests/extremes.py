"""The larger and the smaller of two elements: NaN where either is, and -0.0 below 0.0."""

from collections.abc import Callable

import numpy as np

from vgrad_jax.lanes.code import Code, Register
from vgrad_jax.lanes.graph import Node
from vgrad_jax.lanes.nests.writer import Index, Rule, Writer
from vgrad_jax.lanes.rules.elementwise import larger as larger_integer
from vgrad_jax.lanes.rules.elementwise import smaller as smaller_integer

__all__ = ["EXTREMES", "larger", "smaller"]


def larger(code: Code, a: Register, b: Register) -> Register:
    """Write the larger of two elements."""
    return _extreme(code, a, b, "ugt", "maximum") if a.kind == "float" else larger_integer(code, a, b)


def smaller(code: Code, a: Register, b: Register) -> Register:
    """Write the smaller of two elements."""
    return _extreme(code, a, b, "ult", "minimum") if a.kind == "float" else smaller_integer(code, a, b)


def _extreme(code: Code, a: Register, b: Register, predicate: str, name: str) -> Register:
    if _is_plain(a):
        a, b = b, a
    if not _is_plain(b):
        return code.intrinsic(name, a, b)
    # Unordered: NaN is taken. A zero with the other's sign is equal, and the constant is taken, so it is not -0.0.
    if _value(b) == 0 and name == "minimum":
        return code.intrinsic(name, a, b)
    return code.select(code.binary(f"fcmp {predicate}", a, b, "bool"), a, b)


def _is_plain(register: Register) -> bool:
    """Return whether a register is a constant but for NaN and -0.0."""
    return register.text.startswith("0x") and not np.isnan(_value(register)) and register.text != "0x8000000000000000"


def _value(register: Register) -> float:
    return float(np.uint64(int(register.text, 16)).view(np.float64))


def _rule(function: Callable[[Code, Register, Register], Register]) -> Rule:
    def rule(writer: Writer, node: Node, index: Index) -> Register:
        a, b = (writer.value(operand, index if operand.shape else ()) for operand in node.inputs)
        return function(writer.code, a, b)

    return rule


def _clamp(writer: Writer, node: Node, index: Index) -> Register:
    low, x, high = (writer.value(operand, index if operand.shape else ()) for operand in node.inputs)
    return smaller(writer.code, larger(writer.code, x, low), high)


EXTREMES: dict[str, Rule] = {"max": _rule(larger), "min": _rule(smaller), "clamp": _clamp}
"""Primitive to the rule of an element."""
