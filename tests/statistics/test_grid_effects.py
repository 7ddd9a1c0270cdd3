"""Effects of factors on any grid: against effects that were put in, the crossed design, and NumPy."""

import itertools

import numpy as np
import pytest

import vgrad_jax as vg
from tests.made import made_results
from vgrad_jax.report import Report
from vgrad_jax.statistics.contrasts import Contrasts
from vgrad_jax.statistics.factorial import crossed_designs, factors_of_arms
from vgrad_jax.statistics.factors import grid_effects
from vgrad_jax.statistics.intervals import bonferroni, mean
from vgrad_jax.statistics.levels import factors_in
from vgrad_jax.statistics.run_outcomes import outcomes

pytestmark = pytest.mark.usefixtures("quick_reports")

LEVELS = {
    "activation": ("tanh", "relu", "gelu"),
    "kernel_init": ("glorot_uniform", "he_normal"),
    "learning_rate": (0.01, 0.1),
}


def arm(activation="tanh", kernel_init="he_normal", learning_rate=0.1):
    return vg.Experiment(
        mlp=vg.MLP(activation=activation, kernel_init=kernel_init),
        optimizer=vg.Optimizer("sgd", learning_rate=learning_rate),
        training=vg.Training(epochs=20),
    )


def grid(share_of, n=100, without=()):
    """Results of a whole grid; `share_of` gives each combination's share of runs that converge, at epoch 10."""
    names = [", ".join(map(str, levels)) for levels in itertools.product(*LEVELS.values())]
    arms = dict(zip(names, itertools.starmap(arm, itertools.product(*LEVELS.values())), strict=True))
    rng = np.random.default_rng(0)
    times = {
        name: np.where(rng.permutation(n) < round(share_of(*name.split(", ")) * n), 10.0, np.nan)
        for name in arms
        if name not in without
    }
    return made_results(times, arms={name: arms[name] for name in times}, epochs=20)


def additive(activation, kernel_init, learning_rate):
    return 0.1 + 0.3 * (activation != "tanh") + 0.05 * (kernel_init == "he_normal") + 0.5 * (learning_rate == "0.1")


def test_effects_that_were_put_in_come_out():
    effects = grid_effects(grid(additive))
    assert [factor.factor for factor in effects.factors] == ["learning rate", "activation", "initialisation"]
    rate, activation, init = effects.factors
    (step,) = rate.steps
    assert (step.start, step.target, step.combinations) == ("0.01", "0.1", 6)
    assert step.share.value == pytest.approx(0.5)
    assert step.time.value == pytest.approx(-5)  # Half of the runs take 10 epochs instead of 20.
    steps = {(step.start, step.target): step.share.value for step in activation.steps}
    assert steps == pytest.approx({("tanh", "relu"): 0.3, ("tanh", "gelu"): 0.3, ("relu", "gelu"): 0.0})
    assert activation.largest.start == "tanh"
    assert init.largest.share.value == pytest.approx(0.05)
    assert effects.interactions == ()
    assert [level.share.value for level in rate.levels] == pytest.approx([0.325, 0.825])


def test_a_grid_with_holes_is_averaged_where_both_levels_are():
    def depends(activation, kernel_init, learning_rate):
        return additive(activation, kernel_init, learning_rate) - 0.2 * (activation == "gelu")

    whole, holed = grid_effects(grid(depends)), grid_effects(grid(depends, without=["gelu, he_normal, 0.1"]))
    of = {factor.factor: factor for factor in holed.factors}
    (step,) = of["learning rate"].steps
    assert (step.combinations, of["learning rate"].combinations) == (5, 6)
    assert step.share.value == pytest.approx(0.5)
    gelu = next(step for step in of["activation"].steps if step.target == "gelu")
    assert (gelu.start, gelu.combinations) == ("tanh", 3)
    assert {factor.factor: factor.largest.share.value for factor in whole.factors} == pytest.approx(
        {factor.factor: factor.largest.share.value for factor in holed.factors}
    )


