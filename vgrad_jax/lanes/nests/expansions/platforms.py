"""Programs that differ from platform to platform: native code is a processor's."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp

from vgrad_jax.jaxprs import JaxprEqn
from vgrad_jax.lanes.nests.expansions.registry import expansion

__all__: list[str] = []


@expansion("platform_index")
def _platform(equation: JaxprEqn, values: list[Any]) -> Sequence[Any]:
    choices = list(equation.params["platforms"])
    named = [number for number, names in enumerate(choices) if names is not None and "cpu" in names]
    return [jnp.int32((named or [choices.index(None)])[0])]
