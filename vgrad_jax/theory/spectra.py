"""Compute Jacobians of a network, and the closed forms of their spectra in random-matrix theory.

In wide layers at criticality the mean squared singular value is one. The spectrum is then a free product of the spectra
of weights and activations (Pennington, Schoenholz and Ganguli 2017, arXiv:1711.04735, and 2018, arXiv:1802.09979).
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vgrad_jax.boundary import checked
from vgrad_jax.descriptions import whole_number
from vgrad_jax.errors import unknown_name
from vgrad_jax.nets.mlp import MLP, Layer, Params, apply_mlp

__all__ = ["Spectrum", "input_jacobian", "spectrum"]


class Spectrum(NamedTuple):
    """Squared singular values of a Jacobian, normalised to a mean of one."""

    variance: float
    """Variance of a squared singular value."""
    largest: float
    """Upper end of the spectrum at infinite width; a finite network's largest value is some percent smaller."""


@checked
def input_jacobian(
    params: Params, x: Float[Array, " in_features"], mlp: MLP, *, to: str = "logits"
) -> Float[Array, "outputs in_features"]:
    """Compute the Jacobian of a network with respect to ONE input; seeds and examples are the caller's `vmap`.

    Args:
        params: parameters, as `init_mlp` returns them.
        x: one example.
        mlp: the network.
        to: the output to differentiate: "logits", or "hidden" for the last hidden layer's activations.

    Returns:
        d output / d input.

    Raises:
        InputError: an unknown `to`, or parameters that are not this network's.

    >>> mlp = MLP(hidden=(4,), activation="identity", kernel_init="orthogonal")
    >>> from vgrad_jax.nets.mlp import init_mlp
    >>> J = input_jacobian(init_mlp(jax.random.key(0), mlp, 4), jnp.ones(4), mlp, to="hidden")
    >>> jnp.linalg.svd(J, compute_uv=False).round(4).tolist()
    [1.0, 1.0, 1.0, 1.0]
    """
    if to not in ("logits", "hidden"):
        raise unknown_name("end of the Jacobian", to, ("logits", "hidden"))
    if to == "hidden":
        width = params[-1].kernel.shape[0]
        params = (*params[:-1], Layer(jnp.eye(width, dtype=x.dtype), jnp.zeros(width, x.dtype)))
    return jax.jacrev(lambda example: apply_mlp(params, example, mlp))(x)


def spectrum(activation: str, weights: str, depth: int) -> Spectrum:
    """Return the spectrum of `depth` layers at criticality: variance 1 / fan_in for "identity", 2 / fan_in for "relu".

    The moments' generating function is the inverse of `(1 + z) / z S(z)^-depth`, where S is one layer's S-transform.
    The spectrum ends at the smallest value of this function.

    Args:
        activation: "identity" or "relu".
        weights: "normal" or "orthogonal".
        depth: number of layers.

    Returns:
        The `Spectrum`.

    Raises:
        InputError: another activation or ensemble of weights.

    >>> [round(value, 8) for value in spectrum("relu", "normal", 2)]
    [4.0, 11.09016994]
    """
    whole_number("depth", depth, minimum=1)
    key = (activation, weights)
    if key not in _ONE_LAYER:
        raise unknown_name("activation and weights", " ".join(key), [" ".join(names) for names in _ONE_LAYER])
    if key == ("identity", "orthogonal"):
        return Spectrum(0.0, 1.0)
    if key == ("identity", "normal"):
        return Spectrum(float(depth), math.exp((depth + 1) * math.log(depth + 1) - depth * math.log(depth)))
    if key == ("relu", "orthogonal"):
        # One layer's squared singular values are a mask of zeros and twos: the spectrum ends at 2.
        largest = 2.0 if depth == 1 else math.exp(depth * math.log(depth) - (depth - 1) * math.log(depth - 1))
        return Spectrum(float(depth), largest)
    z = (-(depth - 1) + math.sqrt((depth - 1) ** 2 + 2 * depth)) / (2 * depth)
    return Spectrum(2.0 * depth, (1 + z) / z * (1 + 2 * z) ** depth)


_ONE_LAYER = (("identity", "normal"), ("identity", "orthogonal"), ("relu", "normal"), ("relu", "orthogonal"))
