"""Arms that differ only in depth, and how deep such a family still converges."""

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
    """Of no other family among the same arms."""
    arms: dict[int, str]
    """Number of hidden layers to the arm's name, in increasing order; two at least."""


class Reach(NamedTuple):
    """How deep a family still converges."""

    family: str
    deepest: int | None
    """Hidden layers up to which at least half of the runs converge, at every depth on the way; None: not even the
    shallowest."""
    share: Estimate
    """Of runs that converge at that depth, or at the shallowest."""
    next_depth: int | None
    """The next depth, where fewer do; None where there is none."""
    next_share: Estimate | None


def families(arms: Mapping[str, Experiment]) -> list[Family]:
    """Arms that differ in nothing but the number of equal hidden layers, two depths at least.

    Args:
        arms: arm name to experiment.

    >>> from vgrad_jax.nets.mlp import MLP
    >>> deep = {f"tanh_{n}": Experiment(mlp=MLP(hidden=(8,) * n)) for n in (4, 2)}
    >>> families({**deep, "other": Experiment()})
    [Family(name='tanh', arms={2: 'tanh_2', 4: 'tanh_4'})]
    """
    found: dict[Experiment, dict[int, str]] = {}
    for name, experiment in arms.items():
        mlp = experiment.mlp
        if mlp.hidden and len(set(mlp.hidden)) == len(set(mlp.activations())) == 1:
            one = replace(mlp, hidden=mlp.hidden[:1], activation=mlp.activations()[0])
            found.setdefault(replace(experiment, mlp=one), {}).setdefault(len(mlp.hidden), name)
    named = [(_name(one, members), dict(sorted(members.items()))) for one, members in found.items() if len(members) > 1]
    counts = Counter(name for name, _ in named)
    return [
        Family(name if counts[name] == 1 else f"{name} (as {next(iter(members.values()))})", members)
        for name, members in named
    ]


def reaches(found: Sequence[Family], summaries: Sequence[ArmSummary]) -> list[Reach]:
    """How deep each family converges."""
    shares = {summary.arm: summary.converged for summary in summaries}
    result = []
    for family in found:
        steps = [(depth, shares[arm]) for depth, arm in family.arms.items()]
        count = next((place for place, (_, share) in enumerate(steps) if share.value < HALF), len(steps))
        deepest, share = steps[count - 1] if count else (None, steps[0][1])
        after = steps[count] if 0 < count < len(steps) else (None, None)
        result.append(Reach(family.name, deepest, share, *after))
    return result


def _name(one: Experiment, members: Mapping[int, str]) -> str:
    """What the arms' names have in common beside their depth, or else what the layers are."""
    first, *others = [_without(depth, arm) for depth, arm in members.items()]
    common = [name for name in first if name and all(name in names for names in others)]
    return common[0] if common else f"{one.mlp.activation} {one.mlp.kernel_init}"


def _without(depth: int, arm: str) -> list[str]:
    """The name without one number that is the depth, the last such number first: another may be a coefficient."""
    places = [*re.finditer(rf"[^0-9A-Za-z]*(?<![0-9]){depth}(?![0-9])", arm)]
    return [arm[: place.start()] + arm[place.end() :] for place in reversed(places)]
