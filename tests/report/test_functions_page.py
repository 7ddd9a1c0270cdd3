"""Reports on arms that are functions: what is there is shown, and what is not is left out without a trace."""

import csv
import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import vgrad_jax as vg
from vgrad_jax.report import write_report
from vgrad_jax.report.explorer import explorer_data
from vgrad_jax.report.report import Report
from vgrad_jax.report.tables import shown, terminal_table
from vgrad_jax.statistics import compare_arms, crossed_designs, outcomes, summarise
from vgrad_jax.statistics.own import curve_band, own_numbers

pytestmark = pytest.mark.usefixtures("quick_reports")

SEEDS = 40
STEPS = 5


def walk(key, drift=0.0):
    steps = jax.random.normal(key, (STEPS,)) + drift
    return {"height": jnp.cumsum(steps), "end": {"squared": jnp.sum(steps) ** 2, "above": jnp.sum(steps) > 0}}


def learner(key, rate=0.2, steps=8):
    start = {"inner": jax.random.normal(key, (2, 2)), "outer": jnp.full((2, 1), 0.5)}
    optimizer = vg.record(history=steps, around=optax.sgd(rate))

    def step(carry, _):
        params, state = carry
        loss, gradient = jax.value_and_grad(lambda p: sum(jnp.sum(leaf**2) for leaf in p.values()))(params)
        updates, state = optimizer.update(gradient, state, params, value=loss)
        return (optax.apply_updates(params, updates), state), loss

    (_, state), losses = jax.lax.scan(step, (start, optimizer.init(start)), None, length=steps)
    return {"train_loss": losses, "gradients": vg.get_record(state)}


def sweep(arms, num_seeds=SEEDS):
    return vg.sweep(arms, num_seeds, progress=False, engine="plain")


@pytest.fixture(scope="module")
def walks():
    return sweep({"level": walk, "up <b>$": lambda key: walk(key, 1.0)})


@pytest.fixture(scope="module")
def mixed(tiny_experiment):
    fast, slow = (
        vg.Arm(lambda key, r=rate: learner(key, r), converged="train_loss <= 0.5", dims={"train_loss": ("epoch",)})
        for rate in (0.2, 0.02)
    )
    return sweep({"fast": fast, "slow": slow, "network": tiny_experiment})


@pytest.fixture(scope="module")
def tiny_experiment():
    return vg.Experiment(
        mlp=vg.MLP(hidden=(2,), activation="tanh"),
        data=vg.Data("moons", samples=16),
        training=vg.Training(epochs=3, batch_size=4),
    )


def test_numbers_of_own_variables_are_quantiles_over_the_seeds(walks):
    rows = {(row.variable, row.arm): row for row in own_numbers(walks)}
    heights = walks["height"].sel(arm="level").values[:, -1].astype(float)
    row = rows["height", "level"]
    assert (row.n, row.last_of, row.not_finite) == (SEEDS, f"value {STEPS}", 0)
    np.testing.assert_allclose(
        (row.lower_quartile, row.median.value, row.upper_quartile), np.quantile(heights, [0.25, 0.5, 0.75])
    )
    above = rows["end_above", "up <b>$"].true
    assert above.value == float(walks["end_above"].sel(arm="up <b>$").mean())
    band = curve_band(walks, "height", "level")
    expected = np.quantile(walks["height"].sel(arm="level").values.astype(float), [0.05, 0.25, 0.5, 0.75, 0.95], axis=0)
    np.testing.assert_allclose(band.quantiles, expected)
    assert band.axis.values.tolist() == [1, 2, 3, 4, 5]


def test_a_page_of_functions_without_convergence_layers_or_accuracy(walks, tmp_path):
    report = write_report(walks, tmp_path)
    page = (tmp_path / "index.html").read_text()
    assert report.answer.startswith(f"Median height at value {STEPS}: ")
    assert "up &lt;b&gt;$" in page
    absent = ("converge", "gradient", "accuracy", "epoch", "Verdicts", "predicts", "nan", "None")
    body = page.partition('<h2 id="how-it-was-run">')[0].partition("<main>")[2]
    assert body
    assert not [word for word in absent if word in body]
    assert page.count("<figure") == page.count('class="narrow" role="img" aria-label=') == 2
    assert {path.name for path in (tmp_path / "figures").iterdir()} == {"own_height.svg", "own_end_squared.svg"}
    tables = {path.name for path in (tmp_path / "tables").iterdir()}
    assert tables == {"arms.csv", "arms.tex", "own_results.csv", "summary.json"}
    (header, *rows) = list(csv.reader((tmp_path / "tables" / "arms.csv").read_text().splitlines()))
    assert header == ["arm", "n", "diverged", "diverged_low", "diverged_high", "diverged_n"]
    assert len(rows) == 2
    numbers = json.loads((tmp_path / "tables" / "summary.json").read_text())
    assert set(numbers["arms"][0]) == {"arm", "n", "diverged", "initial_gradient_log10_rms", "final_gradient_log10_rms"}
    columns, cells = shown(summarise(walks))
    assert [column.heading for column in columns] == ["arm", "n", "diverged"]
    assert terminal_table(summarise(walks), "t").row_count == len(cells) == 2


