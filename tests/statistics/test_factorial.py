import dataclasses

import numpy as np
import pytest
from scipy import stats

import vgrad_jax as vg
from tests.made import EPOCHS, made_results
from vgrad_jax.statistics.contrasts import correlations
from vgrad_jax.statistics.factorial import CAUSES, crossed, crossed_designs, effects
from vgrad_jax.statistics.run_outcomes import Outcomes

CELLS = ("tanh_uniform", "relu_uniform", "tanh_he", "relu_he")


def study(counts, n, names=CELLS, **options):
    """Four arms of which so many runs converge, at epoch 100."""
    rng = np.random.default_rng(0)
    times = {name: np.where(rng.permutation(n) < k, 100.0, np.nan) for name, k in zip(names, counts, strict=True)}
    return made_results(times, **options)


@pytest.mark.parametrize(
    ("counts", "n", "cause"),
    [
        # start, activation only, initialisation only, both
        ((0, 0, 200, 190), 200, "second"),
        ((0, 200, 0, 190), 200, "first"),
        ((0, 0, 100, 200), 200, "second_then_first"),
        ((0, 100, 0, 200), 200, "first_then_second"),
        ((0, 1, 8, 8), 8, "second_at_least"),
        # Nothing alone, and perhaps as much as 10 points on top of the other: not ruled out.
        ((0, 0, 150, 160), 200, "second_at_least"),
        ((0, 150, 0, 160), 200, "first_at_least"),
        ((0, 8, 1, 8), 8, "first_at_least"),
        # The second adds to the first, and may well do something alone: that it has to be the first is not said.
        ((0, 8, 3, 16), 16, "first_at_least"),
        ((0, 60, 120, 180), 200, "either"),
        ((0, 0, 0, 190), 200, "together"),
        ((100, 100, 100, 100), 200, "none_seen"),
    ],
)
def test_the_cause_follows_the_intervals(counts, n, cause):
    design = crossed(study(counts, n), "tanh_uniform", "relu_he")
    assert design.cause == cause
    assert design.conclusion == CAUSES[cause].format(first="activation", second="initialisation")


def test_effects_are_differences_of_shares_and_of_restricted_means():
    design = crossed(study((20, 60, 100, 180), 200), "tanh_uniform", "relu_he")
    shares = np.array([20, 60, 100, 180]) / 200
    means = EPOCHS - (EPOCHS - 100) * shares
    for scale, cell in (("share", shares), ("restricted_mean", means)):
        start, first, second, both = cell
        expected = {
            "first_alone": first - start,
            "second_alone": second - start,
            "together": both - start,
            "first_added": both - second,
            "second_added": both - first,
            "first_main": (first - start + both - second) / 2,
            "second_main": (second - start + both - first) / 2,
            "interaction": both - second - first + start,
        }
        for name, value in expected.items():
            estimate = getattr(getattr(design, name), scale)
            assert estimate.value == pytest.approx(value), name
            assert estimate.low < value < estimate.high
    assert design.first_main.share.n == 800


def test_runs_of_the_same_seed_that_are_alike_make_differences_sharper():
    alike = study((100, 100, 100, 100), 200)
    for name in ("converged", "epochs_to_converge"):
        alike[name][:] = alike[name][0]
    unlike = crossed(study((100, 100, 100, 100), 200), "tanh_uniform", "relu_he")
    design = crossed(alike, "tanh_uniform", "relu_he")
    assert design.first_main.share.half_width < 0.5 * unlike.first_main.share.half_width
    assert design.first_main.restricted_mean.half_width < 0.5 * unlike.first_main.restricted_mean.half_width


@pytest.mark.parametrize("latent", [0.0, 0.95, 0.99])
@pytest.mark.parametrize("runs", [16, *(pytest.param(runs, marks=pytest.mark.slow) for runs in (32, 128))])
def test_effects_of_arms_whose_seeds_fare_alike_cover(latent, runs):
    """Few seeds, and outcomes that are nearly the same in two arms: there the plain correlation promises too much."""
    rng, truth = np.random.default_rng(1), np.array([0.5, 0.55, 0.3, 0.4])
    missed = np.zeros(2)
    studies = 300
    for _ in range(studies):
        common, own = rng.normal(size=(runs, 1)), rng.normal(size=(runs, 4))
        hits = np.sqrt(latent) * common + np.sqrt(1 - latent) * own < stats.norm.ppf(truth)
        ends = {
            name: Outcomes(np.arange(runs), np.where(hit, 100.0, 200.0), hit, np.zeros(runs, bool), 200.0)
            for name, hit in zip(CELLS, hits.T, strict=True)
        }
        effect = effects(ends, CELLS, ("activation", "initialisation")).first_alone
        expected = truth[1] - truth[0]
        missed += [
            not effect.share.low <= expected <= effect.share.high,
            not effect.restricted_mean.low <= -100 * expected <= effect.restricted_mean.high,
        ]
    assert (missed / studies <= 0.05 + 3 * (0.05 * 0.95 / studies) ** 0.5).all()


