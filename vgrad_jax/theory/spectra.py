"""Singular values of input-output Jacobians: measured, and as random-matrix theory has them.

Pennington, Schoenholz and Ganguli 2017 (arXiv:1711.04735) and 2018 (arXiv:1802.09979): free products of the weights'
and the activations' spectra, in wide layers at criticality, where the mean squared singular value is one.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vgrad_jax.descriptions import whole_number
from vgrad_jax.errors import unknown_name
from vgrad_jax.nets.mlp import MLP, Layer, Params, apply_mlp

__all__ = ["Spectrum", "input_jacobian", "spectrum"]


class Spectrum(NamedTuple):
    """Squared singular values of a Jacobian, normalised to a mean of one."""

    variance: float
    largest: float
    """Where the spectrum of an infinitely wide network ends; a finite one stays some percent below."""


def input_jacobian(
    params: Params, x: Float[Array, " in_features"], mlp: MLP, *, to: str = "logits"
) -> Float[Array, "outputs in_features"]:
    """The Jacobian of a network with respect to ONE input; seeds and examples are the caller's `vmap`.

    Args:
        params: as `init_mlp` gives them.
        x: one example.
        mlp: the network.
        to: of the "logits", or of the last "hidden" layer's activations.

    Returns:
        d output / d input.

    Raises:
        InputError: another `to`, or parameters that are not this network's.

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
    """What `depth` layers should show, at criticality: variance 1 / fan_in for "identity", 2 / fan_in for "relu".

    The moments' generating function is the inverse of `(1 + z) / z S(z)^-depth`, with one layer's S-transform, and
    the spectrum ends where that has its smallest value.

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
        # A mask of ones and zeros, doubled, for one layer.
        largest = 2.0 if depth == 1 else math.exp(depth * math.log(depth) - (depth - 1) * math.log(depth - 1))
        return Spectrum(float(depth), largest)
    z = (-(depth - 1) + math.sqrt((depth - 1) ** 2 + 2 * depth)) / (2 * depth)
    return Spectrum(2.0 * depth, (1 + z) / z * (1 + 2 * z) ** depth)


_ONE_LAYER = (("identity", "normal"), ("identity", "orthogonal"), ("relu", "normal"), ("relu", "orthogonal"))
