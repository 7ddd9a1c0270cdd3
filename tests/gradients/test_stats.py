import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vgrad_jax.gradients.stats import layer_log10_rms, log10_rms
from vgrad_jax.nets.mlp import Layer

TINY, HUGE = float(jnp.finfo(jnp.float32).tiny), float(jnp.finfo(jnp.float32).max)


@pytest.mark.parametrize("size", [TINY, 1e-30, 1e-20, 1e-3, 1.0, 1e20, 1e38, HUGE])
@pytest.mark.parametrize("transform", [lambda f: f, jax.jit])
def test_right_from_the_smallest_to_the_largest(size, transform):
    # Every element is a normal number of float32.
    shape = np.array([[2.0, -4.0], [1.0, 4.0]])
    values = size * (shape if size < 1 else shape / 4)
    expected = np.log10(np.sqrt(np.mean(values**2)))
    np.testing.assert_allclose(transform(log10_rms)(jnp.asarray(values, jnp.float32)), expected, rtol=1e-5, atol=1e-5)


def test_where_the_plain_norm_lies():
    tiny = jnp.full(4, 1e-25, jnp.float32)
    assert jnp.linalg.norm(tiny) == 0
    np.testing.assert_allclose(log10_rms(tiny), -25, rtol=1e-5)


def test_zero_infinite_and_missing_are_three_states():
    assert log10_rms(jnp.zeros(3)) == -jnp.inf
    assert log10_rms(jnp.array([0.0, jnp.inf])) == jnp.inf
    assert jnp.isnan(log10_rms(jnp.array([0.0, jnp.nan])))


def test_a_layer_is_its_kernel_and_bias_together():
    layers = (Layer(jnp.full((2, 3), 2.0), jnp.zeros(3)), Layer(jnp.ones((3, 1)), jnp.ones(1)))
    expected = np.log10([np.sqrt(6 * 4 / 9), 1])
    np.testing.assert_allclose(layer_log10_rms(layers), expected, rtol=1e-5, atol=1e-6)
