"""Parts of snippets that the frameworks share: norm, forward pass, and starts that change what was drawn."""

from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["Parts", "asymmetric", "fitting", "forward_lines", "normalising", "only_where"]


class Parts(NamedTuple):
    """Network with spelled names."""

    constants: str
    """Lines with the widths, initialisers and activations."""
    data_init: str | None
    norm: str | None
    residual: float | None
    optimizer: str
    loss: str
    training: str
    """Comment on epochs and batches."""
    clip_norm: float | None
    schedule: str
    """PyTorch's statement that makes the schedule of the learning rate; empty where it stays."""
    learned: tuple[str, ...] = ()
    """Numbers that the hidden layers learn besides: "slope", "factor", both or none."""
    asymmetric: str = ""
    """Numbers of the layers that RAI draws, as an iterable; empty where it draws none."""


def normalising(norm: str | None, mean: str, rsqrt: str, axis_word: str = "axis", keep: str = "keepdims") -> str:
    """Return the function that normalises a layer, or nothing."""
    if norm is None:
        return ""
    axis = -1 if norm == "layer" else 0
    words = f"{axis_word}={axis}, {keep}=True"
    of = "the units of each row" if norm == "layer" else "the rows of each unit"
    return (
        f"\n\ndef normalise(z):  # over {of}\n"
        f"    z = z - {mean}(z, {words})\n"
        f"    return z * {rsqrt}({mean}(z**2, {words}) + 1e-5)\n"
    )


def forward_lines(
    parts: Parts,
    product: str,
    bias: str,
    last: str,
    *,
    layers: str,
    indent: str,
    before: Sequence[str] = (),
    number: str = "{0}",
) -> str:
    """Return the lines of the forward pass, from `x` on.

    Args:
        parts: the network.
        product: the product of `h` and the kernel of `layer`.
        bias: the bias of `layer`.
        last: the logits from `h` and the last `layer`.
        layers: the sequence of layers.
        indent: spaces in front of each line.
        before: statements in front of each layer's product.
        number: a number that the layer learns, such as its slope: its name in the loop, or where "layer" holds it.
    """
    owner = layers.removeprefix("list(").partition(".")[0]
    of_loop = [] if number.startswith("layer") else parts.learned
    names = ", ".join(["layer", "activation", *of_loop])
    zipped = ", ".join([f"{layers}[:-1]", "ACTIVATIONS", *(f"{owner}.{name}s" for name in of_loop)])
    factor = number.format("factor") if "factor" in parts.learned else repr(parts.residual)
    arguments = ["z", number.format("slope")] if "slope" in parts.learned else ["z"]
    branch = f"{product} + {bias}" if parts.norm is None else f"normalise({product}) + {bias}"
    lines = ["h, z = x, None", f"for {names} in zip({zipped}):"]
    lines += [f"    {line}" for line in before]
    if parts.residual is None:
        lines += [f"    z = {branch}"]
    else:
        lines += [
            f"    branch = {branch}",
            f"    z = branch if z is None or z.shape != branch.shape else z + {factor} * branch",
        ]
    lines += [f"    h = activation({', '.join(arguments)})", f"layer = {layers}[-1]", *before, f"return {last}"]
    if parts.residual is None:
        lines[0] = "h = x"
    return "".join(f"{indent}{line}\n" for line in lines)


def only_where(name: str, parameter: str) -> str:
    """Return the expression that makes a parameter of a number, and None for a layer that does not learn it.

    >>> only_where("slope", "jnp.asarray(slope)")
    'None if slope is None else jnp.asarray(slope)'
    """
    return f"None if {name} is None else {parameter}"


def fitting(parts: Parts, call: str, lines: str) -> tuple[str, str]:
    """Return the function that fits kernels to data, and the comment on its call; both empty where there is none.

    Args:
        parts: the network.
        call: the call.
        lines: the body of the function, from `x` on.
    """
    if parts.data_init is None:
        return "", ""
    result, _, arguments = call.rpartition("fit_to_data")
    head = f"\n\ndef fit_to_data{arguments}:  # LSUV: every layer's products with the rows get a variance of 1\n"
    comment = f"# {result}fit_to_data{arguments}  # once, with the training rows x, before the first step\n"
    return head + lines, comment


def asymmetric(parts: Parts, head: str, body: str, lines: str, *, indent: str) -> tuple[str, str]:
    """Return the function that makes layers asymmetric, and the lines that call it; both empty where there is none.

    Args:
        parts: the network.
        head: the function's name with its arguments.
        body: the lines of the function.
        lines: statements for each layer, whose number is `index`.
        indent: spaces in front of each line that calls it.
    """
    if not parts.asymmetric:
        return "", ""
    comment = "# RAI: one number of each unit, bias included, is drawn anew from Beta(2, 1)"
    loop = f"for index in {parts.asymmetric}:\n" + "".join(f"    {line}\n" for line in lines.splitlines())
    return f"\n\ndef {head}:  {comment}\n{body}", "".join(f"{indent}{line}\n" for line in loop.splitlines())
