"""Sentences follow the data: the numbers in them are the statistics', and other data says something else."""

import re

import numpy as np
import pytest

from tests.made import made_results
from vgrad_jax.report import Report
from vgrad_jax.report.sections import crossed
from vgrad_jax.report.sections.pairs import _answer, _sentences

CELLS = ("tanh_uniform", "relu_he", "tanh_he", "relu_uniform")
SEEDS = 200


def study(shares, at=50.0, n=SEEDS, **options):
    """The crossed cells, of which so many converge; each arm at its own epoch where `at` is a mapping."""
    times = {
        arm: np.where(np.arange(n) < share * n, at[arm] if isinstance(at, dict) else at, np.nan)
        for arm, share in zip(CELLS, shares, strict=True)
    }
    return made_results(times, **options)


def two_arms(first, second):
    return made_results({"tanh_he": np.asarray(first, float), "relu_he": np.asarray(second, float)})


def numbers_in(text):
    return [float(number) for number in re.findall(r"(?<![\w.])[-+]?\d+(?:\.\d+)?", text)]


def says(text, estimate, scale=1.0, digits=0):
    """Whether the text has an estimate's value and interval, one after the other."""
    wanted = [round(scale * number, digits) for number in estimate[:3]]
    numbers = numbers_in(text)
    return any(numbers[start : start + 3] == pytest.approx(wanted) for start in range(len(numbers)))


@pytest.mark.parametrize(
    ("shares", "cause"),
    [
        ((0.0, 0.9, 0.4, 0.0), "second_then_first"),
        ((0.0, 0.9, 0.95, 0.0), "second"),
        ((0.0, 0.9, 0.0, 0.95), "first"),
        ((0.0, 0.9, 0.4, 0.5), "either"),
        ((0.0, 0.9, 0.0, 0.0), "together"),
        ((0.5, 0.5, 0.5, 0.5), "none_seen"),
    ],
)
def test_the_headline_of_the_articles_arms_is_the_crossed_design(shares, cause):
    report = Report(study(shares))
    design = report.value("crossed").article
    assert design.cause == cause
    assert report.answer.startswith(design.conclusion)
    for effect in (design.first_alone, design.second_alone, design.together):
        assert says(report.answer, effect.share, 100, 1)
    assert design.second_alone.share.value == pytest.approx(shares[2] - shares[0])


def headline(times):
    report = Report(made_results(times))
    return report.answer, {summary.arm: summary.converged for summary in report.study.summaries}


def test_without_the_crossed_cells_the_headline_is_a_ranking():
    always, never = np.full(SEEDS, 20.0), np.full(SEEDS, np.nan)
    answer, shares = headline({"tanh_uniform": always, "relu_he": never})
    assert answer.index("tanh_uniform") < answer.index("most often") < answer.index("relu_he")
    assert all(says(answer, share, 100, 1) for share in shares.values())
    answer, _ = headline({"tanh_he": always, "tanh_uniform": always, "relu_he": never})
    assert re.search(r"^tanh_he .*most often.*not told apart from tanh_uniform\).*relu_he least often", answer)
    answer, _ = headline({"tanh_he": always, "relu_he": np.where(np.arange(SEEDS) < SEEDS - 1, 20.0, np.nan)})
    assert re.search(r"cannot be told apart.*from 99.5.*relu_he.* to 100.0.*tanh_he", answer)
    answer, shares = headline({"relu_he": never})
    assert answer.startswith("relu_he ")
    assert says(answer, shares["relu_he"], 100, 1)


def test_effects_and_their_interaction():
    for shares, depends in (((0.1, 0.9, 0.9, 0.1), False), ((0.1, 0.1, 0.9, 0.9), True)):
        report = Report(study(shares))
        (sentence, *_), design = report.sentences, report.value("crossed").article
        for effect in (design.first_main, design.second_main):
            assert says(sentence, effect.share, 100, 1)
            assert says(sentence, effect.restricted_mean)
        assert says(sentence, design.interaction.share, 100, 1)
        assert ("not seen" in sentence) != depends
        assert " more" not in sentence


def test_the_design_of_the_sentences_is_the_articles_and_other_grids_are_answered_by_factor():
    assert Report(two_arms([20.0], [20.0])).value("crossed").article is None
    times = {"tanh_he": 20.0, "tanh_glorot": 20.0, "relu_he": np.nan, "relu_glorot": np.nan}
    report = Report(made_results({name: np.full(9, time) for name, time in times.items()}))
    designs = report.value("crossed")
    assert designs.article is None
    assert len(designs.every) == 1
    assert crossed.SECTION.answer(designs) is None
    assert report.answer.startswith(
        "What matters most is the activation. On average over the initialisation, switching"
    )


