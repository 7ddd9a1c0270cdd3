"""Crossed designs: two changes, alone and together, and their effects on the share of runs that converge.

                          second factor as it was    second factor changed
    first as it was       start                      second_only
    first changed         first_only                 both

An effect is a contrast of the four arms. Run k of every arm has the same key, so that arms are correlated; the
correlation is measured over seeds and enters the intervals.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import permutations
from typing import TYPE_CHECKING, Any, NamedTuple

from vgrad_jax.errors import InputError
from vgrad_jax.experiment import Experiment
from vgrad_jax.results.reading import experiments_of, factors_of
from vgrad_jax.statistics.contrasts import Contrasts, Effect
from vgrad_jax.statistics.intervals import Estimate
from vgrad_jax.statistics.run_outcomes import Outcomes, alike, outcomes

if TYPE_CHECKING:
    import xarray

__all__ = ["CAUSES", "Crossed", "crossed", "crossed_designs", "effects", "factor_name", "factors_of_arms"]


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
    "depth": "number of hidden layers",
    "width": "width of the hidden layers",
    "kernel_init": "initialisation",
    "output_init": "initialisation of the output layer",
    "branch_init": "initialisation of the branches",
    "data_init": "initialisation by data",
    "bias_init": "initialisation of the biases",
    "residual": "residual branches",
    "source": "data",
    "path": "data",
    "random_state": "data",
    "samples": "number of rows",
    "train_samples": "number of training rows",
    "name": "optimiser",
}
"""Field of a description to the factor's name, where the field's own will not do."""

AS_KERNELS = "as the kernels"
"""Level of an initialiser that is the kernels' own."""


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
    arms = factors_of_arms(results)
    for name in (start, target):
        if name not in arms:
            raise InputError(f"no arm {name!r} in these results; there are {', '.join(arms)}")
    differences = _differences(arms)
    cells = _cells(differences, list(arms), start, target)
    return None if cells is None else effects(alike(outcomes(results)), cells, _factors(differences, cells))


def crossed_designs(results: "xarray.Dataset") -> list[Crossed]:
    """Compute every crossed design among the arms, each set of four arms once, an earlier arm as the start."""
    arms, ends = factors_of_arms(results), alike(outcomes(results))
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


def factors_of_arms(results: "xarray.Dataset") -> dict[str, dict[str, Any]]:
    """Return arm name to its factors: the fields of an `Experiment`, or the factors that a function's arm names.

    Arms without a convergence, and functions without factors, are left out.
    """
    ends, experiments = outcomes(results), experiments_of(results)
    named = {arm: factors for arm in ends if (factors := factors_of(results, arm))}
    order = {name: index for index, name in enumerate(dict.fromkeys(n for factors in named.values() for n in factors))}
    alike = all(len(set(experiment.mlp.hidden)) == 1 for experiment in experiments.values())
    own_outputs = _has_own_outputs(experiments.values())
    arms = {arm: _fields(experiment, split=alike, own_outputs=own_outputs) for arm, experiment in experiments.items()}
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


def _has_own_outputs(experiments: Iterable[Experiment]) -> bool:
    """Return whether an output layer that is drawn as the kernels is a level of its own, beside named initialisers.

    Otherwise its level is the kernels' initialiser. The reading with fewer levels is chosen: it separates the factors.
    """
    networks = [experiment.mlp for experiment in experiments]
    as_named = {mlp.output_init for mlp in networks}
    as_drawn = {mlp.kernel_init if mlp.output_init is None else mlp.output_init for mlp in networks}
    return len(as_named) < len(as_drawn)


def _fields(experiment: Experiment, *, split: bool, own_outputs: bool) -> dict[str, Any]:
    """Return the fields of an experiment.

    Args:
        experiment: of an arm.
        split: whether hidden layers are their number and their width.
        own_outputs: see `_has_own_outputs`.
    """
    mlp = experiment.mlp
    parts = {
        "mlp": mlp,
        "data": experiment.data,
        "optimizer": experiment.optimizer,
        "training": experiment.training,
    }
    values = {(part, name): value for part, own in parts.items() for name, value in vars(own).items()}
    if mlp.output_init is None:
        values["mlp", "output_init"] = AS_KERNELS if own_outputs else mlp.kernel_init
    if mlp.branch_init is None:
        values["mlp", "branch_init"] = AS_KERNELS
    fields = {f"{index:03} {name}": value for index, ((_, name), value) in enumerate(values.items())}
    (hidden,) = (name for name in fields if name.endswith(" hidden"))
    if split:
        del fields[hidden]
        fields |= {f"{hidden[:3]} depth": len(mlp.hidden), f"{hidden[:3]} width": mlp.hidden[0]}
    return fields


def factor_name(fields: frozenset[str]) -> str:
    """Return the name of a factor for people, from its fields "index name"."""
    names = [name.split(maxsplit=1)[1] for name in sorted(fields)]
    *most, last = dict.fromkeys(FACTORS.get(name, name.replace("_", " ")) for name in names)
    return f"{', '.join(most)} and {last}" if most else last


def _factors(differences: Differences, cells: tuple[str, str, str, str]) -> tuple[str, str]:
    start, first_only, second_only, _ = cells
    return factor_name(differences[start, first_only]), factor_name(differences[start, second_only])


def effects(ends: Mapping[str, Outcomes], cells: tuple[str, str, str, str], factors: tuple[str, str]) -> Crossed:
    """Compute every effect of a crossed design.

    Args:
        ends: how the runs of each arm ended.
        cells: the arms' names: start, first factor changed, second changed, both.
        factors: their names.
    """
    start, first_only, second_only, target = cells
    contrasts = Contrasts({arm: ends[arm] for arm in cells})

    def effect(*coefficients: float | int) -> Effect:
        return contrasts.effect(dict(zip(cells, coefficients, strict=True)))

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


def _role(alone: Estimate, added: Estimate) -> str:
    if alone.low > 0:
        return "helps"
    if alone.high >= NEGLIGIBLE:
        return "open"
    return "adds" if added.low > 0 else "ruled out" if added.high < NEGLIGIBLE else "open"
