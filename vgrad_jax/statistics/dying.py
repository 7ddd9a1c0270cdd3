"""ReLU networks that are born dead, and those that die, beside the exact law for one input."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from vgrad_jax.results.reading import experiments_of
from vgrad_jax.statistics.bands import gradients_of
from vgrad_jax.statistics.intervals import Estimate, share
from vgrad_jax.theory.finite_width import probability_dead
from vgrad_jax.theory.seed_law import SeedLaw, why_no_law

if TYPE_CHECKING:
    import xarray

__all__ = ["Dying", "dying_arms"]

FEWEST = 4
"""Fewest arms that are a study of dying networks."""


class Dying(NamedTuple):
    """Networks of an arm that have no gradient in the first layer."""

    arm: str
    depth: int
    """Number of hidden layers."""
    width: int
    """Units of the narrowest hidden layer."""
    born_dead: Estimate
    """Share of the runs without a gradient on all training rows at initialisation."""
    died: Estimate
    """Share of the runs that had one then, and have none after training."""
    dead_on_one: Estimate
    """Share of the initial networks that are dead on the first training row."""
    law: float
    """Exact probability of that: 1 - prod(1 - 2^-n) over the widths (Lu et al. 2019)."""

    @property
    def distance(self) -> float:
        """Standard errors from the law's probability to the share that is dead on one row."""
        error = (self.law * (1 - self.law) / self.dead_on_one.n) ** 0.5
        off = self.dead_on_one.value - self.law
        return off / error if error else 0.0 if off == 0 else float(np.copysign(np.inf, off))


def dying_arms(results: "xarray.Dataset", laws: Mapping[str, SeedLaw]) -> list[Dying] | None:
    """Return the dead networks of each arm.

    A network that is dead on all rows is dead on each of them, so the law bounds the share that is born dead.

    Args:
        results: of a sweep.
        laws: arm name to its initial networks on one row, where they could be drawn again.

    Returns:
        None where an arm has no exact law, or fewer than four arms are there.
    """
    experiments = experiments_of(results)
    if len(experiments) < FEWEST or any(why_no_law(own.mlp) or arm not in laws for arm, own in experiments.items()):
        return None
    return [_dying(results, arm, own.mlp.hidden, laws[arm]) for arm, own in experiments.items()]


def _dying(results: "xarray.Dataset", arm: str, hidden: tuple[int, ...], law: SeedLaw) -> Dying:
    first = gradients_of(results, arm).isel(layer=0, record=[0, -1]).values
    before, after = np.isneginf(first).T
    assert law.log_squares is not None
    on_one = np.isneginf(law.log_squares)
    return Dying(
        arm,
        len(hidden),
        min(hidden),
        share(int(before.sum()), len(before)),
        share(int((after & ~before).sum()), len(before)),
        share(int(on_one.sum()), len(on_one)),
        probability_dead(hidden),
    )