def test_the_arm_with_the_shortest_mean_is_compared_with_the_next():
    at = {"tanh_uniform": 90.0, "relu_he": 60.0, "tanh_he": 30.0, "relu_uniform": 80.0}
    for first, second in (("tanh_he", "relu_he"), ("relu_he", "tanh_he")):
        report = Report(study((1, 1, 1, 1), {**at, first: 30.0, second: 60.0}))
        sentence = report.sentences[1]
        assert re.search(rf"^{first} converges soonest.*; {second} is next.*after adjusting for 6 pairs", sentence)
        means = {summary.arm: summary.restricted_mean_epochs for summary in report.study.summaries}
        assert says(sentence, means[first])
        assert says(sentence, means[second])
        assert "in 100%" in sentence
    at_the_end = Report(study((0, 0, 1, 0), {**at, "tanh_he": 200.0}))
    assert at_the_end.sentences[2].startswith("tanh_he converges soonest")
    (_, _, never, _) = Report(study((0, 0, 0, 0))).sentences
    assert never == "No run of any arm converges within the budget."


@pytest.mark.parametrize("n", [1, 3, 40])
def test_arms_that_cannot_be_told_apart_are_not_ranked(n):
    arms = Report(two_arms(np.full(n, 30.0), np.full(n, 30.0))).value("pairs")
    assert arms.pairs[0].logrank_p_adjusted == 1
    (sentence,) = _sentences(arms)
    for words in ("soonest, after", "is next", "pairs"):
        assert words not in sentence
    assert "p = 1)" in sentence
    assert says(_answer(arms), arms.summaries[0].converged, 100, 1)
    assert " to " not in _answer(arms)


def test_the_means_of_arms_that_cannot_be_told_apart_are_given():
    arms = Report(two_arms([30.0, np.nan, 40.0], [50.0, np.nan, np.nan])).value("pairs")
    (sentence,) = _sentences(arms)
    assert arms.pairs[0].logrank_p_adjusted > 0.05
    assert "cannot be told" in sentence
    assert all(says(sentence, summary.restricted_mean_epochs) for summary in arms.summaries)


def test_curves_that_differ_while_half_of_the_pairs_go_either_way_name_no_soonest_arm():
    """The one arm converges at once or never, the other one late but always."""
    arms = Report(two_arms(np.where(np.arange(100) < 50, 10.0, np.nan), np.full(100, 80.0))).value("pairs")
    assert arms.pairs[0].logrank_p_adjusted < 0.05
    assert arms.pairs[0].comparison.probability_a_faster == 0.5
    (sentence,) = _sentences(arms)
    assert "soonest" not in sentence
    assert re.search(r"^relu_he .*curves differ.*first in 50%", sentence)


def test_an_arm_and_a_seed_are_counted_in_the_singular():
    report = Report(made_results({"tanh_he": np.full(1, 30.0)}))
    text = " ".join(report.lines)
    assert "of 1 run." in text
    assert not re.search(r"\b1 (?!run\b|of\b)[a-z]+s\b", text), text
    assert "an arm" not in " ".join(report.sentences)


def test_more_seeds_for_half_the_width():
    report = Report(study((0.5, 1, 1, 1)))
    known = max(summary.converged.half_width for summary in report.study.summaries)
    assert numbers_in(report.sentences[-1]) == [round(100 * known, 1), SEEDS, 612]
    assert "(tanh_uniform," in report.sentences[-1]


def test_remarks_name_dead_and_diverged_runs():
    made = study((0.5, 0.5, 0.5, 0.5))
    assert Report(made).remarks == []
    made["gradient_log10_rms"].loc[{"arm": "tanh_he", "layer": 0}] = -np.inf
    for name, value in (("outcome", "diverged"), ("converged", False), ("epochs_to_converge", np.nan)):
        made[name].loc[{"arm": "relu_he", "seed": 3}] = value
    report = Report(made)
    summaries = {summary.arm: summary for summary in report.study.summaries}
    (dead,) = (remark for remark in report.remarks if remark.startswith("tanh_he") and "exactly zero" in remark)
    (diverged,) = (remark for remark in report.remarks if remark.startswith("relu_he") and "diverged" in remark)
    assert says(dead, summaries["tanh_he"].dead, 100, 1)
    assert says(diverged, summaries["relu_he"].diverged, 100, 1)
    assert summaries["tanh_he"].dead.value == 0.5
    assert summaries["relu_he"].diverged.value == 1 / SEEDS
    few = study((0.96, 0.5, 0.5, 0.5))
    few["gradient_log10_rms"].loc[{"arm": "tanh_uniform", "layer": 0}] = -np.inf
    assert not any("exactly zero" in remark for remark in Report(few).remarks)
