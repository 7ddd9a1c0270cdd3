import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import vgrad_jax as vg
from vgrad_jax.gradients.stats import layer_log10_rms
from vgrad_jax.losses import LOSSES
from vgrad_jax.statistics import initial
from vgrad_jax.statistics.auc import area_under_roc
from vgrad_jax.statistics.failure import ALL_ARMS, Predictor, predictors, rank
from vgrad_jax.statistics.initial import initial_measurements, redrawn_parameters
from vgrad_jax.statistics.intervals import Estimate
from vgrad_jax.training.records import batch_loss


@pytest.fixture(scope="module")
def experiment():
    """Units that saturate, and units that die."""
    return vg.Experiment(
        mlp=vg.MLP(
            hidden=(4, 3), activation=("tanh", "relu"), kernel_init="uniform(-3, 3)", bias_init="uniform(-4, 1)"
        ),
        data=vg.Data("moons", samples=40),
        training=vg.Training(epochs=1, batch_size=20),
    )


@pytest.fixture(scope="module")
def results(experiment):
    return vg.sweep({"mixed": experiment}, 12, seed=5, progress=False)


@pytest.mark.parametrize("ties", [False, True])
def test_the_area_is_scipys_statistic(ties):
    rng = np.random.default_rng(0)
    positive, negative = rng.normal(0.5, 1, 30), rng.normal(0, 1, 70)
    if ties:
        positive, negative = positive.round(), negative.round()
    positive[0], negative[0] = np.inf, -np.inf
    expected = stats.mannwhitneyu(positive, negative).statistic / (30 * 70)
    assert area_under_roc(positive, negative).value == pytest.approx(expected, rel=1e-12)


def test_the_variance_is_delongs_and_brunner_and_munzels():
    rng = np.random.default_rng(1)
    positive, negative = rng.normal(0.5, 1, 25).round(1), rng.normal(0, 1, 60).round(1)
    area, _, high, n = area_under_roc(positive, negative)
    # As DeLong wrote it: every pair compared.
    pairs = (positive[:, None] > negative).astype(float) + 0.5 * (positive[:, None] == negative)
    assert area == pytest.approx(pairs.mean(), rel=1e-12)
    error = np.sqrt(pairs.mean(1).var(ddof=1) / 25 + pairs.mean(0).var(ddof=1) / 60)
    # And as scipy tests it: its statistic is the distance from one half over the same error.
    found = stats.brunnermunzel(negative, positive)
    assert found.statistic == pytest.approx((area - 0.5) / error, rel=1e-9)
    half = np.log(high / (1 - high)) - np.log(area / (1 - area))
    quantile = half * area * (1 - area) / error
    # The degrees of freedom are those that give scipy's p-value.
    freedom = next(f for f in np.arange(20, 84, 0.05) if stats.t.ppf(0.975, f) <= quantile)
    assert 2 * stats.t.sf(abs(found.statistic), freedom) == pytest.approx(found.pvalue, rel=0.01)
    assert n == 85


def test_the_interval_is_close_to_a_bootstraps():
    rng = np.random.default_rng(2)
    positive, negative = rng.normal(0.8, 1, 60), rng.normal(0, 1, 120)

    def area(a, b, axis=-1):
        return stats.mannwhitneyu(a, b, axis=axis, method="asymptotic").statistic / (a.shape[axis] * b.shape[axis])

    found = area_under_roc(positive, negative)
    other = stats.bootstrap(
        (positive, negative), area, n_resamples=2000, vectorized=True, method="percentile", rng=rng
    ).confidence_interval
    np.testing.assert_allclose(found[1:3], other, atol=0.02)


