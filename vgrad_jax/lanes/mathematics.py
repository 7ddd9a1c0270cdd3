"""Elementary functions in single precision, as sums and products of registers.

LLVM has none for vector registers. A function reduces its argument to a small range, evaluates a polynomial or a
rational function there, and undoes the reduction:

    exp(x) = 2^n exp(r),  n = round(x / log 2),  r = x - n log 2

Each is within a few units in the last place of the exact value; the tests compare with NumPy in double precision.
"""

from collections.abc import Sequence

from vgrad_jax.lanes.code import Code, Register

__all__ = [
    "add",
    "compare",
    "divide",
    "erf",
    "exp",
    "expm1",
    "log",
    "log1p",
    "logistic",
    "maximum",
    "minimum",
    "multiply",
    "power",
    "tanh",
]


def add(code: Code, a: Register, b: Register | float) -> Register:
    """Write a sum; with a product in it, it is one instruction."""
    return code.binary("fadd contract", a, _register(code, b))


def multiply(code: Code, a: Register, b: Register | float) -> Register:
    """Write a product."""
    return code.binary("fmul contract", a, _register(code, b))


def subtract(code: Code, a: Register | float, b: Register | float) -> Register:
    """Write a difference."""
    return code.binary("fsub contract", _register(code, a), _register(code, b))


def divide(code: Code, a: Register | float, b: Register | float) -> Register:
    """Write a quotient; within two units in the last place where the processor has an instruction for 1/x."""
    if code.has_exp2:
        return code.instruction("div.full", _register(code, a), _register(code, b))
    return code.binary("fdiv", _register(code, a), _register(code, b))


def compare(code: Code, predicate: str, a: Register, b: Register | float) -> Register:
    """Write a comparison of floats, by LLVM's name of the predicate."""
    return code.binary(f"fcmp {predicate}", a, _register(code, b), "bool")


def _register(code: Code, value: Register | float) -> Register:
    return value if isinstance(value, Register) else code.constant(value, "float")


def maximum(code: Code, a: Register, b: Register) -> Register:
    """Write the larger of two floats; NaN where either is."""
    larger = code.select(compare(code, "ogt", a, b), a, b)
    return code.select(compare(code, "uno", a, a), a, larger)


def minimum(code: Code, a: Register, b: Register) -> Register:
    """Write the smaller of two floats; NaN where either is."""
    smaller = code.select(compare(code, "olt", a, b), a, b)
    return code.select(compare(code, "uno", a, a), a, smaller)


def _bounded(code: Code, x: Register, bound: float) -> Register:
    """Clip a float to [-bound, bound]; NaN stays NaN."""
    high, low = code.constant(bound, "float"), code.constant(-bound, "float")
    x = code.select(compare(code, "ogt", x, high), high, x)
    return code.select(compare(code, "olt", x, low), low, x)


def polynomial(code: Code, x: Register, coefficients: Sequence[float], *, monic: bool = False) -> Register:
    """Evaluate a polynomial by Horner's scheme.

    Args:
        code: where the code is written.
        x: the argument.
        coefficients: the highest power's first.
        monic: whether the highest power's coefficient is 1 and left out.
    """
    first, *rest = coefficients
    total = add(code, x, first) if monic else code.constant(first, "float")
    for coefficient in rest:
        total = add(code, multiply(code, total, x), coefficient)
    return total


def tanh(code: Code, x: Register) -> Register:
    """Evaluate tanh by an odd rational function of degree 9 over 8.

    Its coefficients minimise the largest relative error (Lawson's iteratively reweighted least squares). From 9.02 on
    tanh is 1 in single precision. The numerator is monic and the sign separate, since a training waits for the
    processor's units of products, not for those of sums and bits.
    """
    if code.has_exp2:
        return _tanh_by_exp2(code, x)
    size = code.intrinsic("fabs", x)
    size = code.select(compare(code, "ogt", size, 9.02), code.constant(9.02, "float"), size)
    square = multiply(code, size, size)
    above = polynomial(code, square, (1545.413441, 262333.014, 10045525.62, 75080245.8), monic=True)
    below = polynomial(code, square, (58.27746646, 24649.54798, 1942406.708, 35072261.16, 75080247.37))
    value = divide(code, multiply(code, size, above), below)
    value = code.select(compare(code, "ogt", value, 1.0), code.constant(1.0, "float"), value)
    return code.intrinsic("copysign", value, x)


