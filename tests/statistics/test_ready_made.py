"""Numbers of the ready-made studies beside their laws: factors of gradients, and dead networks."""

import numpy as np
import pytest

import vgrad_jax as vg
from tests.made import made_results
from vgrad_jax.presets import STUDIES, dying_relu, initialisers
from vgrad_jax.report import Report
from vgrad_jax.statistics.phases import log10_factor, phases_of

SEEDS = 96


@pytest.fixture(scope="module")
def dying():
    """Nobody trained these networks, but the report draws them again: they are those of the study."""
    names = [f"depth {depth}, width {width}, rate 0.05" for depth in (2, 5) for width in (2, 4)]
    results = made_results({name: np.full(SEEDS, 5.0) for name in names}, arms=dying_relu(), epochs=20)
    results["gradient_log10_rms"].loc[{"arm": names[0], "seed": [3, 4, 5], "layer": 0}] = -np.inf
    results["gradient_log10_rms"].loc[{"arm": names[0], "seed": [8, 9], "record": results["record"][-1]}] = -np.inf
    return results


def test_shares_of_dead_networks_are_those_of_the_law(dying):
    rows = Report(dying).value("dying")
    assert [(row.depth, row.width) for row in rows] == [(d, w) for d in (2, 5) for w in (2, 4)]
    for row in rows:
        assert row.law == pytest.approx(1 - (1 - 2.0**-row.width) ** row.depth)
        # Within four standard errors of the law.
        assert abs(row.dead_on_one.value - row.law) < 4 * (row.law * (1 - row.law) / SEEDS) ** 0.5
    assert rows[0].born_dead.value == 3 / SEEDS
    assert rows[0].died.value == 2 / SEEDS


def test_the_page_tells_of_the_dead(dying):
    report = Report(dying)
    section, rows = report.sections["dying"], report.value("dying")
    errors = [(row.dead_on_one.value - row.law) / (row.law * (1 - row.law) / SEEDS) ** 0.5 for row in rows]
    assert [row.distance for row in rows] == pytest.approx(errors)
    within = [sum(abs(error) <= most for error in errors) for most in (1, 2)]
    assert (
        f"the exact law in {within[0]} of 4 architectures, and within two in {within[1]}" in section.sentences(rows)[0]
    )
    assert not Report(dying).study.dying_leads
    assert [row[0] for row in section.block(rows).table.rows] == [row.arm for row in rows]
    (chart,) = report.charts("dying")
    assert len(chart.figure.axes[0].get_yticklabels()) == 4
    assert Report(dying.sel(arm=[str(arm) for arm in dying["arm"].values[:2]])).value("dying") is None


def test_many_dead_networks_are_the_headline(dying):
    dead = dying.copy(deep=True)
    arm = str(dead["arm"].values[3])
    dead["gradient_log10_rms"].loc[{"arm": arm, "seed": dead["seed"][:70], "record": dead["record"][-1]}] = -np.inf
    report = Report(dead)
    assert report.answer.startswith("Up to 3.1%")
    assert report.answer.endswith(f"and up to 72.9% [63.3%, 80.8%] die in training ({arm}).")
    assert not any("What matters most" in sentence for sentence in [report.answer])


def test_the_factor_per_layer_is_the_slope_of_sizes():
    sizes = np.array([[-4.0, -3.5, -3.0, -2.5]] * 3)
    assert log10_factor(sizes)[:3] == pytest.approx((-0.5, -0.5, -0.5))
    assert log10_factor(np.full((3, 4), -np.inf)).n == 0
    noisy = sizes + np.random.default_rng(0).normal(0, 0.2, (3, 1))
    assert log10_factor(noisy).value == pytest.approx(-0.5)


@pytest.mark.slow
def test_the_factors_of_the_grid_of_variances_are_those_of_theory():
    """Width 32 and 12 seeds: within 0.06 decades a layer of the prediction, and within 0.08 of the deep limit."""
    arms = initialisers(epochs=1)
    results = vg.sweep(arms, 12, progress=False, engine="plain")
    phases = phases_of(results)
    assert len(phases) == 15
    assert max(abs(own.measured.value - own.predicted) for own in phases) < 0.06
    settled = [own for own in phases if own.bias_variance]  # Without biases a variance below 1 dies out.
    assert max(abs(own.measured.value - own.limit) for own in settled) < 0.08


def test_every_study_has_a_title_and_arms_of_the_asked_length():
    for name, study in STUDIES.items():
        arms = study.make(epochs=3)
        assert study.title, name
        assert {arm.training.epochs for arm in arms.values()} == {3}, name
