"""Split an experiment into numbers, which a compiled program takes as arguments, and its structure.

Arms with the same structure share a program. They may differ in these numbers, and in the draw of the initial
parameters. A grid over learning rates therefore compiles once.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vgrad_jax.experiment import Experiment
from vgrad_jax.nets.mlp import MLP
from vgrad_jax.optimizers import NUMBERS

__all__ = ["Settings", "settings_of", "structure_of"]

Settings = Mapping[str, Float[Array, "..."]]
"""Numbers of the optimiser (`optimizers.NUMBERS`) and the threshold of convergence, by name."""


def settings_of(experiment: Experiment) -> dict[str, jax.Array]:
    """Return the experiment's own numbers.

    >>> {name: round(float(value), 3) for name, value in settings_of(Experiment()).items()}
    {'learning_rate': 0.01, 'momentum': 0.9, 'threshold': 0.8}
    """
    optimizer = experiment.optimizer
    numbers = {name: getattr(optimizer, name) for name in NUMBERS if getattr(optimizer, name)}
    numbers["threshold"] = experiment.training.threshold
    return {name: jnp.asarray(value, float) for name, value in numbers.items()}


def structure_of(experiment: Experiment) -> Experiment:
    """Return the experiment without its numbers and initialisers: two experiments with equal results share a program.

    >>> from vgrad_jax.optimizers import Optimizer
    >>> slow, fast = (Experiment(optimizer=Optimizer("adam", learning_rate=rate)) for rate in (1e-4, 1e-2))
    >>> slow == fast, structure_of(slow) == structure_of(fast)
    (False, True)
    """
    optimizer = experiment.optimizer
    placeholders: dict[str, Any] = {name: 0.5 for name in NUMBERS if getattr(optimizer, name)}
    standard = MLP()
    return replace(
        experiment,
        optimizer=replace(optimizer, **placeholders),
        training=replace(experiment.training, threshold=1.0),
        mlp=replace(
            experiment.mlp,
            kernel_init=standard.kernel_init,
            bias_init=standard.bias_init,
            output_init=None,
            branch_init=None,
            data_init=None,
        ),
    )
