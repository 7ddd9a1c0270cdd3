"""The exact law over seeds: first gradients of ReLU networks beside theory's distribution."""

from collections.abc import Iterator
from functools import partial

from vgrad_jax.report.figures.theory import seed_histograms
from vgrad_jax.report.section import Chart, Section
from vgrad_jax.report.study import Study
from vgrad_jax.theory.seed_law import SeedLaw

__all__ = ["SECTION"]


def _compute(study: Study) -> dict[str, SeedLaw] | None:
    return study.seed_laws or None


def _charts(laws: dict[str, SeedLaw]) -> Iterator[Chart]:
    yield Chart(
        "law_over_seeds",
        "Histograms: first layer's gradient over seeds, and the exact law, a panel for each arm",
        "The gradient of the first layer at initialisation over the sweep's seeds, for one input and one logit, "
        "and the exact law of ReLU networks with He initialisation over it; only arms that the law is for. Nothing "
        "in it was fitted: small p-values (Kolmogorov-Smirnov) would speak against the code or the random "
        "numbers. Dead networks, with no gradient at all, are counted apart.",
        partial(seed_histograms, laws),
    )


SECTION = Section("seed_law", _compute, charts=_charts)
