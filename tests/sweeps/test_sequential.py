"""Early stopping: bounds that are valid at every look, and seeds that depend on the command alone."""

import dataclasses
import itertools
import time

import numpy as np
import pytest
from scipy import optimize, stats
from typer.testing import CliRunner

import vgrad_jax as vg
from tests.made import made_results
from vgrad_jax.cli import app
from vgrad_jax.report import Report
from vgrad_jax.results.schema import VARIABLES
from vgrad_jax.statistics.early_stopping import early_stops, missing_runs
from vgrad_jax.statistics.time_uniform import (
    confidence_sequence,
    look_points,
    most_seeds_needed,
    share_bounds,
    stopping_point,
)
from vgrad_jax.sweeps import blocks
from vgrad_jax.sweeps.experiment_arm import ExperimentArm
from vgrad_jax.sweeps.plan import make_plan

pytestmark = pytest.mark.usefixtures("quick_reports")


def test_bounds_are_those_of_the_definition():
    for successes, n in ((0, 20), (7, 20), (20, 20), (150, 1000)):
        low, high = confidence_sequence(np.array([successes]), np.array([n]))

        def excess(share, successes=successes, n=n):
            return (n + 1) * stats.binom.pmf(successes, n, share) - 0.05

        expected_low = optimize.brentq(excess, 0, successes / n) if successes else 0.0
        expected_high = optimize.brentq(excess, successes / n, 1) if successes < n else 1.0
        np.testing.assert_allclose([*low, *high], [expected_low, expected_high], rtol=1e-9)


def test_before_any_run_everything_is_possible():
    np.testing.assert_array_equal(confidence_sequence(np.array([0]), np.array([0])), [[0], [1]])


@pytest.mark.parametrize("share", [0.5, 0.1])
def test_looking_all_the_time_the_sequence_holds_and_wilson_does_not(share):
    studies, most = 1500, 400
    rng = np.random.default_rng(0)
    counts = np.cumsum(rng.random((studies, most)) < share, axis=1)
    n = np.arange(1, most + 1)
    every = np.arange(most + 1)[:, None] * np.ones(most + 1, int)
    low, high = confidence_sequence(np.minimum(every.T, every), every)  # For every n and count.
    missed = (share < low[n, counts]) | (share > high[n, counts])
    z = stats.norm.ppf(0.975)
    centre = (counts + z**2 / 2) / (n + z**2)
    half = z / (n + z**2) * np.sqrt(counts * (n - counts) / n + z**2 / 4)
    wilson_missed = np.abs(share - centre) > half
    limit = 0.05 + 3 * np.sqrt(0.05 * 0.95 / studies)
    assert missed.any(axis=1).mean() <= limit
    assert wilson_missed[:, -1].mean() <= limit + 0.02  # A single look is covered,
    assert wilson_missed.any(axis=1).mean() > 0.25  # but not all looks together.


def test_stopping_at_the_precision_keeps_the_coverage():
    rng = np.random.default_rng(1)
    missed = []
    for _ in range(200):
        look = stopping_point(rng.random(600) < 0.15, 8, 600, 0.08)
        assert look.half_width <= 0.08
        missed.append(not look.low <= 0.15 <= look.high)
    assert np.mean(missed) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 200)


def test_looks_do_not_depend_on_what_is_there():
    looks = list(look_points(32, 5000))
    assert looks[:4] == [64, 128, 192, 256]
    assert looks[-1] == 5000
    assert all(b - a >= 64 for a, b in itertools.pairwise(looks[:-1]))
    converged = np.random.default_rng(2).random(350) < 0.3
    all_of_them = list(share_bounds(converged, 32, 5000))
    assert [bounds.n for bounds in all_of_them] == [look for look in looks if look <= 350]
    assert list(share_bounds(converged[:300], 32, 5000)) == all_of_them[:4]
    assert all(b.low >= a.low and b.high <= a.high for a, b in itertools.pairwise(all_of_them))


@pytest.mark.parametrize(("block", "num_seeds"), [(32, 64), (32, 65), (8, 8), (8, 7), (16, 1000)])
def test_every_look_has_more_seeds_and_the_last_has_all(block, num_seeds):
    looks = list(look_points(block, num_seeds))
    assert looks == sorted(set(looks))
    assert looks[-1] == num_seeds
    assert looks[0] == min(2 * block, num_seeds)


