"""Numbers that a layer learns beside kernel and bias: the slope of its activation and the factor of its branch."""

from collections.abc import Sequence

import jax.numpy as jnp

from vgrad_jax.errors import InputError
from vgrad_jax.nets.params import Layer, LearnedLayer, Params

__all__ = ["require_numbers", "with_numbers"]


def with_numbers(layer: Layer, slope: float | None, factor: float | None) -> Layer | LearnedLayer:
    """Return a layer with the numbers that it learns, at their start; leading axes are those of its bias.

    Args:
        layer: kernel and bias.
        slope: start of the activation's slope; None where none is learned.
        factor: start of the branch's factor; None where none is learned.

    >>> layer = Layer(jnp.zeros((4, 4)), jnp.zeros(4))
    >>> with_numbers(layer, None, None) is layer, float(with_numbers(layer, None, 0.5).factor)
    (True, 0.5)
    """
    if slope is None and factor is None:
        return layer
    shape, dtype = layer.bias.shape[:-1], layer.bias.dtype
    return LearnedLayer(
        *layer, *(None if start is None else jnp.full(shape, start, dtype) for start in (slope, factor))
    )


def require_numbers(params: Params, starts: Sequence[tuple[float | None, float | None]]) -> None:
    """Refuse parameters whose layers learn other numbers than the network's.

    Args:
        params: layers, input side first.
        starts: starts of the slope and the factor of each layer of the network; None for one that is not learned.

    Raises:
        InputError: a number is missing, or there is one that the network does not learn.

    >>> require_numbers((Layer(jnp.zeros((4, 4)), jnp.zeros(4)),), [(None, None)])
    """
    for index, (layer, learned) in enumerate(zip(params, starts, strict=True)):
        held = (layer.slope, layer.factor) if isinstance(layer, LearnedLayer) else (None, None)
        for name, start, value in zip(("slope", "factor"), learned, held, strict=True):
            if (start is None) != (value is None):
                expected, got = ("a", "none") if value is None else ("no", "one")
                raise InputError(
                    f"layer {index} of the network learns {expected} {name}, and the parameters have {got}; draw them "
                    "with init_mlp"
                )