@pytest.mark.parametrize(("m", "n"), [(8, 56), (64, 64)])
@pytest.mark.parametrize("area", [0.5, 0.3, 0.85])
def test_the_interval_covers(m, n, area):
    rng = np.random.default_rng(3)
    shift = np.sqrt(2) * stats.norm.ppf(area)
    found = [area_under_roc(rng.normal(shift, 1, m), rng.normal(0, 1, n)) for _ in range(1000)]
    covered = np.mean([estimate.low <= area <= estimate.high for estimate in found])
    assert 0.93 - 0.007 <= covered <= 0.97 + 0.0055  # One standard error of 1000 draws.


def test_the_interval_where_every_pair_goes_the_same_way():
    value, low, high, _ = area_under_roc(np.arange(10.0) + 100, np.arange(20.0))
    assert value == high == 1
    assert 0.75 < low < 0.95
    # At the bound, the distance from 1 is as many of Hanley and McNeil's standard errors as the normal's quantile.
    q1, q2 = low / (2 - low), 2 * low**2 / (1 + low)
    equal = (10 + 20) / 2  # Newcombe's method 5 takes both numbers of runs as their mean.
    variance = (low * (1 - low) + (equal - 1) * (q1 - low**2) + (equal - 1) * (q2 - low**2)) / (10 * 20)
    assert (1 - low) / np.sqrt(variance) == pytest.approx(stats.norm.ppf(0.975), rel=1e-6)
    mirrored = area_under_roc(np.arange(20.0), np.arange(10.0) + 100)
    np.testing.assert_allclose(mirrored[:3], (0, 0, 1 - low))
    for few, many in ((5, 6), (50, 60)):  # More runs say more.
        low = area_under_roc(np.arange(float(few)) + 100, np.arange(float(many))).low
        assert 0 < low < 1
    assert low > 0.93
    with pytest.raises(vg.InputError, match="nothing to tell apart"):
        area_under_roc(np.ones(5), np.ones(5))
    with pytest.raises(vg.InputError, match="two numbers of each kind"):
        area_under_roc(np.ones(1), np.ones(5))


def test_redrawn_parameters_are_those_that_the_runs_started_from(experiment, results):
    data, runs = vg.load_data(experiment.data), np.array([7, 2, 11])
    batch, loss = (jnp.asarray(data.train_x), jnp.asarray(data.train_y)), LOSSES[experiment.training.loss]
    look = jax.jit(jax.vmap(jax.value_and_grad(lambda params: batch_loss(params, batch, experiment.mlp, loss))))
    value, gradient = look(redrawn_parameters(experiment, 5, runs))
    stored = results.sel(arm="mixed", seed=runs).isel(record=0)
    np.testing.assert_allclose(jax.jit(jax.vmap(layer_log10_rms))(gradient), stored["gradient_log10_rms"], atol=1e-4)
    np.testing.assert_allclose(value, stored["train_loss"], rtol=1e-5)


def test_measurements_against_numpy(experiment, results, monkeypatch):
    monkeypatch.setattr(initial, "SEEDS_AT_ONCE", 5)  # The last piece is filled up.
    rows = vg.load_data(experiment.data).train_x[np.linspace(0, 19, 16).round().astype(int)].astype(float)
    found = initial_measurements(results, "mixed")
    assert all(values.shape == (12,) for values in found.values())
    (kernel, bias), (second, shift), _ = jax.tree.map(
        lambda leaf: np.asarray(leaf, float), redrawn_parameters(experiment, 5, np.arange(12))
    )
    for seed in range(12):
        z = rows @ kernel[seed] + bias[seed]
        slope = 1 - np.tanh(z) ** 2
        on = np.tanh(z) @ second[seed] + shift[seed] > 0
        jacobian = np.einsum("rk,kj,rj,ik->rji", slope, second[seed], on, kernel[seed])
        singular = np.sort(np.linalg.svd(jacobian, compute_uv=False), axis=0)[7]
        with np.errstate(divide="ignore"):
            expected = np.log10(np.where(singular > 1e-7 * singular[0], singular, 0))
        np.testing.assert_allclose(found["jacobian_largest"][seed], expected[0], atol=1e-3)
        np.testing.assert_allclose(found["jacobian_smallest"][seed], expected[1], atol=1e-2)
        assert found["saturated_share"][seed] == pytest.approx(np.mean(slope < 0.02), abs=1e-6)
        assert found["dead_share"][seed] == pytest.approx(np.mean(~on.any(axis=0)), abs=1e-6)
    assert found["saturated_share"].max() > 0
    assert found["dead_share"].max() > 0
    gradients = results["gradient_log10_rms"].sel(arm="mixed").isel(record=0).values
    np.testing.assert_allclose(found["smallest_gradient"], gradients.min(axis=1))
    with np.errstate(invalid="ignore"):
        ratio = np.where(np.isneginf(gradients[:, 0]), -np.inf, gradients[:, 0] - gradients[:, 2])
    np.testing.assert_allclose(found["first_over_last_gradient"], ratio, atol=1e-6)