def test_bounds_are_the_intersection_of_all_looks_and_their_middle_where_there_is_none():
    """Nothing converges for a long time and then everything, so that the bounds of late looks are above the early."""
    converged = np.arange(600) >= 200
    found = list(share_bounds(converged, 16, 600))
    low, high, crossed = 0.0, 1.0, 0
    for bounds in found:
        ends = confidence_sequence(np.array([converged[: bounds.n].sum()]), np.array([bounds.n]))
        low, high = max(low, ends[0].item()), min(high, ends[1].item())
        crossed += low > high
        expected = (low, high) if low <= high else ((low + high) / 2,) * 2
        assert (bounds.low, bounds.high) == pytest.approx(expected, abs=1e-12)
        assert bounds.successes == max(bounds.n - 200, 0)
    assert 0 < crossed < len(found)


@pytest.mark.parametrize("trained", [40, 37, 20])
def test_an_arm_that_goes_on_has_the_share_of_its_last_look(trained):
    times = np.where(np.arange(40) % 3 == 0, 10.0, np.nan)
    results = made_results({"tanh_he": times}, epochs=20).assign_attrs(precision=0.01, block=4)
    results["completed"][:, trained:] = False
    (stop,) = early_stops(results)
    last = max(look for look in look_points(4, 40) if look <= trained)
    looks = np.array([look for look in look_points(4, 40) if look <= last])
    assert len(looks) > 1
    low, high = confidence_sequence(np.array([np.isfinite(times[:look]).sum() for look in looks]), looks)
    assert stop.converged[:2] == pytest.approx((np.isfinite(times[:last]).mean(), low.max()))
    assert stop.converged[2:] == (pytest.approx(high.min()), last)
    assert (stop.stopped, stop.most) == (False, 40)
    assert missing_runs(results) == 40 - trained


def test_sure_things_need_few_seeds():
    assert stopping_point(np.ones(200, bool), 8, 1000, 0.05).n < 130
    assert stopping_point(np.ones(40, bool), 8, 1000, 0.05) is None
    half = np.arange(2000) % 2 == 0
    assert stopping_point(half, 8, 2000, 0.05).n == pytest.approx(most_seeds_needed(0.05), rel=0.25)


@pytest.fixture(scope="module")
def arms(tiny):
    """Describe an arm that always learns and an arm that sometimes learns; `made_up` replaces their trainings."""
    return {"sure": tiny, "unsure": dataclasses.replace(tiny, optimizer=vg.Optimizer("sgd", learning_rate=0.2))}


