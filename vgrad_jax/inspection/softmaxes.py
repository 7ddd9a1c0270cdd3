"""Concerns about softmaxes and sigmoids behind the output: applied twice, or over the rows of the batch.

output ──► exp ──► / sum over an axis ──► probabilities ──► exp, sum, log ──► loss
           a softmax                      between 0 and 1    a loss of logits: the second softmax
"""

from typing import NamedTuple

from vgrad_jax.inspection.concern import Concern
from vgrad_jax.inspection.graph import Graph, Step
from vgrad_jax.inspection.probes import Probe
from vgrad_jax.inspection.tail import VIEWS

__all__ = ["activation_twice", "softmax_over_rows"]

COMPARING = ("log", "sub", "add", "max", "min", "clamp")
"""Operations by which a loss takes probabilities; a sum of rows weighted by them is attention."""
KEEPING = (*VIEWS, "neg", "abs", "sub", "max", "stop_gradient", "select_n", "reduce_max")
"""Operations after which a probability is still a number of the size of one."""

FEWEST_SHARING = 4
"""Number of rows from which a softmax over the first axis is one over a batch."""
MAPS = 3
"""Number of axes from which the first axis of an output is the batch, even if its units cannot be told."""


class _Softmax(NamedTuple):
    """A softmax in the tail."""

    step: Step
    """Division of the exponentials by their sum."""
    axes: tuple[int, ...]


def _softmaxes(graph: Graph, steps: tuple[Step, ...]) -> list[_Softmax]:
    """Return the softmaxes among steps: exponentials that are divided by their own sum over axes."""
    returned = []
    for step in steps:
        above, below = (graph.maker.get(value) for value in step.inputs) if step.name == "div" else (None, None)
        while below is not None and below.name in VIEWS:
            below = graph.maker.get(below.inputs[0])
        if above is None or below is None or (above.name, below.name) != ("exp", "reduce_sum"):
            continue
        if below.inputs[0] == step.inputs[0]:
            returned.append(_Softmax(step, tuple(int(axis) for axis in below.equation.params["axes"])))
    return returned


def activation_twice(probe: Probe) -> list[Concern]:
    """Find a softmax or a sigmoid of the output before a loss that applies another: a loss of logits."""
    graph, tail = probe.graph, probe.tail
    probabilities = {softmax.step.outputs[0] for softmax in _softmaxes(graph, tail.steps)}
    probabilities |= {step.outputs[0] for step in tail.steps if step.name == "logistic"}
    kept = {value for value in probabilities if value in tail.pure}
    exponentials: set[int] = set()
    sums: set[int] = set()
    for step in tail.steps:
        outputs = [value for value in step.inputs if value in tail.pure and str(graph.dtypes[value]) != "bool"]
        if step.name in KEEPING and outputs and all(value in kept for value in outputs):
            kept.update(step.outputs)
        elif step.name == "exp" and step.inputs[0] in kept:
            exponentials.update(step.outputs)
        elif step.name == "reduce_sum" and step.inputs[0] in exponentials:
            sums.update(step.outputs)
        elif step.name in (*VIEWS, "abs"):
            exponentials.update(step.outputs if step.inputs[0] in exponentials else ())
            sums.update(step.outputs if step.inputs[0] in sums else ())
        again = step.name == "logistic" and step.inputs[0] in kept
        again |= step.name == "div" and step.inputs[0] in exponentials and step.inputs[1] in sums
        again |= step.name == "log" and step.inputs[0] in sums
        again |= step.name == "log1p" and step.inputs[0] in exponentials
        if again:
            sentence = (
                "The output goes through a softmax or a sigmoid, and then through a loss that applies one to it again: "
                "hand the loss the outputs before the activation."
            )
            return [Concern("activation_twice", sentence, 2.0, 1.0, None, True)]
    return []


def softmax_over_rows(probe: Probe) -> list[Concern]:
    """Find a softmax of outputs, the rows on the first axis, that goes over the rows."""
    graph, head = probe.graph, probe.tail.head
    if head is None or 0 in probe.units:
        return []
    shape = graph.shapes[head]
    squeezed = (*shape[:1], *(size for size in shape[1:] if size > 1))
    if len(squeezed) < (2 if probe.units else MAPS):
        return []
    readers = graph.readers()
    rows = shape[0]
    for softmax in _softmaxes(graph, probe.tail.steps):
        (shares,) = softmax.step.outputs
        same = graph.shapes[shares] in (shape, squeezed) and shares in probe.tail.pure
        compared = any(reader.name in COMPARING for reader in readers.get(shares, []))
        if same and compared and softmax.axes == (0,) and rows >= FEWEST_SHARING:
            sentence = (
                f"The softmax goes over the {rows} rows of the batch, not over the units of an example: each unit's "
                "numbers sum to 1 over the examples."
            )
            return [Concern("softmax_over_rows", sentence, float(rows), 1.0, None, True)]
    return []
