"""Elementwise primitives: instructions on registers."""

from collections.abc import Callable
from typing import Any

from vgrad_jax.lanes import mathematics
from vgrad_jax.lanes.code import Code, Kind, Register
from vgrad_jax.lanes.graph import Node
from vgrad_jax.lanes.primitives import RESULT, Axes, Elements, Primitive, Use, register

__all__ = ["arithmetic", "elementwise", "elementwise_axes", "larger", "smaller"]

Rule = Callable[..., Register]
"""From the code, the node and its inputs' elements to the result's element."""
Refusal = Callable[[Use], str | None]


def elementwise_axes(node: Node) -> Axes:
    """Relate each axis of the inputs to the same axis of the result."""
    inputs = enumerate(node.inputs)
    return Axes(tuple(((n, axis), (RESULT, axis)) for n, operand in inputs for axis in range(len(operand.shape))))


def elementwise(
    name: str, rule: Rule, cost: float = 1.0, refusal: Refusal = lambda use: None, gpu: bool = True
) -> None:
    """Register an elementwise primitive.

    Args:
        name: the primitive's.
        rule: writes an element.
        cost: instructions of an element, about.
        refusal: why a use has no native code.
        gpu: whether a GPU's threads have exact code for it.
    """

    def code(elements: Elements, node: Node, index: Any) -> Register:
        # Scalars among the inputs apply to every index.
        inputs = [elements.value(operand, index if operand.shape else ()) for operand in node.inputs]
        return rule(elements.code, node, *inputs)

    register(Primitive(name, code, elementwise_axes, "elementwise", refusal, cost, gpu=gpu))


def floats_only(use: Use) -> str | None:
    """Refuse operands that are no floats."""
    return None if use.kinds[0] == "float" else f"for operands of kind {use.kinds[0]}"


def integers_only(use: Use) -> str | None:
    """Refuse operands that are no integers."""
    return None if use.kinds[0] in ("int", "uint") else f"for operands of kind {use.kinds[0]}"


def two_choices_only(use: Use) -> str | None:
    """Refuse a selection among more than two, or by an integer."""
    return None if len(use.kinds) == 3 and use.kinds[0] == "bool" else "for choices by other than a bool"


def arithmetic(name: str, kind: Kind) -> str:
    """Return LLVM's instruction for elements of a kind; a product and a sum may become one instruction."""
    return f"f{name} contract" if kind == "float" else name


def larger(code: Code, a: Register, b: Register) -> Register:
    """Write the larger of two elements; NaN where either is."""
    if a.kind == "float":
        return mathematics.maximum(code, a, b)
    return code.select(code.binary("icmp sgt" if a.kind == "int" else "icmp ugt", a, b, "bool"), a, b)


def smaller(code: Code, a: Register, b: Register) -> Register:
    """Write the smaller of two elements; NaN where either is."""
    if a.kind == "float":
        return mathematics.minimum(code, a, b)
    return code.select(code.binary("icmp slt" if a.kind == "int" else "icmp ult", a, b, "bool"), a, b)


def _arithmetic(name: str) -> Rule:
    return lambda code, node, a, b: code.binary(arithmetic(name, node.kind), a, b)


def _binary(instruction: str) -> Rule:
    return lambda code, node, a, b: code.binary(instruction, a, b)


def _by(function: Callable[..., Register]) -> Rule:
    return lambda code, node, *elements: function(code, *elements)


def _intrinsic(name: str) -> Rule:
    return lambda code, node, x: code.intrinsic(name, x)


def _compare(name: str) -> Rule:
    def rule(code: Code, node: Node, a: Register, b: Register) -> Register:
        if a.kind == "float":
            return code.binary(f"fcmp {'une' if name == 'ne' else 'o' + name}", a, b, "bool")
        sign = "" if name in ("eq", "ne") else "s" if a.kind == "int" else "u"
        return code.binary(f"icmp {sign}{name}", a, b, "bool")

    return rule


def _quotient(code: Code, node: Node, a: Register, b: Register) -> Register:
    """Write a quotient with XLA's result for zero, -1; the least integer by -1 is itself.

    A processor ends the process for both.
    """
    if a.kind == "float":
        return mathematics.divide(code, a, b)
    unit, by_zero = code.constant(1, b.kind), code.binary("icmp eq", b, code.constant(0, b.kind), "bool")
    divisor = code.select(by_zero, unit, b)
    if node.kind == "int":
        by_minus_one = code.binary("icmp eq", b, code.constant(-1, b.kind), "bool")
        divisor = code.select(by_minus_one, unit, divisor)
        negative = code.binary("sub", code.constant(0, a.kind), a)
        quotient = code.select(by_minus_one, negative, code.binary("sdiv", a, divisor))
    else:
        quotient = code.binary("udiv", a, divisor)
    return code.select(by_zero, code.constant(-1 if node.kind == "int" else 2**32 - 1, a.kind), quotient)


def _remainder(code: Code, node: Node, a: Register, b: Register) -> Register:
    """Write a remainder with XLA's result modulo zero, the dividend.

    A processor ends the process for a divisor of zero, and for the least integer divided by -1.
    """
    if a.kind == "float":
        return code.binary("frem", a, b)
    unit, by_zero = code.constant(1, b.kind), code.binary("icmp eq", b, code.constant(0, b.kind), "bool")
    divisor = code.select(by_zero, unit, b)
    if node.kind == "int":
        divisor = code.select(code.binary("icmp eq", b, code.constant(-1, b.kind), "bool"), unit, divisor)
    return code.select(by_zero, a, code.binary("srem" if node.kind == "int" else "urem", a, divisor))


