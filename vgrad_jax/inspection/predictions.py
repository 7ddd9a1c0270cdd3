"""Predictions of a loss: the values of the network that a constant can stand for.

    kernel      ──► one head, or several heads of several inputs    constants for its units
    two outputs ──► table of their products, as of two towers       one constant for all pairs
    parts       ──► their sum, one number a row                     one constant for all rows
    loop        ──► its outputs, held against targets               constants for their last axis

A network that is trained against another has no chance: its balance is where a constant is.
"""

import math
from typing import NamedTuple

from vgrad_jax.inspection.graph import Graph, Step
from vgrad_jax.inspection.kernels import unit_axes
from vgrad_jax.inspection.tail import AFFINE, PRODUCTS, VIEWS, Tail, last_product, leaf_of, weight_of

__all__ = ["Prediction", "is_compared_alone", "number_sharing", "predictions_of"]


class Prediction(NamedTuple):
    """Value of the network that constants replace."""

    value: int
    axes: tuple[int, ...]
    """Axes along which the constants differ; none for one constant."""
    kernel: int | None
    """Leaf of the last kernel; None where the value is made by no kernel."""

    def sizes(self, graph: Graph) -> tuple[int, ...]:
        """Return the shape of the constants, with ones for the axes that share them."""
        return tuple(size if axis in self.axes else 1 for axis, size in enumerate(graph.shapes[self.value]))


def predictions_of(graph: Graph, tail: Tail) -> tuple[Prediction, ...]:
    """Return the predictions of a loss; nothing where a constant prediction has no meaning.

    Several heads are predictions where one kernel makes them all and nothing before them is cut. A network that is
    trained against another, or against a copy of itself, has its balance where a constant is.
    """
    if len(tail.heads) == 1 and not tail.is_linear:
        return _of_a_loop(graph, tail)
    if not tail.heads or not tail.is_linear:
        return ()
    by_head = [_prediction(graph, tail, head) for head in tail.heads]
    known = [prediction for prediction in by_head if prediction is not None]
    if len(known) < len(by_head):
        return ()
    kernels = {prediction.kernel for prediction in known}
    if len(known) > 1 and (len(kernels) > 1 or None in kernels):
        return ()
    if (len(known) > 1 or is_compared_alone(graph, tail)) and _is_cut(graph):
        return ()
    if any(_is_used_before(graph, prediction) for prediction in known):
        return ()
    if _meets_data_elsewhere(graph, tail, known) or _has_prediction_aside(graph, tail, kernels):
        return ()
    return tuple(known)


def _has_prediction_aside(graph: Graph, tail: Tail, kernels: set[int | None]) -> bool:
    """Return whether a side term is made of the predictions' kernel, such as the logarithm of a predicted variance."""
    for step in graph.needed(list(tail.sides)):
        kernel = weight_of(graph, step) if step.name in PRODUCTS else None
        if kernel is not None and leaf_of(graph, step.inputs[kernel]) in kernels:
            return True
    return False


def _of_a_loop(graph: Graph, tail: Tail) -> tuple[Prediction, ...]:
    """Return the prediction of a loop whose outputs are held against targets by differences, such as an equation's.

    Its outputs are numbers of the targets' kind, and a constant for each unit stands for them.
    """
    (head,) = tail.heads
    shape = graph.shapes[head]
    if graph.maker[head].name != "scan" or len(shape) < 2 or _is_cut(graph):
        return ()
    views = {head}
    for step in tail.steps:
        if step.name in VIEWS and step.inputs[0] in views:
            views.update(step.outputs)
    readers = [step for step in tail.steps if step.name not in VIEWS and any(value in views for value in step.inputs)]
    differs = [step.name == "sub" and any(graph.is_data(value) for value in step.inputs) for step in readers]
    # Of two axes nobody knows whether the last one belongs to the examples.
    axes = (len(shape) - 1,) if len(shape) > 2 else ()
    return (Prediction(head, axes, None),) if differs and all(differs) else ()


def is_compared_alone(graph: Graph, tail: Tail) -> bool:
    """Return whether the loss compares outputs with each other: no data meet the heads on the way to it."""
    return not any(graph.is_data(value) for step in tail.steps for value in step.inputs)


def _prediction(graph: Graph, tail: Tail, head: int) -> Prediction | None:
    """Return the prediction that a head is made of."""
    step = last_product(graph, head)
    if step is not None and (kernel := weight_of(graph, step)) is not None:
        return Prediction(step.outputs[0], unit_axes(step, kernel), leaf_of(graph, step.inputs[kernel]))
    pairs = _product_of_pairs(graph, head)
    if pairs is not None:
        return Prediction(pairs, (), None)
    # A sum over parts of an example. What meets the data before its head may hold the targets already.
    shape = graph.shapes[head]
    is_sum = len(shape) == 1 and graph.maker[head].name in AFFINE and len(tail.heads) == 1
    return Prediction(head, (), None) if is_sum and not is_compared_alone(graph, tail) else None


def _product_of_pairs(graph: Graph, head: int) -> int | None:
    """Return the product of two outputs that a head is made of, with factors, biases and views behind it."""
    while (step := graph.maker.get(head)) is not None:
        mixed = [value for value in step.inputs if graph.is_mixed(value)]
        if step.name in PRODUCTS:
            is_square = len(graph.shapes[head]) == 2 and len(set(graph.shapes[head])) == 1
            return head if len(mixed) == 2 and is_square else None
        if step.name not in (*AFFINE, *VIEWS) or len(mixed) != 1 or any(graph.is_data(value) for value in step.inputs):
            return None
        head = mixed[0]
    return None


def _is_cut(graph: Graph) -> bool:
    """Return whether a gradient is stopped on the way to the loss; that of the largest number of a softmax may be."""
    cuts = [step.inputs[0] for step in graph.needed([graph.result]) if step.name == "stop_gradient"]
    return any(graph.of_params[value] and not _is_maximum(graph, value) for value in cuts)


def _is_maximum(graph: Graph, value: int) -> bool:
    """Return whether a value is the largest of others, kept from being infinite."""
    while (step := graph.maker.get(value)) is not None and step.name != "reduce_max":
        if step.name not in (*VIEWS, "max", "select_n"):
            return False
        sources = [other for other in step.inputs if graph.of_params[other] and str(graph.dtypes[other]) != "bool"]
        if not sources:
            return False
        value = sources[0]
    return step is not None


def _is_used_before(graph: Graph, prediction: Prediction) -> bool:
    """Return whether another product on the way uses the last kernel: the loss is of a derivative of the network."""
    last: Step | None = graph.maker.get(prediction.value)
    if last is None or prediction.kernel is None:
        return False
    for step in graph.needed(last.inputs):
        other = weight_of(graph, step) if step.name in PRODUCTS else None
        if other is not None and leaf_of(graph, step.inputs[other]) == prediction.kernel:
            return True
    return False


def _meets_data_elsewhere(graph: Graph, tail: Tail, predictions: list[Prediction]) -> bool:
    """Return whether parameters and data meet on another way to the loss than through the predictions."""
    through = {prediction.value for prediction in predictions}
    for step in graph.needed([graph.result], {*through, *tail.penalties, *tail.sides}):
        if any(value in through for value in step.inputs):
            through.update(step.outputs)
        elif any(graph.is_mixed(value) for value in step.outputs):
            return True
    return False


def number_sharing(graph: Graph, prediction: Prediction) -> int:
    """Return the number of entries that share each constant."""
    return math.prod(graph.shapes[prediction.value]) // max(1, math.prod(prediction.sizes(graph)))
