"""Families of arms that differ only in depth, and the exact law on the page."""

import dataclasses
import json
import re

import numpy as np
import pytest

import vgrad_jax as vg
from tests.made import made_results
from vgrad_jax.keys import run_key
from vgrad_jax.report import Report, figures, write_report
from vgrad_jax.report.predictions import seed_laws
from vgrad_jax.report.sections.depth import family_profiles
from vgrad_jax.report.study import Study
from vgrad_jax.results.reading import arms_of
from vgrad_jax.statistics.depth import Family, families
from vgrad_jax.training.run import initial_params

pytestmark = pytest.mark.usefixtures("quick_reports")

DEPTHS = (1, 3)
NETWORKS = {
    "relu_he": {"activation": "relu", "kernel_init": "fan_in_normal(2)"},
    "relu_small": {"activation": "relu", "kernel_init": "fan_in_normal(0.5)"},
}


@pytest.fixture(scope="module")
def results():
    shared = vg.Experiment(
        data=vg.Data("moons", samples=40), training=vg.Training(epochs=1, batch_size=20), recording=vg.Recording()
    )
    arms = {
        f"{name}_{depth}": dataclasses.replace(shared, mlp=vg.MLP(hidden=(6,) * depth, **network))
        for name, network in NETWORKS.items()
        for depth in DEPTHS
    }
    return vg.sweep(arms, 24, seed=3, progress=False)


@pytest.fixture
def made(results):
    """The same study with made-up outcomes: relu_he at all depths, relu_small at the shallowest alone."""
    made = results.copy(deep=True)
    made["converged"][:] = True
    made["converged"].loc[{"arm": "relu_small_3"}] = np.arange(24) < 6
    made["epochs_to_converge"][:] = np.where(made["converged"], 1.0, np.nan)
    return made


def test_arms_of_other_depth_share_the_results_and_have_nan_where_they_have_no_layer(results):
    gradients = results["gradient_log10_rms"].isel(record=0)
    assert results.sizes["layer"] == 4
    for depth in DEPTHS:
        there = np.isfinite(gradients.sel(arm=f"relu_small_{depth}").values)
        assert there[:, : depth + 1].all()
        assert not there[:, depth + 1 :].any()


def test_families_are_what_differs_in_depth_alone(results):
    arms = arms_of(results)
    assert [(family.name, list(family.arms)) for family in families(arms)] == [(name, [1, 3]) for name in NETWORKS]
    assert families(vg.presets.article()) == []
    faster = dataclasses.replace(arms["relu_he_3"], optimizer=vg.Optimizer("sgd", learning_rate=0.5))
    assert families({"a": arms["relu_he_1"], "b": faster}) == []
    (named,) = families({"shallow": arms["relu_he_1"], "deep": arms["relu_he_3"]})
    assert named == ("relu fan_in_normal(2.0)", {1: "shallow", 3: "deep"})
    assert [family.name for family in families(vg.presets.depth())] == [
        "tanh_glorot",
        "tanh_he",
        "tanh_pytorch",
        "relu_he",
        "relu_glorot",
    ]


def test_families_have_names_of_their_own():
    arms = {
        f"lr{rate}_{depth}": vg.Experiment(
            mlp=vg.MLP(hidden=(6,) * depth), optimizer=vg.Optimizer("sgd", learning_rate=rate)
        )
        for rate in (0.2, 0.4)
        for depth in (2, 4)
    }
    assert [family.name for family in families(arms)] == ["lr0.2", "lr0.4"]
    unlike = dict(zip("abcd", arms.values(), strict=True))
    assert [family.name for family in families(unlike)] == ["tanh he_uniform (as a)", "tanh he_uniform (as c)"]


