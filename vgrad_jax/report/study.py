"""Values that several sections of a report need, each computed at its first use."""

from functools import cached_property
from typing import TYPE_CHECKING

from vgrad_jax.errors import InputError
from vgrad_jax.experiment import Experiment
from vgrad_jax.report.figures.style import GREY, activation_colours
from vgrad_jax.report.predictions import predictions
from vgrad_jax.results.reading import arm_names, arms_of
from vgrad_jax.statistics.comparison import Pair, compare_arms
from vgrad_jax.statistics.depth import Family, families
from vgrad_jax.statistics.geometry import Geometry, arm_geometries
from vgrad_jax.statistics.published import Placement, placements
from vgrad_jax.statistics.run_outcomes import Outcomes, outcomes
from vgrad_jax.statistics.summary import ArmSummary, summarise
from vgrad_jax.theory.prediction import Prediction
from vgrad_jax.wording import counted

if TYPE_CHECKING:
    import xarray

__all__ = ["Study"]


class Study:
    """A sweep's results, and the statistics of its arms."""

    def __init__(self, results: "xarray.Dataset") -> None:
        self.results = results

    @cached_property
    def arms(self) -> dict[str, Experiment]:
        """Arm name to experiment."""
        return arms_of(self.results)

    @cached_property
    def outcomes(self) -> dict[str, Outcomes]:
        """Arm name to the endings of its runs."""
        return outcomes(self.results)

    @cached_property
    def summaries(self) -> list[ArmSummary]:
        """A row of numbers for each arm."""
        return summarise(self.results)

    @cached_property
    def pairs(self) -> list[Pair]:
        """All pairs of arms."""
        return compare_arms(self.results)

    @cached_property
    def families(self) -> list[Family]:
        """Arms that differ in depth alone, two depths or more."""
        return families(self.arms)

    @cached_property
    def predictions(self) -> dict[str, Prediction]:
        """Arm name to theory's prediction of the gradients at initialisation."""
        return predictions(self.results)

    @cached_property
    def geometries(self) -> dict[str, Geometry]:
        """Arm name to the geometry of its initial networks, without arms that could not be measured."""
        return arm_geometries(self.results)

    @cached_property
    def placements(self) -> list[Placement]:
        """The article's printed numbers among the seeds."""
        return placements(self.results)

    @cached_property
    def colours(self) -> dict[str, str]:
        """Arm name to colour; grey for all arms where an arm has no description."""
        try:
            return activation_colours(self.arms)
        except InputError:
            return dict.fromkeys(arm_names(self.results), GREY)

    @cached_property
    def seeds(self) -> str:
        """The number of seeds for captions, such as "8 seeds an arm"."""
        counts = [summary.n for summary in self.summaries]
        return f"{counted(min(counts), 'seed')} an arm" + ("" if min(counts) == max(counts) else " or more")
