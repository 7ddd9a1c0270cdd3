"""Values that several sections of a report need, each computed at its first use."""

from functools import cached_property
from typing import TYPE_CHECKING

from vgrad_jax.experiment import Experiment
from vgrad_jax.presets import article
from vgrad_jax.report.figures.factor_styles import Styles, arm_styles
from vgrad_jax.report.figures.style import GREY, activation_colours, own_colours
from vgrad_jax.report.predictions import predictions, seed_laws
from vgrad_jax.results.functions import FunctionLayout
from vgrad_jax.results.reading import arm_names, experiments_of, function_of, num_layers, read_once
from vgrad_jax.statistics.comparison import Pair, compare_arms
from vgrad_jax.statistics.depth import Family, families
from vgrad_jax.statistics.dying import Dying, dying_arms
from vgrad_jax.statistics.factorial import factors_of_arms
from vgrad_jax.statistics.geometry import Geometry, arm_geometries
from vgrad_jax.statistics.intervals import ABSENT, share
from vgrad_jax.statistics.levels import factors_in
from vgrad_jax.statistics.published import RELU_ARM, TANH_ARM, Placement, placements
from vgrad_jax.statistics.run_outcomes import Outcomes, alike, outcomes
from vgrad_jax.statistics.summary import ArmSummary, summarise
from vgrad_jax.statistics.survival import restricted_mean
from vgrad_jax.theory.prediction import Prediction
from vgrad_jax.theory.seed_law import SeedLaw
from vgrad_jax.wording import counted

if TYPE_CHECKING:
    import xarray

__all__ = ["MOSTLY", "MOST_PANELS", "Study"]

MOST_PANELS = 12
"""Most arms that have a panel of their own in a figure."""
MOST_FAMILIES = 6
"""Most families of arms that differ in depth alone, of which a headline can tell."""
MOSTLY = 0.5
"""Share of dead networks of an arm from which they are the headline."""


