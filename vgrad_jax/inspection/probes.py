"""Probe the tail of a loss with other outputs of the network than its own: what it is, told by what it does.

- `Probe.samples` are the values of the tail for random heads, at several scales: a witness of what can happen.
- `binary_targets` and `class_targets` tell a crossentropy by its gradient: `w (sigmoid(z) - y)` and
  `w (softmax(z) - y)`. They give back weights and targets, however the loss is written.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Shaped

from vgrad_jax.inspection.graph import Graph
from vgrad_jax.inspection.kernels import unit_axes
from vgrad_jax.inspection.tail import Tail, last_product, weight_of
from vgrad_jax.numerics import sigmoid

__all__ = ["Probe", "Targets", "binary_targets", "class_targets"]

MOST_OUTPUTS = 2**23
"""Number of outputs of a network above which its tail is not probed."""
SCALES = (1.0, 10.0, 100.0, 1e4)
"""Deviations of the random heads."""
ACCURACY = 2e-3
"""Largest difference of a crossentropy's gradient from its formula, over the largest weight."""
FAR = 4.0
"""Logit far from zero, at which a clipped probability is not yet clipped."""
NEAR = 0.5
"""Logit near zero; at zero itself a loss may have a kink."""


class Targets(NamedTuple):
    """Targets of a crossentropy."""

    values: Float[np.ndarray, "..."]
    """Targets in the shape of the output; for classes each row's shares, classes last. NaN where the weight is zero."""
    weights: Float[np.ndarray, "..."]
    """Weight of each target in the loss."""


@dataclass(frozen=True)
class Probe:
    """A loss that can be probed."""

    graph: Graph
    tail: Tail
    known: dict[int, Any]
    """Parameters and batch."""

    @cached_property
    def fits(self) -> bool:
        """True where the tail is probed: its heads can be any numbers, and are not too many."""
        sizes = [int(np.prod(self.graph.shapes[head])) for head in self.tail.heads]
        return self.tail.is_linear and 0 < sum(sizes) <= MOST_OUTPUTS

    def samples(self, values: Sequence[int], scale: float) -> list[Shaped[np.ndarray, "..."]]:
        """Return values of the tail for random heads of a scale."""
        sampled = partial(_sampled, self.graph, self.tail.heads, tuple(values))
        program = self.graph.compile_once(("sampled", tuple(values)), sampled)
        return [np.asarray(array) for array in program(self.known, scale)]

    def concrete(self, values: Sequence[int]) -> list[Shaped[np.ndarray, "..."]]:
        """Return values that are made of data alone, or of parameters alone."""
        return [np.asarray(array) for array in self.graph.values(self.known, values)]

    @cached_property
    def predicts_inputs(self) -> bool:
        """True where a part of the batch is both input and target, as in an autoencoder."""
        targets = {value for step in self.tail.steps for value in step.inputs if self.graph.is_data(value)}
        return bool(self.graph.sources(targets) & self.graph.sources(self.tail.heads))

    @cached_property
    def gradient(self) -> Any:
        """Gradient of the loss with respect to the only head, as a compiled function of the head."""
        head, graph = self.tail.head, self.graph

        def loss(output: Any, known: dict[int, Any]) -> Any:
            cut = {} if head is None else {head: output}
            return graph.replay({**known, **cut}, [graph.result])[0]

        compiled = graph.compile_once("gradient", jax.grad(loss))
        dtype = None if head is None else graph.dtypes[head]
        return lambda output: np.asarray(compiled(jnp.asarray(output, dtype), self.known), np.float64)

    @cached_property
    def units(self) -> tuple[int, ...]:
        """Axes of the only head that belong to the units of the last product; empty where it cannot be told."""
        head = self.tail.head
        step = None if head is None else last_product(self.graph, head)
        kernel = None if step is None else weight_of(self.graph, step)
        if head is None or step is None or kernel is None:
            return ()
        (product,) = step.outputs
        shape, axes = self.graph.shapes[product], unit_axes(step, kernel)
        inner = [shape[axis] if axis in axes else 1 for axis in range(len(shape))]
        numbers = np.broadcast_to(np.random.default_rng(0).normal(size=inner), shape)
        output = jnp.asarray(numbers, self.graph.dtypes[product])
        known = {**self.known, product: output}
        (array,) = self.graph.values(known, [head])
        array = np.asarray(array, np.float64)
        return tuple(axis for axis in range(array.ndim) if np.ptp(array, axis).any())


def _sampled(
    graph: Graph, heads: tuple[int, ...], values: tuple[int, ...], known: dict[int, Any], scale: Any
) -> list[Any]:
    """Return values of the tail for normal heads of a scale."""
    keys = jax.random.split(jax.random.key(0), len(heads))
    random = {
        head: (scale * jax.random.normal(key, graph.shapes[head])).astype(graph.dtypes[head])
        for head, key in zip(heads, keys, strict=True)
    }
    return graph.replay({**known, **random}, values)


def binary_targets(probe: Probe) -> Targets | None:
    """Return targets and weights of a binary crossentropy; None for any other loss."""

    if not probe.fits or probe.tail.head is None:
        return None
    shape = probe.graph.shapes[probe.tail.head]
    low, middle, high = (probe.gradient(np.full(shape, logit)) for logit in (-FAR, NEAR, FAR))
    weights = (high - low) / (sigmoid(FAR) - sigmoid(-FAR))
    with np.errstate(invalid="ignore", divide="ignore"):
        values = sigmoid(NEAR) - middle / weights
    logits = np.random.default_rng(0).normal(0, 2, shape)
    expected = np.where(weights == 0, 0, weights * (sigmoid(logits) - np.nan_to_num(values)))
    return Targets(values, weights) if _agrees(probe, logits, expected, weights) else None


def class_targets(probe: Probe) -> Targets | None:
    """Return shares of classes and weights of rows of a categorical crossentropy, classes last; None for others."""

    if not probe.fits or probe.tail.head is None or len(probe.units) != 1:
        return None
    shape, (axis,) = probe.graph.shapes[probe.tail.head], probe.units
    logits = np.random.default_rng(0).normal(0, 1, (3, *np.moveaxis(np.zeros(shape), axis, -1).shape))
    logits[1] = logits[0]
    logits[1, ..., 0] += FAR
    slopes = [np.moveaxis(probe.gradient(np.moveaxis(row, -1, axis)), axis, -1) for row in logits[:2]]
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    chances = powers / powers.sum(-1, keepdims=True)
    weights = ((slopes[1] - slopes[0]) / (chances[1] - chances[0]))[..., :1]
    with np.errstate(invalid="ignore", divide="ignore"):
        values = chances[0] - slopes[0] / weights
    expected = np.where(weights == 0, 0, weights * (chances[2] - np.nan_to_num(values)))
    agrees = _agrees(probe, np.moveaxis(logits[2], -1, axis), np.moveaxis(expected, -1, axis), weights)
    return Targets(values, weights[..., 0]) if agrees else None


def _agrees(probe: Probe, logits: Any, expected: Any, weights: Any) -> bool:
    """Return whether the gradient at other logits is what the formula expects."""
    largest = float(np.abs(weights).max(initial=0))
    if not np.isfinite(largest) or largest == 0 or not np.isfinite(expected).all():
        return False
    return bool(np.abs(probe.gradient(logits) - expected).max() <= ACCURACY * largest)