def test_gradients_too_small_to_be_squared_are_drawn(results):
    small = results.copy(deep=True)
    small["gradient_log10_rms"][:] -= 300
    studies = [Study(sizes) for sizes in (small, results)]
    drawn = [figures.profiles_by_depth([family_profiles(study, study.families[0])]) for study in studies]
    lines = [figure.axes[0].lines[0].get_ydata() for figure in drawn]
    np.testing.assert_allclose(lines[0] + 300, lines[1], atol=1e-3)


def numbers_in(text):
    return [float(number) for number in re.findall(r"[-+]?\d+(?:\.\d+)?", text)]


def test_the_report_says_how_deep_and_what_theory_says(made):
    report = Report(made)
    relu, small = report.value("depth").reaches
    assert (relu.family, relu.deepest, relu.next_depth, relu.share.value) == ("relu_he", 3, None, 1)
    assert (small.family, small.deepest, small.next_depth, small.next_share.value) == ("relu_small", 1, 3, 0.25)
    for reach in (relu, small):
        ends = [round(100 * share, 1) for share in reach.share[:3]]
        assert [reach.deepest, *ends, 24] == numbers_in(report.answer.partition(reach.family)[2])[:5]
    remarks = dict(remark.split(": ", 1) for remark in report.remarks[:2])
    assert list(remarks) == ["relu_he", "relu_small"]
    assert "any depth" in remarks["relu_he"]
    # Ordered: chi_1 = 0.25, and 6 / ln 4 = 4.33.
    assert numbers_in(remarks["relu_small"])[-1] == round(6 / np.log(4))
    assert round(100 * small.next_share.low, 1) in numbers_in(remarks["relu_small"])
    first, second = report.numbers()["depth"]
    assert (first["deepest"], first["trainable_depth"], first["next_depth"]) == (3, "inf", None)
    assert (second["deepest"], second["next_depth"]) == (1, 3)
    assert second["trainable_depth"] == pytest.approx(6 / np.log(4), rel=1e-6)


def test_depth_is_one_factor_of_several(made):
    report = Report(made)
    (first, second) = report.value("factors").grid.factors
    assert {first.factor, second.factor} == {"number of hidden layers", "initialisation"}
    assert any("What matters most is the" in sentence for sentence in report.sentences)
    assert {row.arm for row in report.value("ranking").arms} == set(report.study.names)
    assert {block.heading for block in report.blocks} >= {"What each change does", "Which arm is best"}


def test_a_family_of_which_no_depth_converges_reaches_none(made):
    never = made.copy(deep=True)
    never["converged"][:] = False
    never["epochs_to_converge"][:] = np.nan
    report = Report(never)
    assert [reach.deepest for reach in report.value("depth").reaches] == [None, None]
    assert report.answer.count("not even the shallowest") == 2
    assert all("not even the shallowest" in remark for remark in report.remarks[:2])


def test_without_families_depth_says_nothing_and_is_an_empty_list_in_json():
    report = Report(made_results({"tanh_he": np.full(3, 9.0)}, epochs=20))
    assert report.numbers()["depth"] == []
    assert report.remarks == []
    assert list(report.charts("depth")) == []


def test_names_of_families_are_drawn_as_they_are(made):
    summaries = Study(made).summaries
    family = Family("$x^{2$", {1: "relu_he_1", 3: "relu_he_3"})
    axes = figures.share_against_depth([family], summaries, {}).axes[0]
    assert axes.get_legend_handles_labels()[1][1].startswith(r"\$x^{2\$, n = 24")


def test_the_figure_has_a_line_a_family_with_intervals_and_theorys_depth(made):
    study = Study(made)
    found, summaries = study.families, study.summaries
    axes = figures.share_against_depth(found, summaries, {"relu_he": np.inf, "relu_small": 2.5}).axes[0]
    lines = {container.get_label().partition(",")[0]: container for container in axes.containers}
    for family in found:
        line, _, (bars,) = lines[family.name]
        shares = [made["converged"].sel(arm=arm).values.mean() for arm in family.arms.values()]
        np.testing.assert_allclose(line.get_ydata(), shares)
        ends = np.array([segment[:, 1] for segment in bars.get_segments()])
        assert (ends[:, 0] <= shares).all()
        assert (ends[:, 1] >= shares).all()
        assert (np.diff(ends, axis=1) > 0.1).all()
    labels = " ".join(axes.get_legend_handles_labels()[1])
    assert "relu_he, n = 24; theory: any depth" in labels
    assert "relu_small, n = 24; theory: about 2" in labels
    (marked,) = (line for line in axes.lines if list(line.get_xdata()) == [2.5, 2.5])
    assert marked.get_linestyle() == ":"


