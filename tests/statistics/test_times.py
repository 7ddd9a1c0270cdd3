"""Times to converge, against published data and another package."""

import lifelines
import lifelines.statistics
import numpy as np
import pytest
from scipy import stats

import vgrad_jax as vg
from tests.made import EPOCHS, made_results
from vgrad_jax.statistics.comparison import compare_arms
from vgrad_jax.statistics.intervals import share
from vgrad_jax.statistics.survival import median_time, restricted_mean, survival_curve

# Freireich and others 1963: weeks of remission, 6-mercaptopurine against placebo.
TREATED = np.array([6, 6, 6, 7, 10, 13, 16, 22, 23, 6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35.0])
RELAPSED = np.arange(21) < 9
PLACEBO = np.array([1, 1, 2, 2, 3, 4, 4, 5, 5, 8, 8, 8, 8, 11, 11, 12, 12, 15, 17, 22, 23.0])
ALL = np.ones(21, bool)


def runs(seed, n=200, budget=100.0, share=0.7):
    """Only the budget censors, as in a sweep."""
    rng = np.random.default_rng(seed)
    times = np.ceil(rng.gamma(3, 15, n))
    observed = (rng.random(n) < share) & (times <= budget)
    return np.where(observed, times, budget), observed


def test_freireichs_remissions():
    found = vg.compare_times(TREATED, RELAPSED, PLACEBO, ALL, budget=20)
    assert found.logrank_chi2 == pytest.approx(16.79294, abs=1e-5)
    assert found.logrank_p == pytest.approx(4.1688e-5, rel=1e-4)
    assert (found.median_a, found.median_b) == (23, 8)
    assert found.restricted_mean_a == pytest.approx(16.116527, abs=1e-6)
    assert found.restricted_mean_b == pytest.approx(8.428571, abs=1e-6)
    assert found.restricted_mean_difference.low > 0
    assert (found.n_a, found.n_b, found.budget) == (21, 21, 20)


@pytest.mark.parametrize("times", [(TREATED, RELAPSED), (PLACEBO, ALL), runs(0), runs(1, share=0.02)])
def test_a_curve_is_lifelines(times):
    theirs = lifelines.KaplanMeierFitter().fit(*times)
    ours = survival_curve(*times)
    np.testing.assert_allclose(ours.survival, theirs.survival_function_.loc[ours.times, "KM_estimate"], rtol=1e-12)
    np.testing.assert_array_equal(ours.at_risk, theirs.event_table.loc[ours.times, "at_risk"])
    assert median_time(ours).value == theirs.median_survival_time_
    np.testing.assert_allclose(
        ours.survival, stats.ecdf(stats.CensoredData.right_censored(times[0], ~times[1])).sf.evaluate(ours.times)
    )


@pytest.mark.parametrize("times", [(TREATED, RELAPSED), (PLACEBO, ALL), runs(2), runs(3, share=0.02)])
def test_a_restricted_mean_is_lifelines(times):
    theirs = lifelines.utils.restricted_mean_survival_time(lifelines.KaplanMeierFitter().fit(*times), t=20)
    assert restricted_mean(*times, 20).value == pytest.approx(theirs, rel=1e-9)


@pytest.mark.parametrize("times", [(TREATED, RELAPSED), (PLACEBO, ALL)])
def test_the_curves_interval_has_greenwoods_width(times):
    """With hundreds of copies of the data Wilson's interval is the normal one, whose width is Greenwood's."""
    many = [np.tile(part, 400) for part in times]
    ours = survival_curve(*many)
    table = lifelines.KaplanMeierFitter().fit(*many).event_table.loc[ours.times]
    terms = table["observed"] / (table["at_risk"] * (table["at_risk"] - table["observed"]))
    greenwood = ours.survival * np.sqrt(np.cumsum(terms))
    inside = (ours.survival > 0.05) & (ours.survival < 1)
    np.testing.assert_allclose((ours.high - ours.low)[inside] / 2, 1.96 * greenwood[inside], rtol=0.01)


def test_only_the_budget_censors_then_everything_is_plain_arithmetic():
    (a, a_seen), (b, b_seen) = runs(4), runs(5, n=150, share=0.4)
    found = vg.compare_times(a, a_seen, b, b_seen, budget=100)
    assert found.restricted_mean_a == pytest.approx(a.mean())
    assert found.restricted_mean_difference.value == pytest.approx(a.mean() - b.mean())
    assert found.share_a == pytest.approx(share(int(a_seen.sum()), len(a_seen)))
    # Interval close to Welch's, which rests on the normal alone.
    welch = stats.ttest_ind(a, b, equal_var=False).confidence_interval()
    np.testing.assert_allclose(found.restricted_mean_difference[1:3], welch, atol=0.05 * (welch.high - welch.low))
    x, y = np.where(a_seen, a, np.inf)[:, None], np.where(b_seen, b, np.inf)[None]
    assert found.probability_a_faster == pytest.approx(np.mean((x < y) + 0.5 * (x == y)))
    theirs = lifelines.statistics.logrank_test(a, b, a_seen, b_seen)
    assert found.logrank_chi2 == pytest.approx(theirs.test_statistic)
    assert found.logrank_p == pytest.approx(theirs.p_value)


