"""Agenda of a sweep: it decides which blocks are trained next, and when an arm has enough runs.

    missing blocks ─► take ─► a worker trains and writes ─► finish ─► look: is the share known precisely enough?
          ▲                                                              │ no: release the arm's next round
          └──────────────────────────────────────────────────────────────┘ yes: drop the arm's other blocks

Without a precision an arm has a single round, which holds all its blocks.
"""

from collections import deque

from vgrad_jax.results.target import Target
from vgrad_jax.statistics.time_uniform import look_points, stopping_point
from vgrad_jax.sweeps.plan import Block, Plan

__all__ = ["Agenda"]


class Agenda:
    """Blocks with missing runs; all arms advance together.

    With a precision, an arm's blocks come in rounds that end at the arm's look points. A round starts only when every
    run of the round before is completed. A decision at a look then depends on the first seeds alone. It depends
    neither on the speed of the workers nor on the moment at which an earlier sweep was interrupted.

    Args:
        plan: the sweep's plan.
        target: results; they say which runs are completed, and which of those converged.
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
        """Largest number of runs that the sweep will have, all arms together."""
        return sum(self._most.values())

    def take(self, count: int) -> list[Block]:
        """Return at most `count` blocks that can be trained now.

        The list is empty where every missing block belongs to a later round.
        """
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
        """Note that a block from `take` is trained and written; take a look if it was the last block of its round."""
        self._in_work[block.arm] -= 1
        self._look(block.arm)

    def _ready(self, block: Block) -> bool:
        """Return whether a block belongs to the current round of its arm."""
        return block.start < self._until[block.arm]

    def _look(self, arm: str) -> None:
        """Decide whether an arm stops or goes on with its next round, if its current round is complete."""
        missing, precision = self._missing[arm], self.plan.precision
        # A resumed sweep may have completed several rounds: take their looks in order, as the first sweep would have.
        while precision is not None and not self._in_work[arm] and not (missing and self._ready(missing[0])):
            converged = self.target.converged(self.plan.arms.index(arm), self._until[arm])
            if stopping_point(converged, self.plan.block, self.plan.num_seeds, precision) is not None:
                missing.clear()
                self._most[arm] = int(self.target.completed()[self.plan.arms.index(arm)].sum())
                return
            if self._until[arm] == self.plan.num_seeds:
                return
            self._until[arm] = next(self._looks[arm])
