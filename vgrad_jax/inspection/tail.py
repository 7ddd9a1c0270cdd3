"""Split a loss into the network and its tail: the part behind the last use of a parameter.

    x ──► layers ──► product ──► + bias ──► head ──► softmax ──► log ──► loss
                                                            y ──────► ┘
          parameters are used               tail: data and constants alone

Values of the tail are functions of the heads and the data. A penalty is a number made of parameters alone that is added
to the loss; it belongs to neither part. A side term is made of activations and never meets the data again, beside a
term that does. One is the Kullback-Leibler term of a variational autoencoder, or a penalty of hidden activations.
"""

from dataclasses import dataclass

from vgrad_jax.inspection.graph import Graph, Step

__all__ = ["PRODUCTS", "VIEWS", "Tail", "last_product", "leaf_of", "tail_of", "weight_of"]

PRODUCTS = ("dot_general", "conv_general_dilated")
SUMS = ("add", "sub", "add_any")
AFFINE = (*SUMS, "mul", "div", "neg")
VIEWS = ("reshape", "transpose", "squeeze", "broadcast_in_dim", "expand_dims", "convert_element_type", "copy", "slice")


@dataclass(frozen=True)
class Tail:
    """Part of a loss behind the last use of a parameter."""

    heads: tuple[int, ...]
    """Values with which the tail begins: outputs of the network."""
    penalties: tuple[int, ...]
    """Terms of the loss that are made of parameters alone."""
    steps: tuple[Step, ...]
    pure: frozenset[int]
    """Values that are functions of the heads alone, heads included."""
    is_linear: bool
    """True where every head is the output of a product, with a bias or a factor behind it: it can be any number."""
    sides: tuple[int, ...] = ()
    """Side terms: values that are added to ones that meet the data, and that are made of other heads than these."""

    @property
    def head(self) -> int | None:
        """The only head; None where there are several, or where it is restricted to some numbers."""
        return self.heads[0] if len(self.heads) == 1 and self.is_linear else None


def tail_of(graph: Graph) -> Tail:
    """Find heads and tail of a loss.

    >>> import numpy as np
    >>> from vgrad_jax.inspection.graph import graph_of
    >>> def loss(leaves, batch):
    ...     return ((batch[0] @ leaves[0] + leaves[1] - batch[1]) ** 2).mean() + (leaves[0] ** 2).sum()
    >>> ones = [np.ones(shape, "f") for shape in ((3, 1), (1, 1), (4, 3), (4, 1))]
    >>> graph = graph_of(loss, ones[:2], ones[2:])
    >>> tail = tail_of(graph)
    >>> [graph.maker[head].name for head in tail.heads], len(tail.penalties)
    (['add'], 1)
    """
    steps = graph.needed([graph.result])
    before = _before_a_use(graph, steps)
    heads: list[int] = []
    penalties: list[int] = []
    behind: list[Step] = []
    for step in steps:
        if _adds_penalty(graph, step):
            penalties += [value for value in step.inputs if graph.is_weight(value)]
        mixed = [value for value in step.outputs if graph.is_mixed(value) and value not in before]
        if not mixed:
            continue
        if _uses_weight(graph, step) or any(value in before for value in step.inputs):
            heads += mixed
        else:
            behind.append(step)
    # A loop hands over more than its last state: only what the tail or the loss takes is a head.
    taken = {value for step in behind for value in step.inputs} | {graph.result}
    heads = [head for head in heads if head in taken]
    pure = set(heads)
    for step in behind:
        if all(value in pure or not graph.of_data[value] for value in step.inputs):
            pure.update(step.outputs)
    sides = _side_terms(graph, heads, behind, pure)
    own = {head for side in sides for head in _heads_of(graph, side, heads)}
    heads = [head for head in heads if head not in own]
    if sides:
        reached = {value for step in graph.needed([graph.result], {*heads, *sides}) for value in step.inputs}
        heads = [head for head in heads if head in reached]
    is_linear = all(_is_linear(graph, head) for head in heads)
    return Tail(tuple(heads), tuple(dict.fromkeys(penalties)), tuple(behind), frozenset(pure), is_linear, sides)


