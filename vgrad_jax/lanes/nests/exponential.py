"""The exponential function down to the least normal float; below it is zero, as XLA has it."""

from vgrad_jax.lanes import mathematics
from vgrad_jax.lanes.code import Register
from vgrad_jax.lanes.graph import Node
from vgrad_jax.lanes.nests.writer import Index, Rule, Writer

__all__ = ["EXPONENTIAL"]

LEAST, LARGEST = -87.33654, 88.72284
"""Arguments of the least normal float and of the largest float."""
COEFFICIENTS = (1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1)
"""Coefficients of (exp(r) - 1 - r) / r^2, the highest power's first (Cephes)."""
LARGE = 1.5 * 2.0**23
"""Float to which a number is added to have its whole part in the last bits."""


def _exp(writer: Writer, node: Node, index: Index) -> Register:
    """Write exp(x) = 2^n exp(r): n is added to the exponent's bits."""
    code, x = writer.code, writer.value(node.inputs[0], index)
    shifted = mathematics.add(code, mathematics.multiply(code, x, 1.44269504088896341), LARGE)
    number = code.binary("fsub", shifted, code.constant(LARGE, "float"))
    rest = mathematics.add(code, x, mathematics.multiply(code, number, -0.693359375))
    rest = mathematics.add(code, rest, mathematics.multiply(code, number, 2.12194440e-4))
    value = mathematics.polynomial(code, rest, COEFFICIENTS)
    value = mathematics.multiply(code, value, mathematics.multiply(code, rest, rest))
    value = mathematics.add(code, mathematics.add(code, value, rest), 1.0)
    exponent = code.binary("shl", code.cast("bitcast", shifted, "int"), code.constant(23, "int"))
    bits = code.binary("add", code.cast("bitcast", value, "int"), exponent)
    value = code.cast("bitcast", bits, "float")
    value = code.select(mathematics.compare(code, "olt", x, LEAST), code.constant(0.0, "float"), value)
    value = code.select(mathematics.compare(code, "ogt", x, LARGEST), code.constant(float("inf"), "float"), value)
    return code.select(mathematics.compare(code, "uno", x, x), x, value)


EXPONENTIAL: dict[str, Rule] = {"exp": _exp}
"""Primitive to the rule of an element."""
