"""Two things changed at once: which of them did it?"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from vgrad_jax.experiment import Experiment
from vgrad_jax.statistics.intervals import Estimate, share_difference
from vgrad_jax.statistics.summary import ArmSummary

__all__ = ["Crossed", "crossed"]


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

    @property
    def cause(self) -> str:
        """Which change raises the share converged, by intervals that stay above zero.

        "initialisation", "activation", "either" (each alone is enough), "together" (only both at once) or "neither".
        """
        by_activation, by_initialisation = self.activation_effect.low > 0, self.initialisation_effect.low > 0
        if by_activation and by_initialisation:
            return "either"
        if by_initialisation:
            return "initialisation"
        if by_activation:
            return "activation"
        return "together" if self.both_effect.low > 0 else "neither"


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

    def effect(arm: str) -> Estimate:
        return share_difference(by_name[arm].converged, by_name[start].converged)

    return Crossed(
        start=start,
        activation_only=activation_only,
        initialisation_only=initialisation_only,
        both=both,
        activation_effect=effect(activation_only),
        initialisation_effect=effect(initialisation_only),
        both_effect=effect(both),
    )


def _cell(experiment: Experiment) -> tuple[object, object, object]:
    mlp = experiment.mlp
    kernels = (mlp.kernel_init, mlp.output_init or mlp.kernel_init)
    rest = (mlp.hidden, mlp.bias_init, mlp.norm, mlp.residual)
    return mlp.activation, kernels, (rest, experiment.data, experiment.optimizer, experiment.training)
