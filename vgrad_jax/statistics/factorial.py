"""Crossed designs: two changes, alone and together, and their effects on the share of runs that converge.

                          second factor as it was    second factor changed
    first as it was       start                      second_only
    first changed         first_only                 both

An effect is a contrast of the four arms. Run k of every arm has the same key, so that arms are correlated; the
correlation is measured over seeds and enters the intervals.
"""

from collections.abc import Mapping, Sequence
from itertools import permutations
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from vgrad_jax.errors import InputError
from vgrad_jax.experiment import Experiment
from vgrad_jax.results.reading import experiments_of, factors_of
from vgrad_jax.statistics.intervals import Estimate, contrast, share
from vgrad_jax.statistics.run_outcomes import Outcomes, alike, outcomes
from vgrad_jax.statistics.survival import restricted_mean

if TYPE_CHECKING:
    import xarray

__all__ = ["CAUSES", "Crossed", "Effect", "crossed", "crossed_designs", "effects"]


NEGLIGIBLE = 0.1
"""A change of the share converged by less than 10 points is not what separates learning from not learning."""

CAUSES = {
    "first": "It was the {first}, not the {second}",
    "second": "It was the {second}, not the {first}",
    "first_then_second": "The {first} has to change, and the {second} adds to it",
    "second_then_first": "The {second} has to change, and the {first} adds to it",
    "first_at_least": "The {first} helps; whether the {second} does too is still open",
    "second_at_least": "The {second} helps; whether the {first} does too is still open",
    "either": "Either change alone helps",
    "together": "Only both changes together are seen to help",
    "none_seen": "No change, alone or together, is seen to help",
}
"""`Crossed.cause` to words, in which the factors' names are still to be put."""

FACTORS = {
    "hidden": "hidden layers",
    "kernel_init": "initialisation",
    "output_init": "initialisation",
    "bias_init": "initialisation",
    "residual": "residual branches",
    "source": "data",
    "path": "data",
    "random_state": "data",
    "samples": "number of rows",
    "train_samples": "number of training rows",
    "name": "optimiser",
}
"""Field of a description to the factor's name, where the field's own will not do."""


class Effect(NamedTuple):
    """The effect of a change."""

    share: Estimate
    """Change of the share that converges: positive where more runs do."""
    restricted_mean: Estimate
    """Change of the mean epochs within the budget: negative where runs converge sooner."""


class Crossed(NamedTuple):
    """Two arms that differ in two factors, the two arms between them, and all effects."""

    first: str
    """The factor's name, such as "activation"."""
    second: str
    start: str
    """The arm before any change."""
    first_only: str
    second_only: str
    both: str
    first_alone: Effect
    """Effect of changing only the first factor, from `start`."""
    second_alone: Effect
    together: Effect
    """Effect of changing both factors."""
    first_added: Effect
    """Effect of changing the first factor where the second is already changed: from `second_only` to `both`."""
    second_added: Effect
    first_main: Effect
    """Main effect of changing the first factor, averaged over both settings of the second."""
    second_main: Effect
    interaction: Effect
    """Excess of the first factor's effect where the second is changed: `first_added` minus `first_alone`."""

    @property
    def cause(self) -> str:
        """The change that raises the share that converges: a key of `CAUSES`.

        A change helps where its interval lies above zero. It is ruled out only where its interval ends below
        `NEGLIGIBLE`, both alone and on top of the other change. An interval that merely includes zero is no evidence
        of no effect.
        """
        first = _role(self.first_alone.share, self.first_added.share)
        second = _role(self.second_alone.share, self.second_added.share)
        if first == second == "helps":
            return "either"
        if second == "helps":
            return {"ruled out": "second", "adds": "second_then_first"}.get(first, "second_at_least")
        if first == "helps":
            return {"ruled out": "first", "adds": "first_then_second"}.get(second, "first_at_least")
        return "together" if self.together.share.low > 0 else "none_seen"

    @property
    def conclusion(self) -> str:
        """`cause` in words."""
        return CAUSES[self.cause].format(first=self.first, second=self.second)


