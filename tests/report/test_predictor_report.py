import numpy as np
import pytest

from vgrad_jax.report.figures.predictors import predictors_caption, predictors_ranked
from vgrad_jax.report.sections.predictors import predictor_sentences
from vgrad_jax.statistics.failure import ALL_ARMS, rank

pytestmark = pytest.mark.usefixtures("quick_reports")


def made_up(shift, n=60, failures=20):
    """Two arms; in both the loss of failed runs is shifted, in the second one the other way."""
    rng = np.random.default_rng(0)
    failed = {"first": np.arange(n) < failures, "second": np.arange(n) < failures}
    measured = {
        arm: {"loss": rng.normal(size=n) + sign * shift * failed[arm], "gradient_0": rng.normal(size=n)}
        for arm, sign in (("first", 1), ("second", -1))
    }
    return measured, failed


def texts(figure):
    return " ".join(artist.get_text() for artist in figure.findobj(match=lambda artist: hasattr(artist, "get_text")))


@pytest.mark.parametrize(("shift", "words"), [(3.0, ("large", "small")), (-3.0, ("small", "large"))])
def test_the_sentences_follow_the_data(shift, words):
    found = rank(*made_up(shift))
    for sentence, arm, word in zip(predictor_sentences(found), ("first", "second"), words, strict=False):
        assert sentence.startswith(f"{arm} (20 of 60 runs fail): 1 of 2 measurements")
        assert f"{word} values mean failure." in sentence
        (one,) = (one for one in found if one.scope == arm and one.measurement == "loss")
        assert f"{one.strength:.2f} [" in sentence


def test_without_a_predictor_the_sentences_say_so():
    first, _, pooled = predictor_sentences(rank(*made_up(0.0)))
    assert "none of 2 measurements at initialisation predicts which runs fail" in first
    assert pooled.startswith(ALL_ARMS.capitalize())
    measured, failed = made_up(3.0)
    failed["first"] = np.arange(60) < 4
    few, second, _ = predictor_sentences(rank(measured, failed))
    assert few == "first: what predicts failure cannot be told (56 converged and 4 failed, 5 of each are needed)."
    assert second.startswith("second (20 of 60 runs fail)")
    *_, pooled = predictor_sentences(rank(measured, {arm: np.arange(60) < 2 for arm in measured}))
    assert pooled.startswith("All arms together: what predicts failure cannot be told (")


def test_arms_whose_runs_fare_alike_share_a_sentence():
    measured, failed = made_up(3.0)
    together, third = np.zeros(60, bool), np.ones(60, bool)
    measured = {**measured, "third": measured["first"], "fourth": measured["first"]}
    found = rank(measured, {**failed, "first": together, "third": third, "fourth": together})
    second, alike, pooled = predictor_sentences(found)
    assert second.startswith("second (20 of 60 runs fail)")
    assert "cannot be told in 3 arms" in alike
    assert "3 arms of which nothing can be told have no panel" in predictors_caption(found)
    assert alike.endswith("fewer than 5 failed: first; third; fourth.")
    assert pooled.startswith(ALL_ARMS.capitalize())
    assert [axes.get_title().split("\n")[0] for axes in predictors_ranked(found).axes] == ["second", ALL_ARMS]


def test_the_figure_of_a_deep_network_shows_the_strongest():
    n, failed = 60, np.arange(60) < 20
    rng = np.random.default_rng(0)
    measured = {f"gradient_{layer}": rng.normal(size=n) + failed * layer / 10 for layer in range(40)}
    found = rank({"deep": measured}, {"deep": failed})
    (axes,) = predictors_ranked(found).axes
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert len(labels) == 24
    assert labels[0] == f"gradient of layer {found[0].measurement.removeprefix('gradient_')}"
    assert "Shown are 24 of 40 measurements, the best of each panel among them." in predictors_caption(found)


def test_a_shallow_arms_best_is_shown_beside_a_deep_one():
    n, failed = 60, np.arange(60) < 20
    rng = np.random.default_rng(0)
    deep = {f"gradient_{layer}": rng.normal(size=n) + 3 * failed for layer in range(1, 40)}
    measured = {"deep": {"loss": rng.normal(size=n), **deep}, "shallow": {"loss": rng.normal(size=n) + failed}}
    shallow = next(axes for axes in predictors_ranked(rank(measured, dict.fromkeys(measured, failed))).axes[1:])
    assert any(len(line.get_xdata()) == 1 for line in shallow.lines)


def test_pooled_the_arm_is_named_as_part_of_it():
    measured, failed = made_up(0.0, failures=10)
    measured["second"]["loss"] = measured["second"]["loss"] + 4
    failed["second"] = ~failed["second"]
    first, second, pooled = predictor_sentences(rank(measured, failed))
    assert "part of this is telling the arms apart" in pooled
    assert "part of that" not in first + second


def test_the_figure_shows_the_areas_and_counts():
    found = rank(*made_up(3.0))
    figure = predictors_ranked(found)
    shown = texts(figure)
    assert shown.count("20 failed") == 2
    assert "80 converged, 40 failed" in shown
    assert "loss" in shown
    for scope, axes in zip(("first", "second", ALL_ARMS), figure.axes, strict=True):
        assert scope in axes.get_title()
        ranked = [one for one in found if one.scope == scope]
        marks = {line.get_ydata()[0]: line for line in axes.lines if len(line.get_xdata()) == 1}
        bars = {
            line.get_ydata()[0]: line.get_xdata()
            for line in axes.lines
            if len(line.get_xdata()) == 2 and line.get_linestyle() == "-"
        }
        for one in ranked:
            place = 0 if one.measurement == "loss" else 1
            assert marks[place].get_xdata()[0] == one.area.value
            assert list(bars[place]) == [one.area.low, one.area.high]
            assert (marks[place].get_markerfacecolor() == "white") == (not one.real)
    loss = [next(line for line in axes.lines if list(line.get_ydata()) == [0]) for axes in figure.axes[:2]]
    assert [line.get_marker() for line in loss] == ["s", "o"]


def test_the_figure_without_an_answer_says_so():
    found = rank(*made_up(3.0, failures=2))
    assert "cannot be told" in texts(predictors_ranked(found))
    assert "Here nothing can be told." in predictors_caption(found)
    assert " 0 " not in predictors_caption(found)
    assert "which arm a run belongs to" in predictors_caption(found)
    assert "which arm" not in predictors_caption([one for one in found if one.scope == "first"])
