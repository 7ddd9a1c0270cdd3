"""Optimisers by name: their descriptions, and the optax transformations that they describe."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import optax

from vgrad_jax.boundary import require_signature
from vgrad_jax.descriptions import UNWRITTEN, Description, number
from vgrad_jax.errors import InputError, unknown_name
from vgrad_jax.schedules import CONSTANT, canonical_schedule, schedule_of

__all__ = ["NUMBERS", "STARTING", "Optimizer", "make_optimizer", "require_transformation", "updated"]

STARTING = "a function of the parameters that gives a state"
"""Form of an optimiser's `init`, for messages."""


@dataclass(frozen=True)
class Optimizer(Description):
    """Description of an optimiser.

    Args:
        name: "sgd", "rmsprop", "adam" or "adamw".
        learning_rate: learning rate; positive.
        momentum: momentum in [0, 1), for "rmsprop" and "sgd" (`m = momentum m + g; w = w - learning_rate m`).
        nesterov: True for Nesterov's momentum.
        weight_decay: decoupled weight decay, for "adamw".
        clip_norm: None, or the largest global norm of a gradient, which is clipped before all else.
        schedule: a name from `SCHEDULES`, such as "cosine", or "exponential(0.01)", which ends at a hundredth of the
            learning rate.
        warmup: share of the steps in which the learning rate rises from zero, in [0, 1).

    Raises:
        InputError: an unknown name, a number out of range, or a number that the optimiser does not take.
    """

    name: str = "sgd"
    learning_rate: float = 0.01
    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: float = 0.0
    clip_norm: float | None = None
    schedule: str = field(default=CONSTANT, metadata=UNWRITTEN)
    warmup: float = field(default=0.0, metadata=UNWRITTEN)

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
        object.__setattr__(self, "schedule", canonical_schedule(self.schedule))
        object.__setattr__(self, "warmup", number("warmup", self.warmup, at_least=0.0, below=1.0))
        if (self.momentum or self.nesterov) and self.name not in ("sgd", "rmsprop"):
            raise InputError(f"momentum and nesterov are for sgd and rmsprop; {self.name} has a momentum of its own")
        if self.weight_decay and self.name != "adamw":
            raise InputError(f"weight_decay is for adamw; got the optimizer {self.name!r}")

    @property
    def is_scheduled(self) -> bool:
        """True where the learning rate changes from step to step."""
        return self.schedule != CONSTANT or self.warmup > 0

    def warmup_steps(self, steps: int) -> int:
        """Return the number of steps in which the learning rate rises."""
        return round(self.warmup * steps)


NUMBERS = ("learning_rate", "momentum", "weight_decay", "clip_norm")
"""Fields of an `Optimizer` that are numbers."""


def make_optimizer(
    optimizer: Optimizer, numbers: Mapping[str, Any] | None = None, *, steps: int | None = None
) -> optax.GradientTransformation:
    """Return the optax transformation that an `Optimizer` describes.

    Args:
        optimizer: the description.
        numbers: values for the `NUMBERS` that are neither zero nor None in the description; they may be traced.
        steps: number of steps of the training, for a schedule.

    Raises:
        InputError: a schedule without the number of steps.
    """
    used: dict[str, Any] = {name: getattr(optimizer, name) or None for name in NUMBERS}
    used.update((name, value) for name, value in (numbers or {}).items() if used.get(name) is not None)
    if optimizer.is_scheduled:
        if steps is None:
            raise InputError("a schedule or a warm-up needs the number of steps: give steps=")
        used["learning_rate"] = schedule_of(
            optimizer.schedule, used["learning_rate"], steps, optimizer.warmup_steps(steps)
        )
    transformation = _BUILDERS[optimizer.name](optimizer, used)
    if optimizer.clip_norm is None:
        return transformation
    return optax.chain(optax.clip_by_global_norm(used["clip_norm"]), transformation)


_BUILDERS: dict[str, Callable[[Optimizer, Mapping[str, Any]], optax.GradientTransformation]] = {
    "sgd": lambda o, used: optax.sgd(used["learning_rate"], used["momentum"], o.nesterov),
    "rmsprop": lambda o, used: optax.rmsprop(used["learning_rate"], momentum=used["momentum"], nesterov=o.nesterov),
    "adam": lambda _, used: optax.adam(used["learning_rate"]),
    "adamw": lambda _, used: optax.adamw(
        used["learning_rate"], weight_decay=0.0 if used["weight_decay"] is None else used["weight_decay"]
    ),
}


def require_transformation(name: str, optimizer: Any) -> None:
    """Refuse an optimiser whose two functions are none of optax's form.

    Args:
        name: name of the optimiser, for the message.
        optimizer: anything with `init` and `update`.

    Raises:
        InputError: `init(params)` or `update(gradients, state, params)` cannot be called so.
    """
    for function, wanted in (("init", ("params",)), ("update", ("gradients", "state", "params"))):
        if not callable(getattr(optimizer, function, None)):
            raise InputError(f"{name} must be an optax optimiser, such as optax.adam(1e-3); got {optimizer!r}")
        require_signature(f"{function} of {name}", getattr(optimizer, function), wanted)


def updated(name: str, optimizer: Any, *arguments: Any, **extra: Any) -> tuple[Any, Any]:
    """Return the updates and the next state of an optimiser.

    Args:
        name: name of the optimiser, for the message.
        optimizer: an optax optimiser.
        arguments: gradients, state and parameters.
        extra: further arguments of its `update`.

    Raises:
        InputError: `update` returns no pair.
    """
    given = optimizer.update(*arguments, **extra)
    if not isinstance(given, tuple) or len(given) != 2:
        raise InputError(f"update of {name} must return (updates, state), as optax's optimisers do; it gave {given!r}")
    return given
