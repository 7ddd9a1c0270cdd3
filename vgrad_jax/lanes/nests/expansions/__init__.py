"""Primitives that are defined by others, a file for each family."""

from vgrad_jax.lanes.nests.expansions.registry import EXPANSIONS as EXPANSIONS
from vgrad_jax.lanes.nests.expansions import joining as joining
from vgrad_jax.lanes.nests.expansions import random as random

__all__ = ["EXPANSIONS"]
