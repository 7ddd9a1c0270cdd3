"""Bands over training against NumPy's quantiles of the stored numbers; every quantile is told from its neighbours."""

import numpy as np
import pytest

import vgrad_jax as vg
from tests.made import made_results
from vgrad_jax.statistics import accuracy_band, gradient_profile, gradient_quantiles, streaming, weight_band
from vgrad_jax.statistics.streaming import record_slices, seed_quantiles

RUNS, LOST, EPOCHS = 204, 3, 20
ARMS = {"deep": (3, 3, 3), "shallow": (3,)}


@pytest.fixture(scope="module")
def results():
    """Arms of different depth; 201 finished runs each, so that the quantiles are 10 runs apart and more."""
    arms = {
        name: vg.Experiment(
            mlp=vg.MLP(hidden=hidden),
            training=vg.Training(epochs=EPOCHS),
            recording=vg.Recording(every=4, parameters_at=(0, 8, 20)),
        )
        for name, hidden in ARMS.items()
    }
    made = made_results(dict.fromkeys(ARMS, np.full(RUNS, 10.0)), arms=arms, epochs=EPOCHS, seed=3)
    made["completed"][:, :LOST] = False
    rng = np.random.default_rng(4)
    for name in ("train_accuracy", "gradient_log10_rms", "parameters"):
        made[name][:] = np.where(np.isnan(made[name]), np.nan, rng.normal(-2, 1, made[name].shape))
    return made


def finished(results, name, arm):
    return results[name].sel(arm=arm).values[LOST:].astype(np.float64)


@pytest.mark.parametrize("records_at_once", [1, 4, 6])
@pytest.mark.parametrize("arm", ARMS)
def test_a_band_of_accuracies(results, monkeypatch, arm, records_at_once):
    monkeypatch.setattr(streaming, "SLICE_BYTES", records_at_once * (RUNS - LOST) * 4)
    values = finished(results, "train_accuracy", arm)
    found = accuracy_band(results, arm)
    np.testing.assert_allclose(
        found.quantiles, np.quantile(values, [0, 0.05, 0.25, 0.5, 0.75, 0.95], axis=0), rtol=1e-6
    )
    np.testing.assert_array_equal(found.single, values[0])
    np.testing.assert_array_equal(found.epochs, [0, 4, 8, 12, 16, 20])
    assert (found.seed, found.n) == (LOST, RUNS - LOST)


@pytest.mark.parametrize("arm", ARMS)
def test_a_profile_and_a_heat_map_hold_sizes_of_single_seeds(results, arm):
    layers = len(ARMS[arm]) + 1
    values = finished(results, "gradient_log10_rms", arm)[..., :layers]
    assert np.isfinite(values).all()
    ordered = np.sort(values, axis=0)
    for record in (0, -1):
        found = gradient_profile(results, arm, record)
        np.testing.assert_array_equal(found.quantiles, ordered[[10, 100, 190], record])
        assert (found.zero_share, found.smallest) == (0, values[:, record].min())
    np.testing.assert_array_equal(gradient_quantiles(results, arm), ordered[[20, 100, 180]])


def test_zeros_and_nan_in_a_profile(results):
    made = results.copy(deep=True)
    sizes = made["gradient_log10_rms"].sel(arm="deep").values  # A view.
    sizes[LOST : LOST + 50, 0, :2] = -np.inf
    sizes[-1, 0, 0] = np.nan
    found = gradient_profile(made, "deep", 0)
    assert found.zero_share == 50 / 201  # A run with two such layers counts once.
    assert found.smallest == sizes[LOST:, 0][np.isfinite(sizes[LOST:, 0])].min()
    column = np.sort(sizes[LOST:, 0, 0])[:-1]  # Without the NaN, 200 runs.
    np.testing.assert_array_equal(found.quantiles[:, 0], column[[9, 99, 189]])
    sizes[:, 0] = 2.0
    assert gradient_profile(made, "deep", 0).smallest == 0


def test_a_band_of_weights(results):
    made = results.copy(deep=True)
    weights = made["parameters"].sel(arm="deep").values
    first = [name.startswith("0/kernel/") for name in made["parameter"].values]
    weights[LOST, 2, first] = np.inf
    weights[LOST + 1, 1:, first] = np.nan
    kernel = weights[LOST:, :, first].astype(np.float64)
    distance = np.abs(kernel - kernel[:, :1]).mean(axis=2)
    found = weight_band(made, "deep")
    for epoch in range(3):
        column = distance[np.isfinite(distance[:, epoch]), epoch]
        assert len(column) == RUNS - LOST - epoch
        np.testing.assert_allclose(
            found.quantiles[:, epoch], np.quantile(column, [0.05, 0.25, 0.5, 0.75, 0.95]), rtol=1e-5, atol=1e-7
        )
    np.testing.assert_allclose(found.single, [*distance[0, :2], np.nan], rtol=1e-5)
    assert found.epochs.tolist() == [0, 8, 20]
    assert (found.n, found.lost) == (RUNS - LOST, 2)
    assert weight_band(made.isel(parameters_epoch=[0, 1]), "deep") is None
    assert weight_band(made.drop_vars("parameters"), "deep") is None


@pytest.mark.parametrize("chunk", [None, 1, 2, 4])
@pytest.mark.parametrize("at_once", [1, 2, 3, 100])
def test_a_few_records_at_a_time_change_nothing(results, monkeypatch, at_once, chunk):
    values = results["gradient_log10_rms"].sel(arm="deep").copy()
    values.encoding = {} if chunk is None else {"chunks": (1, RUNS, chunk, 4)}
    monkeypatch.setattr(streaming, "SLICE_BYTES", values.nbytes // 6 * at_once)
    slices = list(record_slices(values))
    np.testing.assert_array_equal(np.concatenate(slices, axis=1), values.values)
    # As many records as fit; no chunk of the store is in two slices where it fits.
    expected = at_once if chunk is None or at_once <= chunk else at_once // chunk * chunk
    assert [part.shape[1] for part in slices[:-1]] == [expected] * (len(slices) - 1)
    assert 1 <= slices[-1].shape[1] <= expected
    np.testing.assert_array_equal(
        seed_quantiles(values, [0.25, 0.75]), np.quantile(values.values, [0.25, 0.75], axis=0, method="lower")
    )
