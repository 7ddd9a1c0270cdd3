"""Verdicts on arms go with how the runs ended."""

import dataclasses
import html
import json

import numpy as np
import pytest
from rich.console import Console

import vgrad_jax as vg
from tests.diagnosis import made_records
from tests.made import made_results
from vgrad_jax.cli.report import show
from vgrad_jax.diagnosis import TABLE, diagnose
from vgrad_jax.errors import InputError
from vgrad_jax.inspection import Hidden
from vgrad_jax.keys import run_key
from vgrad_jax.report import Report, live, write_report
from vgrad_jax.report.figures.factor_styles import arm_styles
from vgrad_jax.report.figures.geometry import geometry_of_arms, shown_arms
from vgrad_jax.report.sections.verdicts import SECTION, Verdicts
from vgrad_jax.report.verdict import NOT_LEARNED, arm_verdicts, layer_table, with_outcomes

SEEDS = 20


def study(shares):
    """Arms of which so many converge; nothing is wrong with their gradients."""
    return made_results({arm: np.where(np.arange(SEEDS) < k, 40.0, np.nan) for arm, k in shares.items()})


@pytest.mark.parametrize(("converged", "status"), [(0, "unclear"), (9, "unclear"), (10, "healthy"), (20, "healthy")])
def test_an_arm_is_healthy_where_at_least_half_of_its_runs_converge(converged, status):
    verdict = arm_verdicts(study({"tanh_he": converged}))["tanh_he"]
    assert verdict.status == status
    assert sum(verdict.seeds.values()) == SEEDS
    found = {finding.code: finding for finding in verdict.findings}
    assert (NOT_LEARNED in found) == (status == "unclear")
    if status == "unclear":
        assert found[NOT_LEARNED].value == converged / SEEDS
        assert found[NOT_LEARNED].status == "unclear"
        assert verdict.seeds == {"unclear": SEEDS}
        assert {layer.status for layer in verdict.layers} == {"unclear"}


def test_the_text_of_an_arm_that_does_not_learn_gives_its_reason_alone():
    text = str(arm_verdicts(study({"tanh_he": 1}))["tanh_he"])
    assert "Most runs did not learn: 19 of 20" in text
    assert TABLE["unclear"].meaning not in text


def test_a_loss_that_is_gone_in_runs_that_fail_is_not_called_solved():
    made = study({"tanh_he": 1})
    made["train_loss"][:] = np.geomspace(1, 1e-6, made.sizes["record"])
    before = arm_verdicts(study({"tanh_he": SEEDS}).assign(train_loss=made["train_loss"]))["tanh_he"]
    assert before.status == "solved"
    after = arm_verdicts(made)["tanh_he"]
    assert after.status == "unclear"
    assert {"healthy", "solved"}.isdisjoint([*after.seeds, *(finding.status for finding in after.findings)])


def test_a_fault_stays_the_verdict_and_no_seed_of_a_failing_arm_is_healthy():
    made = study({"tanh_he": 1})
    made["gradient_log10_rms"][0, :15] = np.linspace(-9, -1, made.sizes["layer"])
    made["train_loss"][:] = 0.7
    made["train_loss"][0, 15:] = np.linspace(0.7, 0.3, made.sizes["record"])
    verdict = arm_verdicts(made)["tanh_he"]
    assert verdict.status == "vanishing"
    assert verdict.seeds == {"vanishing": 15, "unclear": 5}
    assert NOT_LEARNED not in {finding.code for finding in verdict.findings}
    learned = with_outcomes(verdict, SEEDS, SEEDS)
    assert (learned.status, learned.seeds) == (verdict.status, verdict.seeds)
    assert [finding.code for finding in learned.findings] == ["gradient_shrinks"]  # Chance was left behind.


def failing(status, seeds):
    """Return the verdict on an arm that mostly fails, whose seeds have these statuses."""
    sound = arm_verdicts(study({"tanh_he": SEEDS}))["tanh_he"]
    layers = (dataclasses.replace(sound.layers[0], status=status), *sound.layers[1:])
    return with_outcomes(dataclasses.replace(sound, status=status, layers=layers, seeds=seeds), 10, 64)


def test_the_most_frequent_fault_stays_the_verdict_where_seeds_without_a_fault_are_more_together():
    verdict = failing("vanishing", {"vanishing": 26, "healthy": 20, "solved": 18})
    assert verdict.status == "vanishing"
    assert list(verdict.seeds.items()) == [("unclear", 38), ("vanishing", 26)]
    assert [layer.status for layer in verdict.layers] == ["vanishing"] + ["unclear"] * 5
    block = SECTION.block(Verdicts({"tanh_he": verdict}, []))
    assert "A fault stays the verdict, even where more seeds are unclear." in block.intro
    (fold,) = block.folds
    assert (fold.status, fold.note) == ("vanishing", "seeds: unclear 38, vanishing 26")


