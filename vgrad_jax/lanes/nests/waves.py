"""Sines and cosines of registers of lanes; the C library takes over where an argument is large."""

from collections.abc import Sequence

from vgrad_jax.lanes import mathematics
from vgrad_jax.lanes.code import Code, Register
from vgrad_jax.lanes.graph import Node
from vgrad_jax.lanes.nests.loops import any_lane
from vgrad_jax.lanes.nests.writer import Index, Rule, Writer

__all__ = ["WAVES"]

LARGEST = 8192.0
"""Argument up to which a multiple of a quarter turn is subtracted without loss of digits."""
QUARTER = (1.5703125, 4.837512969970703125e-4, 7.549789954891882e-8)
"""Half of pi in three parts, of which the first two have few digits (Cody and Waite)."""
SINE = (-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1)
COSINE = (2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2)
"""Coefficients of the polynomials within an eighth of a turn, the highest power's first (Cephes)."""


def _wave(name: str, shift: int) -> Rule:
    def rule(writer: Writer, node: Node, index: Index) -> Register:
        code, x = writer.code, writer.value(node.inputs[0], index)
        if not x.vector:
            return code.intrinsic(name, x)
        inside = mathematics.compare(code, "ule", code.intrinsic("fabs", x), LARGEST)
        outside = code.binary("xor", inside, code.constant(True, "bool"))
        label = f"far{code.name()[1:]}"
        near, before = _near(code, x, shift), code.block
        if name == "sin":  # The sign of zero.
            near = code.select(mathematics.compare(code, "oeq", x, 0.0), x, near)
        code.lines += [f"  br i1 {any_lane(writer, outside)}, label %{label}, label %after{label}", f"{label}:"]
        far = code.intrinsic(name, x)
        code.lines += [f"  br label %after{label}", f"after{label}:"]
        code.block = f"after{label}"
        type_ = code.type_of("float", True)
        return Register(code.line(f"phi {type_} [ {near.text}, %{before} ], [ {far.text}, %{label} ]"), "float", True)

    return rule


def _near(code: Code, x: Register, shift: int) -> Register:
    """Evaluate within `LARGEST`: subtract quarter turns, and take a polynomial by their number."""
    turns = code.intrinsic("roundeven", mathematics.multiply(code, x, 0.636619772367581343))
    rest = x
    for part in QUARTER:
        rest = mathematics.add(code, rest, mathematics.multiply(code, turns, -part))
    square = mathematics.multiply(code, rest, rest)
    sine = mathematics.add(code, mathematics.multiply(code, _times(code, square, SINE), rest), rest)
    cosine = mathematics.multiply(code, _times(code, square, COSINE), square)
    cosine = mathematics.add(code, mathematics.add(code, cosine, mathematics.multiply(code, square, -0.5)), 1.0)
    number = code.binary("add", code.saturated(turns, "int"), code.constant(shift, "int"))
    odd = code.binary("icmp ne", code.binary("and", number, code.constant(1, "int")), code.constant(0, "int"), "bool")
    value = code.select(odd, cosine, sine)
    sign = code.binary("shl", code.binary("and", number, code.constant(2, "int")), code.constant(30, "int"))
    bits = code.binary("xor", code.cast("bitcast", value, "int"), sign)
    return code.cast("bitcast", bits, "float")


def _times(code: Code, square: Register, coefficients: Sequence[float]) -> Register:
    return mathematics.multiply(code, mathematics.polynomial(code, square, coefficients), square)


WAVES: dict[str, Rule] = {"sin": _wave("sin", 0), "cos": _wave("cos", 1)}
"""Primitive to the rule of an element."""