def test_an_interaction_is_said_where_it_matters():
    def jointly(activation, kernel_init, learning_rate):
        return 0.1 + 0.8 * (activation == "relu" and learning_rate == "0.1")

    (own,) = grid_effects(grid(jointly)).interactions
    assert {own.first, own.second} == {"activation", "learning rate"}
    assert own.excess.value == pytest.approx(0.8, abs=0.01)
    assert own.excess.value == pytest.approx(own.at_target.value - own.at_start.value)
    report = Report(grid(jointly))
    (said,) = [sentence for sentence in report.sentences if "depends on" in sentence]
    assert "+80.0 points" in said


def test_two_factors_of_two_levels_are_the_crossed_design():
    pair = {"tanh, glorot_uniform, 0.1", "relu, glorot_uniform, 0.1", "tanh, he_normal, 0.1", "relu, he_normal, 0.1"}
    everything = {", ".join(map(str, levels)) for levels in itertools.product(*LEVELS.values())}
    results = grid(additive, without=everything - pair)
    (design,) = crossed_designs(results)
    of = {factor.factor: factor for factor in grid_effects(results).factors}
    assert of["activation"].steps[0].share == design.first_main.share
    assert of["initialisation"].steps[0].share == design.second_main.share


def test_where_every_run_converges_the_time_decides_and_then_the_score():
    def results(times, scores):
        arms = {name: arm(activation=name) for name in times}
        made = made_results({name: np.full(60, time) for name, time in times.items()}, arms=arms, epochs=20)
        for name, score in scores.items():
            noise = np.random.default_rng(1).normal(0, 0.01, (60, made.sizes["record"]))
            made["test_accuracy"].loc[{"arm": name}] = score + noise
        return grid_effects(made).factors[0]

    by_time = results({"tanh": 12.0, "relu": 4.0}, {})
    assert by_time.measure == "time"
    assert (by_time.largest.start, by_time.largest.target) == ("tanh", "relu")
    assert by_time.largest.time.value == pytest.approx(-8)
    by_score = results({"tanh": 5.0, "relu": 5.0}, {"tanh": 0.7, "relu": 0.8})
    assert by_score.measure == "score"
    assert abs(by_score.largest.score.value) == pytest.approx(0.1, abs=0.005)
    assert results({"tanh": 5.0, "relu": 5.0}, {"tanh": 0.7, "relu": 0.7}).measure == ""


def test_the_score_of_paired_runs_is_that_of_their_differences():
    results = grid(additive, n=50)
    names = results["arm"].values[:2].tolist()
    rng = np.random.default_rng(0)
    shared = rng.normal(size=50)
    scores = {name: shared + 0.3 * rng.normal(size=50) + index for index, name in enumerate(names)}
    ends = {name: outcomes(results)[name] for name in names}
    estimate = Contrasts(ends, scores).score({names[0]: -1.0, names[1]: 1.0})
    paired = mean(scores[names[1]] - scores[names[0]])
    assert estimate.value == pytest.approx(paired.value)
    # The cautious correlation widens the interval a little, but not to that of independent groups.
    independent = np.hypot(*(mean(values).half_width for values in scores.values()))
    assert paired.half_width * 0.99 <= estimate.half_width < 0.6 * independent


def test_intervals_of_several_steps_hold_together():
    """Three levels without any effect: in at most 5 % of studies, up to chance, a step is seen."""
    rng = np.random.default_rng(0)
    arms = {name: arm(activation=name) for name in LEVELS["activation"]}
    ends = outcomes(made_results({name: np.full(60, 5.0) for name in arms}, arms=arms, epochs=20))
    z, wrong, studies = bonferroni(3), 0, 400
    for _ in range(studies):
        drawn = {name: own._replace(converged=rng.random(60) < 0.6) for name, own in ends.items()}
        contrasts = Contrasts(drawn)
        steps = [contrasts.share({a: -1.0, b: 1.0}, z=z) for a, b in itertools.combinations(arms, 2)]
        wrong += any(step.low > 0 or step.high < 0 for step in steps)
    assert wrong / studies < 0.05 + 3 * (0.05 * 0.95 / studies) ** 0.5