def _shift(instruction: str) -> Rule:
    """Return the rule of a shift with XLA's result for 32 bits or more: zero, or the sign."""

    def rule(code: Code, node: Node, a: Register, b: Register) -> Register:
        if b.text.isdigit() and int(b.text) < 32:
            return code.binary(instruction, a, b)
        inside = code.binary("icmp ult", b, code.constant(32, b.kind), "bool")
        most = code.constant(31 if instruction == "ashr" else 0, b.kind)
        shifted = code.binary(instruction, a, code.select(inside, b, most))
        return shifted if instruction == "ashr" else code.select(inside, shifted, code.constant(0, a.kind))

    return rule


def _negative(code: Code, node: Node, x: Register) -> Register:
    return code.unary("fneg", x) if x.kind == "float" else code.binary("sub", code.constant(0, x.kind), x)


def _not(code: Code, node: Node, x: Register) -> Register:
    return code.binary("xor", x, code.constant(True if x.kind == "bool" else -1, x.kind))


def _absolute(code: Code, node: Node, x: Register) -> Register:
    if x.kind == "float":
        return code.intrinsic("fabs", x)
    return larger(code, x, code.binary("sub", code.constant(0, x.kind), x)) if x.kind == "int" else x


def _sign(code: Code, node: Node, x: Register) -> Register:
    if x.kind != "float":
        bounded = larger(code, x, code.constant(-1, x.kind)) if x.kind == "int" else x
        return smaller(code, bounded, code.constant(1, x.kind))
    above = code.select(mathematics.compare(code, "ogt", x, 0.0), code.constant(1, "float"), x)
    return code.select(mathematics.compare(code, "olt", x, 0.0), code.constant(-1, "float"), above)


def _is_finite(code: Code, node: Node, x: Register) -> Register:
    return mathematics.compare(code, "olt", code.intrinsic("fabs", x), float("inf"))


def _select(code: Code, node: Node, condition: Register, no: Register, yes: Register) -> Register:
    return code.select(condition, yes, no)


def _clamp(code: Code, node: Node, low: Register, x: Register, high: Register) -> Register:
    return smaller(code, larger(code, x, low), high)


def _convert(code: Code, node: Node, x: Register) -> Register:
    kind = node.kind
    if x.kind == kind:
        return x
    if kind == "bool":
        zero = code.constant(0, x.kind)
        return code.binary("fcmp une" if x.kind == "float" else "icmp ne", x, zero, "bool")
    if kind == "float":
        return code.cast("sitofp" if x.kind == "int" else "uitofp", x, kind)
    if x.kind == "float":
        return code.saturated(x, kind)
    return code.cast("zext", x, kind) if x.kind == "bool" else Register(x.text, kind, x.vector)


def _copy(code: Code, node: Node, x: Register) -> Register:
    return x


def _power(code: Code, node: Node, x: Register, y: Register) -> Register:
    return code.intrinsic("pow", x, y if y.kind == "float" else code.cast("sitofp", y, "float"))


def _integer_power(code: Code, node: Node, x: Register) -> Register:
    return mathematics.power(code, x, node.parameters["y"])


def _square(code: Code, node: Node, x: Register) -> Register:
    return mathematics.power(code, x, 2)


def _reciprocal_root(code: Code, node: Node, x: Register) -> Register:
    return mathematics.divide(code, 1.0, code.intrinsic("sqrt", x))


def _one_minus_square(code: Code, node: Node, x: Register) -> Register:
    return mathematics.subtract(code, 1.0, mathematics.power(code, x, 2))


ROOT, ELEMENTARY, LIBRARY = 5.0, 20.0, 50.0
"""Instructions, about, of a root or quotient, of an elementary function of `mathematics.py`, and of LLVM's library."""

for _name in ("add", "mul", "sub"):
    elementwise(_name, _arithmetic(_name))
elementwise("add_any", _arithmetic("add"))
elementwise("neg", _negative)
elementwise("abs", _absolute)
elementwise("sign", _sign)
elementwise("div", _quotient, ROOT)
elementwise("rem", _remainder, ROOT)

for _name in ("eq", "ne", "lt", "le", "gt", "ge"):
    elementwise(_name, _compare(_name))
elementwise("max", _by(larger))
elementwise("min", _by(smaller))
elementwise("clamp", _clamp)
elementwise("select_n", _select, refusal=two_choices_only)
elementwise("is_finite", _is_finite)

for _name in ("and", "or", "xor"):
    elementwise(_name, _binary(_name))
elementwise("not", _not)
elementwise("shift_left", _shift("shl"))
elementwise("shift_right_arithmetic", _shift("ashr"))
elementwise("shift_right_logical", _shift("lshr"))

for _name in ("ceil", "floor"):
    elementwise(_name, _intrinsic(_name))
elementwise("convert_element_type", _convert)
for _name in ("copy", "copy_p", "stop_gradient"):
    elementwise(_name, _copy, cost=0.0)
elementwise("integer_pow", _integer_power, refusal=floats_only)
elementwise("square", _square, refusal=floats_only)
elementwise("one_minus_square", _one_minus_square, refusal=floats_only)  # JAX 0.11 has it.
elementwise("sqrt", _intrinsic("sqrt"), ROOT)
elementwise("rsqrt", _reciprocal_root, ROOT)

for _name in ("erf", "exp", "log", "log1p", "logistic", "tanh"):
    elementwise(_name, _by(getattr(mathematics, _name)), ELEMENTARY)
elementwise("expm1", _by(mathematics.expm1), LIBRARY)
# LLVM has no code of these for a GPU, or only an approximation.
for _name in ("cos", "exp2", "sin", "tan"):
    elementwise(_name, _intrinsic(_name), LIBRARY, gpu=False)
elementwise("pow", _power, LIBRARY, floats_only, gpu=False)
