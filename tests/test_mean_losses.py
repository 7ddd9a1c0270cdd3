"""Mean losses for tasks without classes: against NumPy and SciPy."""

import jax
import numpy as np
import optax
import pytest
from scipy import stats

import vgrad_jax as vg
from vgrad_jax.losses import hinge, huber, mean_squared_error, poisson

RNG = np.random.default_rng(0)
OUTPUTS = RNG.normal(size=50).astype(np.float32) * 2
TARGETS = RNG.normal(size=50).astype(np.float32)


def test_each_is_its_formula():
    difference = np.abs(OUTPUTS - TARGETS).astype(float)
    np.testing.assert_allclose(mean_squared_error(OUTPUTS, TARGETS), np.mean(difference**2), rtol=1e-6)
    linear = np.where(difference <= 0.7, difference**2 / 2, 0.7 * (difference - 0.35))
    np.testing.assert_allclose(huber(OUTPUTS, TARGETS, 0.7), linear.mean(), rtol=1e-6)
    labels = TARGETS > 0
    margins = np.where(labels, OUTPUTS, -OUTPUTS)
    np.testing.assert_allclose(hinge(OUTPUTS, labels), np.maximum(0, 1 - margins).mean(), rtol=1e-6)
    counts = RNG.poisson(2.0, 50)
    constant = -stats.poisson(np.ones(50)).logpmf(counts).mean() - 1.0  # The term that is free of the rates.
    exact = -stats.poisson(np.exp(OUTPUTS.astype(float))).logpmf(counts).mean()
    np.testing.assert_allclose(poisson(OUTPUTS, counts) + constant, exact, rtol=1e-5)


@pytest.mark.parametrize("loss", [mean_squared_error, huber, hinge, poisson])
def test_shapes_that_would_be_broadcast_are_refused(loss):
    with pytest.raises(vg.InputError, match=r"need one shape; got \(5, 1\) and \(5,\)"):
        getattr(loss, "__wrapped__", loss)(np.ones((5, 1), np.float32), np.ones(5, np.float32))


def test_a_regression_converges_by_its_loss():
    """Fit a line: gradient descent on a quadratic has a closed form."""
    x = np.linspace(-1, 1, 9, dtype=np.float32)
    made = vg.make_train(
        lambda key: jax.random.normal(key),
        lambda w, batch: mean_squared_error(w * batch[0], batch[1]),
        optax.sgd(0.1),
        (x, 3 * x),
        epochs=30,
        batch_size=9,
    )
    results = vg.sweep({"line": vg.Arm(made, converged="train_loss <= 0.1")}, 4, progress=False)
    curvature = float(np.mean(x.astype(float) ** 2))
    for run in range(4):
        start = float(jax.random.normal(jax.random.fold_in(vg.run_key(0, run), 0))) - 3
        losses = curvature * (start * (1 - 0.2 * curvature) ** np.arange(30)) ** 2
        np.testing.assert_allclose(results["train_loss"].sel(arm="line", seed=run), losses, rtol=1e-4)
        assert float(results["epochs_to_converge"].sel(arm="line", seed=run)) == np.argmax(losses <= 0.1) + 1