def crossed(results: "xarray.Dataset", start: str, target: str) -> Crossed | None:
    """Compute the crossed design between two arms.

    Args:
        results: of a sweep.
        start: the arm before any change.
        target: the arm with target factors changed.

    Returns:
        None where the arms do not differ in two factors, or the cells between them are missing.

    Raises:
        InputError: no such arm, or one of the four without a finished run.
    """
    arms = _factors_of_arms(results)
    for name in (start, target):
        if name not in arms:
            raise InputError(f"no arm {name!r} in these results; there are {', '.join(arms)}")
    differences = _differences(arms)
    cells = _cells(differences, list(arms), start, target)
    return None if cells is None else effects(alike(outcomes(results)), cells, _factors(differences, cells))


def crossed_designs(results: "xarray.Dataset") -> list[Crossed]:
    """Compute every crossed design among the arms, each set of four arms once, an earlier arm as the start."""
    arms, ends = _factors_of_arms(results), alike(outcomes(results))
    differences = _differences(arms)
    designs: dict[frozenset[str], tuple[str, str, str, str]] = {}
    for start, target in permutations(arms, 2):
        cells = _cells(differences, list(arms), start, target)
        if cells is not None and len({ends[arm].unit for arm in cells}) == 1:
            designs.setdefault(frozenset(cells), cells)
    return [effects(ends, cells, _factors(differences, cells)) for cells in designs.values()]


Differences = Mapping[tuple[str, str], frozenset[str]]


def _cells(differences: Differences, arms: Sequence[str], start: str, target: str) -> tuple[str, str, str, str] | None:
    """Return the names of start, first only, second only and target; None where an arm between is missing."""
    changed = differences[start, target]
    for first_only in arms:
        first = differences[start, first_only]
        if not first or not first < changed or differences[first_only, target] != changed - first:
            continue
        for second_only in arms:
            second = differences[start, second_only]
            if second == changed - first and differences[second_only, target] == first:
                cells = (start, first_only, second_only, target)
                # The first factor is the one that is described first; fields are numbered.
                return cells if min(first) < min(second) else (start, second_only, first_only, target)
    return None


def _factors_of_arms(results: "xarray.Dataset") -> dict[str, dict[str, Any]]:
    """Return arm name to its factors: the fields of an `Experiment`, or the factors that a function's arm names.

    Arms without a convergence, and functions without factors, are left out.
    """
    ends, experiments = outcomes(results), experiments_of(results)
    named = {arm: factors for arm in ends if (factors := factors_of(results, arm))}
    order = {name: index for index, name in enumerate(dict.fromkeys(n for factors in named.values() for n in factors))}
    arms = {arm: _fields(experiment) for arm, experiment in experiments.items()}
    arms |= {
        arm: {f"{order[name]:03} {name}": value for name, value in factors.items()} for arm, factors in named.items()
    }
    return {arm: arms[arm] for arm in ends if arm in arms}


def _differences(arms: Mapping[str, Mapping[str, Any]]) -> dict[tuple[str, str], frozenset[str]]:
    """Return pair of arms to the factors that differ; a factor's name starts with its index in the description.

    All factors of an arm count as different from those of an arm with other factors.
    """
    return {(a, b): frozenset(_differing(arms[a], arms[b])) for a in arms for b in arms}


