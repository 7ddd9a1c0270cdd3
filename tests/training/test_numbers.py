"""Targets of numbers: losses, the share of variance explained, and chance, each by another road."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from sklearn.linear_model import LinearRegression
from sklearn.metrics import r2_score

import vgrad_jax as vg
from vgrad_jax.losses import LOSSES

LINEAR = vg.Experiment(
    mlp=vg.MLP(hidden=()),
    data=vg.Data("diabetes"),
    optimizer=vg.Optimizer("sgd", learning_rate=0.02),
    training=vg.Training(epochs=300, batch_size=221, loss="squared_error", threshold=0.4),
    recording=vg.Recording(every=50),
)


def test_targets_have_mean_zero_and_variance_one_over_the_training_rows():
    data = vg.load_data(LINEAR.data)
    assert data.train_y.dtype == np.float32
    np.testing.assert_allclose([data.train_y.mean(), data.train_y.std()], [0, 1], atol=1e-5)


def test_accuracy_is_the_share_of_variance_explained():
    data, history = vg.load_data(LINEAR.data), jax.jit(lambda key: vg.train(LINEAR, key))(jax.random.key(0))
    least = LinearRegression().fit(data.train_x, data.train_y)
    # Gradient descent on a convex loss ends near the least squares, and the loss is 1 less the score.
    best = r2_score(data.train_y, least.predict(data.train_x))
    accuracy = np.asarray(history.records.train_accuracy)
    np.testing.assert_allclose(accuracy, 1 - np.asarray(history.records.train_loss), atol=1e-5)
    assert best - 0.1 < accuracy[-1] <= best + 1e-5
    assert int(history.outcome) == vg.Outcome.CONVERGED


@pytest.mark.parametrize("name", ["squared_error", "huber"])
def test_losses_of_numbers_and_their_chance(name):
    generator = np.random.default_rng(0)
    logits, targets = generator.normal(size=50) * 3, generator.exponential(size=50)
    errors = np.abs(logits - targets)
    by_hand = {"squared_error": errors**2, "huber": np.where(errors <= 1, errors**2 / 2, errors - 0.5)}[name]
    value = jax.vmap(LOSSES[name].value)(logits[:, None], targets)
    np.testing.assert_allclose(value, by_hand, rtol=1e-5)
    if name == "squared_error":
        expected = targets.var()
    else:
        errors = np.abs(np.linspace(targets.min(), targets.max(), 10_001)[:, None] - targets)
        expected = np.where(errors <= 1, errors**2 / 2, errors - 0.5).mean(axis=1).min()
    np.testing.assert_allclose(LOSSES[name].chance(targets), expected, rtol=1e-5)


def test_hinge_and_its_chance():
    labels = np.array([0] * 7 + [1] * 3)
    logits = np.random.default_rng(0).normal(size=10)
    signs = 2 * labels - 1
    value = jax.vmap(LOSSES["hinge"].value)(logits[:, None], labels)
    np.testing.assert_allclose(value, np.maximum(1 - signs * logits, 0), rtol=1e-6)
    least = minimize_scalar(lambda constant: np.maximum(1 - signs * constant, 0).mean(), bounds=(-3, 3))
    np.testing.assert_allclose(LOSSES["hinge"].chance(labels), least.fun, rtol=1e-4)


def test_a_diverged_network_explains_nothing():
    assert LOSSES["squared_error"].correct(jnp.array([jnp.nan]), jnp.float32(0)) == -np.inf


@pytest.mark.parametrize(
    ("data", "loss", "message"),
    [
        ("diabetes", "binary_cross_entropy", "targets are numbers, .* use one of 'squared_error', 'huber'"),
        ("wine", "huber", "targets are classes, .* use one of 'binary_cross_entropy'"),
        ("wine", "hinge", "hinge is for two classes"),
    ],
)
def test_a_loss_that_does_not_fit_is_refused(data, loss, message):
    experiment = vg.Experiment(data=vg.Data(data), training=vg.Training(epochs=1, loss=loss))
    with pytest.raises(vg.InputError, match=message):
        vg.train(experiment, jax.random.key(0))
