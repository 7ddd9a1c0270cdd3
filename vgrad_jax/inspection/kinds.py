"""Kinds of operations that make a number that is not finite, and a sentence for each."""

from collections.abc import Sequence

from vgrad_jax.inspection.blame import Birth, softmax_input
from vgrad_jax.inspection.values import Node

__all__ = ["KINDS", "kind_of", "user_operation"]

KINDS = {
    "log_of_zero": "the logarithm of zero",
    "log_of_negative": "the logarithm of a negative number",
    "root_of_zero": "the slope of a root at zero, which is infinite",
    "root_of_negative": "the root of a negative number",
    "division_by_zero": "a division by zero",
    "overflow_of_exp": "an exponential that is larger than its dtype can hold",
    "overflow_of_product": "a product that is larger than its dtype can hold",
    "overflow": "a number that is larger than its dtype can hold",
    "masked_softmax": "a softmax over a row that is masked completely, so that no number is left",
    "outside_domain": "a function outside of the numbers that it is defined for",
    "not_positive_definite": "a factorisation of a matrix that is not positive definite",
    "infinity": "an infinity that is written into the program and meets a number",
    "data": "missing or infinite numbers in the data",
    "parameters": "parameters that are not finite already",
    "not_located": "the compiled program alone",
}
"""Kinds of faults, in words."""

PRODUCTS = ("dot_general", "conv_general_dilated", "ragged_dot", "mul", "square", "integer_pow", "pow", "reduce_prod")
SUMS = ("add", "add_any", "sub", "reduce_sum", "cumsum", "convert_element_type", "reduce_precision")
DOMAINS = (
    "acos",
    "asin",
    "acosh",
    "atanh",
    "erf_inv",
    "lgamma",
    "digamma",
    "tan",
    "igamma",
    "regularized_incomplete_beta",
)
FACTORISATIONS = ("cholesky", "lu", "qr", "eigh", "svd", "triangular_solve")
THROUGH_SUMS = ("abs", "reduce_sum", "mul", "select_n", "broadcast_in_dim", "reshape", "squeeze", "reduce_precision")
ROOTS = ("sqrt", "rsqrt", "cbrt", "pow")


def user_operation(birth: Node, nodes: Sequence[Node]) -> Node:
    """Return the operation of the forward pass that the user wrote, where a derivative of it made the number.

    A derivative stands in the same line as its operation. Where the line has a root or a logarithm of zero, or a
    division by zero, this is the one.
    """
    line = birth.line
    if line is None:
        return birth
    singular = ("log", *ROOTS, "div", "log1p", *DOMAINS)
    same = [node for node in nodes if node.primitive in singular and node is not birth]
    same = [node for node in same if node.parents and _is_singular(node) and node.line == line]
    same.sort(key=lambda node: singular.index(node.primitive))
    return same[0] if same else birth


def _is_singular(node: Node) -> bool:
    """Return whether an operation has a zero where its derivative is infinite."""
    if node.primitive in DOMAINS or node.primitive == "log1p":
        return not node.is_finite or node.primitive in DOMAINS
    at = node.parents[1] if node.primitive == "div" else node.parents[0]
    return at.facts["zero"]


def kind_of(birth: Birth, operation: Node, where: str) -> str:
    """Return the kind of a fault.

    Args:
        birth: operation or input at which the value stopped being finite.
        operation: the same, or the operation of the forward pass whose derivative it is.
        where: "forward" or "gradient".
    """
    node = birth.node
    if node.role in ("batch", "parameter"):
        return {"batch": "data", "parameter": "parameters"}[node.role]
    if softmax_input(node) is not None or _is_log_of_masked_row(node):
        return "masked_softmax"
    if birth.masked or node.role == "constant":
        return "infinity"
    if operation is not node and operation.primitive != "div":
        return _singular_kind(operation, where)
    return _kind_of_operation(node, where)


def _is_log_of_masked_row(node: Node) -> bool:
    """Return whether a node is the logarithm of a sum of exponentials, each of them of -inf."""
    if node.primitive != "log" or not node.facts["negative_infinity"]:
        return False
    waiting = list(node.parents)
    while waiting:
        now = waiting.pop()
        if now.primitive == "exp":
            return any(parent.facts["negative_infinity"] for other in now.parents for parent in (other, *other.parents))
        if now.primitive in THROUGH_SUMS or now.equation is None:
            waiting += now.parents
    return False


def _singular_kind(operation: Node, where: str) -> str:
    name, base = operation.primitive, operation.parents[0]
    if name in ("log", "log1p"):
        negative = operation.is_nan if name == "log1p" else base.facts["negative"] and not base.facts["zero"]
        return "log_of_negative" if negative else "log_of_zero"
    if name in ROOTS:
        if base.facts["zero"] and not operation.is_nan:
            # Forward, only one over a root is infinite at zero.
            return "root_of_zero" if where == "gradient" or name == "rsqrt" else "division_by_zero"
        return "root_of_negative" if base.facts["negative"] else "overflow_of_product"
    return "outside_domain"


def _kind_of_operation(node: Node, where: str) -> str:
    name = node.primitive
    if name in ("log", "log1p") or name in DOMAINS:
        return _singular_kind(node, where)
    if name in ROOTS and (node.parents[0].facts["zero"] or node.parents[0].facts["negative"]):
        return _singular_kind(node, where)
    if name == "div" and node.parents[1].facts["zero"]:
        return "division_by_zero"
    if name == "integer_pow" and node.equation.params["y"] < 0 and node.parents[0].facts["zero"]:
        return "division_by_zero"
    if name in ("exp", "exp2", "expm1", "sinh", "cosh", "logistic"):
        return "overflow_of_exp"
    if name in PRODUCTS or name == "div":
        return "overflow_of_product"
    if name in SUMS:
        return "overflow"
    return "not_positive_definite" if name in FACTORISATIONS else "outside_domain"
