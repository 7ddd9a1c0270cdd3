"""Primitives that are defined by others, a file for each family."""

from vgrad_jax.lanes.nests.expansions import bits as bits
from vgrad_jax.lanes.nests.expansions import joining as joining
from vgrad_jax.lanes.nests.expansions import linalg as linalg
from vgrad_jax.lanes.nests.expansions import platforms as platforms
from vgrad_jax.lanes.nests.expansions import random as random
from vgrad_jax.lanes.nests.expansions import special as special
from vgrad_jax.lanes.nests.expansions import windows as windows
from vgrad_jax.lanes.nests.expansions.registry import EXPANSIONS as EXPANSIONS

__all__ = ["EXPANSIONS"]
