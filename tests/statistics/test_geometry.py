"""Geometry of initial networks against NumPy: a forward pass, singular values and finite differences of their own."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize

import vgrad_jax as vg
from vgrad_jax.data import load_data
from vgrad_jax.keys import network_key, run_key
from vgrad_jax.losses import LOSSES
from vgrad_jax.nets.mlp import init_mlp
from vgrad_jax.statistics import arm_geometries, effective_rank, geometry_of
from vgrad_jax.statistics.geometry import FEWEST_ROWS, MOST_DERIVATIVES, MOST_VALUES, TANGENT_ROWS

SEEDS = 3
DATA = vg.Data("moons", samples=160)


def experiment(**network):
    return vg.Experiment(mlp=vg.MLP(**network), data=DATA)


def networks(arm, seeds=SEEDS):
    """Parameters of the first seeds in JAX, and as plain float64 arrays a seed each."""
    dataset = load_data(arm.data)
    drawn = [init_mlp(network_key(run_key(0, seed)), arm.mlp, dataset.train_x.shape[1]) for seed in range(seeds)]
    plain = [[tuple(np.asarray(leaf, np.float64) for leaf in layer) for layer in params] for params in drawn]
    return dataset, jax.tree.map(lambda *leaves: np.stack(leaves), *drawn), plain


def forward(layers, x, activation=np.tanh):
    """Hidden layers and logits, of rows."""
    hidden, values = x, []
    for kernel, bias in layers[:-1]:
        hidden = activation(hidden @ kernel + bias)
        values.append(hidden)
    return values, hidden @ layers[-1][0] + layers[-1][1]


def differences(function, at, step=1e-5):
    """Central differences of a function of a flat vector, a column for each of its elements."""
    steps = step * np.eye(len(at))
    return np.stack([(function(at + own) - function(at - own)) / (2 * step) for own in steps], axis=-1)


def unravel(flat, layers):
    pieces = np.split(flat, np.cumsum([leaf.size for layer in layers for leaf in layer])[:-1])
    leaves = iter(pieces)
    return [tuple(next(leaves).reshape(leaf.shape) for leaf in layer) for layer in layers]


@pytest.mark.parametrize("init", ["uniform(0, 1)", "he_uniform"])
def test_units_and_their_ranks_are_those_of_a_forward_pass_in_numpy(init):
    """Sigmoid units have a mean, which a covariance leaves out."""
    arm = experiment(hidden=(5, 7, 4), kernel_init=init, activation="sigmoid")
    dataset, params, plain = networks(arm)
    geometry = geometry_of(arm, dataset, params)
    x = np.asarray(dataset.train_x, np.float64)
    for seed, layers in enumerate(plain):
        values, _ = forward(layers, x, lambda z: 1 / (1 + np.exp(-z)))
        for layer, units in enumerate(values):
            powers = np.linalg.svd(units - units.mean(axis=0), compute_uv=False) ** 2
            expected = powers.sum() ** 2 / (powers**2).sum()
            assert geometry.effective_rank[seed, layer] == pytest.approx(expected, rel=1e-3)
        pairs = np.abs(np.corrcoef(values[-1], rowvar=False))[np.triu_indices(4, 1)]
        assert geometry.correlation[seed] == pytest.approx(pairs.mean(), abs=1e-4)
        assert geometry.hidden[seed].singular_ratio == pytest.approx(np.sqrt(powers[1] / powers[0]), rel=1e-2)
    assert geometry.rows == len(x)
    assert geometry.widths == (5, 7, 4)


def test_gradients_and_the_tangent_kernel_are_those_of_finite_differences():
    arm = experiment(hidden=(4, 3), kernel_init="he_uniform")
    dataset, params, plain = networks(arm)
    geometry = geometry_of(arm, dataset, params)
    assert geometry.tangent_rows == len(dataset.train_x) <= TANGENT_ROWS
    x = np.asarray(dataset.train_x, np.float64)
    for seed, layers in enumerate(plain):
        flat = np.concatenate([leaf.ravel() for layer in layers for leaf in layer])
        jacobian = differences(lambda at, own=layers: forward(unravel(at, own), x)[1][:, 0], flat)
        eigenvalues = np.linalg.eigvalsh(jacobian @ jacobian.T)[::-1]
        expected = eigenvalues[: geometry.tangent.shape[1]] / eigenvalues[0]
        np.testing.assert_allclose(geometry.tangent[seed], expected, rtol=1e-3, atol=1e-7)
        by_input = np.stack([differences(lambda at, own=layers: forward(own, at[None])[1][0], row)[0] for row in x])
        by_input /= np.linalg.norm(by_input, axis=1, keepdims=True)
        pairs = (by_input @ by_input.T)[np.triu_indices(len(x), 1)]
        assert geometry.gradient_cosine[seed] == pytest.approx(pairs.mean(), abs=1e-4)


def test_seeds_are_those_of_the_sweep():
    arm = replace(experiment(hidden=(5, 5), kernel_init="uniform(0, 1)"), training=vg.Training(epochs=1))
    results = vg.sweep({"own": arm}, SEEDS, progress=False)
    (geometry,) = arm_geometries(results).values()
    dataset, params, _ = networks(arm)
    expected = geometry_of(arm, dataset, params)
    np.testing.assert_allclose(geometry.correlation, expected.correlation, rtol=1e-6)
    np.testing.assert_allclose(geometry.tangent, expected.tangent, rtol=1e-3, atol=1e-8)
    assert len(set(geometry.correlation.round(9))) == SEEDS


def test_positive_kernels_are_collinear_and_kernels_of_mean_zero_are_not():
    positive, centred = (
        geometry_of(arm, *networks(arm, 16)[:2])
        for arm in (vg.Experiment(mlp=vg.MLP(kernel_init=init)) for init in ("uniform(0, 1)", "he_uniform"))
    )
    assert np.median(positive.correlation) > 0.995 > 0.9 > np.median(centred.correlation)
    assert np.median(positive.effective_rank[:, -1]) < 1.01 < 1.2 < np.median(centred.effective_rank[:, -1])
    assert np.median(positive.gradient_cosine) > 0.99 > 0.8 > np.median(centred.gradient_cosine)
    assert np.median(positive.tangent[:, 4]) < 0.1 * np.median(centred.tangent[:, 4])


def test_what_cannot_be_measured_is_left_out_with_its_reason():
    assert geometry_of(experiment(hidden=(1,)), *networks(experiment(hidden=(1,)))[:2]) is None
    assert geometry_of(experiment(hidden=()), *networks(experiment(hidden=()))[:2]) is None
    normed = experiment(hidden=(4, 4), norm="batch")
    geometry = geometry_of(normed, *networks(normed)[:2])
    assert geometry.tangent is None
    assert "batch norm" in geometry.why_not
    assert np.isfinite(geometry.correlation).all()
    wide = experiment(hidden=(MOST_DERIVATIVES // TANGENT_ROWS, 2))
    geometry = geometry_of(wide, *networks(wide, 1)[:2])
    assert geometry.gradient_cosine is None
    assert "too large" in geometry.why_not
    wider = experiment(hidden=(MOST_VALUES // FEWEST_ROWS + 1,))
    assert geometry_of(wider, *networks(wider, 1)[:2]) is None


def test_the_last_layer_of_two_units_is_judged():
    heads = experiment(hidden=(5, 3, 1), activation=("tanh", "tanh", "sigmoid"), kernel_init="he_uniform")
    without = experiment(hidden=(5, 3), kernel_init="he_uniform")
    geometry, shorter = (geometry_of(arm, *networks(arm)[:2]) for arm in (heads, without))
    assert geometry.judged == shorter.judged == 1
    np.testing.assert_allclose(geometry.correlation, shorter.correlation, rtol=1e-5)


def test_a_layer_that_does_not_vary_has_no_rank():
    assert np.isnan(effective_rank(np.ones((9, 3))))
    assert np.isnan(effective_rank(np.full((9, 3), np.inf)))
    assert effective_rank(1e-180 * np.random.default_rng(0).normal(size=(5000, 3))) == pytest.approx(3, rel=0.01)


@pytest.mark.parametrize(
    ("name", "counts"), [("binary_cross_entropy", (30, 50)), ("softmax_cross_entropy", (5, 20, 3))]
)
def test_chance_is_the_least_loss_of_constant_logits(name, counts):
    labels = jnp.repeat(jnp.arange(len(counts)), jnp.array(counts))
    loss = LOSSES[name]

    def mean(logits):
        return jnp.mean(jax.vmap(loss.value, in_axes=(None, 0))(logits, labels))

    slope = jax.value_and_grad(mean)

    def at(logits):
        return tuple(np.asarray(result, np.float64) for result in slope(jnp.asarray(logits, jnp.float32)))

    best = optimize.minimize(at, np.zeros(loss.out_features(len(counts))), jac=True, method="L-BFGS-B")
    assert loss.chance(np.asarray(labels)) == pytest.approx(best.fun, rel=1e-4)
    assert loss.chance(np.zeros(4, int)) == 0
