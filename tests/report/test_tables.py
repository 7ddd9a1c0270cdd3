import csv
import io
import json
import math

import numpy as np
import pytest

from tests.made import made_results
from vgrad_jax.report import Report
from vgrad_jax.report.exports import table_files
from vgrad_jax.report.sections.pairs import COLUMNS as PAIR_COLUMNS
from vgrad_jax.report.sections.pairs import pair_rows
from vgrad_jax.report.sparkline import sparkline
from vgrad_jax.report.tables import COLUMNS, rows

pytestmark = pytest.mark.usefixtures("quick_reports")


@pytest.fixture(scope="module")
def report():
    rng = np.random.default_rng(0)
    times = {
        "tanh_uniform": np.full(40, np.nan),
        "relu_he": np.where(rng.random(40) < 0.8, 90.0, np.nan),
        "tanh_he": rng.integers(20, 100, 40),
        "relu_uniform": np.where(rng.random(40) < 0.1, 150.0, np.nan),
    }
    return Report(made_results(times, diverged=["relu_uniform"]))


def test_the_table_and_the_json_hold_the_same_numbers(report):
    table = rows(report.study.summaries)
    plain = json.loads(json.dumps(report.numbers(), allow_nan=False))
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
    assert len(plain["pairs"]) == len(pair_rows(report.study.pairs)) == 6
    assert all(len(row) == len(PAIR_COLUMNS) for row in pair_rows(report.study.pairs))


def test_files_for_other_programs_hold_the_same_numbers(report):
    files = table_files(report)

    def read(name):
        return csv.DictReader(io.StringIO(files[name].decode(), newline=""))

    assert set(files) >= {
        "arms.csv",
        "pairs.csv",
        "effects.csv",
        "geometry.csv",
        "predictors.csv",
        "arms.tex",
        "summary.json",
    }
    for row, summary in zip(read("arms.csv"), report.study.summaries, strict=True):
        assert float(row["converged"]) == summary.converged.value
        assert float(row["restricted_mean_epochs_high"]) == summary.restricted_mean_epochs.high
        assert float(row["test_accuracy_interquartile_mean_low"]) == summary.test_accuracy.interquartile_mean.low
        assert float(row["median_epochs"]) == summary.median_epochs.value
    pairs = list(read("pairs.csv"))
    assert [(row["a"], row["b"]) for row in pairs] == [(pair.a, pair.b) for pair in report.study.pairs]
    assert float(pairs[0]["logrank_p_adjusted"]) == report.study.pairs[0].logrank_p_adjusted
    assert float(pairs[0]["share_difference"]) == report.study.pairs[0].comparison.share_difference.value
    effects = {row["effect"]: row for row in read("effects.csv")}
    assert float(effects["interaction"]["share_low"]) == report.value("crossed").article.interaction.share.low
    assert (
        float(effects["second_main"]["restricted_mean"])
        == report.value("crossed").article.second_main.restricted_mean.value
    )
    assert effects["first_alone"]["first"] == "activation"


def test_the_latex_table_is_whole(report):
    lines = table_files(report)["arms.tex"].decode().splitlines()
    assert lines[0] == r"\begin{tabular}{lrrrrrrrr}"
    assert lines[-1] == r"\end{tabular}"
    body = [line for line in lines if line.endswith(r" \\")]
    assert len(body) == 1 + len(report.study.summaries)
    assert all(line.count(" & ") == 8 for line in body)
    assert r"{tanh\_uniform}" in body[1]
    assert r"[0\%, 9\%]" in body[1]


def test_of_many_layers_the_table_shows_the_worst_of_neighbours(report):
    summary = report.study.summaries[0]
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