def test_runs_that_were_lost_early_are_not_counted_as_slow():
    """Efron's probability, and shares from the curves: half of a is lost before anything happens."""
    lost = np.array([6.0] * 10), np.zeros(10, bool)
    late = np.array([10.0] * 10), np.ones(10, bool)
    a = np.concatenate([lost[0], late[0]]), np.concatenate([lost[1], late[1]])
    found = vg.compare_times(*a, *late, budget=10)
    assert found.probability_a_faster == 0.5
    assert found.share_a.value == found.share_b.value == 1


def test_none_converges():
    never, no = np.full(5, 50.0), np.zeros(5, bool)
    found = vg.compare_times(never, no, never, no, budget=50)
    assert np.isnan(found.logrank_p)
    assert (found.probability_a_faster, found.mann_whitney_p) == (0.5, 1.0)
    assert found.median_a == np.inf
    assert (found.restricted_mean_difference.value, found.share_difference.value) == (0, 0)
    assert found.restricted_mean_difference.low < 0 < found.restricted_mean_difference.high


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1.0, 2.0], [True]), "one time and one observed"),
        (([], []), "one time and one observed"),
        (([1.0, np.nan], [True, False]), "times are finite"),
        (([1.0, -1.0], [True, False]), "not negative"),
        (([1.0, 2.0], [1, 0]), "observed is True or False"),
    ],
)
def test_bad_input_is_named(arguments, message):
    with pytest.raises(vg.InputError, match=message):
        vg.compare_times(
            *(np.array(part, dtype) for part, dtype in zip(arguments, (float, None), strict=True)),
            PLACEBO,
            ALL,
            budget=10,
        )


def test_an_impossible_budget_is_named():
    with pytest.raises(vg.InputError, match="above zero"):
        vg.compare_times(PLACEBO, ALL, PLACEBO, ALL, budget=0)
    with pytest.raises(vg.InputError, match="no run was followed up to the budget 40"):
        vg.compare_times(TREATED, RELAPSED, PLACEBO, ALL, budget=40)


def test_all_pairs_of_arms_with_their_false_discovery_rate():
    rng = np.random.default_rng(6)
    slow, never = rng.integers(80, 190, 60), np.full(60, np.nan)
    results = made_results(
        {"tanh_uniform": never, "tanh_he": slow - 60, "relu_he": slow, "relu_uniform": never}, diverged=["relu_uniform"]
    )
    pairs = {(pair.a, pair.b): pair for pair in compare_arms(results)}
    assert len(pairs) == 6
    faster = pairs["tanh_he", "relu_he"]
    assert faster.comparison.probability_a_faster > 0.9
    assert faster.logrank_p_adjusted >= faster.comparison.logrank_p
    assert pairs["tanh_uniform", "relu_uniform"].logrank_p_adjusted == 1
    # One that diverged is as bad as one that never converges.
    assert pairs["tanh_uniform", "relu_uniform"].comparison.probability_a_faster == 0.5
    assert pairs["tanh_uniform", "relu_he"].comparison.restricted_mean_a == EPOCHS
    raw = [pairs[pair].comparison.logrank_p for pair in pairs]
    np.testing.assert_allclose(
        [pairs[pair].logrank_p_adjusted for pair in pairs], stats.false_discovery_control(np.nan_to_num(raw, nan=1.0))
    )


def test_a_budget_before_every_time_has_no_convergence():
    late, seen = np.array([30.0, 40.0, 50.0]), np.ones(3, bool)
    found = vg.compare_times(late, seen, late, seen, budget=20)
    assert found.share_a == found.share_b == share(0, 3)
    assert (found.restricted_mean_a, found.restricted_mean_difference.value) == (20, 0)
    at_the_budget = vg.compare_times(late, seen, late, seen, budget=30)
    assert at_the_budget.share_a == pytest.approx(share(1, 3))


def test_the_median_of_an_even_number_of_runs_is_where_the_curve_is_one_half():
    for runs in (2, 6, 10, 50):
        times = np.arange(1.0, runs + 1)
        assert median_time(survival_curve(times, np.ones(runs, bool))).value == runs / 2


def test_the_interval_of_a_restricted_mean_stays_within_the_budget():
    soon = restricted_mean(np.array([0.5, 1.0, 1.5]), np.ones(3, bool), 100)
    assert soon[:2] == (1.0, 0.0)
    assert 1 < soon.high < 100
    never = restricted_mean(np.full(3, 100.0), np.zeros(3, bool), 100)
    assert (never.value, never.high) == (100, 100)
    assert 0 < never.low < 100