def test_the_cells_are_found_by_what_they_are_not_by_their_names():
    article = vg.presets.article(epochs=EPOCHS)
    renamed = dict(zip("prsq", (article[name] for name in CELLS), strict=True))
    results = study((0, 1, 2, 3), 8, names="prsq", arms=renamed)
    design = crossed(results, "p", "q")
    assert (design.first_only, design.second_only) == ("r", "s")
    assert crossed(results.sel(arm=["p", "q", "r"]).assign_attrs(study_of(results, "pqr")), "p", "q") is None
    with pytest.raises(vg.InputError, match="no arm 'z'"):
        crossed(results, "p", "z")


def study_of(results, names):
    import json

    study = json.loads(results.attrs["study"])
    return {"study": json.dumps({**study, "arms": {name: study["arms"][name] for name in names}})}


def test_any_two_factors_are_found_once():
    base = vg.presets.article(epochs=EPOCHS)["tanh_he"]
    arms = {}
    for rate in (0.01, 0.1):
        for norm in (None, "layer"):
            arms[f"{rate} {norm}"] = dataclasses.replace(
                base,
                mlp=dataclasses.replace(base.mlp, norm=norm),
                optimizer=dataclasses.replace(base.optimizer, learning_rate=rate),
            )
    designs = crossed_designs(study((0, 50, 0, 50), 50, names=tuple(arms), arms=arms))
    assert [(design.first, design.second) for design in designs] == [("norm", "learning rate")]
    assert designs[0].cause == "first"


def test_three_levels_give_every_pair_of_them():
    names = ("tanh_uniform", "tanh_he", "tanh_glorot", "relu_uniform", "relu_he", "relu_glorot")
    designs = crossed_designs(study((0, 9, 9, 0, 9, 9), 9, names=names))
    assert {(design.start, design.both) for design in designs} == {
        ("tanh_uniform", "relu_he"),
        ("tanh_uniform", "relu_glorot"),
        ("tanh_he", "relu_glorot"),
    }


@pytest.mark.parametrize(("runs", "alike"), [(2, False), (3, True)])
def test_likeness_is_measured_from_three_common_seeds_on(runs, alike):
    hits = np.arange(runs) % 2 == 0
    arm = Outcomes(np.arange(runs), np.where(hits, 100.0, 200.0), hits, np.zeros(runs, bool), 200.0)
    plain, cautious = correlations([arm, arm], [arm.converged, arm.converged])
    assert plain[0, 1] == pytest.approx(1.0 if alike else 0.0)
    assert 0 <= cautious[0, 1] <= plain[0, 1]
    elsewhere = arm._replace(seeds=arm.seeds + runs)
    assert correlations([arm, elsewhere], [arm.converged, arm.converged])[0][0, 1] == 0


def test_the_cautious_correlation_is_newcombes():
    """Newcombe 1998, method 10: of a positive `ad - bc` half the number of pairs is taken off, and never below 0."""
    rng = np.random.default_rng(7)
    for overlap in (0.0, 0.4, 0.9):
        n = 40
        first = rng.random(n) < 0.5
        second = np.where(rng.random(n) < overlap, first, rng.random(n) < 0.4)
        both, neither = np.sum(first & second), np.sum(~first & ~second)
        only_first, only_second = np.sum(first & ~second), np.sum(~first & second)
        excess = both * neither - only_first * only_second
        scale = np.sqrt(float(first.sum() * (~first).sum() * second.sum() * (~second).sum()))
        arms = [
            Outcomes(np.arange(n), np.where(hits, 100.0, 200.0), hits, np.zeros(n, bool), 200.0)
            for hits in (first, second)
        ]
        plain, cautious = correlations(arms, [arm.converged for arm in arms])
        assert plain[0, 1] == plain[1, 0] == pytest.approx(excess / scale)
        assert cautious[0, 1] == pytest.approx((max(excess - n / 2, 0) if excess > 0 else excess) / scale)
        assert plain[0, 0] == cautious[1, 1] == 1
