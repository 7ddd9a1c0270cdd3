"""Which blocks of a sweep are trained next, and when an arm has enough of them."""

from collections import deque

from vgrad_jax.results.target import Target
from vgrad_jax.statistics.time_uniform import look_points, stopping_point
from vgrad_jax.sweeps.plan import Block, Plan

__all__ = ["Agenda"]


class Agenda:
    """The blocks that are not whole, all arms advancing together.

    Where a precision is asked for, an arm's blocks come in rounds that end at its look points, and the next round only
    when the whole of the last one is there: what is decided at a look then depends on the first seeds alone, not on
    which worker was faster or where an earlier sweep was interrupted.
    """

    def __init__(self, plan: Plan, target: Target) -> None:
        self.plan, self.target = plan, target
        completed = target.completed()
        self.done = int(completed.sum())
        rows = dict(zip(plan.arms, completed, strict=True))
        self._missing: dict[str, deque[Block]] = {arm: deque() for arm in plan.arms}
        for block in plan.blocks():
            if not rows[block.arm][block.start : block.stop].all():
                self._missing[block.arm].append(block)
        self._in_work: dict[str, int] = dict.fromkeys(plan.arms, 0)
        self._most: dict[str, int] = dict.fromkeys(plan.arms, plan.num_seeds)
        self._looks = {
            arm: look_points(plan.block, plan.num_seeds) if plan.precision is not None else iter([plan.num_seeds])
            for arm in plan.arms
        }
        self._until = {arm: next(self._looks[arm]) for arm in plan.arms}
        for arm in plan.arms:
            self._look(arm)

    @property
    def total(self) -> int:
        """Runs that there will be at the most, of all arms together."""
        return sum(self._most.values())

    def take(self, count: int) -> list[Block]:
        """At most so many blocks that can be trained now; none where all that are missing wait for others."""
        taken: list[Block] = []
        while len(taken) < count:
            heads = [missing[0] for arm, missing in self._missing.items() if missing and self._ready(missing[0])]
            if not heads:
                break
            block = min(heads, key=lambda block: block.start)
            self._missing[block.arm].popleft()
            self._in_work[block.arm] += 1
            taken.append(block)
        return taken

    def finish(self, block: Block) -> None:
        """A block that was taken is trained and written."""
        self._in_work[block.arm] -= 1
        self._look(block.arm)

    def _ready(self, block: Block) -> bool:
        return block.start < self._until[block.arm]

    def _look(self, arm: str) -> None:
        """Where an arm's round is whole, decide whether there is another one."""
        missing, precision = self._missing[arm], self.plan.precision
        while precision is not None and not self._in_work[arm] and not (missing and self._ready(missing[0])):
            converged = self.target.converged(self.plan.arms.index(arm), self._until[arm])
            if stopping_point(converged, self.plan.block, self.plan.num_seeds, precision) is not None:
                missing.clear()
                self._most[arm] = int(self.target.completed()[self.plan.arms.index(arm)].sum())
                return
            if self._until[arm] == self.plan.num_seeds:
                return
            self._until[arm] = next(self._looks[arm])
