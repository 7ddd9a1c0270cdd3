"""Two things changed at once: which of them did it?"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from vgrad_jax.experiment import Experiment
from vgrad_jax.statistics.intervals import Estimate, share_difference
from vgrad_jax.statistics.summary import ArmSummary

__all__ = ["CAUSES", "Crossed", "crossed"]


NEGLIGIBLE = 0.1
"""A change of the share converged by less than 10 points is not what separates learning from not learning."""

CAUSES = {
    "initialisation": "It was the initialisation, not the activation",
    "activation": "It was the activation, not the initialisation",
    "initialisation_first": "The initialisation has to change, and the activation adds to it",
    "activation_first": "The activation has to change, and the initialisation adds to it",
    "initialisation_at_least": "The initialisation helps; whether the activation does too is still open",
    "activation_at_least": "The activation helps; whether the initialisation does too is still open",
    "either": "Either change alone helps",
    "together": "Only both changes together are seen to help",
    "none_seen": "No change, alone or together, is seen to help",
}
"""`Crossed.cause` to words."""


class Crossed(NamedTuple):
    """A pair of arms that differ in activation and initialisation, and the two cells between them."""

    start: str
    """The arm before any change."""
    activation_only: str
    initialisation_only: str
    both: str
    activation_effect: Estimate
    """Share converged with only the activation changed, minus that of `start`."""
    initialisation_effect: Estimate
    both_effect: Estimate
    activation_added: Estimate
    """Share converged of `both` minus that of `initialisation_only`."""
    initialisation_added: Estimate
    """Share converged of `both` minus that of `activation_only`."""

    @property
    def cause(self) -> str:
        """Which change raises the share converged: one of the keys of `CAUSES`.

        A change does it when its interval lies above zero. It is ruled out only where its interval ends below
        `NEGLIGIBLE` both alone and on top of the other change: an interval that merely includes zero is no evidence
        of no effect.
        """
        activation = _role(self.activation_effect, self.activation_added)
        initialisation = _role(self.initialisation_effect, self.initialisation_added)
        if activation == initialisation == "helps":
            return "either"
        if initialisation == "helps":
            return {"ruled out": "initialisation", "adds": "initialisation_first"}.get(
                activation, "initialisation_at_least"
            )
        if activation == "helps":
            return {"ruled out": "activation", "adds": "activation_first"}.get(initialisation, "activation_at_least")
        return "together" if self.both_effect.low > 0 else "none_seen"


def _role(alone: Estimate, added: Estimate) -> str:
    if alone.low > 0:
        return "helps"
    if added.low > 0:
        return "adds"
    return "ruled out" if max(alone.high, added.high) < NEGLIGIBLE else "open"


def crossed(arms: Mapping[str, Experiment], summaries: Sequence[ArmSummary], start: str, both: str) -> Crossed | None:
    """The crossed design between two arms, where the arms for it are there.

    Args:
        arms: arm name to experiment.
        summaries: of these arms.
        start: the arm before any change.
        both: the arm with activation and initialisation changed.

    Returns:
        None where one of the four cells is missing.
    """
    by_name = {summary.arm: summary for summary in summaries}
    cells = {_cell(experiment): name for name, experiment in arms.items() if name in by_name}
    if start not in by_name or both not in by_name:
        return None
    (activation, kernels, rest), (new_activation, new_kernels, new_rest) = _cell(arms[start]), _cell(arms[both])
    activation_only = cells.get((new_activation, kernels, rest))
    initialisation_only = cells.get((activation, new_kernels, rest))
    if activation_only is None or initialisation_only is None or rest != new_rest:
        return None

    def effect(arm: str, against: str = start) -> Estimate:
        return share_difference(by_name[arm].converged, by_name[against].converged)

    return Crossed(
        start=start,
        activation_only=activation_only,
        initialisation_only=initialisation_only,
        both=both,
        activation_effect=effect(activation_only),
        initialisation_effect=effect(initialisation_only),
        both_effect=effect(both),
        activation_added=effect(both, initialisation_only),
        initialisation_added=effect(both, activation_only),
    )


def _cell(experiment: Experiment) -> tuple[object, object, object]:
    mlp = experiment.mlp
    kernels = (mlp.kernel_init, mlp.output_init or mlp.kernel_init)
    rest = (mlp.hidden, mlp.bias_init, mlp.norm, mlp.residual)
    return mlp.activation, kernels, (rest, experiment.data, experiment.optimizer, experiment.training)