def test_a_jacobian_without_full_rank_or_not_finite():
    jacobians = np.random.default_rng(8).normal(size=(4, 2, 5, 2)).astype(np.float32)
    jacobians[0, :, :, 1] = 3 * jacobians[0, :, :, 0]
    jacobians[1], jacobians[2, 0, 0, 0] = 0, np.nan
    largest, smallest = initial._singular_ends(jacobians)
    assert (largest[0] > 1).all()
    assert not smallest[0].any()
    assert not largest[1].any()
    assert largest[2, 0] == smallest[2, 0] == np.inf
    np.testing.assert_allclose(smallest[3], np.linalg.svd(jacobians[3].astype(float))[1][:, 1], rtol=1e-5)


def test_what_is_missing_or_not_finite_is_left_out_or_large(results):
    made = results.copy(deep=True)
    made["gradient_log10_rms"].loc[{"seed": 3, "record": 0}] = np.nan
    made["gradient_log10_rms"].loc[{"seed": 4, "record": 0}] = -np.inf
    study = json.loads(made.attrs["study"])
    study["data"]["mixed"] = "another"
    found = initial_measurements(made.assign_attrs(study=json.dumps(study)), "mixed")
    assert "jacobian_largest" not in found
    assert found["gradient_1"][3] == np.inf
    assert found["first_over_last_gradient"][4] == -np.inf
    assert not any(np.isnan(values).any() for values in found.values())


def test_a_planted_predictor_is_found_with_its_direction():
    rng = np.random.default_rng(4)
    n = 80
    failed = {arm: rng.random(n) < 0.4 for arm in ("a", "b")}
    measured = {
        arm: {
            "loss": rng.normal(size=n) + (2 if arm == "a" else -2) * failed[arm],
            **{f"gradient_{layer}": rng.normal(size=n) for layer in range(4)},
        }
        for arm in failed
    }
    found = rank(measured, failed)
    best = {one.scope: one for one in reversed(found)}
    assert list(dict.fromkeys(one.scope for one in found)) == ["a", "b", ALL_ARMS]
    assert (best["a"].measurement, best["a"].direction, best["a"].real) == ("loss", "large", True)
    assert (best["b"].measurement, best["b"].direction, best["b"].real) == ("loss", "small", True)
    assert best[ALL_ARMS].converged + best[ALL_ARMS].failed == 2 * n
    assert best["a"].area.value > 0.85
    assert not any(one.real for one in found if one.measurement != "loss")
    expected = stats.false_discovery_control([one.p_value for one in found])
    np.testing.assert_allclose([one.q_value for one in found], expected)


def test_pooled_an_arms_identity_is_a_predictor():
    """Nothing predicts within an arm; the arms differ in both, so that pooled everything seems to."""
    rng = np.random.default_rng(5)
    failed = {"good": rng.random(100) < 0.1, "bad": rng.random(100) < 0.9}
    measured = {arm: {"loss": rng.normal(3.0 * (arm == "bad"), 1, 100)} for arm in failed}
    good, bad, pooled = rank(measured, failed)
    assert not good.real
    assert not bad.real
    assert pooled.real


