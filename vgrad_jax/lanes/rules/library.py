"""Elementwise primitives by functions of LLVM and of the C library, and by integers' instructions."""

from vgrad_jax.lanes.code import TYPES, Code, Register
from vgrad_jax.lanes.graph import Node
from vgrad_jax.lanes.primitives import Use
from vgrad_jax.lanes.rules.elementwise import LIBRARY, elementwise, floats_only, integers_only

__all__: list[str] = []


def _bits(code: Code, node: Node, x: Register) -> Register:
    if TYPES[x.kind] == TYPES[node.kind]:
        return x._replace(kind=node.kind)
    return code.cast("bitcast", x, node.kind)


def _no_bools(use: Use) -> str | None:
    return "for operands of kind bool" if use.kinds[0] == "bool" else None


def _rounded(code: Code, node: Node, x: Register) -> Register:
    """Write the nearest whole number; a half is rounded to even, or away from zero."""
    to_even = node.parameters["rounding_method"].name == "TO_NEAREST_EVEN"
    return code.intrinsic("roundeven" if to_even else "round", x)


def _by_intrinsic(name: str):  # type: ignore[no-untyped-def]
    return lambda code, node, *elements: code.intrinsic(name, *elements)


def _counted_bits(code: Code, node: Node, x: Register) -> Register:
    return code.intrinsic("ctpop", x)


def _leading_zeros(code: Code, node: Node, x: Register) -> Register:
    type_ = code.type_of(x.kind, x.vector)
    name = f"@llvm.ctlz.{f'v{code.width}' if x.vector and code.width > 1 else ''}i32"
    code.declared[name] = f"declare {type_} {name}({type_}, i1)"
    return Register(code.line(f"call {type_} {name}({code.typed(x)}, i1 false)"), x.kind, x.vector)


elementwise("bitcast_convert_type", _bits, refusal=_no_bools)
elementwise("round", _rounded, refusal=floats_only, gpu=False)
elementwise("population_count", _counted_bits, refusal=integers_only, gpu=False)
elementwise("clz", _leading_zeros, refusal=integers_only, gpu=False)
for _name in ("acos", "asin", "atan", "atan2", "cosh", "sinh"):
    elementwise(_name, _by_intrinsic(_name), LIBRARY, floats_only, gpu=False)