def _differing(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[str]:
    return [name for name in {**a, **b} if name not in a or name not in b or a[name] != b[name]]


def _fields(experiment: Experiment) -> dict[str, Any]:
    mlp = experiment.mlp
    parts = {
        "mlp": mlp,
        "data": experiment.data,
        "optimizer": experiment.optimizer,
        "training": experiment.training,
    }
    values = [(name, value) for part in parts.values() for name, value in vars(part).items()]
    # An output layer without an initialiser of its own has the others'.
    values = [(name, mlp.kernel_init if name == "output_init" and value is None else value) for name, value in values]
    return {f"{index:03} {name}": value for index, (name, value) in enumerate(values)}


def _factor(fields: frozenset[str]) -> str:
    names = [name.split(maxsplit=1)[1] for name in sorted(fields)]
    return " and ".join(dict.fromkeys(FACTORS.get(name, name.replace("_", " ")) for name in names))


def _factors(differences: Differences, cells: tuple[str, str, str, str]) -> tuple[str, str]:
    start, first_only, second_only, _ = cells
    return _factor(differences[start, first_only]), _factor(differences[start, second_only])


def effects(ends: Mapping[str, Outcomes], cells: tuple[str, str, str, str], factors: tuple[str, str]) -> Crossed:
    """Compute every effect of a crossed design.

    Args:
        ends: how the runs of each arm ended.
        cells: the arms' names: start, first factor changed, second changed, both.
        factors: their names.
    """
    start, first_only, second_only, target = cells
    runs = [ends[arm] for arm in cells]
    shares = [share(int(arm.converged.sum()), len(arm.seeds)) for arm in runs]
    means = [restricted_mean(arm.times, arm.converged, arm.budget) for arm in runs]
    alike = [_correlations(runs, [arm.converged for arm in runs]), _correlations(runs, [arm.times for arm in runs])]

    def effect(*coefficients: float | int) -> Effect:
        # A correlation of arms that are subtracted narrows an interval, so there the cautious one is taken.
        subtracted = np.multiply.outer(coefficients, coefficients) < 0
        related = [np.where(subtracted, lower, plain) for plain, lower in alike]
        return Effect(contrast(coefficients, shares, related[0]), contrast(coefficients, means, related[1]))

    return Crossed(
        first=factors[0],
        second=factors[1],
        start=start,
        first_only=first_only,
        second_only=second_only,
        both=target,
        first_alone=effect(-1, 1, 0, 0),
        second_alone=effect(-1, 0, 1, 0),
        together=effect(-1, 0, 0, 1),
        first_added=effect(0, 0, -1, 1),
        second_added=effect(0, -1, 0, 1),
        first_main=effect(-0.5, 0.5, -0.5, 0.5),
        second_main=effect(-0.5, -0.5, 0.5, 0.5),
        interaction=effect(1, -1, -1, 1),
    )


def _correlations(arms: Sequence[Outcomes], values: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Compute correlations of the arms' means, from runs with the same seed.

    Returns:
        The correlations, and cautious ones. For those a positive covariance is reduced by half of the most that a
        single run can add to it. This is Newcombe's correction (1998, "Improved confidence intervals for the difference
        between binomial proportions based on paired data", method 10). Without it a few pairs that happen to be alike
        would seem to know their difference exactly.
    """
    plain, lower = np.eye(len(arms)), np.eye(len(arms))
    for i, j in permutations(range(len(arms)), 2):
        common, at_i, at_j = np.intersect1d(arms[i].seeds, arms[j].seeds, return_indices=True)
        x, y = values[i][at_i].astype(np.float64), values[j][at_j].astype(np.float64)
        if len(common) > 2 and np.ptp(x) > 0 and np.ptp(y) > 0:
            overlap = len(common) / (len(values[i]) * len(values[j])) ** 0.5
            covariance, spread = np.mean((x - x.mean()) * (y - y.mean())), x.std() * y.std()
            plain[i, j] = overlap * covariance / spread
            reduced = max(covariance - np.ptp(x) * np.ptp(y) / (2 * len(common)), 0.0) if covariance > 0 else covariance
            lower[i, j] = overlap * reduced / spread
    return plain, lower


def _role(alone: Estimate, added: Estimate) -> str:
    if alone.low > 0:
        return "helps"
    if alone.high >= NEGLIGIBLE:
        return "open"
    return "adds" if added.low > 0 else "ruled out" if added.high < NEGLIGIBLE else "open"