def test_profiles_by_depth_are_those_of_the_results(results):
    study = Study(results)
    panel = figures.profiles_by_depth([family_profiles(study, family) for family in study.families]).axes[1]
    measured = [line for line in panel.lines if line.get_linestyle() == "-"]
    assert len(measured) == 2
    for line, depth in zip(measured, DEPTHS, strict=True):
        first = results["gradient_log10_rms"].sel(arm=f"relu_small_{depth}").isel(record=0, layer=slice(depth + 1))
        wanted = 0.5 * np.log10(np.mean(10.0 ** (2 * first.values.astype(float)), axis=0))
        np.testing.assert_allclose(line.get_ydata(), wanted, rtol=1e-6)


def test_the_law_is_held_against_the_sweeps_own_networks(results):
    laws = seed_laws(results)
    assert list(laws) == ["relu_he_1", "relu_he_3"]
    experiment = arms_of(results)["relu_he_3"]
    data = vg.load_data(experiment.data)
    params = initial_params(experiment, run_key(3, 5), data)
    x = np.asarray(data.train_x[0])
    # One road more: backwards by hand.
    kernels = [np.asarray(layer.kernel, np.float64) for layer in params]
    first = x @ kernels[0]
    second = np.maximum(first, 0) @ kernels[1]
    third = np.maximum(second, 0) @ kernels[2]
    delta = (kernels[3][:, 0] * (third > 0)) @ kernels[2].T * (second > 0) @ kernels[1].T * (first > 0)
    with np.errstate(divide="ignore"):
        wanted = np.log(np.sum(np.outer(x, delta) ** 2))
    assert laws["relu_he_3"].log_squares[5] == pytest.approx(wanted, abs=1e-3)
    assert all(law.p_value > 1e-3 for law in laws.values())
    panels = figures.seed_histograms(laws).axes
    assert len(panels) == 2
    assert "alive" in panels[0].get_title()
    assert any(text.get_text().startswith("p = ") for text in panels[0].texts)


def test_the_page_of_many_arms_folds_what_is_tall(made, tmp_path, monkeypatch):
    for section in ("arms", "gradients"):
        monkeypatch.setattr(f"vgrad_jax.report.sections.{section}.MOST_ARMS_IN_ONE", 3)
    monkeypatch.setattr("vgrad_jax.report.templates.TALLEST", 250)
    write_report(made, tmp_path)
    names = [path.stem for path in (tmp_path / "figures").iterdir()]
    assert set(names) == {
        "factors",
        "share_against_depth",
        "profiles_by_depth",
        "share_converged",
        "geometry",
        "law_over_seeds",
        "accuracy",
        "gradient_heatmap",
        "final_accuracy",
        "survival",
        "predictors",
    }
    page = (tmp_path / "index.html").read_text()
    assert "accuracy, for every arm: show" in page
    assert page.count("<details>") == page.count("</details>")
    assert json.loads((tmp_path / "tables" / "summary.json").read_text())["depth"]


def test_studies_have_their_own_defaults():
    studies = vg.presets.STUDIES
    assert (studies["article"].epochs, studies["article"].seeds) == (500, 128)
    arms = studies["depth"].make(epochs=3)
    assert len(arms) == 35
    assert {arm.training.epochs for arm in arms.values()} == {3}
    assert {len(arm.mlp.hidden) for arm in arms.values()} == {2, 4, 7, 12, 20, 32, 50}
