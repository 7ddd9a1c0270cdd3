"""Initialisers of each layer, with "critical" resolved for the layer's activation and biases."""

from vgrad_jax.descriptions import NamedFunction, canonical_call
from vgrad_jax.errors import InputError
from vgrad_jax.nets.initializers import CRITICAL
from vgrad_jax.nets.laws import bias_law

__all__ = ["layer_initializer", "resolved_bias_initializer"]


def layer_initializer(
    initializer: NamedFunction, activation: NamedFunction, bias_init: NamedFunction, fan_in: int
) -> NamedFunction:
    """Return the initialiser of a layer; "critical" becomes a normal of the critical variance.

    Args:
        initializer: a name or a function.
        activation: the activation whose values the layer reads.
        bias_init: the initialiser of the network's biases.
        fan_in: number of values that the layer reads.

    Raises:
        InputError: "critical" for an activation without a stable edge of chaos, or with biases of unknown variance.

    >>> layer_initializer("critical", "relu", "zeros", 5)
    'fan_in_normal(2.0)'
    """
    if initializer != CRITICAL:
        return initializer
    # Imported at this call: `theory` imports `nets`, and only this initialiser needs `theory`.
    from vgrad_jax.theory.critical import critical_point

    law = bias_law(bias_init, fan_in)
    if law is None or law.mean != 0:
        raise InputError(
            "kernel_init 'critical' needs biases with mean zero and a variance that is known, such as 'zeros' or "
            f"'normal(0.2)'; got bias_init {bias_init!r}"
        )
    point = critical_point(activation, law.variance)
    if not point.stable:
        raise InputError(
            f"kernel_init 'critical' has no edge of chaos to stay on for {activation!r} with biases of variance "
            f"{law.variance:g}: {point.note}; use a named initialiser, such as 'he_normal' or 'fan_in_normal(1.5)'"
        )
    return canonical_call("fan_in_normal", (point.weight_variance,))


def resolved_bias_initializer(initializer: NamedFunction, fan_in: int) -> NamedFunction:
    """Return the initialiser of a layer's biases; "pytorch" becomes the uniform of this fan-in.

    >>> resolved_bias_initializer("pytorch", 4)
    'uniform(-0.5, 0.5)'
    """
    if initializer == "pytorch":
        limit = fan_in**-0.5
        return canonical_call("uniform", (-limit, limit))
    return initializer
