import json

import numpy as np
import pytest

import vgrad_jax as vg
from tests.made import EPOCHS, made_results
from vgrad_jax.report import Report
from vgrad_jax.statistics.ceiling import bayes_accuracy, majority_share
from vgrad_jax.statistics.failure import ALL_ARMS

CELLS = ("tanh_uniform", "relu_he", "tanh_he", "relu_uniform")


@pytest.fixture(scope="module")
def results():
    times = {
        arm: np.where(np.arange(8) < k, 40.0 + np.arange(8), np.nan) for arm, k in zip(CELLS, (0, 6, 8, 1), strict=True)
    }
    return made_results(times)


@pytest.fixture(scope="module")
def drawn(results):
    return {chart.name: (chart.caption, chart.figure) for chart in Report(results).charts()}


def texts(figure):
    return " ".join(artist.get_text() for artist in figure.findobj(match=lambda artist: hasattr(artist, "get_text")))


def test_every_figure_names_its_arms_its_quantity_and_what_to_look_for(drawn):
    assert set(drawn) == {
        "overview",
        "geometry",
        "survival",
        "interaction",
        "accuracy",
        "gradient_profiles",
        "gradient_heatmap",
        "final_accuracy",
        "weight_change",
        "first_layer_paths",
        "predictors",
    }
    for name, (caption, figure) in drawn.items():
        assert len(caption) > 60, name
        shown = texts(figure)
        # Of eight seeds nothing can be told in an arm, and such arms have no panel among the predictors.
        arms = [ALL_ARMS] if name == "predictors" else CELLS
        assert all(arm in shown for arm in arms), name
        assert any(word in shown for word in ("log10", "accuracy", "change", "converge", "correlation")), name


def test_accuracy_bands_hold_the_quantiles(results, drawn):
    panel = drawn["accuracy"][1].axes[0]
    assert "n = 8" in texts(drawn["accuracy"][1])
    median = next(line for line in panel.lines if line.get_label() == "median")
    np.testing.assert_allclose(median.get_ydata(), np.median(results["train_accuracy"].values[0], axis=0), rtol=1e-6)


def test_survival_curves_fall_at_the_times_and_say_who_is_left(drawn):
    upper, lower = drawn["survival"][1].axes
    lines = {line.get_label(): line for line in upper.lines}
    assert lines["relu_he"].get_ydata()[-1] == pytest.approx(2 / 8)
    assert lines["relu_he"].get_xdata()[1] == 40
    assert lines["tanh_uniform"].get_ydata().tolist() == [1, 1, 1]
    counts = [text.get_text() for text in lower.texts if text.get_position()[0] == EPOCHS]
    assert counts == ["8", "2", "0", "7"]


def test_the_interaction_plot_holds_the_cells_and_the_effects(drawn, results):
    left, middle, right = drawn["interaction"][1].axes
    design = Report(results).value("crossed").article
    heights = sorted(float(y) for line in left.lines for y in line.get_ydata() if line.get_marker() in ("o", "s"))
    np.testing.assert_allclose(heights, [0, 1 / 8, 6 / 8, 1])
    assert "mean epochs" in middle.get_ylabel()
    shown = [text.get_text() for text in right.texts]
    assert shown[2].startswith(f"{100 * design.interaction.share.value:+.0f} [")


def test_the_heat_map_shows_quantiles_over_seeds(results, drawn):
    axes = drawn["gradient_heatmap"][1].axes
    gradients = results["gradient_log10_rms"].values[1]
    for line, share in enumerate((0.1, 0.5, 0.9)):
        shown = axes[len(CELLS) * line + 1].images[0].get_array()
        expected = np.sort(gradients, axis=0)[int(share * 7)].T
        np.testing.assert_allclose(shown, expected, rtol=1e-6)


def test_final_accuracy_stands_between_what_anybody_gets_and_what_nobody_beats(drawn):
    shown = texts(drawn["final_accuracy"][1])
    data = vg.Data()
    assert f"always naming the larger class: {majority_share(data):.1%}" in shown
    assert f"the best possible rule (Bayes): {bayes_accuracy(data):.1%}" in shown
    assert "the article's one run" in texts(drawn["weight_change"][1])


def test_weight_paths_begin_at_zero_and_are_medians(results, drawn):
    panel = drawn["first_layer_paths"][1].axes[0]
    median = next(line for line in panel.lines if line.get_label() == "median")
    kernel = results["parameters"].sel(arm="tanh_uniform").values[..., :10]
    distance = np.abs(kernel - kernel[:, :1]).mean(axis=-1)
    np.testing.assert_allclose(median.get_ydata(), np.median(distance, axis=0), rtol=1e-6)
    assert median.get_ydata()[0] == 0


def test_a_layer_without_gradient_is_drawn_as_missing_not_as_small(results):
    made = results.copy(deep=True)
    made["gradient_log10_rms"].loc[{"arm": "relu_he", "layer": 2}] = -np.inf
    profiles, heatmap = (chart.figure for chart in Report(made).charts("gradients"))
    image = heatmap.axes[len(CELLS) + 1].images[0].get_array()
    assert image.mask[2].all()
    assert not image.mask[[0, 1, 3, 4, 5]].any()
    profile = profiles.axes[1]
    measured = [line for line in profile.lines if "predicted" not in line.get_label()]
    assert len(measured) == 2
    assert all(np.isnan(line.get_ydata()[2]) for line in measured)
    assert "100% of seeds with a zero layer" in texts(profiles)


def test_every_profile_is_beside_its_prediction(results, drawn):
    for arm, axes in zip(CELLS, drawn["gradient_profiles"][1].axes, strict=True):
        (line,) = (line for line in axes.lines if "predicted" in line.get_label())
        experiment = vg.presets.article()[arm]
        data = vg.load_data(experiment.data)
        found = vg.theory.predict(experiment.mlp, data.train_x, data.train_y)
        np.testing.assert_allclose(line.get_ydata(), found.log10_rms)


def test_where_theory_does_not_apply_the_figure_says_why(results):
    study = json.loads(results.attrs["study"])
    study["arms"]["relu_he"]["mlp"]["norm"] = "batch"
    made = results.assign_attrs(study=json.dumps(study))
    profiles = next(Report(made).charts("gradients"))
    assert "does not apply because batch norm" in texts(profiles.figure)
