"""Elementwise operations, as instructions on registers."""

from collections.abc import Callable

from vgrad_jax.lanes import mathematics
from vgrad_jax.lanes.code import Code, Kind, Register
from vgrad_jax.lanes.graph import Node

__all__ = ["ELEMENTWISE_RULES", "arithmetic", "larger", "smaller"]

Rule = Callable[..., Register]
"""Of the code, the operation and its inputs' numbers."""


def arithmetic(name: str, kind: Kind) -> str:
    """LLVM's name of an instruction on numbers of a kind; a product and a sum may become one."""
    return f"f{name} contract" if kind == "float" else name


def larger(code: Code, a: Register, b: Register) -> Register:
    """The larger one; NaN where one of them is."""
    if a.kind == "float":
        return mathematics.maximum(code, a, b)
    return code.select(code.binary("icmp sgt" if a.kind == "int" else "icmp ugt", a, b, "bool"), a, b)


def smaller(code: Code, a: Register, b: Register) -> Register:
    """The smaller one; NaN where one of them is."""
    if a.kind == "float":
        return mathematics.minimum(code, a, b)
    return code.select(code.binary("icmp slt" if a.kind == "int" else "icmp ult", a, b, "bool"), a, b)


def _arithmetic(name: str) -> Rule:
    return lambda code, node, a, b: code.binary(arithmetic(name, node.kind), a, b)


def _binary(instruction: str) -> Rule:
    return lambda code, node, a, b: code.binary(instruction, a, b)


def _by(function: Callable[..., Register]) -> Rule:
    return lambda code, node, *numbers: function(code, *numbers)


def _intrinsic(name: str) -> Rule:
    return lambda code, node, x: code.intrinsic(name, x)


def _compare(name: str) -> Rule:
    def rule(code: Code, node: Node, a: Register, b: Register) -> Register:
        if a.kind == "float":
            return code.binary(f"fcmp {'une' if name == 'ne' else 'o' + name}", a, b, "bool")
        sign = "" if name in ("eq", "ne") else "s" if a.kind == "int" else "u"
        return code.binary(f"icmp {sign}{name}", a, b, "bool")

    return rule


def _remainder(code: Code, node: Node, a: Register, b: Register) -> Register:
    """As XLA has it: modulo zero a number is itself. A processor ends the process, and for the least number by -1."""
    one, by_zero = code.constant(1, b.kind), code.binary("icmp eq", b, code.constant(0, b.kind), "bool")
    divisor = code.select(by_zero, one, b)
    if node.kind == "int":
        divisor = code.select(code.binary("icmp eq", b, code.constant(-1, b.kind), "bool"), one, divisor)
    return code.select(by_zero, a, code.binary("srem" if node.kind == "int" else "urem", a, divisor))


def _shift(instruction: str) -> Rule:
    """As XLA has it: by as many bits as there are, or more, nothing is left, or the sign."""

    def rule(code: Code, node: Node, a: Register, b: Register) -> Register:
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


def _power(code: Code, node: Node, x: Register, y: Register) -> Register:
    return code.intrinsic("pow", x, y if y.kind == "float" else code.cast("sitofp", y, "float"))


def _integer_power(code: Code, node: Node, x: Register) -> Register:
    return mathematics.power(code, x, node.parameters["y"])


def _same(code: Code, node: Node, x: Register) -> Register:
    return x


ELEMENTWISE_RULES: dict[str, Rule] = {
    "abs": _absolute,
    "add": _arithmetic("add"),
    "add_any": _arithmetic("add"),
    "and": _binary("and"),
    "ceil": _intrinsic("ceil"),
    "clamp": _clamp,
    "convert_element_type": _convert,
    "copy": _same,
    "copy_p": _same,
    "cos": _intrinsic("cos"),
    "div": _by(mathematics.divide),
    "erf": _by(mathematics.erf),
    "exp": _by(mathematics.exp),
    "exp2": _intrinsic("exp2"),
    "expm1": _by(mathematics.expm1),
    "floor": _intrinsic("floor"),
    "integer_pow": _integer_power,
    "is_finite": _is_finite,
    "log": _by(mathematics.log),
    "log1p": _by(mathematics.log1p),
    "logistic": _by(mathematics.logistic),
    "max": _by(larger),
    "min": _by(smaller),
    "mul": _arithmetic("mul"),
    "neg": _negative,
    "not": _not,
    "one_minus_square": _by(lambda code, x: mathematics.subtract(code, 1.0, mathematics.power(code, x, 2))),  # JAX 0.11
    "or": _binary("or"),
    "pow": _power,
    "rem": _remainder,
    "rsqrt": _by(lambda code, x: mathematics.divide(code, 1.0, code.intrinsic("sqrt", x))),
    "select_n": _select,
    "shift_left": _shift("shl"),
    "shift_right_arithmetic": _shift("ashr"),
    "shift_right_logical": _shift("lshr"),
    "sign": _sign,
    "sin": _intrinsic("sin"),
    "sqrt": _intrinsic("sqrt"),
    "square": _by(lambda code, x: mathematics.power(code, x, 2)),
    "stop_gradient": _same,
    "sub": _arithmetic("sub"),
    "tan": _intrinsic("tan"),
    "tanh": _by(mathematics.tanh),
    "xor": _binary("xor"),
    **{name: _compare(name) for name in ("eq", "ne", "lt", "le", "gt", "ge")},
}
"""How each operation's number is computed from its inputs' numbers."""
