"""Optimisers by name: a description, and the optax transformation that it stands for."""

from collections.abc import Callable
from dataclasses import dataclass

import optax

from vgrad_jax.descriptions import Description, number
from vgrad_jax.errors import InputError, unknown_name

__all__ = ["Optimizer", "make_optimizer"]


@dataclass(frozen=True)
class Optimizer(Description):
    """An optimiser, described.

    Args:
        name: "sgd", "rmsprop", "adam" or "adamw".
        learning_rate: positive.
        momentum: for "sgd" (`m = momentum m + g; w = w - learning_rate m`) and "rmsprop"; in [0, 1).
        nesterov: Nesterov's momentum.
        weight_decay: for "adamw".
        clip_norm: None, or the largest global norm of a gradient, clipped before anything else.

    Raises:
        InputError: an unknown name, a number out of range, or one that the optimiser does not take.
    """

    name: str = "sgd"
    learning_rate: float = 0.01
    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: float = 0.0
    clip_norm: float | None = None

    def __post_init__(self) -> None:
        if self.name not in _BUILDERS:
            raise unknown_name("optimizer", self.name, _BUILDERS)
        object.__setattr__(self, "learning_rate", number("learning_rate", self.learning_rate, above=0.0))
        object.__setattr__(self, "momentum", number("momentum", self.momentum, at_least=0.0, below=1.0))
        object.__setattr__(self, "weight_decay", number("weight_decay", self.weight_decay, at_least=0.0))
        if not isinstance(self.nesterov, bool):
            raise InputError(f"nesterov must be True or False; got {self.nesterov!r}")
        if self.clip_norm is not None:
            object.__setattr__(self, "clip_norm", number("clip_norm", self.clip_norm, above=0.0))
        if (self.momentum or self.nesterov) and self.name not in ("sgd", "rmsprop"):
            raise InputError(f"momentum and nesterov are for sgd and rmsprop; {self.name} has its own")
        if self.weight_decay and self.name != "adamw":
            raise InputError(f"weight_decay is for adamw; got the optimizer {self.name!r}")


def make_optimizer(optimizer: Optimizer) -> optax.GradientTransformation:
    """The optax transformation that an `Optimizer` describes."""
    transformation = _BUILDERS[optimizer.name](optimizer)
    if optimizer.clip_norm is None:
        return transformation
    return optax.chain(optax.clip_by_global_norm(optimizer.clip_norm), transformation)


_BUILDERS: dict[str, Callable[[Optimizer], optax.GradientTransformation]] = {
    "sgd": lambda o: optax.sgd(o.learning_rate, o.momentum or None, o.nesterov),
    "rmsprop": lambda o: optax.rmsprop(o.learning_rate, momentum=o.momentum or None, nesterov=o.nesterov),
    "adam": lambda o: optax.adam(o.learning_rate),
    "adamw": lambda o: optax.adamw(o.learning_rate, weight_decay=o.weight_decay),
}