def _side_terms(graph: Graph, heads: list[int], behind: list[Step], pure: set[int]) -> tuple[int, ...]:
    """Return the values that never meet the data, in sums with values that do and that are made of other heads."""
    readers = graph.readers()
    sides: list[int] = []
    for step in behind:
        alone = [value for value in step.inputs if value in pure and graph.is_mixed(value)]
        others = [value for value in step.inputs if value not in pure and graph.is_mixed(value)]
        if step.name not in SUMS or len(alone) != 1 or len(others) != 1 or not _only_summed(graph, step, readers):
            continue
        if not _heads_of(graph, alone[0], heads) & _heads_of(graph, others[0], heads):
            sides += alone
    return tuple(sides)


def _heads_of(graph: Graph, value: int, heads: list[int]) -> set[int]:
    """Return the heads that a value is made of."""
    made_of = {value}
    for step in graph.needed([value], heads):
        made_of.update(step.inputs)
    return made_of & set(heads)


def _only_summed(graph: Graph, step: Step, readers: dict[int, list[Step]]) -> bool:
    """Return whether a step's output goes into the loss as a sum alone, with factors."""
    value = step.outputs[0]
    while value != graph.result:
        if len(readers.get(value, [])) != 1:
            return False
        (reader,) = readers[value]
        factors = [other for other in reader.inputs if other != value]
        summed = reader.name in (*SUMS, *VIEWS, "reduce_sum", "neg")
        if not summed and not (reader.name in AFFINE and not any(graph.is_mixed(other) for other in factors)):
            return False
        value = reader.outputs[0]
    return True


def _adds_penalty(graph: Graph, step: Step) -> bool:
    """Return whether a step adds a number made of parameters to a number made of parameters and data."""
    alone = [graph.is_weight(value) for value in step.inputs]
    return step.name in SUMS and graph.shapes[step.outputs[0]] == () and any(alone) and not all(alone)


def _uses_weight(graph: Graph, step: Step) -> bool:
    """Return whether a step uses parameters with data."""
    uses = any(graph.is_weight(value) for value in step.inputs) and any(graph.of_data[value] for value in step.inputs)
    return uses and not _adds_penalty(graph, step)


def _before_a_use(graph: Graph, steps: list[Step]) -> set[int]:
    """Return the values that later meet parameters."""
    before: set[int] = set()
    for step in reversed(steps):
        if _uses_weight(graph, step) or any(value in before for value in step.outputs):
            before.update(value for value in step.inputs if graph.of_data[value])
    return {value for value in before if graph.is_mixed(value)}


def _is_linear(graph: Graph, head: int) -> bool:
    """Return whether a head is the output of a product, or of a sum or product with parameters."""
    step = graph.maker[head]
    return step.name in PRODUCTS or (step.name in AFFINE and _uses_weight(graph, step))


def last_product(graph: Graph, head: int) -> Step | None:
    """Return the product with a kernel that a head is made of, with nothing but biases, factors and views behind it."""
    while True:
        step = graph.maker.get(head)
        if step is None:
            return None
        if step.name in PRODUCTS:
            return step if weight_of(graph, step) is not None else None
        mixed = [value for value in step.inputs if graph.of_data[value]]
        if step.name not in (*AFFINE, *VIEWS) or len(mixed) != 1 or not graph.is_mixed(mixed[0]):
            return None
        head = mixed[0]


def weight_of(graph: Graph, step: Step) -> int | None:
    """Return the position of a product's kernel among its inputs; None where it has none or two."""
    weights = [side for side, value in enumerate(step.inputs) if graph.is_weight(value)]
    return weights[0] if len(weights) == 1 and len(step.inputs) == 2 else None


def leaf_of(graph: Graph, value: int) -> int | None:
    """Return the leaf of the parameters that a value is made of; None where there are several."""
    leaves: set[int] = set()
    for step in graph.needed([value]):
        leaves.update(operand for operand in step.inputs if operand < graph.number_of_leaves)
    leaves.update({value} if value < graph.number_of_leaves else ())
    return leaves.pop() if len(leaves) == 1 else None
