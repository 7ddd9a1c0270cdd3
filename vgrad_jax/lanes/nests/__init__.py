"""The second compiler of lanes: every array has memory, every operation is a nest of loops, and loops nest freely."""

from vgrad_jax.lanes.nests.choice import Chooser as Chooser
from vgrad_jax.lanes.nests.costs import Cost as Cost
from vgrad_jax.lanes.nests.costs import cost_of as cost_of
from vgrad_jax.lanes.nests.program import Evaluator as Evaluator
from vgrad_jax.lanes.nests.program import Value as Value
from vgrad_jax.lanes.nests.rewriting import inlined_program as inlined_program
from vgrad_jax.lanes.nests.support import inner_programs as inner_programs

__all__ = ["Chooser", "Cost", "Evaluator", "Value", "cost_of", "inlined_program", "inner_programs"]