def test_false_discoveries_are_rare_when_nothing_predicts():
    rng = np.random.default_rng(6)
    studies = [
        rank({"a": {f"gradient_{k}": rng.normal(size=60) for k in range(5)}}, {"a": np.arange(60) < 20})
        for _ in range(80)
    ]
    share = np.mean([any(one.real for one in found) for found in studies])
    assert share <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 80)


def test_with_few_of_a_kind_nothing_is_said(results):
    made = results.copy(deep=True)
    made["converged"][:] = np.arange(12) >= 4
    found = predictors(made)
    assert len(found) == 10
    assert all(one.area is None and np.isnan(one.strength) and not one.real for one in found)
    assert "8 converged and 4 failed, 5 of each are needed" in found[0].why_not
    made["converged"][:] = np.arange(12) >= 5
    told = [one for one in predictors(made) if one.area is not None]
    assert [one.strength for one in told] == sorted((one.strength for one in told), reverse=True)
    assert len(told) >= 8
    constant = rank({"a": {"loss": np.ones(20)}}, {"a": np.arange(20) < 9})
    assert "the same for all 20 runs" in constant[0].why_not


@pytest.mark.parametrize(
    ("low", "high", "q_value", "direction", "real"),
    [
        (0.6, 0.9, 0.01, "large", True),
        (0.1, 0.4, 0.05, "small", True),
        (0.6, 0.9, 0.051, "large", False),
        (0.5, 0.9, 0.01, "", False),
        (0.1, 0.5, 0.01, "", False),
    ],
)
def test_a_predictor_is_real_by_its_q_value_and_its_interval(low, high, q_value, direction, real):
    predictor = Predictor("a", "loss", Estimate((low + high) / 2, low, high, 20), q_value, q_value, 10, 10, "")
    assert (predictor.direction, predictor.real) == (direction, real)
    assert not predictor._replace(area=None, q_value=np.nan).real


@pytest.mark.parametrize(
    ("values", "failed", "message"),
    [
        (
            [*range(11), np.nan],
            {"a": np.arange(12) < 6},
            "arm 'a' must have a number .* NaN for 1 of 12 runs",
        ),
        ([np.nan] * 12, {"a": np.arange(12) < 2}, "arm 'a' must have a number .* NaN for 12 of 12 runs"),
        (range(11), {"a": np.arange(12) < 6}, r"a value for each run .* got shape \(11,\) for 12 runs"),
        (range(12), {"b": np.arange(12) < 6}, r"a value for each run .* got shape \(12,\) for 0 runs"),
    ],
)
def test_measurements_that_cannot_be_ranked_are_named(values, failed, message):
    with pytest.raises(vg.InputError, match=message):
        rank({"a": {"loss": np.array([*values], float)}}, failed)


def test_arms_may_have_different_numbers_of_runs():
    values = {"a": np.arange(12.0), "b": np.arange(20.0)}
    found = rank({arm: {"loss": runs} for arm, runs in values.items()}, {arm: runs > 5 for arm, runs in values.items()})
    assert [(one.scope, one.converged, one.failed) for one in found] == [
        ("a", 6, 6),
        ("b", 6, 14),
        (ALL_ARMS, 12, 20),
    ]


def test_an_infinite_measurement_is_the_largest():
    """As in `initial_measurements`, where NaN has become inf."""
    values = np.arange(12.0)
    (plain,) = rank({"a": {"loss": values}}, {"a": values > 5})
    (infinite,) = rank({"a": {"loss": np.where(values > 9, np.inf, values)}}, {"a": values > 5})
    assert plain.area.value == infinite.area.value == 1


