"""Why the cabinet has no loss scaling: what a factor of the loss does to an optimiser."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vgrad_jax.optimizers import Optimizer, make_optimizer
from vgrad_jax.prescription.cabinet import NOT_IN_CABINET

FACTOR = 64.0


def path(optimizer, factor):
    """Weights after each of ten steps down `factor` times a loss that is no parabola."""
    transformation = make_optimizer(optimizer)

    def step(carry, _):
        weights, state = carry
        gradient = jax.grad(lambda w: factor * jnp.sum(jnp.log(jnp.cosh(w - jnp.array([1.0, 2.0, 4.0])))))(weights)
        updates, state = transformation.update(gradient, state, weights)
        return (weights + updates, state), weights + updates

    start = jnp.zeros(3)
    return np.asarray(jax.lax.scan(step, (start, transformation.init(start)), length=10)[1])


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_under_gradient_descent_it_is_a_learning_rate(momentum):
    scaled = path(Optimizer("sgd", 2**-10, momentum=momentum), FACTOR)
    np.testing.assert_allclose(scaled, path(Optimizer("sgd", FACTOR * 2**-10, momentum=momentum), 1.0), rtol=1e-6)
    assert np.abs(scaled - path(Optimizer("sgd", 2**-10, momentum=momentum), 1.0)).max() > 0.1


@pytest.mark.parametrize("name", ["adam", "adamw", "rmsprop"])
def test_under_an_optimiser_that_divides_by_the_size_it_changes_nothing(name):
    np.testing.assert_allclose(path(Optimizer(name, 0.05), FACTOR), path(Optimizer(name, 0.05), 1.0), rtol=1e-5)


def test_clipping_sees_the_factor():
    """A gradient above the limit keeps its direction alone; the others are scaled as without clipping."""
    clipped = [path(Optimizer("sgd", 0.05, clip_norm=0.1), factor) for factor in (1.0, FACTOR)]
    np.testing.assert_allclose(clipped[0], clipped[1], rtol=1e-5)


def test_the_cabinet_says_so():
    assert "a learning rate under SGD, and nothing under Adam" in NOT_IN_CABINET["loss scaling"]
