"""Rankings of arms: what is seen to be worse is left out, and the best one nearly never."""

import numpy as np
import pytest

import vgrad_jax as vg
from tests.made import made_results
from vgrad_jax.report import Report
from vgrad_jax.statistics.contrasts import Contrasts
from vgrad_jax.statistics.ranking import rank_arms, ranked
from vgrad_jax.statistics.run_outcomes import outcomes

pytestmark = pytest.mark.usefixtures("quick_reports")

NAMES = ("tanh", "relu", "gelu", "silu", "elu", "selu")


def made(times, scores=None, n=100):
    """Results with an arm for each activation: its runs' time, and the share of them that converge."""
    arms = {
        name: vg.Experiment(mlp=vg.MLP(activation=name), training=vg.Training(epochs=20))
        for name in NAMES[: len(times)]
    }
    drawn = {
        name: np.where(np.arange(n) < share * n, float(time), np.nan)
        for name, (share, time) in zip(arms, times, strict=True)
    }
    results = made_results(drawn, arms=arms, epochs=20)
    for name, score in zip(arms, scores or (), strict=False):
        noise = np.random.default_rng(1).normal(0, 0.01, (n, results.sizes["record"]))
        results["test_accuracy"].loc[{"arm": name}] = score + noise
    return results


def test_share_then_time_then_score_decide():
    results = made([(1, 5), (1, 5), (1, 12), (0.3, 2), (1, 5)], scores=(0.9, 0.8, 0.9, 0.9, 0.9))
    ranking = rank_arms(results)
    says = {row.arm: (row.learns_most, row.fastest, row.best) for row in ranking.arms}
    assert says == {
        "tanh": (True, True, True),
        "elu": (True, True, True),
        "relu": (True, True, False),
        "gelu": (True, False, False),
        "silu": (False, False, False),
    }
    assert [row.arm for row in ranking.arms][2:] == ["relu", "gelu", "silu"]
    assert ranking.unit == "epoch"


def test_the_page_ranks_a_grid():
    report = Report(made([(1, 5), (1, 12), (0.3, 2)]))
    assert any(
        sentence.startswith(
            "First of the 3 arms is tanh (of 2 that are not told apart by how often they learn): 100.0%"
        )
        for sentence in report.sentences
    )
    (block,) = [block for block in report.blocks if block.heading == "Which arm is best"]
    assert [(row[0], row[-1]) for row in block.table.rows] == [
        ("tanh", "yes"),
        ("relu", "no: slower"),
        ("gelu", "no: learns less often"),
    ]
    alike = Report(made([(0.5, 5), (0.5, 5), (0.5, 5)], scores=(0.8,) * 3))
    assert any("each of the 3 could be the best" in sentence for sentence in alike.sentences)


def test_the_best_arm_is_left_out_in_at_most_a_twentieth_of_studies():
    """Six arms of which one is the best by a little, 300 studies, seeds that fare alike in all arms."""
    ends = outcomes(made([(1, 5)] * 6, n=60))
    rng, studies, wrong = np.random.default_rng(0), 300, 0
    for _ in range(studies):
        luck = rng.random(60)
        drawn = {}
        for index, (name, own) in enumerate(ends.items()):
            shared = np.where(rng.random(60) < 0.5, luck, rng.random(60))
            converged = shared < (0.65 if index == 0 else 0.6)
            drawn[name] = own._replace(converged=converged, times=np.where(converged, 5.0, 20.0))
        wrong += not next(row.learns_most for row in ranked(Contrasts(drawn)).arms if row.arm == "tanh")
    assert wrong / studies < 0.05 + 3 * (0.05 * 0.95 / studies) ** 0.5