@pytest.mark.parametrize(
    ("arms", "names"),
    [
        # A momentum that goes with each optimiser is no factor of its own.
        (
            {
                f"{name} {rate}": {"000 name": name, "001 learning_rate": rate, "002 momentum": momentum}
                for (name, momentum), rate in itertools.product(
                    [("sgd", 0.9), ("adam", 0.0), ("lion", 0.0)], [0.1, 0.01]
                )
            },
            ["optimiser", "learning rate"],
        ),
        ({"a": {"000 hidden": (4, 4)}, "b": {"000 hidden": (8, 8)}}, ["hidden layers"]),
        ({"a": {"000 hidden": (4,)}, "b": {"000 hidden": (4,)}}, []),
    ],
)
def test_factors_are_found_in_whatever_differs(arms, names):
    assert [factor.name for factor in factors_in(arms)] == names


def test_changes_that_always_come_together_are_named_together():
    both = {
        f"{name} {rate}": {"000 activation": name, "001 kernel_init": init, "002 learning_rate": rate}
        for (name, init), rate in itertools.product([("tanh", "uniform(0, 1)"), ("relu", "he_normal")], [0.1, 0.01])
    }
    first, second = factors_in(both)
    assert (first.name, first.levels) == (
        "activation and initialisation",
        ("tanh with uniform(0, 1)", "relu with he_normal"),
    )
    assert second.name == "learning rate"


def test_longer_trainings_are_compared_on_their_own_budgets():
    arms = {str(epochs): vg.Experiment(training=vg.Training(epochs=epochs)) for epochs in (5, 20)}
    times = {"5": np.full(60, np.nan), "20": np.full(60, 12.0)}
    made = made_results(times, arms=arms, epochs=20)
    (factor,) = grid_effects(made).factors
    assert factor.largest.share.value == pytest.approx(1.0)
    assert factor.largest.time.n == 0


def test_arms_that_differ_in_nothing_have_no_effects():
    assert grid_effects(grid(additive, without=list(grid(additive)["arm"].values[1:]))) is None


def test_the_page_answers_a_grid():
    results = grid(additive)
    report = Report(results)
    assert report.answer == (
        "What matters most is the learning rate. On average over the activation and the initialisation, switching the "
        "learning rate from 0.01 to 0.1 raises the share of runs that learn by 50 points "
        + report.answer[report.answer.index("[") : report.answer.index("]") + 1]
        + report.answer[report.answer.index("]") + 1 :]
    )
    assert "shortens the mean time to learn by 5.0 epochs" in report.answer
    assert len(report.tables["factors"]) == 5
    assert factors_of_arms(results).keys() == set(results["arm"].values)
    (chart,) = report.charts("factors")
    labels = [text.get_text() for text in chart.figure.axes[0].get_yticklabels()]
    assert labels[0] == "learning rate: 0.01 to 0.1"


@pytest.mark.parametrize(
    ("networks", "names", "levels"),
    [
        # Crossed: None is a level of its own, so that both factors stay apart.
        (
            list(itertools.product(("he_normal", "lecun_normal"), (None, "zeros"))),
            ["initialisation", "initialisation of the output layer"],
            [("he_normal", "lecun_normal"), ("as the kernels", "zeros")],
        ),
        # Read as the kernels' initialiser, all output layers are alike.
        (
            [("zeros", None), ("he_normal", "zeros")],
            ["initialisation"],
            [("zeros", "he_normal")],
        ),
    ],
)
def test_an_output_layer_without_an_initialiser_of_its_own(networks, names, levels):
    arms = {
        f"{kernel} {output}": vg.Experiment(
            mlp=vg.MLP(kernel_init=kernel, output_init=output), training=vg.Training(epochs=5)
        )
        for kernel, output in networks
    }
    results = made_results({name: [3.0] for name in arms}, arms=arms, epochs=5)
    factors = factors_in(factors_of_arms(results))
    assert [factor.name for factor in factors] == names
    assert [factor.levels for factor in factors] == levels