def test_the_chart_has_each_curve_with_its_own_axis(walks, mixed):
    (level, _) = explorer_data(walks)["arms"]
    (height,) = level["series"]
    assert (height["label"], height["axis"], height["x"]) == ("height", "value", [1, 2, 3, 4, 5])
    arms = {arm["name"]: {line["label"]: line for line in arm["series"]} for arm in explorer_data(mixed)["arms"]}
    assert arms["network"]["gradient of layer 0"]["axis"] == "epoch"
    assert arms["network"]["gradient of layer 0"]["x"] == [0, 1, 2, 3]
    assert arms["fast"]["gradient of layer 0"]["axis"] == "update"
    assert arms["fast"]["train_loss"]["x"] == list(range(1, 9))
    single = explorer_data(sweep({"a": lambda key: {"x": jax.random.normal(key)}}, 3))
    assert single == {"arms": []}


def test_a_page_of_functions_and_experiments(mixed, tmp_path):
    report = write_report(mixed, tmp_path)
    page = (tmp_path / "index.html").read_text()
    assert report.answer.startswith("Within the first 3 epochs, which all arms have: ")
    assert report.study.unit == "epoch"
    verdicts = report.numbers()["verdicts"]
    assert set(verdicts) == {"fast", "slow", "network"}
    whole = vg.diagnose(learner_record(mixed, "fast"))
    assert verdicts["fast"]["status"] == whole.status
    assert "slow is a function of the key; a run converges when train_loss &lt;= 0.5, within 8 epochs" in page
    assert "test accuracy" in page
    dash = next(row for row in shown(report.study.summaries)[1] if row[0] == "fast")
    assert "-" in dash
    assert {"own_train_loss.svg", "gradient_heatmap.svg", "survival.svg", "overview.svg"} <= {
        path.name for path in (tmp_path / "figures").iterdir()
    }
    assert {row.arm for row in own_numbers(mixed)} == {"fast", "slow", "network"}


def learner_record(results, arm):
    """Return the record of the arm's runs, made again key by key."""
    keys = jnp.stack([vg.run_key(0, run) for run in range(results.sizes["seed"])])
    return jax.jit(jax.vmap(lambda key: learner(key, 0.2)))(keys)["gradients"]


def test_arms_with_other_budgets_are_compared_within_the_smallest(mixed):
    ends = outcomes(mixed)
    assert {arm: own.budget for arm, own in ends.items()} == {"fast": 8.0, "slow": 8.0, "network": 3.0}
    pair = next(pair for pair in compare_arms(mixed) if {pair.a, pair.b} == {"fast", "network"})
    assert pair.comparison.budget == 3
    times = mixed["epochs_to_converge"].sel(arm="fast").values
    assert pair.comparison.share_a.value == pytest.approx(float((times <= 3).mean()))
    own = next(row for row in summarise(mixed) if row.arm == "fast")
    assert own.converged.value == float(np.isfinite(times).mean())


def crossed_arm(first, second):
    return vg.Arm(
        lambda key: {"x": jax.random.uniform(key) + 0.5 * (first == "b") + 0.1 * (second == "b")},
        converged="x > 0.6",
        factors={"first thing": first, "second": second},
    )


def test_factors_make_a_crossed_design_without_times():
    arms = {f"{one}{two}": crossed_arm(one, two) for one in "ab" for two in "ab"}
    results = sweep(arms)
    (design,) = crossed_designs(results)
    assert (design.first, design.second, design.start, design.both) == ("first thing", "second", "aa", "bb")
    shares = results["converged"].mean("seed")
    effect = design.first_alone.share.value
    assert effect == pytest.approx(float(shares.sel(arm="ba") - shares.sel(arm="aa")))
    report = Report(results)
    said = " ".join([report.answer, *report.sentences])
    assert (
        "On average over the first thing, switching the second from a to b raises the share of runs that learn" in said
    )
    assert "mean time" not in said
    assert len(list(report.charts("factors"))) == 1
    assert list(report.charts("survival")) == []


def test_times_in_two_units_are_not_compared():
    arms = {
        "steps": vg.Arm(walk, converged="height > 1", dims={"height": ("step",)}),
        "days": vg.Arm(lambda key: walk(key, 1.0), converged="height > 1", dims={"height": ("day",)}),
    }
    with pytest.raises(vg.InputError, match="name its dimensions alike"):
        sweep(arms, 4)
    arms["days"] = vg.Arm(lambda key: {"tall": walk(key, 1.0)["height"]}, converged="tall > 1", dims={"tall": ("day",)})
    results = sweep(arms)
    assert compare_arms(results) == []
    report = Report(results)
    assert [chart.name for chart in report.charts("survival")] == ["survival", "survival_day"]
    assert report.study.unit == "time"
    assert "mean time" in [column.heading for column in shown(report.study.summaries, report.study.unit)[0]]


def test_numbers_that_are_not_finite_are_counted_and_left_out(tmp_path):
    def broken(key):
        x = jax.random.normal(key)
        return {"x": jnp.where(x > 0, jnp.inf, x), "lost": jnp.full(3, jnp.nan)}

    results = sweep({"a": vg.Arm(broken, diverged=lambda r: r["x"] > 1e9)})
    row, lost = sorted(own_numbers(results), key=lambda row: row.variable, reverse=True)
    infinite = int(np.isinf(results["x"]).sum())
    assert (row.n, row.not_finite) == (SEEDS - infinite, infinite)
    assert (lost.n, lost.not_finite) == (0, SEEDS)
    report = write_report(results, tmp_path)
    assert f"a: x is not finite in {infinite} runs." in report.remarks


def test_arms_of_functions_have_colours_of_their_own(mixed):
    colours = Report(mixed).study.colours
    assert len(set(colours.values())) == 3
