import json

import numpy as np
import pytest
from scipy import stats
from typer.testing import CliRunner

import vgrad_jax as vg
from vgrad_jax.cli import app
from vgrad_jax.statistics.intervals import share
from vgrad_jax.statistics.planning import precision_reached, seeds_needed_to_be_better, seeds_needed_to_know


def exact_power(a, b, n):
    """Of the two-sided test of pooled proportions, over every pair of counts."""
    x, y = np.meshgrid(np.arange(n + 1), np.arange(n + 1), indexing="ij")
    pooled = (x + y) / (2 * n)
    with np.errstate(divide="ignore", invalid="ignore"):
        z = np.abs(x - y) / n / np.sqrt(2 * pooled * (1 - pooled) / n)
    chance = stats.binom.pmf(np.arange(n + 1), n, a)[:, None] * stats.binom.pmf(np.arange(n + 1), n, b)
    return chance[np.nan_to_num(z) > stats.norm.ppf(0.975)].sum()


@pytest.mark.parametrize(("effect", "power", "baseline"), [(0.2, 0.9, None), (0.1, 0.8, 0.5), (0.15, 0.9, 0.1)])
def test_the_power_is_what_was_asked_for(effect, power, baseline):
    n = vg.seeds_needed(effect, power, baseline=baseline)
    low = 0.5 - effect / 2 if baseline is None else baseline
    assert exact_power(low, low + effect, n) == pytest.approx(power, abs=0.02)
    assert exact_power(low, low + effect, int(0.8 * n)) < power - 0.03


def test_the_default_baseline_is_the_worst():
    worst = vg.seeds_needed(0.1)
    assert all(vg.seeds_needed(0.1, baseline=baseline) <= worst for baseline in np.linspace(0, 1, 41))
    assert vg.seeds_needed(0.1, baseline=0.45) == worst
    assert vg.seeds_needed(0.3, baseline=0.9) == vg.seeds_needed(0.3, baseline=0.1)


def test_noethers_number_and_its_power():
    assert seeds_needed_to_be_better(0.75, 0.95) == 29  # Bouthillier et al. 2021 recommend it.
    rng = np.random.default_rng(0)
    better, other = rng.normal(np.sqrt(2) * stats.norm.ppf(0.75), 1, (3000, 29)), rng.normal(0, 1, (3000, 29))
    found = stats.mannwhitneyu(better, other, alternative="greater", axis=1, method="asymptotic").pvalue < 0.05
    assert found.mean() == pytest.approx(0.95, abs=0.025)


@pytest.mark.parametrize(("half_width", "expected"), [(0.12, 0.5), (0.05, 0.5), (0.03, 0.02), (0.031, 1.0)])
def test_the_interval_is_as_narrow_as_asked_and_not_with_fewer(half_width, expected):
    n = seeds_needed_to_know(half_width, share=expected)

    def half_widths(n):  # Counts are whole: of the two around the share.
        counts = {int(np.floor(expected * n)), int(np.ceil(expected * n))}
        return [(share(k, n).high - share(k, n).low) / 2 for k in counts]

    assert min(half_widths(n)) <= half_width + 1e-9
    assert max(half_widths(int(0.9 * n))) > half_width


def test_after_a_study_half_as_wide():
    done = share(30, 200)
    reached = precision_reached(done)
    assert reached.half_width == (done.high - done.low) / 2
    n = 200 + reached.more_seeds
    later = share(round(0.15 * n), n)
    assert (later.high - later.low) / 2 == pytest.approx(reached.half_width / 2, rel=0.01)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((0.0,), {}), "effect must be a finite number above 0 and below 1; got 0.0"),
        (((1.5,), {}), "below 1"),
        (((0.1, 1.0), {}), "power"),
        (((0.1, 0.04), {}), "power must be above the significance of 0.05; got 0.04"),
        (((0.1,), {"significance": 0.0}), "significance"),
        (((0.6,), {"baseline": 0.5}), "no share is 0.6 away from a baseline of 0.5"),
        (((0.1,), {"baseline": 1.05}), "shares lie between 0 and 1"),
    ],
)
def test_impossible_questions_are_refused(arguments, message):
    positional, named = arguments
    with pytest.raises(vg.InputError, match=message):
        vg.seeds_needed(*positional, **named)
    for call in (lambda: seeds_needed_to_be_better(0.5), lambda: seeds_needed_to_know(0.5)):
        with pytest.raises(vg.InputError):
            call()
    with pytest.raises(vg.InputError, match="share must be 1 at the most"):
        seeds_needed_to_know(0.1, share=2.0)


def test_the_command_answers_in_words_and_numbers():
    def run(*arguments):
        return CliRunner().invoke(app, ["seeds", *arguments])

    words = run("--effect", "0.05", "--power", "0.9", "--runs-per-second", "12")
    needed = vg.seeds_needed(0.05, 0.9)
    assert words.exit_code == 0
    assert words.output.startswith(f"Train {needed} seeds per arm to detect a difference of 5")
    assert f"2 arms are {2 * needed} trainings: {2 * needed / 12 / 60:.1f} minutes at 12 a second." in words.output
    assert json.loads(run("--effect", "0.05", "--json").output)["seeds"] == needed
    assert "Train 29 seeds per arm" in run("--probability", "0.75", "--power", "0.95").output
    assert "Train 381 seeds per arm" in run("--half-width", "0.05").output
    assert "Example: vgrad seeds" in run("--help").output
    assert "--expected-share" in run("--help").output
    assert "--baseline" not in run("--help").output
    for needed in (("--effect", "0.1"), ("--half-width", "0.05")):
        named = run(*needed, "--expected-share", "0.9").output
        assert named == run(*needed, "--baseline", "0.9").output
        assert named != run(*needed).output
    for arguments, message in (
        ((), "give one of --effect, --probability and --half-width"),
        (("--effect", "2"), "effect must be a finite number above 0 and below 1"),
        (("--probability", "0.7", "--expected-share", "0.5"), "--expected-share goes with"),
        (("--effect", "0.1", "--expected-share", "0.5", "--baseline", "0.5"), "--baseline is the older name of"),
        (("--effect", "0.1", "--runs-per-second", "0"), "--runs-per-second must be a finite number above 0"),
    ):
        bad = run(*arguments)
        assert bad.exit_code == 2
        assert message in bad.output
        assert len(bad.output.splitlines()) == 1


@pytest.mark.parametrize("effect", [0.05, 0.4, 0.9])
@pytest.mark.parametrize(("power", "significance"), [(0.9, 0.05), (0.8, 0.01)])
def test_the_formula_by_hand_where_the_shares_are_symmetric(effect, power, significance):
    """Then the pooled share is one half, and both shares have the variance 1/4 - (effect / 2)^2."""
    tail, quantile = stats.norm.isf(significance / 2), stats.norm.ppf(power)
    variance = 1 / 4 - effect**2 / 4
    needed = (tail * np.sqrt(2 / 4) + quantile * np.sqrt(2 * variance)) ** 2 / effect**2
    assert vg.seeds_needed(effect, power, significance=significance) == max(np.ceil(needed), 2)


@pytest.mark.parametrize(
    "ask",
    [
        lambda: vg.seeds_needed(1e-300),
        lambda: vg.seeds_needed(1e-6),
        lambda: seeds_needed_to_be_better(0.5 + 1e-12),
        lambda: seeds_needed_to_know(1e-300),
    ],
)
def test_more_seeds_than_there_are_is_refused(ask):
    with pytest.raises(vg.InputError, match="seeds an arm, and a study has 4294967295 at the most"):
        ask()