@pytest.mark.parametrize("where", [0, 1])
def test_an_area_with_a_value_that_is_not_a_number_is_refused(where):
    kinds = [np.array([1.0, 2.0, 4.0]), np.array([1.0, 3.0, 5.0])]
    kinds[where][1] = np.nan
    with pytest.raises(vg.InputError, match="two numbers of each kind"):
        area_under_roc(*kinds)


def test_the_p_value_is_the_normal_one_with_continuity_however_few_the_runs_are():
    values = np.array([1.0, 2, 3, 4, 7, 5, 6, 8, 9, 10])
    failed = np.arange(10) >= 5
    (found,) = rank({"a": {"loss": values}}, {"a": failed})
    larger = np.sum(values[failed][:, None] > values[~failed])
    assert found.area.value == pytest.approx(larger / 25, rel=1e-12)
    z = (larger - 25 / 2 - 0.5) / np.sqrt(5 * 5 * 11 / 12)
    assert found.p_value == pytest.approx(2 * stats.norm.sf(z), rel=1e-9)


def test_all_arms_together_have_the_measurements_that_every_arm_has():
    values, failed = np.arange(12.0), np.arange(12) > 5
    measured = {"a": {"loss": values, "dead_share": values}, "b": {"loss": values, "saturated_share": values}}
    found = rank(measured, dict.fromkeys(measured, failed))
    assert [one.measurement for one in found if one.scope == ALL_ARMS] == ["loss"]
    assert len(found) == 5


def test_the_loss_and_the_gradients_are_those_of_the_initial_networks(experiment, results):
    """Forwards by hand: the network ends in one logit, and `log(1 + exp)` is its cross-entropy."""
    data = vg.load_data(experiment.data)
    layers = jax.tree.map(lambda leaf: np.asarray(leaf, float), redrawn_parameters(experiment, 5, np.arange(12)))
    h = np.broadcast_to(np.asarray(data.train_x, float), (12, *data.train_x.shape))
    for (kernel, bias), function in zip(layers, (np.tanh, lambda z: np.maximum(z, 0), lambda z: z), strict=True):
        h = function(h @ kernel + bias[:, None])
    loss = np.mean(np.logaddexp(0, h[..., 0]) - data.train_y * h[..., 0], axis=1)
    found = initial_measurements(results, "mixed")
    np.testing.assert_allclose(found["loss"], loss, rtol=1e-5)
    stored = results["gradient_log10_rms"].sel(arm="mixed").values[:, 0]
    np.testing.assert_array_equal(np.stack([found[f"gradient_{layer}"] for layer in range(3)], axis=1), stored)


@pytest.mark.parametrize("shape", [(50, 2), (2, 50), (7, 7)])
def test_a_singular_value_is_zero_where_numpys_rank_says_so(shape):
    eps = float(np.finfo(np.float32).eps)
    sizes = np.array([0.5, 1.5, 5, 10, 40, 60]) * eps
    jacobians = np.zeros((len(sizes), 1, *shape), np.float32)
    jacobians[..., 0, 0], jacobians[:, 0, 1, 1] = 1, sizes
    for index in range(2, min(shape)):
        jacobians[..., index, index] = 1
    smallest = initial._singular_ends(jacobians)[1][:, 0]
    full = [np.linalg.matrix_rank(one[0]) == min(shape) for one in jacobians]
    np.testing.assert_array_equal(smallest > 0, full)
    assert 0 < sum(full) < len(sizes)


@pytest.mark.parametrize(
    ("activation", "there"), [("tanh", {"saturated_share"}), ("relu", {"dead_share"}), ("elu", set())]
)
def test_shares_of_units_that_the_network_lacks_are_left_out(experiment, activation, there):
    arm = dataclasses.replace(experiment, mlp=vg.MLP(hidden=(3,), activation=activation))
    found = initial_measurements(vg.sweep({"a": arm}, 2, progress=False), "a")
    assert {"saturated_share", "dead_share"} & set(found) == there
