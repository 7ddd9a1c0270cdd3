"""Results that something is wrong with: data that is gone, arms that are not described, runs that all diverged."""

import dataclasses
import json

import numpy as np
import pytest

import vgrad_jax as vg
from tests.made import made_results
from vgrad_jax.cli.report import show
from vgrad_jax.report import Report, write_report
from vgrad_jax.report.exports import table_files
from vgrad_jax.report.figures.style import GREY
from vgrad_jax.report.predictions import predictions, seed_laws
from vgrad_jax.report.study import Study
from vgrad_jax.results.reading import arms_of, data_of
from vgrad_jax.statistics import published
from vgrad_jax.statistics.comparison import compare_arms
from vgrad_jax.statistics.run_outcomes import outcomes

SEEDS = 6
NETWORK = vg.MLP(hidden=(6,), activation="relu", kernel_init="fan_in_normal(2)")


def texts(figure):
    return " ".join(artist.get_text() for artist in figure.findobj(match=lambda artist: hasattr(artist, "get_text")))


def statuses(report):
    return {arm: verdict.status for arm, verdict in report.value("verdicts").verdicts.items()}


@pytest.fixture
def from_file(tmp_path):
    path = tmp_path / "data.csv"
    rows = np.random.default_rng(0).normal(size=(40, 2))
    np.savetxt(path, np.column_stack([rows, rows[:, 0] > 0]), delimiter=",")
    arm = vg.Experiment(mlp=NETWORK, data=vg.Data("file", path=str(path)), training=vg.Training(epochs=20))
    times = {"one": np.full(SEEDS, 10.0), "other": np.full(SEEDS, np.nan)}
    return path, made_results(times, arms=dict.fromkeys(times, arm))


@pytest.mark.parametrize("what", ["gone", "changed"])
def test_the_report_is_made_when_the_data_is_gone_or_has_changed(from_file, tmp_path, what):
    path, results = from_file
    before = statuses(Report(results))
    assert list(seed_laws(results)) == ["one", "other"]
    assert "larger class" in texts(next(Report(results).charts("final_accuracy")).figure)
    if what == "gone":
        path.unlink()
    else:
        path.write_text(path.read_text().replace("1.0", "1.5"))
    assert data_of(results, "one") is None
    after = write_report(results, tmp_path / "page")
    assert before == {"one": "too_few_steps", "other": "too_few_steps"}
    assert statuses(after) == {"one": "healthy", "other": "unclear"}  # Nobody counts the updates of an epoch now.
    assert after.value("geometry") is None
    assert seed_laws(results) == {}
    found = predictions(results)["one"]
    assert found.log10_rms is None
    assert found.why_not.startswith("does not apply because the data is not there any more")
    assert "larger class" not in texts(next(Report(results).charts("final_accuracy")).figure)
    assert published.learned_by(results, "one", epoch=20) is None


def test_arms_that_are_not_described_are_still_counted_and_compared():
    results = made_results({"tanh_he": np.full(SEEDS, 9.0), "relu_he": np.full(SEEDS, 20.0)})
    study = json.loads(results.attrs["study"])
    study["arms"]["relu_he"] = {"not written down": "Experiment(...)"}
    made = results.assign_attrs(study=json.dumps(study))
    assert list(outcomes(made)) == ["tanh_he", "relu_he"]
    assert compare_arms(made)[0].comparison.probability_a_faster == 1
    assert set(Study(made).colours.values()) == {GREY}
    assert next(Report(made).charts("survival")).figure.axes
    with pytest.raises(vg.InputError, match="that of 'relu_he' was not stored because it holds a function"):
        arms_of(made)


def test_a_page_of_runs_that_all_diverged(tmp_path):
    """Without a warning, which is an error here."""
    times = {arm: np.full(SEEDS, np.nan) for arm in ("tanh_uniform", "relu_he", "tanh_he", "relu_uniform")}
    results = made_results(times, diverged=tuple(times), epochs=500)
    for name in ("parameters", "train_loss", "test_loss", "gradient_log10_rms", "update_ratio_log10"):
        results[name][:] = np.nan
    report = write_report(results, tmp_path)
    assert [placement.quantity for placement in report.study.placements] == ["test accuracy after the last epoch"]
    assert published._place("a", "q", 0.5, np.full(3, np.nan)) is None
    change, paths = (chart.figure for chart in report.charts("weights"))
    assert "not shown: 6 not finite" in texts(change)
    assert "6 of them not finite" in texts(paths)


def test_zero_and_not_finite_are_counted_apart_and_the_median_is_of_the_finite_ones():
    results = made_results({"tanh_uniform": np.full(SEEDS, np.nan)}, epochs=500)
    results["parameters"].loc[{"seed": 0}] = np.nan
    results["parameters"].loc[{"seed": 1}] = 0.25
    figure = next(Report(results).charts("weights")).figure
    assert "n=6, not shown: 1 zero, 1 not finite" in texts(figure)
    change = np.sort(published.first_layer_change(results, "tanh_uniform")[1:])
    (median,) = (line for line in figure.axes[0].lines if line.get_color() == "black" and len(line.get_xdata()) == 2)
    assert median.get_xdata()[0] == pytest.approx(change[2])


def test_colours_say_the_activation_whatever_the_name_is():
    base = vg.Experiment(training=vg.Training(epochs=20))
    networks = {"a": "tanh", "tanh_b": "relu", "c": "gelu", "d": "relu", "e": "elu"}
    arms = {
        name: dataclasses.replace(base, mlp=vg.MLP(hidden=(4,), activation=activation))
        for name, activation in networks.items()
    }
    arms["linear"] = dataclasses.replace(base, mlp=vg.MLP(hidden=()))
    colours = Study(made_results({arm: np.full(3, 9.0) for arm in arms}, arms=arms)).colours
    assert colours["tanh_b"] == colours["d"]
    assert len({colours[arm] for arm in "acde"}) == 4
    assert colours["linear"] == GREY


def test_names_that_look_like_markup_are_printed_as_they_are(tmp_path, capsys):
    names = ("relu[he]", "lr[a=1]", "arm[/b]", ":fire:", "a\\b^c~d")
    arm = vg.presets.article(epochs=20)["relu_he"]
    report = Report(made_results({name: np.full(3, 9.0) for name in names}, arms=dict.fromkeys(names, arm), epochs=20))
    show(report, tmp_path, "title[b]", as_json=False)
    shown = capsys.readouterr().out
    assert all(shown.count(name) for name in (*names, "title[b]"))
    assert f"{report.answer[:40]}" in shown
    latex = table_files(report)["arms.tex"].decode()
    assert r"{a\textbackslash{}b\textasciicircum{}c\textasciitilde{}d}" in latex
