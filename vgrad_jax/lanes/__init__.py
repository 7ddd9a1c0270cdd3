"""A compiler for many small networks: a pure function of one example becomes native code that maps it over lanes."""

from vgrad_jax.lanes.errors import NotInLanesError as NotInLanesError
from vgrad_jax.lanes.interpreter import over_lanes as over_lanes
from vgrad_jax.lanes.interpreter import why_not_native as why_not_native
from vgrad_jax.lanes.machine import Machine as Machine
from vgrad_jax.lanes.machine import local_machine as local_machine
from vgrad_jax.lanes.mapping import lanes as lanes
from vgrad_jax.lanes.mapping import natively as natively
from vgrad_jax.lanes.mapping import quietly as quietly
from vgrad_jax.lanes.program import compile_program as compile_program
from vgrad_jax.lanes.report import LanesReport as LanesReport
from vgrad_jax.lanes.report import lanes_report as lanes_report

__all__ = [
    "LanesReport",
    "Machine",
    "NotInLanesError",
    "compile_program",
    "lanes",
    "lanes_report",
    "local_machine",
    "natively",
    "quietly",
    "over_lanes",
    "why_not_native",
]
