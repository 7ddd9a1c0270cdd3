"""Concerns about the activation of the output: it does not fit the loss, or cannot depend on the parameters."""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Shaped

from vgrad_jax.inspection.concern import SHARE, ZERO_SHARE, Concern
from vgrad_jax.inspection.graph import Step
from vgrad_jax.inspection.probes import Probe
from vgrad_jax.numerics import sigmoid

__all__ = ["gradient_cut", "logarithms", "sigmoid_shares", "softmax_of_one"]

NEARLY_ONE = (0.9, 1.0)
"""Bounds by which a probability is clipped from above."""
SMALLEST = 0.1
"""Largest bound by which a probability is clipped from below."""


def softmax_of_one(probe: Probe) -> list[Concern]:
    """Find a softmax over an axis of length one: its output is 1, whatever the parameters are."""
    graph, tail = probe.graph, probe.tail
    for step in tail.steps:
        if step.name != "reduce_sum" or step.inputs[0] not in tail.pure:
            continue
        axes = step.equation.params["axes"]
        maker = graph.maker.get(step.inputs[0])
        of_one = bool(axes) and all(graph.shapes[step.inputs[0]][axis] == 1 for axis in axes)
        if of_one and maker is not None and maker.name == "exp" and _has_no_slope(probe):
            sentence = "The softmax goes over one unit: its output is 1 whatever the parameters are. Use a sigmoid."
            return [Concern("softmax_of_one", sentence, 1.0, 1.0, None, True)]
    return []


def _has_no_slope(probe: Probe) -> bool:
    """Return whether the loss does not depend on the only head."""
    head = probe.tail.head
    if head is None:
        return False
    random = np.random.default_rng(0).normal(size=probe.graph.shapes[head])
    return not probe.gradient(random).any()


def gradient_cut(probe: Probe) -> list[Concern]:
    """Find a loss that depends on the output and has no derivative by it: a cut, an argmax or a rounding behind it."""
    head = probe.tail.head
    if head is None or probe.graph.has_own_derivatives or not _has_no_slope(probe):
        return []
    if probe.gradient(probe.concrete([head])[0]).any():
        return []
    result = [probe.graph.result]
    values = [float(probe.samples(result, 1.0)[0]), float(probe.concrete(result)[0])]
    if not np.isfinite(values).all() or values[0] == values[1]:
        return []
    sentence = (
        "The loss changes with the output of the network, and has no derivative by it: a stop_gradient, an argmax or a "
        "rounding stands between them."
    )
    return [Concern("gradient_cut", sentence, 0.0, 0.0, None, True)]


class _Argument(NamedTuple):
    """Argument of a logarithm, before it is clipped."""

    value: int
    """Value that is clipped."""
    between: tuple[Step, ...]
    """Steps from this value to the logarithm, without clips."""
    is_clipped_above: bool


def logarithms(probe: Probe) -> list[Concern]:
    """Find a logarithm of what is no probability: a linear output, tanh, or the exact zeros of a ReLU."""
    for step in probe.tail.steps:
        if step.name not in ("log", "log1p") or step.inputs[0] not in probe.tail.pure:
            continue
        argument = _unclipped(probe, step.inputs[0])
        share = _share_without_logarithm(probe, argument, shift=1.0 if step.name == "log1p" else 0.0)
        if share > 0:
            sentence = (
                f"The loss takes the logarithm of an output that is no probability: {share:.0%} of its possible "
                "values are negative, zero or above 1. Use a sigmoid or a softmax, or a loss of logits."
            )
            return [Concern("log_of_unbounded", sentence, share, SHARE, None, True)]
    return []


def _unclipped(probe: Probe, value: int) -> _Argument:
    """Go back from a logarithm's argument through clips and sums with numbers."""
    graph, between, clipped = probe.graph, [], False
    while (step := graph.maker.get(value)) is not None and value in probe.tail.pure:
        pure = [operand for operand in step.inputs if operand in probe.tail.pure]
        if len(pure) != 1 or value in probe.tail.heads:
            break
        bounds = [_number(probe, operand) for operand in step.inputs if operand != pure[0]]
        is_below = step.name == "max" and _within(bounds, 0.0, SMALLEST) and bounds != [0.0]
        is_above = step.name == "min" and _within(bounds, *NEARLY_ONE)
        is_both = step.name == "clamp" and _within(bounds[:1], 0.0, SMALLEST) and _within(bounds[1:], *NEARLY_ONE)
        if step.name in ("add", "sub", "neg"):
            between.append(step)
        elif not (is_below or is_above or is_both or step.name in ("convert_element_type", "reshape", "squeeze")):
            break
        clipped = clipped or is_above or is_both
        value = pure[0]
    return _Argument(value, tuple(between[::-1]), clipped)


def _within(bounds: list[float | None], low: float, high: float) -> bool:
    return bool(bounds) and all(bound is not None and low <= bound <= high for bound in bounds)


def _number(probe: Probe, value: int) -> float | None:
    """Return a value that is one number in the program; None for any other."""
    graph = probe.graph
    if not graph.is_constant(value) or graph.shapes[value] != ():
        return None
    return float(graph.replay({}, [value])[0])


def _share_without_logarithm(probe: Probe, argument: _Argument, shift: float) -> float:
    """Return the share of an argument's possible values that have no logarithm of a probability."""
    worst = 0.0
    for scale in (1.0, 10.0):
        base = probe.samples([argument.value], scale)[0].astype(np.float64)
        raw = shift + _carried(probe, argument, base)
        worst = max(worst, _share(raw < 0))
        if argument.is_clipped_above:
            worst = max(worst, _share(base > 1 + 1e-6))
        if scale == 1.0 and (argument.is_clipped_above or _sums_to_one(base)):
            zeros = _share((base == 0) | np.isnan(base))
            worst = max(worst, zeros if zeros > ZERO_SHARE else 0.0)
    return worst if worst > SHARE else 0.0


def _share(holds: Any) -> float:
    """Return the share of True; a loss may take the logarithm of a single number."""
    return float(np.mean(holds)) if np.size(holds) else 0.0


def _carried(probe: Probe, argument: _Argument, array: Any) -> Any:
    """Apply the sums between a value and the logarithm."""
    for step in argument.between:
        if step.name == "neg":
            array = -array
            continue
        first = step.inputs[0] in probe.tail.pure
        (other,) = probe.concrete([step.inputs[1 if first else 0]])
        other = np.asarray(other, np.float64)
        array = array + other if step.name == "add" else (array - other if first else other - array)
    return array


def _sums_to_one(array: Shaped[np.ndarray, "..."]) -> bool:
    """Return whether an array's rows are shares of a whole, where they are numbers."""
    if array.ndim == 0 or array.shape[-1] < 2:
        return False
    sums = array.sum(-1)[np.isfinite(array).all(-1)]
    return bool(len(sums) and np.allclose(sums, 1, atol=1e-3))


def sigmoid_shares(probe: Probe) -> list[Concern]:
    """Find sigmoids that are divided by their sum, in place of a softmax."""

    head = probe.tail.head
    for step in probe.tail.steps:
        if step.name != "div" or head is None or any(value not in probe.tail.pure for value in step.inputs):
            continue
        above, below, shares, logits = probe.samples([*step.inputs, *step.outputs, head], 1.0)
        if above.shape == logits.shape and np.allclose(above, sigmoid(logits), atol=1e-5) and _sums_to_one(shares):
            sentence = "Sigmoids are divided by their sum to give shares of classes; a softmax learns faster."
            return [Concern("sigmoid_for_categorical", sentence, float(below.max()), 1.0, None, False)]
    return []
