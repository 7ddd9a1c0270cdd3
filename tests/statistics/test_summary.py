import dataclasses

import jax
import numpy as np
import pytest

import vgrad_jax as vg
from tests.made import EPOCHS, made_results
from vgrad_jax.statistics.summary import summarise

NEVER = np.nan


@pytest.fixture
def results():
    times = np.array([20, 30, NEVER, 40, NEVER, 60, 70, NEVER])
    return made_results({"tanh_uniform": times, "relu_he": np.full(8, NEVER)})


def test_against_the_plain_arithmetic(results):
    for summary in summarise(results):
        runs = results.sel(arm=summary.arm)
        times = np.where(runs["converged"], runs["epochs_to_converge"], np.inf)
        assert summary.n == 8
        assert summary.converged.value == np.isfinite(times).mean()
        assert summary.restricted_mean_epochs.value == pytest.approx(np.minimum(times, EPOCHS).mean())
        assert summary.median_epochs.value == np.sort(times)[3]
        final = runs["test_accuracy"].values[:, -1].astype(float)
        quantiles = [part.value for part in summary.test_accuracy[1:]]
        np.testing.assert_allclose(quantiles, np.quantile(final, [0.1, 0.5, 0.9]))
        for record, shown in ((0, summary.initial_gradient_log10_rms), (-1, summary.final_gradient_log10_rms)):
            sizes = runs["gradient_log10_rms"].values[:, record].astype(float)
            np.testing.assert_array_equal(shown, np.quantile(sizes, 0.5, axis=0, method="lower"))


def test_every_run_has_one_fate(results):
    results["outcome"].loc[{"arm": "tanh_uniform", "seed": 2}] = "diverged"
    results["gradient_log10_rms"].loc[{"arm": "tanh_uniform", "seed": [2, 4], "layer": 0, "record": EPOCHS}] = -np.inf
    summary = summarise(results)[0]
    fates = (summary.converged, summary.diverged, summary.dead, summary.stuck)
    assert [fate.value * 8 for fate in fates] == [5, 1, 1, 1]


def test_unfinished_runs_are_left_out(results):
    results["completed"][:, 5:] = False
    assert [summary.n for summary in summarise(results)] == [5, 5]
    results["completed"][0] = False
    with pytest.raises(vg.InputError, match="no run of arm 'tanh_uniform' is finished"):
        summarise(results)


def test_the_key_moves_nothing_but_the_bootstrap(results):
    default, same, other = (summarise(results, key)[0] for key in (None, jax.random.key(0), jax.random.key(1)))
    assert default == same
    assert default.converged == other.converged
    assert default.test_accuracy.interquartile_mean != other.test_accuracy.interquartile_mean


def test_sizes_are_of_the_arms_own_layers_and_of_the_runs_that_have_them():
    base = vg.Experiment(training=vg.Training(epochs=EPOCHS))
    arms = {
        "deep": dataclasses.replace(base, mlp=vg.MLP(hidden=(4, 4))),
        "shallow": dataclasses.replace(base, mlp=vg.MLP(hidden=(4,))),
    }
    made = made_results({name: np.full(7, NEVER) for name in arms}, arms=arms)
    made["gradient_log10_rms"].loc[{"arm": "shallow", "seed": [1, 4], "layer": [0, 1]}] = np.nan
    deep, shallow = summarise(made)
    assert [len(sizes) for sizes in (deep.initial_gradient_log10_rms, shallow.initial_gradient_log10_rms)] == [3, 2]
    assert [len(sizes) for sizes in (deep.final_gradient_log10_rms, shallow.final_gradient_log10_rms)] == [3, 2]
    for record, shown in ((0, shallow.initial_gradient_log10_rms), (-1, shallow.final_gradient_log10_rms)):
        sizes = made["gradient_log10_rms"].sel(arm="shallow").values[[0, 2, 3, 5, 6], record, :2]
        np.testing.assert_array_equal(shown, np.sort(sizes, axis=0)[2])