def test_of_two_statuses_with_as_many_seeds_the_worse_one_is_named_first():
    verdict = failing("vanishing", {"healthy": 3, "vanishing": 4, "solved": 1, "dead": 4})
    assert list(verdict.seeds.items()) == [("dead", 4), ("vanishing", 4), ("unclear", 4)]


def test_page_terminal_and_json_say_that_the_runs_did_not_learn(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("vgrad_jax.report.report.Report.charts", lambda report: iter(()))
    report = write_report(study({"tanh_he": 1, "relu_he": SEEDS}), tmp_path)
    show(report, tmp_path, "title", as_json=False)
    text = html.unescape((tmp_path / "index.html").read_text())
    summary = json.loads((tmp_path / "tables" / "summary.json").read_text())
    terminal = " ".join(capsys.readouterr().out.split())
    start = text.index("<strong>tanh_he</strong>")
    of_arm = text[start : text.index("</details>", start)]
    for shown in (of_arm, json.dumps(summary["verdicts"]["tanh_he"])):
        assert "healthy" not in shown
        assert "solved" not in shown
        assert "did not learn" in shown
        assert "ratios between layers do not say why" in shown
    (remark,) = (remark for remark in summary["remarks"] if "ratios between layers do not say why" in remark)
    assert "tanh_he (5% converge)" in remark
    assert "relu_he" not in remark
    assert remark in terminal
    assert "<strong>relu_he</strong>: healthy" in text


def test_verdicts_follow_the_gradients():
    cells = {"tanh_glorot": 0, "relu_he": 18, "tanh_he": 18, "relu_glorot": 18}
    made = study(cells)
    layers, loss = made.sizes["layer"], made["train_loss"]
    made["gradient_log10_rms"].loc[{"arm": "tanh_glorot"}] = np.linspace(-9, -1, layers)
    loss.loc[{"arm": "tanh_glorot"}] = 0.7
    made["gradient_log10_rms"].loc[{"arm": "relu_glorot", "layer": slice(0, 2)}] = -np.inf
    loss.loc[{"arm": "relu_glorot"}] = 0.7
    verdicts = {arm: diagnosis.status for arm, diagnosis in arm_verdicts(made).items()}
    assert verdicts["tanh_glorot"] == "vanishing"
    assert verdicts["relu_glorot"] == "dead"
    assert verdicts["relu_he"] == "healthy"


def flat(arm, level):
    """An arm none of whose runs converges, with losses that fall from a bad start to a level."""
    made = study({arm: 0})
    made["train_loss"][:] = level + 0.6 * np.exp(-np.arange(made.sizes["record"]) / 2.0)
    return made


@pytest.mark.parametrize(("arm", "status"), [("tanh_uniform", "collinear"), ("tanh_he", "chance_level")])
def test_a_loss_that_falls_to_chance_has_learned_nothing(arm, status):
    made = flat(arm, 0.6931)
    verdict = arm_verdicts(made)[arm]
    assert verdict.status == status
    assert verdict.findings[0].status == status
    assert "no_better_than_constant" in {finding.code for finding in verdict.findings}
    assert made["train_loss"][0, 0, 0] > 1.2 * np.log(2)


def test_units_are_collinear_only_in_networks_that_do_not_learn():
    assert arm_verdicts(flat("tanh_uniform", 0.05))["tanh_uniform"].status == "unclear"
    learned = study({"tanh_uniform": SEEDS})
    learned["train_loss"][:] = np.geomspace(1.2, 0.05, learned.sizes["record"])
    assert arm_verdicts(learned)["tanh_uniform"].status == "healthy"


def test_an_arm_of_another_kind_is_judged_without_its_network():
    made = flat("tanh_uniform", 0.6931)
    described = json.loads(made.attrs["study"])
    described["data"]["tanh_uniform"] = "another"
    verdict = arm_verdicts(made.assign_attrs(study=json.dumps(described)))["tanh_uniform"]
    assert verdict.status == "unclear"


def test_updates_are_counted_in_batches_and_not_in_epochs():
    """A loss that falls for 200 epochs of 16 batches falls for 3200 updates; without the data nobody counts them."""
    made = study({"tanh_he": 0}).isel(record=slice(0, 41))
    made["train_loss"][:] = np.linspace(0.69, 0.5, made.sizes["record"])
    assert arm_verdicts(made)["tanh_he"].status == "unclear"
    unknown = json.loads(made.attrs["study"])
    unknown["data"]["tanh_he"] = "another"
    assert arm_verdicts(made.assign_attrs(study=json.dumps(unknown)))["tanh_he"].status == "unclear"


def test_a_single_run_is_judged_like_its_seed_in_the_sweep():
    arm = dataclasses.replace(
        vg.presets.article(epochs=12)["tanh_uniform"], recording=vg.Recording(), training=vg.Training(epochs=12)
    )
    results = vg.sweep({"tanh_uniform": arm}, 1, progress=False)
    of_sweep = arm_verdicts(results)["tanh_uniform"]
    watched = live.run_live(arm, run_key(0, 0), Console(quiet=True), "")
    of_run = live.verdict(arm, watched)
    assert of_run.status == of_sweep.status == "collinear"
    codes = [[finding.code for finding in verdict.findings] for verdict in (of_run, of_sweep)]
    assert codes[0] == codes[1]


def test_each_seed_needs_its_own_layer():
    layer = Hidden(0.999, 0.01, 0.9)
    record = made_records.KNOWN["unclear"]
    assert diagnose(record).status == "unclear"
    assert diagnose(record, hidden=[layer]).status == "collinear"
    with pytest.raises(InputError, match="1 were recorded, and 2 layers came"):
        diagnose(record, hidden=[layer, layer])


def test_runs_that_are_dead_or_diverged_have_a_reason_already():
    made = study({"tanh_he": 2, "relu_he": 2})
    made["gradient_log10_rms"].loc[{"arm": "tanh_he", "layer": 0, "seed": slice(2, 9)}] = -np.inf
    (remark,) = (text for text in Report(made).remarks if "ratios between layers do not say why" in text)
    assert "relu_he" in remark
    assert "tanh_he" in remark
    made["gradient_log10_rms"].loc[{"arm": "tanh_he", "layer": 0, "seed": slice(2, 10)}] = -np.inf
    (remark,) = (text for text in Report(made).remarks if "ratios between layers do not say why" in text)
    assert "relu_he" in remark
    assert "tanh_he" not in remark


def test_the_table_of_layers_has_a_dash_where_updates_were_not_recorded():
    verdict = arm_verdicts(study({"tanh_he": SEEDS}))["tanh_he"]
    layers, *_, updates = layer_table(verdict).columns
    assert list(layers.cells) == [f"layer {layer}" for layer in range(6)]
    assert set(updates.cells) == {"-"}
    told = dataclasses.replace(verdict.layers[0], update_ratio_log10=-2.5)
    *_, updates = layer_table(dataclasses.replace(verdict, layers=(told,))).columns
    assert list(updates.cells) == ["-2.5"]


def test_the_section_on_geometry_names_failing_arms_beside_one_that_learns():
    report = Report(study({"tanh_uniform": 0, "tanh_he": SEEDS, "relu_uniform": SEEDS}))
    (sentence,) = (text for text in report.sentences if text.startswith("Collinear units"))
    by_arm = {row.arm: row for row in report.value("geometry").rows}
    failing, learning = by_arm["tanh_uniform"], by_arm["tanh_he"]
    assert f"tanh_uniform (correlation {failing.correlation:.3f}, effective rank 1.00 of 5)" in sentence
    assert f"tanh_he, of which 100% converge, has correlation {learning.correlation:.3f}" in sentence
    assert "relu_uniform" not in sentence  # Collinear units that learn are no failure.
    assert (failing.collinear, by_arm["relu_uniform"].collinear, learning.collinear) == (1, 1, 0)
    assert report.numbers()["geometry"][0]["correlation"] == failing.correlation
    assert not [text for text in Report(study({"tanh_he": SEEDS})).sentences if "Collinear" in text]


def test_a_figure_of_many_arms_shows_those_most_and_least_alike():
    of_arm = Report(study({"tanh_he": 4})).study.geometries["tanh_he"]
    alike = {f"arm {k}": of_arm._replace(hidden=(Hidden(k / 40, 0.5, 0.9),)) for k in range(30)}
    shown = shown_arms(alike)
    assert shown == [f"arm {k}" for k in (*range(5), *range(25, 30))]
    styles = arm_styles(dict.fromkeys(alike, "black"), {})
    assert len(geometry_of_arms(alike, styles).axes[0].get_yticklabels()) == len(shown)
