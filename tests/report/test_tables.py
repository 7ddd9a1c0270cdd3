import csv
import json
import math

import numpy as np
import pytest

from tests.made import made_results
from vgrad_jax.report.exports import write_tables
from vgrad_jax.report.findings import find
from vgrad_jax.report.tables import COLUMNS, PAIR_COLUMNS, as_dict, pair_rows, rows, sparkline


@pytest.fixture(scope="module")
def findings():
    rng = np.random.default_rng(0)
    times = {
        "tanh_uniform": np.full(40, np.nan),
        "relu_he": np.where(rng.random(40) < 0.8, 90.0, np.nan),
        "tanh_he": rng.integers(20, 100, 40),
        "relu_uniform": np.where(rng.random(40) < 0.1, 150.0, np.nan),
    }
    return find(made_results(times, diverged=["relu_uniform"]))


def test_the_table_and_the_json_hold_the_same_numbers(findings):
    table = rows(findings.summaries)
    plain = json.loads(json.dumps(as_dict(findings), allow_nan=False))
    assert all(len(row) == len(COLUMNS) for row in table)
    for row, arm in zip(table, plain["arms"], strict=True):
        assert row[0] == arm["arm"]
        assert row[1] == str(arm["n"])
        assert row[2].startswith(f"{arm['converged']['value']:.1%}")
        never = arm["median_epochs"]["value"] == "inf"
        assert row[3].startswith("never" if never else f"{arm['median_epochs']['value']:.0f} [")
        assert row[4].startswith(f"{arm['restricted_mean_epochs']['value']:.0f} [")
        fates = [arm[fate]["value"] for fate in ("converged", "dead", "stuck", "diverged")]
        assert sum(fates) == pytest.approx(1)
    assert plain["crossed"]["cause"] in ("second", "second_at_least", "second_then_first")
    assert len(plain["pairs"]) == len(pair_rows(findings.pairs)) == 6
    assert all(len(row) == len(PAIR_COLUMNS) for row in pair_rows(findings.pairs))


def test_files_for_other_programs_hold_the_same_numbers(findings, tmp_path):
    names = {path.name for path in write_tables(findings, tmp_path / "tables")}
    assert names == {"arms.csv", "pairs.csv", "effects.csv", "predictors.csv", "arms.tex", "summary.json"}
    with (tmp_path / "tables" / "arms.csv").open() as file:
        arms = list(csv.DictReader(file))
    for row, summary in zip(arms, findings.summaries, strict=True):
        assert float(row["converged"]) == summary.converged.value
        assert float(row["restricted_mean_epochs_high"]) == summary.restricted_mean_epochs.high
        assert float(row["test_accuracy_interquartile_mean_low"]) == summary.test_accuracy.interquartile_mean.low
        assert (row["median_epochs"] == "") == math.isinf(summary.median_epochs.value)
    with (tmp_path / "tables" / "pairs.csv").open() as file:
        pairs = list(csv.DictReader(file))
    assert [(row["a"], row["b"]) for row in pairs] == [(pair.a, pair.b) for pair in findings.pairs]
    assert float(pairs[0]["logrank_p_adjusted"]) == findings.pairs[0].logrank_p_adjusted
    assert float(pairs[0]["share_difference"]) == findings.pairs[0].comparison.share_difference.value
    with (tmp_path / "tables" / "effects.csv").open() as file:
        effects = {row["effect"]: row for row in csv.DictReader(file)}
    assert float(effects["interaction"]["share_low"]) == findings.crossed.interaction.share.low
    assert float(effects["second_main"]["restricted_mean"]) == findings.crossed.second_main.restricted_mean.value
    assert effects["first_alone"]["first"] == "activation"


def test_the_latex_table_is_whole(findings, tmp_path):
    write_tables(findings, tmp_path)
    lines = (tmp_path / "arms.tex").read_text().splitlines()
    assert lines[0] == r"\begin{tabular}{lrrrrrrrr}"
    assert lines[-1] == r"\end{tabular}"
    body = [line for line in lines if line.endswith(r" \\")]
    assert len(body) == 1 + len(findings.summaries)
    assert all(line.count(" & ") == 8 for line in body)
    assert r"{tanh\_uniform}" in body[1]
    assert r"[0\%, 9\%]" in body[1]


def test_of_many_layers_the_table_shows_the_worst_of_neighbours(findings):
    summary = findings.summaries[0]
    deep = summary._replace(initial_gradient_log10_rms=[-1.0] * 31 + [-5.0] + [-1.0] * 18)
    ((*_, by_layer),) = rows([deep])
    before, after = by_layer.split(" ")
    assert len(before) == 12
    assert before.count("▁") == 1
    assert len(after) == len(summary.final_gradient_log10_rms)
    broken = [-1.0] * 24
    broken[:2], broken[4], broken[6] = (math.nan, -math.inf), math.nan, -math.inf
    ((*_, by_layer),) = rows([summary._replace(initial_gradient_log10_rms=broken)])
    assert by_layer[:4].replace("▁", "█") == "x█?x"


def test_a_sparkline_says_zero_and_not_finite_apart():
    assert sparkline([-4, -2, 0, -math.inf, math.nan], -4, 0) == "▁▅█x?"
    assert sparkline([1.0], 1.0, 1.0) == "▁"
