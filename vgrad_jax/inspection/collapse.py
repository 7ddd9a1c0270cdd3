"""Concern about a loss of several outputs that meets no data: a constant output is all that it asks for.

view 1 ──► network ──► output 1 ┐
                                ├─ distance ──► loss     the same constant for every example has no distance
view 2 ──► network ──► output 2 ┘
"""

import math
from typing import Any

import jax.numpy as jnp
import numpy as np

from vgrad_jax.inspection.concern import Concern
from vgrad_jax.inspection.probes import Probe

__all__ = ["constant_is_best"]

FEWEST_OUTPUTS = 2
"""Number of outputs from which a loss without data compares them with each other."""
COLLAPSED = 1e-3
"""Share of the loss that a constant output leaves, below which the constant is all that the loss asks for."""


def constant_is_best(probe: Probe) -> list[Concern]:
    """Find a loss that compares outputs with each other alone, and that one constant for all of them makes vanish.

    A part of the gradient that is stopped keeps the outputs apart, as a predictor beside it does.
    """
    graph, tail = probe.graph, probe.tail
    shapes = {graph.shapes[head] for head in tail.heads}
    # Outputs without an axis of examples would raise here, and take all other concerns with them.
    if len(tail.heads) < FEWEST_OUTPUTS or len(shapes) != 1 or () in shapes or tail.penalties or tail.sides:
        return []
    if any(graph.is_data(value) for step in tail.steps for value in step.inputs):
        return []
    if any(step.name == "stop_gradient" and graph.is_mixed(step.inputs[0]) for step in graph.needed([graph.result])):
        return []

    def losses(known: dict[int, Any]) -> Any:
        outputs = graph.replay(known, tail.heads)
        mean = jnp.mean(jnp.stack(outputs), (0, 1), keepdims=True)[0]
        constant = {head: jnp.broadcast_to(mean, graph.shapes[head]) for head in tail.heads}
        return jnp.stack([graph.replay({**known, **own}, [graph.result])[0] for own in ({}, constant)])

    now, then = np.asarray(graph.compile_once("collapse", losses)(probe.known), np.float64)
    if not (math.isfinite(now) and 0 <= then < COLLAPSED * now):
        return []
    sentence = (
        f"The loss compares {len(tail.heads)} outputs with each other alone: it is {now:.3g}, and {then:.3g} where "
        "every example has the same output."
    )
    return [Concern("constant_is_best", sentence, then / now, COLLAPSED, None, True)]