class Study:
    """A sweep's results, and the statistics of its arms."""

    def __init__(self, results: "xarray.Dataset") -> None:
        self.results = read_once(results)

    @cached_property
    def arms(self) -> dict[str, Experiment]:
        """Arm name to experiment, without arms of another kind."""
        return experiments_of(self.results)

    @cached_property
    def names(self) -> list[str]:
        """Names of all arms."""
        return arm_names(self.results)

    @cached_property
    def functions(self) -> dict[str, FunctionLayout]:
        """Arm name to the declared results of each arm that is a function."""
        functions = {arm: function_of(self.results, arm) for arm in self.names}
        return {arm: function for arm, function in functions.items() if function is not None}

    @cached_property
    def with_layers(self) -> list[str]:
        """Names of the arms whose gradients were recorded."""
        layers = num_layers(self.results)
        return [arm for arm in self.names if layers[arm]]

    @cached_property
    def outcomes(self) -> dict[str, Outcomes]:
        """Arm name to the endings of its runs, without functions that define no convergence."""
        return outcomes(self.results)

    @cached_property
    def unit(self) -> str:
        """Unit in which all arms count the time to converge; "time" where they differ."""
        units = {ends.unit for ends in self.outcomes.values() if ends.unit}
        return units.pop() if len(units) == 1 else "time"

    @cached_property
    def summaries(self) -> list[ArmSummary]:
        """A row of numbers for each arm."""
        return summarise(self.results)

    @cached_property
    def converging(self) -> list[ArmSummary]:
        """The rows of the arms whose runs can converge."""
        return [summary for summary in self.summaries if summary.converged.n]

    @cached_property
    def comparable(self) -> list[ArmSummary]:
        """The rows of arms whose runs can converge, within the smallest budget where arms have several budgets."""
        ends = alike(self.outcomes)
        return [
            summary._replace(
                converged=share(int(own.converged.sum()), len(own.seeds)),
                restricted_mean_epochs=restricted_mean(own.times, own.converged, own.budget) if own.unit else ABSENT,
            )
            if (own := ends[summary.arm]).budget != self.outcomes[summary.arm].budget
            else summary
            for summary in self.converging
        ]

    @cached_property
    def common_budget(self) -> str:
        """The budget within which arms are compared, in words; empty where all arms have the same, or no common one."""
        budgets = {own.budget for own in self.outcomes.values()}
        within = {own.budget for own in alike(self.outcomes).values()}
        return counted(min(within), self.unit, form="g") if len(budgets) > 1 and len(within) == 1 else ""

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
    def seed_laws(self) -> dict[str, SeedLaw]:
        """Arm name to its initial networks beside the exact law over seeds, of arms that have one."""
        return seed_laws(self.results)

    @cached_property
    def by_factor(self) -> bool:
        """True where the arms are answered factor by factor, as all but the article and depth alone are."""
        is_article = {TANH_ARM, RELU_ARM} <= set(self.arms) <= set(article(epochs=1))
        if len(self.outcomes) < 2 or is_article:
            return False
        # Where depth is the only factor, the depth that is reached is the answer.
        return not self.families or len(factors_in(factors_of_arms(self.results))) > 1

    @cached_property
    def dying(self) -> list[Dying] | None:
        """Dead ReLU networks of each arm; None where not every arm has an exact law."""
        return dying_arms(self.results, self.seed_laws) if self.arms and not self.functions else None

    @cached_property
    def dying_leads(self) -> bool:
        """True where dead networks are the headline: in some arm they are the most."""
        return any(own.born_dead.value + own.died.value >= MOSTLY for own in self.dying or ())

    @cached_property
    def depth_leads(self) -> bool:
        """True where the depth that each family reaches is the headline: few families have all arms."""
        in_families = sum(len(family.arms) for family in self.families)
        return in_families == len(self.names) and len(self.families) <= MOST_FAMILIES

    @cached_property
    def shown(self) -> list[str]:
        """Names of the arms that have a panel: all, or of many those that learn most often and least often."""
        if len(self.names) <= MOST_PANELS:
            return self.names
        ranked = sorted(self.converging, key=lambda summary: -summary.converged.value)
        order = [summary.arm for summary in ranked] or self.names
        chosen = {*order[: MOST_PANELS // 2], *order[-(MOST_PANELS // 2) :]}
        return [arm for arm in order if arm in chosen]

    @cached_property
    def shown_in_words(self) -> str:
        """Sentence that says which arms have a panel; empty where all of them have one."""
        if len(self.shown) == len(self.names):
            return ""
        which = "those that learn most often, and then those that learn least often" if self.converging else "some"
        return f" Shown are {len(self.shown)} of {len(self.names)} arms: {which}. The chart above has every arm."

    @cached_property
    def geometries(self) -> dict[str, Geometry]:
        """Arm name to the geometry of its initial networks, without arms that could not be measured."""
        return arm_geometries(self.results)

    @cached_property
    def placements(self) -> list[Placement]:
        """The article's printed numbers among the seeds."""
        return placements(self.results)

    @cached_property
    def styles(self) -> Styles:
        """Colour, dash and mark of each arm, which tell its factors; grey where an arm has no description."""
        if len(self.arms) + len(self.functions) < len(self.names):
            return arm_styles(dict.fromkeys(self.names, GREY), {})
        by_activation = activation_colours(self.arms)
        colours = {**own_colours(self.names, by_activation), **by_activation}
        return arm_styles({arm: colours[arm] for arm in self.names}, factors_of_arms(self.results))

    @cached_property
    def colours(self) -> dict[str, str]:
        """Arm name to the colour of its style."""
        return self.styles.alone()

    @cached_property
    def seeds(self) -> str:
        """The number of seeds for captions, such as "8 seeds an arm"."""
        counts = [summary.n for summary in self.summaries]
        return f"{counted(min(counts), 'seed')} an arm" + ("" if min(counts) == max(counts) else " or more")