def _tanh_by_exp2(code: Code, x: Register) -> Register:
    """Evaluate tanh(x) = 1 - 2 / (exp(2 |x|) + 1) with the sign of x; near zero by an odd polynomial of degree 9.

    The coefficients are fitted as those of `tanh`.
    """
    size = code.intrinsic("fabs", x)
    power_ = code.instruction("ex2.approx.ftz.f", multiply(code, size, 2 * 1.44269504088896341))
    far = subtract(code, 1.0, multiply(code, code.instruction("rcp.approx.ftz.f", add(code, power_, 1.0)), 2.0))
    square = multiply(code, x, x)
    near = polynomial(code, square, (0.0164375809, -0.0526718134, 0.133207251, -0.333329466))
    near = add(code, multiply(code, multiply(code, near, square), x), x)
    return code.intrinsic("copysign", code.select(compare(code, "olt", size, 0.55), near, far), x)


def exp(code: Code, x: Register) -> Register:
    """Evaluate exp(x) = 2^n exp(r) with a polynomial of r (Cephes); zero below 2.5e-38.

    A large float plus a number has the rounded number in its last bits: n, and the exponent after a shift.
    """
    inside = code.select(compare(code, "ogt", x, 89.0), code.constant(89.0, "float"), x)
    inside = code.select(compare(code, "olt", inside, -87.0), code.constant(-87.0, "float"), inside)
    large = 1.5 * 2.0**23
    shifted = add(code, multiply(code, inside, 1.44269504088896341), large)
    rounded = code.binary("fsub", shifted, code.constant(large, "float"))
    rest = subtract(code, inside, multiply(code, rounded, 0.693359375))
    rest = add(code, rest, multiply(code, rounded, 2.12194440e-4))
    value = polynomial(
        code,
        rest,
        (1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1),
    )
    value = add(code, add(code, multiply(code, value, multiply(code, rest, rest)), rest), 1.0)
    # Half of the power of two, and then twice: the largest power is not a float.
    number = code.binary("add", code.cast("bitcast", shifted, "int"), code.constant(126, "int"))
    scale = code.cast("bitcast", code.binary("shl", number, code.constant(23, "int")), "float")
    value = multiply(code, value, scale)
    value = code.binary("fadd", value, value)
    return code.select(compare(code, "olt", x, -86.6), code.constant(0.0, "float"), value)


def log(code: Code, x: Register) -> Register:
    """Evaluate log x = n log 2 + log(1 + r), for x = 2^n (1 + r), with a polynomial of r (Cephes)."""
    small = compare(code, "olt", x, 1.17549435e-38)
    scaled = code.select(small, multiply(code, x, 2.0**23), x)
    bits = code.cast("bitcast", scaled, "int")
    exponent = code.binary("sub", code.binary("lshr", bits, code.constant(23, "int")), code.constant(126, "int"))
    mantissa = code.binary(
        "or", code.binary("and", bits, code.constant(0x007FFFFF, "int")), code.constant(0x3F000000, "int")
    )
    rest = code.cast("bitcast", mantissa, "float")
    lower = compare(code, "olt", rest, 0.707106781186547524)
    number = subtract(code, code.cast("sitofp", exponent, "float"), code.select(lower, *_constants(code, 1.0, 0.0)))
    number = subtract(code, number, code.select(small, *_constants(code, 23.0, 0.0)))
    rest = subtract(code, code.select(lower, add(code, rest, rest), rest), 1.0)
    square = multiply(code, rest, rest)
    value = polynomial(
        code,
        rest,
        (
            7.0376836292e-2,
            -1.1514610310e-1,
            1.1676998740e-1,
            -1.2420140846e-1,
            1.4249322787e-1,
            -1.6668057665e-1,
            2.0000714765e-1,
            -2.4999993993e-1,
            3.3333331174e-1,
        ),
    )
    value = multiply(code, multiply(code, value, rest), square)
    value = add(code, value, multiply(code, number, -2.12194440e-4))
    value = subtract(code, value, multiply(code, square, 0.5))
    value = add(code, add(code, rest, value), multiply(code, number, 0.693359375))
    value = code.select(compare(code, "oeq", x, float("inf")), x, value)
    value = code.select(compare(code, "oeq", x, 0.0), code.constant(float("-inf"), "float"), value)
    return code.select(compare(code, "ult", x, 0.0), code.constant(float("nan"), "float"), value)


