"""Families: arms that differ only in depth, and the depth up to which a family converges."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from vgrad_jax.experiment import Experiment
from vgrad_jax.statistics.intervals import Estimate
from vgrad_jax.statistics.summary import ArmSummary

__all__ = ["Family", "Reach", "families", "reaches"]

HALF = 0.5
"""A depth is reached where at least this share of runs converges."""


class Family(NamedTuple):
    """Arms with the same layers, and different numbers of them."""

    name: str
    """Name that no other family among the same arms has."""
    arms: dict[int, str]
    """Number of hidden layers to the arm's name, in increasing order; two depths at least."""


class Reach(NamedTuple):
    """The depth up to which a family converges."""

    family: str
    deepest: int | None
    """Hidden layers up to which at least half of the runs converge, at every depth on the way; None: at no depth."""
    share: Estimate
    """Share of runs that converge at that depth, or at the shallowest depth where `deepest` is None."""
    next_depth: int | None
    """The next depth, at which fewer converge; None where no arm is deeper."""
    next_share: Estimate | None


def families(arms: Mapping[str, Experiment]) -> list[Family]:
    """Find arms that differ in nothing but the number of equal hidden layers, two depths at least.

    Args:
        arms: arm name to experiment.

    >>> from vgrad_jax.nets.mlp import MLP
    >>> deep = {f"tanh_{n}": Experiment(mlp=MLP(hidden=(8,) * n)) for n in (4, 2)}
    >>> families({**deep, "other": Experiment()})
    [Family(name='tanh', arms={2: 'tanh_2', 4: 'tanh_4'})]
    """
    members: dict[Experiment, dict[int, str]] = {}
    for name, experiment in arms.items():
        mlp = experiment.mlp
        if mlp.hidden and len(set(mlp.hidden)) == len(set(mlp.activations())) == 1:
            shallow = replace(mlp, hidden=mlp.hidden[:1], activation=mlp.activations()[0])
            members.setdefault(replace(experiment, mlp=shallow), {}).setdefault(len(mlp.hidden), name)
    named = [
        (_name(experiment, depths), dict(sorted(depths.items())))
        for experiment, depths in members.items()
        if len(depths) > 1
    ]
    counts = Counter(name for name, _ in named)
    return [
        Family(name if counts[name] == 1 else f"{name} (as {next(iter(depths.values()))})", depths)
        for name, depths in named
    ]


def reaches(families: Sequence[Family], summaries: Sequence[ArmSummary]) -> list[Reach]:
    """Compute the depth up to which each family converges."""
    shares = {summary.arm: summary.converged for summary in summaries}
    result = []
    for family in families:
        steps = [(depth, shares[arm]) for depth, arm in family.arms.items()]
        count = next((index for index, (_, share) in enumerate(steps) if share.value < HALF), len(steps))
        deepest, share = steps[count - 1] if count else (None, steps[0][1])
        after = steps[count] if 0 < count < len(steps) else (None, None)
        result.append(Reach(family.name, deepest, share, *after))
    return result


def _name(experiment: Experiment, members: Mapping[int, str]) -> str:
    """Return the part that the arms' names share beside their depth, or else the kind of the layers."""
    first, *others = [_without(depth, arm) for depth, arm in members.items()]
    common = [name for name in first if name and all(name in names for names in others)]
    return common[0] if common else f"{experiment.mlp.activation} {experiment.mlp.kernel_init}"


def _without(depth: int, arm: str) -> list[str]:
    """Return the name without a number that is the depth, the last such number first: another may be a coefficient.

    A word "depth" before the number goes as well.
    """
    matches = [*re.finditer(rf"[^0-9A-Za-z]*(?:\bdepth[^0-9A-Za-z]*)?(?<![0-9]){depth}(?![0-9])", arm)]
    return [(arm[: match.start()] + arm[match.end() :]).lstrip(" ,_:-") for match in reversed(matches)]
