"""The race's evidence against integrals and other people's distributions, and its errors by simulation."""

import numpy as np
import pytest
from scipy import integrate, stats

from vgrad_jax.prescription.racing import ERROR, Race, log_evidence, run_race, upper_bound
from vgrad_jax.statistics.time_uniform import confidence_sequence

ENOUGH = 0.75


def test_the_evidence_is_the_integral_of_the_bets():
    differences = np.array([1.0, 1.0, -1.0, 0.5, 0.0, -0.25])

    def wealth(p):
        return 2 * np.prod([(2 * p) ** d if d > 0 else (2 - 2 * p) ** -d for d in differences])

    expected, _ = integrate.quad(wealth, 0.5, 1)
    np.testing.assert_allclose(np.exp(log_evidence(differences)), expected, rtol=1e-8)


def test_evidence_against_is_small_and_does_not_overflow():
    evidence = log_evidence(np.stack([np.ones(3000), -np.ones(3000), np.zeros(3000)]))
    assert evidence[0] > 1000
    assert evidence[1] < -5
    assert evidence[2] == 0


@pytest.mark.parametrize("mean", [0.0, -0.3])
def test_the_wealth_of_a_fair_bet_does_not_grow_on_average(mean):
    """Fractions, ties and losses: the mean of the evidence stays below 1 at every look."""
    values = np.array([-1.0, -0.25, 0.0, 0.75])
    shares = np.array([0.2, 0.2, 4 / 15, 1 / 3]) if mean == 0 else np.array([0.4, 0.2, 0.2, 0.2])
    assert values @ shares <= 1e-12
    draws = np.random.default_rng(1).choice(values, p=shares, size=(20000, 12))
    for looks in (1, 4, 12):
        wealth = np.exp(log_evidence(draws[:, :looks]))
        assert wealth.mean() < 1 + 4 * wealth.std() / len(wealth) ** 0.5


def test_the_bound_is_that_of_the_confidence_sequence():
    outcomes = np.r_[np.ones(5), np.zeros(11)]
    _, high = confidence_sequence(np.array([5]), np.array([16]))
    np.testing.assert_allclose(upper_bound(outcomes, ERROR), high[0], atol=1e-6)
    assert upper_bound(np.ones(4), ERROR) == 1


def raced(outcomes, step=8):
    """Race of made-up outcomes `(arm, seed)`, the untouched network first."""
    arms = len(outcomes) - 1
    race = Race(outcomes[0], arms, ENOUGH)
    race.enter({str(arm): 1 + arm for arm in range(arms)})
    run_race(race, lambda names, start, n: {k: outcomes[1 + int(k), start : start + n] for k in names}, step)
    return race


def drawn(shares, generator, seeds=32):
    """Outcomes of arms with common seeds: half of each outcome is the seed's own luck."""
    luck = stats.norm.cdf(
        (generator.normal(size=seeds) + generator.normal(size=(len(shares), seeds))) / np.sqrt(2)
    )  # uniform, correlated between arms
    return (luck < np.asarray(shares)[:, None]).astype(float)


def misses(shares, wrong, races, step):
    generator = np.random.default_rng(0)
    return sum(wrong(raced(drawn(shares, generator), step)) for _ in range(races))


def allowed(races):
    """Largest number of errors that a chance of `ERROR` explains, once in a thousand tests."""
    return stats.binom.ppf(0.999, races, ERROR)


@pytest.mark.parametrize("step", [1, 8])
def test_the_best_is_rarely_dropped(step):
    races = 40 if step == 1 else 200
    shares = (0.1, 0.8, 0.78, 0.75, 0.7, 0.5, 0.1)
    assert misses(shares, lambda race: "0" not in race.in_the_running, races, step) <= allowed(races)


def test_a_change_without_effect_is_rarely_said_to_work():
    shares = (0.7,) * 6
    assert misses(shares, lambda race: bool(race.proven), 200, 8) <= allowed(200)


def test_sure_cures_are_found_with_few_seeds_and_hopeless_changes_are_dropped():
    outcomes = np.zeros((7, 32))
    outcomes[3] = outcomes[5] = 1
    race = raced(outcomes)
    assert race.working == ["2", "4"]
    assert {len(race.outcomes[name]) for name in race.hopeless} == {8}
    assert sorted(race.in_the_running) == ["2", "4"]


def test_a_smaller_change_goes_on_until_it_is_known_to_work():
    """The better change drops the smaller one from the running for the best, not from that for the smallest."""
    untouched = np.isin(np.arange(128) % 10, [0, 1, 2, 3, 4])
    smaller = ~np.isin(np.arange(128) % 10, [0, 1])
    race = raced(np.stack([untouched, smaller, np.ones(128)]).astype(float))
    assert race.worse == {"0": "1"}
    assert race.working == ["0", "1"]
    assert len(race.outcomes["0"]) < 128
    shorter = raced(np.stack([untouched, smaller, np.ones(128)]).astype(float)[:, :56])
    assert shorter.worse == {"0": "1"}
    assert shorter.working == ["1"]


def test_a_share_below_enough_does_not_work():
    outcomes = np.stack([np.zeros(64), np.arange(64) % 5 < 3]).astype(float)
    race = raced(outcomes)
    assert race.proven == {"0"}
    assert race.working == []


def test_a_change_whose_runs_lose_what_they_reached_does_not_work():
    race = raced(np.stack([np.zeros(32), np.ones(32)]))
    assert race.working == ["0"]
    race.lost = {"0"}
    assert race.working == []
