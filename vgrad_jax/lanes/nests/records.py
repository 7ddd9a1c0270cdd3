"""Tables of what this compiler has native code for, by primitive."""

from vgrad_jax.lanes.nests.blocks import Whole, WriteOperation
from vgrad_jax.lanes.nests.branches import write_cond
from vgrad_jax.lanes.nests.exponential import EXPONENTIAL
from vgrad_jax.lanes.nests.extremes import EXTREMES
from vgrad_jax.lanes.nests.indexing import READS, UPDATES
from vgrad_jax.lanes.nests.loops import write_scan, write_while
from vgrad_jax.lanes.nests.padding import write_padded
from vgrad_jax.lanes.nests.products import write_product
from vgrad_jax.lanes.nests.reductions import CUMULATIVE, REDUCTIONS
from vgrad_jax.lanes.nests.sorting import write_sort
from vgrad_jax.lanes.nests.views import VIEWS
from vgrad_jax.lanes.nests.waves import WAVES
from vgrad_jax.lanes.nests.writer import Rule

__all__ = ["OPERATIONS", "RULES", "WHOLE"]

RULES: dict[str, Rule] = {**VIEWS, **READS, **WAVES, **EXPONENTIAL, **EXTREMES}
"""Primitives whose elements are written one by one; elementwise ones are in the registry of `primitives.py`."""

WHOLE: dict[str, Whole] = {**REDUCTIONS, **CUMULATIVE, **UPDATES, "dot_general": write_product, "pad": write_padded}
"""Primitives that are computed as whole arrays."""

OPERATIONS: dict[str, WriteOperation] = {
    "cond": write_cond,
    "scan": write_scan,
    "sort": write_sort,
    "while": write_while,
}
"""Loops, branches and sorts."""