def _constants(code: Code, *values: float) -> list[Register]:
    return [code.constant(value, "float") for value in values]


def log1p(code: Code, x: Register) -> Register:
    """Evaluate log(1 + x) = k log 2 + log(1 + r), where 1 + x = 2^k (1 + r), with a polynomial of r in [-1/4, 1/2].

    r is the sum of 2^-k x and 2^-k - 1, so that no digit of a small x is lost. Integer arithmetic on the exponents'
    bits scales by powers of two. The polynomial is fitted as that of `tanh`.
    """
    one_more = code.cast("bitcast", code.binary("fadd", x, code.constant(1.0, "float")), "int")
    exponent = code.binary("sub", one_more, code.constant(0x3F400000, "int"))  # 3/4
    exponent = code.binary("and", exponent, code.constant(-0x800000, "int"))
    scaled = code.binary("sub", code.cast("bitcast", x, "int"), exponent)
    scale = code.binary("sub", code.constant(0x40800000, "int"), exponent)  # 4
    lost = add(code, multiply(code, code.cast("bitcast", scale, "float"), 0.25), -1.0)
    rest = code.binary("fadd", code.cast("bitcast", scaled, "float"), lost)
    value = polynomial(
        code,
        rest,
        (
            0.0555971619,
            -0.121141294,
            0.14904441,
            -0.167888184,
            0.199823198,
            -0.249963606,
            0.333334707,
            -0.5,
        ),
    )
    value = add(code, multiply(code, multiply(code, value, rest), rest), rest)
    number = multiply(code, code.cast("sitofp", exponent, "float"), 2.0**-23)
    value = code.intrinsic("copysign", add(code, multiply(code, number, 0.693147182), value), x)
    value = code.select(compare(code, "olt", x, float("inf")), value, x)
    outside = code.select(compare(code, "oeq", x, -1.0), *_constants(code, float("-inf"), float("nan")))
    return code.select(compare(code, "ole", x, -1.0), outside, value)


def expm1(code: Code, x: Register) -> Register:
    """Evaluate exp(x) - 1; near zero as 2 t / (1 - t) with t = tanh(x / 2), which loses no digits there."""
    half = tanh(code, multiply(code, x, 0.5))
    near = divide(code, add(code, half, half), subtract(code, 1.0, half))
    far = subtract(code, exp(code, x), 1.0)
    return code.select(compare(code, "olt", code.intrinsic("fabs", x), 1.0), near, far)


def logistic(code: Code, x: Register) -> Register:
    """Evaluate 1 / (1 + exp(-x))."""
    return divide(code, 1.0, add(code, exp(code, code.unary("fneg", x)), 1.0))


def erf(code: Code, x: Register) -> Register:
    """Evaluate erf by a rational function of degree 9 over 12 (Eigen, XLA)."""
    x = _bounded(code, x, 3.7439211627767994)
    square = multiply(code, x, x)
    above = polynomial(
        code,
        square,
        (
            0.00022905065861350646,
            0.0034082910107109506,
            0.050955695062380861,
            0.18520832239976145,
            1.128379143519084,
        ),
    )
    below = polynomial(
        code,
        square,
        (
            -1.1791602954361697e-7,
            0.000023547966471313185,
            0.0010179625278914885,
            0.014070470171167667,
            0.11098505178285362,
            0.49746925110067538,
            1.0,
        ),
    )
    return divide(code, multiply(code, x, above), below)


def power(code: Code, x: Register, exponent: int) -> Register:
    """Evaluate a power with an integer exponent, by squaring."""
    if exponent < 0:
        return divide(code, 1.0, power(code, x, -exponent))
    result = code.constant(1.0, "float") if exponent == 0 else None
    while exponent:
        if exponent % 2:
            result = x if result is None else multiply(code, result, x)
        exponent //= 2
        x = multiply(code, x, x) if exponent else x
    return result  # type: ignore[return-value]
