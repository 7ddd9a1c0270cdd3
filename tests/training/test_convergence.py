import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import vgrad_jax as vg
from vgrad_jax.training import convergence


def brute_force(accuracies, threshold):
    reached = [epoch for epoch, accuracy in enumerate(accuracies) if accuracy >= threshold - 1e-6]
    return reached[0] if reached else np.nan


TRAINED_WITH = 0.95


@pytest.fixture(scope="module")
def histories():
    """Twenty runs of which some converge."""
    experiment = vg.Experiment(
        mlp=vg.MLP(hidden=(4, 3), activation="tanh"),
        data=vg.Data("moons", samples=40),
        optimizer=vg.Optimizer("sgd", learning_rate=0.1, momentum=0.9),
        training=vg.Training(epochs=30, batch_size=8, threshold=TRAINED_WITH),
    )
    return jax.jit(jax.vmap(partial(vg.train, experiment)))(jax.random.split(jax.random.key(0), 20))


@pytest.mark.parametrize("threshold", [0.3, 0.7, 0.85, 0.95, 1.0])
def test_epochs_to_converge_against_the_recorded_accuracies(histories, threshold):
    """Follow the recorded accuracies with every threshold; the training followed one of them itself."""
    accuracies = histories.records.train_accuracy

    def follow(row):
        def step(state, record):
            return convergence.update(state, *record, jnp.asarray(True), threshold), None

        return jax.lax.scan(step, convergence.init(), (jnp.arange(len(row)), row))[0]

    states = jax.vmap(follow)(accuracies)
    expected = [brute_force(row, threshold) for row in np.asarray(accuracies)]
    names = np.where(np.isnan(expected), vg.Outcome.NOT_CONVERGED, vg.Outcome.CONVERGED)
    np.testing.assert_array_equal(jax.vmap(convergence.epochs_to_converge)(states), expected)
    np.testing.assert_array_equal(jax.vmap(convergence.outcome)(states), names)
    if threshold == TRAINED_WITH:
        assert len(set(names.tolist())) == 2
        np.testing.assert_array_equal(histories.epochs_to_converge, expected)
        np.testing.assert_array_equal(histories.outcome, names)


def test_initialisation_counts_as_zero_epochs():
    state = convergence.update(convergence.init(), jnp.asarray(0), jnp.asarray(0.9), jnp.asarray(True), 0.8)
    later = convergence.update(state, jnp.asarray(1), jnp.asarray(0.95), jnp.asarray(True), 0.8)
    assert convergence.epochs_to_converge(later) == 0


def test_a_share_that_is_the_threshold_reaches_it():
    accuracy = jnp.mean(jnp.arange(500) < 400)
    state = convergence.update(convergence.init(), jnp.asarray(7), accuracy, jnp.asarray(True), 0.8)
    assert convergence.epochs_to_converge(state) == 7


def test_a_run_that_diverges_never_converged_and_poisons_no_neighbour(small):
    """One seed starts from weights that overflow; the results of the other seeds do not change."""
    experiment = dataclasses.replace(small, mlp=vg.MLP(hidden=(4, 3), activation="relu"))
    keys = jax.random.split(jax.random.key(0), 4)
    params = jax.vmap(lambda key: vg.init_mlp(key, experiment.mlp, 2))(keys)
    sick = jax.tree.map(
        lambda leaf: leaf.at[2].set(jnp.full(leaf.shape[1:], float(jnp.finfo(leaf.dtype).max) ** 0.6)), params
    )
    run = jax.jit(jax.vmap(partial(vg.train_from, experiment)))
    healthy, mixed = run(params, keys), run(sick, keys)
    assert mixed.outcome[2] == vg.Outcome.DIVERGED
    assert jnp.isnan(mixed.epochs_to_converge[2])
    assert mixed.records.train_accuracy[2, -1] == 0
    others = jnp.array([0, 1, 3])
    for a, b in zip(jax.tree.leaves(healthy), jax.tree.leaves(mixed), strict=True):
        np.testing.assert_array_equal(a[others], b[others])


def test_diverging_after_converging_is_diverged():
    state = convergence.update(convergence.init(), jnp.asarray(3), jnp.asarray(0.9), jnp.asarray(True), 0.8)
    state = convergence.update(state, jnp.asarray(4), jnp.asarray(0.9), jnp.asarray(False), 0.8)
    assert convergence.outcome(state) == vg.Outcome.DIVERGED
    assert jnp.isnan(convergence.epochs_to_converge(state))


def test_every_row_is_taken_once_an_epoch_in_a_new_order(small):
    from vgrad_jax.training.run import epoch_order

    orders = np.asarray([epoch_order(jax.random.key(0), jnp.asarray(epoch), 500) for epoch in range(1, 5)])
    np.testing.assert_array_equal(np.sort(orders), np.tile(np.arange(500), (4, 1)))
    assert len({tuple(order) for order in orders}) == 4


def test_update_ratio_is_the_last_steps(small):
    """One batch an epoch and plain gradient descent: the update is the recorded gradient times the rate."""
    experiment = dataclasses.replace(
        small,
        optimizer=vg.Optimizer("sgd", learning_rate=0.1),
        training=vg.Training(epochs=3, batch_size=20),
        recording=vg.Recording(parameters_at=(0, 1), gradients_at=(0, 1)),
    )
    history = vg.train(experiment, jax.random.key(0))
    assert jnp.all(jnp.isnan(history.records.update_ratio_log10[0]))
    for layer, (params, gradient) in enumerate(zip(history.parameters, history.gradients, strict=True)):
        flat = [np.concatenate([np.ravel(leaf[i]) for leaf in tree]) for tree, i in ((gradient, 0), (params, 1))]
        expected = np.log10(0.1 * np.sqrt(np.mean(flat[0] ** 2)) / np.sqrt(np.mean(flat[1] ** 2)))
        np.testing.assert_allclose(history.records.update_ratio_log10[1, layer], expected, atol=1e-4)
