"""Arrays that are put together or taken apart along a new axis."""

from collections.abc import Sequence
from typing import Any

from jax import lax

from vgrad_jax.jaxprs import JaxprEqn
from vgrad_jax.lanes.nests.expansions.registry import expansion

__all__: list[str] = []


@expansion("stack")
def _stack(equation: JaxprEqn, values: list[Any]) -> Sequence[Any]:
    axis = equation.params["axis"]
    return [lax.concatenate([lax.expand_dims(value, (axis,)) for value in values], axis)]
