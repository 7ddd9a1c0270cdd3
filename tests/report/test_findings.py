"""Every sentence follows the data: with other data it says something else."""

import re

import numpy as np
import pytest
from vgrad_jax.report.findings import find

from tests.made import made_results
from vgrad_jax.report.verdict import arm_verdicts

CELLS = ("tanh_uniform", "relu_he", "tanh_he", "relu_uniform")
SEEDS = 200  # One number of seeds: the measurements at initialisation are compiled for it.


def study(shares, at=50.0, n=SEEDS, **options):
    """The crossed cells, of which so many converge; each arm at its own epoch where `at` is a mapping."""
    times = {
        arm: np.where(np.arange(n) < share * n, at[arm] if isinstance(at, dict) else at, np.nan)
        for arm, share in zip(CELLS, shares, strict=True)
    }
    return made_results(times, **options)


@pytest.mark.parametrize(
    ("shares", "opening"),
    [
        ((0.0, 0.9, 0.4, 0.0), "The initialisation has to change, and the activation adds to it"),
        ((0.0, 0.9, 0.95, 0.0), "It was the initialisation, not the activation"),
        ((0.0, 0.9, 0.0, 0.95), "It was the activation, not the initialisation"),
        ((0.0, 0.9, 0.4, 0.5), "Either change alone helps"),
        ((0.0, 0.9, 0.0, 0.0), "Only both changes together"),
        ((0.5, 0.5, 0.5, 0.5), "No change, alone or together"),
    ],
)
def test_the_answer(shares, opening):
    answer = find(study(shares)).answer
    assert answer.startswith(opening)
    assert f"{100 * (shares[2] - shares[0]):+.1f} points" in answer


def test_without_the_crossed_cells_the_answer_is_a_ranking():
    times = {"tanh_uniform": np.full(SEEDS, 20.0), "relu_he": np.full(SEEDS, np.nan)}
    assert find(made_results(times)).answer.startswith("tanh_uniform converges most often")
    assert "cannot be told apart" in find(made_results(dict.fromkeys(times, times["relu_he"]))).answer
    third = {"tanh_he": np.full(SEEDS, 20.0), **times}
    answer = find(made_results(third)).answer
    assert answer.startswith("tanh_he converges most often, in 100.0%")
    assert "(not told apart from tanh_uniform); relu_he least often" in answer
    assert find(made_results({"relu_he": times["relu_he"]})).answer.startswith("relu_he converges in")


def test_effects_and_their_interaction():
    (depends, *_) = find(study((0.1, 0.9, 0.9, 0.1))).sentences
    assert "that the two depend on each other is not seen" in depends
    assert "changing the initialisation changes the share that converges by +80.0 points" in depends
    assert "changing the activation changes the share that converges by +0.0 points" in depends
    (depends, *_) = find(study((0.1, 0.1, 0.9, 0.9))).sentences
    assert "the two depend on each other: where the initialisation is changed as well" in depends
    assert "-160.0 points" in depends


def test_who_is_fastest():
    at = {"tanh_uniform": 90.0, "relu_he": 60.0, "tanh_he": 30.0, "relu_uniform": 80.0}
    (_, fastest, _) = find(study((1, 1, 1, 1), at)).sentences
    assert fastest.startswith("tanh_he converges soonest, after a mean of 30 epochs")
    assert "relu_he is next with a mean of 60 epochs" in fastest
    assert "the former is the faster in 100%" in fastest
    assert "the curves differ (log-rank test, p < 0.001 after adjusting for 6 pairs)" in fastest
    swapped = {**at, "relu_he": 30.0, "tanh_he": 60.0}
    assert find(study((1, 1, 1, 1), swapped)).sentences[1].startswith("relu_he converges soonest")
    (_, even, _) = find(study((0.5, 0.5, 0.5, 0.5))).sentences
    assert "the curves cannot be told apart" in even
    assert "converges soonest" not in even.replace("Which arm converges soonest cannot be told", "")
    (_, none, _) = find(study((0, 0, 0, 0))).sentences
    assert none == "No run of any arm converges within the budget."
    at_the_end = study((0, 0, 1, 0), {**at, "tanh_he": 200.0})
    assert find(at_the_end).sentences[1].startswith("tanh_he converges soonest")


def two_arms(first, second):
    return made_results({"tanh_he": np.asarray(first, float), "relu_he": np.asarray(second, float)})


@pytest.mark.parametrize("n", [1, 3, 40])
def test_arms_that_cannot_be_told_apart_are_not_ranked(n):
    found = find(two_arms(np.full(n, 30.0), np.full(n, 30.0)))
    assert found.pairs[0].logrank_p_adjusted == 1
    assert not any("soonest, after" in sentence or "pairs" in sentence for sentence in found.sentences)
    assert "p = 1)" in found.sentences[0]
    assert "100.0% [" in found.answer
    assert "from" not in found.answer.partition("apart")[2]


def test_curves_that_differ_while_half_of_the_pairs_go_either_way_name_no_soonest_arm():
    """The one arm converges at once or never, the other one late but always."""
    either, late = np.where(np.arange(100) < 50, 10.0, np.nan), np.full(100, 80.0)
    found = find(two_arms(either, late))
    (pair,) = found.pairs
    assert pair.logrank_p_adjusted < 0.05
    assert pair.comparison.probability_a_faster == 0.5
    assert "soonest" not in found.sentences[0]
    assert "not in favour of one arm alone" in found.sentences[0]


def test_one_arm_and_one_seed_are_counted_in_the_singular():
    found = find(made_results({"tanh_he": np.full(1, 30.0)}))
    text = " ".join((found.answer, *found.sentences, *found.predictor_sentences, *found.remarks))
    assert "of 1 run." in found.answer
    assert not re.search(r"\b1 (?!run\b|of\b)[a-z]+s\b", text), text
    assert "an arm" not in " ".join(found.sentences)


def test_what_more_seeds_would_bring():
    (*_, precision) = find(study((0.5, 1, 1, 1))).sentences
    assert precision == (
        "Shares are known to 6.9 points or better (tanh_uniform, n = 200); to halve that takes 612 more seeds an arm."
    )


def test_remarks():
    made = study((0.5, 0.5, 0.5, 0.5), n=SEEDS)
    assert find(made).remarks == []
    made["gradient_log10_rms"].loc[{"arm": "tanh_he", "layer": 0}] = -np.inf
    for name, value in (("outcome", "diverged"), ("converged", False), ("epochs_to_converge", np.nan)):
        made[name].loc[{"arm": "relu_he", "seed": 3}] = value
    remarks = find(made).remarks
    assert any(text.startswith("tanh_he: 50.0%") and "exactly zero" in text for text in remarks)
    assert any(text.startswith("relu_he: 0.5%") and "diverged" in text for text in remarks)


def test_verdicts_follow_the_gradients():
    made = study((0.0, 0.9, 0.9, 0.9), n=SEEDS)
    layers, loss = made.sizes["layer"], made["train_loss"]
    made["gradient_log10_rms"].loc[{"arm": "tanh_uniform"}] = np.linspace(-9, -1, layers)
    loss.loc[{"arm": "tanh_uniform"}] = 0.7
    made["gradient_log10_rms"].loc[{"arm": "relu_uniform", "layer": slice(0, 2)}] = -np.inf
    loss.loc[{"arm": "relu_uniform"}] = 0.7
    verdicts = {arm: diagnosis.status for arm, diagnosis in arm_verdicts(made).items()}
    assert verdicts["tanh_uniform"] == "vanishing"
    assert verdicts["relu_uniform"] == "dead"
    assert verdicts["relu_he"] == "healthy"
