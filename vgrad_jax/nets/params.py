"""Parameters of a network: layers with kernel and bias, and those that learn a number besides."""

from typing import NamedTuple

from jaxtyping import Array, Float

__all__ = ["Layer", "LearnedLayer", "Params"]


class Layer(NamedTuple):
    """Parameters of one layer, or another quantity of the same shapes: a gradient, an update."""

    kernel: Float[Array, "fan_in fan_out"]
    bias: Float[Array, " fan_out"]


class LearnedLayer(NamedTuple):
    """Parameters of a layer that learns its activation's slope, its branch's factor, or both."""

    kernel: Float[Array, "fan_in fan_out"]
    bias: Float[Array, " fan_out"]
    slope: Float[Array, ""] | None = None
    """Slope of "prelu" below zero; None for another activation."""
    factor: Float[Array, ""] | None = None
    """Branch factor; None where it is not learned, or the layer is no branch."""


Params = tuple[Layer | LearnedLayer, ...]
"""Layers of a network, input side first."""