@pytest.fixture
def made_up(monkeypatch):
    """Replace the training: it takes no time, and its outcome depends on the run alone; later blocks may come first."""

    def runs_from(self, arm, start):
        layout, size = self.arms[arm].layout, self.executions[arm].together
        sizes = {"record": (len(layout.epochs),), "layer": (layout.num_layers,)}
        share = (1.0, 0.3)[list(self.arms).index(arm)]
        converged = (np.random.default_rng(5).random(1000) < share)[start : start + size]
        variables = {"converged": converged, "outcome": np.where(converged, "converged", "not_converged")}
        for name, variable in VARIABLES.items():
            if variable.dtype == "float32" and variable.dims[-1] in ("seed", "record", "layer"):
                shape = sum((sizes[dimension] for dimension in variable.dims[2:]), ())
                variables[name] = np.full((size, *shape), 0.5, np.float32)
        variables["epochs_to_converge"] = np.where(converged, 0.5, np.nan).astype(np.float32)
        time.sleep(0.002 * (start // size % 3))
        return variables

    monkeypatch.setattr(blocks.Job, "runs_from", runs_from)


def sweep(arms, num_seeds=300, **options):
    options = {"chunk": 16, "engine": "plain", "precision": 0.15, "progress": False, **options}
    return vg.sweep(arms, num_seeds, **options).load()


def test_the_same_seeds_whatever_the_workers_and_interruptions(arms, made_up, tmp_path):
    alone = sweep(arms, workers=1)
    counts = alone["completed"].sum("seed").values.tolist()
    assert 0 < counts[0] < counts[1] < 300
    for row, count in zip(alone["completed"].values, counts, strict=True):
        assert row[:count].all()
    two = sweep(arms, workers=2, store=tmp_path / "two.zarr")
    assert two.equals(alone)

    def interrupt(done, total):
        if done >= 48:
            raise KeyboardInterrupt

    seen = []
    with pytest.raises(vg.SweepInterrupted):
        sweep(arms, workers=2, store=tmp_path / "cut.zarr", progress=interrupt)
    resumed = sweep(arms, store=tmp_path / "cut.zarr", resume=True, progress=lambda *now: seen.append(now))
    assert resumed.equals(alone)
    assert 48 <= seen[0][0] < sum(counts)
    assert seen[-1] == (sum(counts), sum(counts))
    # More seeds change nothing for an arm that has stopped.
    more = sweep(arms, 350, store=tmp_path / "cut.zarr", resume=True)
    assert more.isel(seed=slice(300)).equals(alone.assign_coords(seed=more["seed"][:300]))
    assert not more["completed"][:, 300:].any()


def test_what_is_left_out_is_not_missing_and_the_intervals_are_anytime_valid(arms, made_up):
    results = sweep(arms)
    stops = early_stops(results)
    for stop, count in zip(stops, results["completed"].sum("seed").values, strict=True):
        assert stop.stopped
        assert stop.converged.n == count
        assert stop.converged.high - stop.converged.low <= 2 * 0.15
        low, high = confidence_sequence(np.array([round(stop.converged.value * count)]), np.array([count]))
        assert low <= stop.converged.low <= stop.converged.high <= high
    assert missing_runs(results) == 0
    (remark,) = (text for text in Report(results).remarks if "Stopped early" in text)
    assert f"sure 100.0% [{stops[0].converged.low:.1%}, 100.0%] after {stops[0].converged.n} seeds" in remark
    assert "300 seeds at the most" in remark
    cut = results.copy(deep=True)
    cut["completed"][1, 16:] = False
    assert missing_runs(cut) == 300 - 16
    assert "unsure" not in next(text for text in Report(cut).remarks if "Stopped early" in text)
    short = sweep(arms, 8)
    assert missing_runs(short) == 0
    assert not any("Stopped early" in text for text in Report(short).remarks)


def test_where_the_precision_is_not_reached_all_seeds_are_trained(arms, made_up):
    results = sweep(arms, 40, precision=0.01)
    assert results["completed"].all()
    assert [stop.stopped for stop in early_stops(results)] == [False, False]


def test_without_a_precision_a_stopped_sweep_goes_on(arms, made_up, tmp_path):
    stopped = sweep(arms, 80, store=tmp_path / "r.zarr", precision=0.2)
    assert not stopped["completed"].all()
    complete = sweep(arms, 80, store=tmp_path / "r.zarr", resume=True, precision=None)
    assert complete["completed"].all()
    assert early_stops(complete) == []
    assert missing_runs(stopped) == missing_runs(complete) == 0


def test_the_page_does_not_call_them_missing_and_gives_the_command(made_up, tmp_path, monkeypatch):
    monkeypatch.setattr("vgrad_jax.report.report.Report.charts", lambda report: iter(()))
    command = ["sweep", "--arm", "tanh_he", "--arm", "relu_he", "--seeds", "300", "--epochs", "1", "--precision", "0.2"]
    done = CliRunner().invoke(app, [*command, "--out", str(tmp_path / "e"), "--json"])
    assert done.exit_code == 0, (done.output, done.exception)
    text = (tmp_path / "e" / "index.html").read_text()
    assert "still missing" not in text
    assert "Stopped early, at a precision of 20 points" in text
    assert "--seeds 300 --epochs 1 --study-seed 0 --precision 0.2" in text
    bad = CliRunner().invoke(app, ["sweep", "--precision", "0.7"])
    assert bad.exit_code == 2
    assert "--precision must be a finite number above 0 and below 0.5; got 0.7" in bad.output


def test_blocks_are_small_and_do_not_depend_on_workers_or_seeds(tiny):
    arms = {"a": ExperimentArm(tiny)}

    def block(precision, seeds=10**6, workers=2):
        return make_plan(arms, seeds, workers=workers, precision=precision).block

    assert block(None) == 1024
    assert block(0.05) == make_plan(arms, 10).chunk
    assert block(0.01) == block(0.01, seeds=500) == block(0.01, workers=16) < 1024
    described = str(make_plan(arms, 100, precision=0.05))
    assert "an arm stops when its share of converged runs is known to within 5 points" in described


def test_impossible_precisions_and_clusters_are_refused(tiny, tmp_path):
    for precision in (0.0, 0.5, -1.0):
        with pytest.raises(vg.InputError, match=r"precision must be a finite number above 0 and below 0\.5"):
            vg.sweep({"a": tiny}, 4, precision=precision, progress=False)
    with pytest.raises(vg.InputError, match="a cluster gets all at once"):
        vg.sweep({"a": tiny}, 4, precision=0.1, scheduler="tcp://nowhere:1", store=tmp_path / "r", progress=False)


def test_a_number_beyond_floats_is_refused():
    with pytest.raises(vg.InputError, match="too large"):
        confidence_sequence(10**400, 10**401)
