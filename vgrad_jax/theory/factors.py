"""Compute the factor by which a normalised or residual layer changes squared gradients at initialisation.

Each factor is E|delta_l|^2 / E|delta_(l+1)|^2 in wide layers, as chi_1 is for a plain network. Above one, gradients
explode towards the input. L layers multiply squared gradients by the L-th power of the factor.
"""

from typing import Any

import numpy as np

from vgrad_jax.descriptions import number
from vgrad_jax.errors import InputError
from vgrad_jax.theory.gaussian import elementwise, nodes
from vgrad_jax.theory.mean_field import moments

__all__ = ["batch_norm_factor", "layer_norm_factor", "residual_factor"]


def layer_norm_factor(activation: Any) -> float:
    """Compute the factor of layer norm on preactivations: E phi'^2 / E phi^2 at variance one, for any weight variance.

    >>> round(layer_norm_factor("relu"), 8), round(layer_norm_factor("tanh"), 8)
    (1.0, 1.17780723)
    """
    square, gradient, _ = moments(activation, 1.0)
    return float(gradient / square)


def batch_norm_factor(activation: Any, batch_size: int | None = None) -> float:
    """Compute the factor of batch norm on preactivations: E phi'^2 / Var phi at variance one.

    The factor is above one unless the activation is linear (Yang et al. 2019, arXiv:1902.08129, theorems 8 and 9).

    Args:
        activation: a name from `ACTIVATIONS` or an elementwise function.
        batch_size: rows B in a batch; None is an infinite batch. A finite batch is solved for "identity" alone:
            (B - 2) / (B - 3).

    Returns:
        The factor of squared gradients per layer.

    Raises:
        InputError: a finite batch with another activation, or with 3 rows or fewer.

    >>> round(batch_norm_factor("relu"), 8), batch_norm_factor("identity", 5)
    (1.46694221, 1.5)
    """
    if batch_size is not None:
        if activation != "identity" or batch_size <= 3:
            raise InputError(
                "a finite batch is solved for activation 'identity' and more than 3 rows only; leave batch_size out "
                f"for the limit of large batches; got {activation!r} and {batch_size!r}"
            )
        return (batch_size - 2) / (batch_size - 3)
    function = elementwise(activation)
    square, gradient, _ = moments(activation, 1.0)
    z, weights = nodes(function, np.zeros(()), np.ones(()))
    mean = float(np.sum(weights * function.at(z).value))
    return float(gradient) / (float(square) - mean**2)


def residual_factor(activation: Any, branch: float, weight_variance: float, variance: float = 1.0) -> float:
    """Compute the factor of a branch a in `z_l = z_(l-1) + a W phi(z_(l-1))`: 1 + a^2 weight_variance E phi'^2.

    Args:
        activation: a name from `ACTIVATIONS` or an elementwise function.
        branch: the branch factor a.
        weight_variance: fan-in times the variance of a weight.
        variance: variance of the preactivations, which grows with depth; ReLU's factor does not depend on it.

    Returns:
        The factor of squared gradients per layer.

    >>> residual_factor("relu", 0.5, 2.0)
    1.25
    """
    number("variance", variance, above=0.0)
    return 1 + branch**2 * weight_variance * float(moments(activation, variance)[1])
