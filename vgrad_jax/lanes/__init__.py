"""A compiler for many small networks: a pure function of one example becomes native code that maps it over lanes."""

from vgrad_jax.lanes.interpreter import NotInLanesError as NotInLanesError
from vgrad_jax.lanes.interpreter import over_lanes as over_lanes
from vgrad_jax.lanes.machine import Machine as Machine
from vgrad_jax.lanes.machine import local_machine as local_machine

__all__ = ["Machine", "NotInLanesError", "local_machine", "over_lanes"]
