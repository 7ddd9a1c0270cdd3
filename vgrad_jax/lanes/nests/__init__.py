"""The second compiler of lanes: every array has memory, every operation is a nest of loops, and loops nest freely."""

from vgrad_jax.lanes.nests.choice import Chooser as Chooser
from vgrad_jax.lanes.nests.program import Evaluator as Evaluator
from vgrad_jax.lanes.nests.program import Value as Value

__all__ = ["Chooser", "Evaluator", "Value"]
